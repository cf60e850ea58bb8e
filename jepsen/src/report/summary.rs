//! One page for a suite: what was run, and what all runs together have shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use super::series::quantile;
use super::{charts, page};
use crate::cli::{Done, Results, UNKNOWN, VALID, load_results};
use crate::faults::Fault;
use crate::report::page::number;

/// With no loss in n independent faults, the chance of a loss by one fault is below 3/n (at 95 %).
const UPPER_BOUND: f64 = 3.0;

#[derive(Debug, Default)]
struct Totals {
    tests: usize,
    /// The sets of programs that tests were run with, where it was written down.
    programs: BTreeSet<String>,
    /// By the name of the test: how many ended as expected, and how many there were.
    as_expected: BTreeMap<String, (usize, usize)>,
    verdicts: BTreeMap<String, u64>,
    acknowledged: i64,
    faults: BTreeMap<String, i64>,
    anomalies: BTreeMap<String, i64>,
    /// By fault: seconds until each queue took a message again, shortest first.
    recoveries: BTreeMap<String, Vec<f64>>,
}

fn word(code: i64) -> &'static str {
    match code {
        0 => "as expected",
        1 => "INVALID",
        2 => "unknown",
        _ => "CRASHED",
    }
}

fn totals(done: &[(Done, Option<Results>)]) -> Totals {
    let mut totals = Totals { tests: done.len(), ..Totals::default() };
    for (done, results) in done {
        totals.programs.extend(Some(done.programs.clone()).filter(|programs| !programs.is_empty()));
        *totals.verdicts.entry(word(done.code).to_owned()).or_default() += 1;
        let named = totals.as_expected.entry(done.name.clone()).or_default();
        *named = (named.0 + usize::from(done.code == i64::from(VALID)), named.1 + 1);
        let Some(results) = results else { continue };
        totals.acknowledged += results.acknowledged;
        for (name, count) in &results.fault_kinds {
            *totals.faults.entry(name.clone()).or_default() += count;
        }
        // What a control was expected to find says nothing of the brokers that are not wrong.
        let is_control = done.code == i64::from(VALID) && results.verdict == "invalid";
        for counted in results.counts.iter().filter(|_| !is_control) {
            *totals.anomalies.entry(counted.name.clone()).or_default() += counted.count;
        }
        for (fault, milliseconds) in &results.recoveries_ms {
            let seconds = milliseconds.iter().map(|milliseconds| *milliseconds as f64 / 1e3);
            // "SYSTEM: FAULT": systems that are compared are not to be mixed.
            let compared =
                done.name.split_once(": ").map_or(fault.clone(), |(system, _)| format!("{system}: {fault}"));
            totals.recoveries.entry(compared).or_default().extend(seconds);
        }
    }
    totals.recoveries.values_mut().for_each(|seconds| seconds.sort_by(f64::total_cmp));
    totals
}

fn with_results(done: &[Done]) -> Vec<(Done, Option<Results>)> {
    let results = |done: &Done| done.folder.as_ref().and_then(|folder| load_results(Path::new(folder)));
    done.iter().map(|done| (done.clone(), results(done))).collect()
}

fn listed<N: std::fmt::Display>(counts: &BTreeMap<String, N>) -> String {
    let list: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

/// What a message may not suffer, and the anomalies that are it.
const HARM: &[(&str, &[&str])] = &[
    ("lost", &["lost"]),
    ("duplicated", &["duplicate"]),
    ("out of order", &["reorder", "nonmonotonic-send", "ack-moved"]),
    ("harmed", &["corrupt", "divergence", "inconsistent-offset", "gap"]),
];

impl Totals {
    fn faults(&self) -> i64 {
        self.faults.values().sum()
    }

    /// What all runs together have shown, a line each.
    fn lines(&self) -> Vec<String> {
        let power_cuts: i64 = self.faults.iter().filter(|(name, _)| is_power_cut(name)).map(|(_, n)| n).sum();
        let unknown = self.verdicts.get(word(UNKNOWN.into())).copied().unwrap_or_default();
        let harm = HARM.iter().map(|(name, anomalies)| {
            let count: i64 = anomalies.iter().filter_map(|anomaly| self.anomalies.get(*anomaly)).sum();
            format!("{name} {count}")
        });
        let mut lines = vec![
            format!("{} messages acknowledged", number(self.acknowledged.unsigned_abs())),
            format!("{} faults, {power_cuts} of them power cuts: {}", self.faults(), listed(&self.faults)),
            format!("messages {}", harm.collect::<Vec<_>>().join(", ")),
            format!("anomalies: {}", listed(&self.anomalies)),
            format!(
                "{unknown} of {} tests without a verdict ({:.1} %)",
                self.tests,
                100.0 * unknown as f64 / self.tests.max(1) as f64
            ),
        ];
        if self.programs.len() > 1 {
            let sets = self.programs.len();
            lines.push(format!(
                "the programs were changed on the way: {sets} sets of them had a part in this"
            ));
        }
        if self.faults() > 0 && !self.anomalies.contains_key("lost") {
            let bound = UPPER_BOUND / self.faults() as f64;
            lines.push(format!(
                "no message was lost: a fault loses one with a chance below {bound:.5} (95 %)"
            ));
        }
        lines
    }
}

fn is_power_cut(fault: &str) -> bool {
    Fault::find(fault).is_some_and(|fault| fault.package == "powercut")
}

/// For the terminal.
pub fn text(done: &[Done]) -> String {
    let totals = totals(&with_results(done));
    let mut text: String = (totals.as_expected.iter())
        .map(|(name, (well, all))| format!("{name}: {well} of {all} as expected\n"))
        .collect();
    for (fault, seconds) in &totals.recoveries {
        let shown = |share| quantile(seconds, share).unwrap_or_default();
        // Writing to a string cannot fail; here and below.
        let _ = writeln!(
            text,
            "{fault}: a queue took messages again after {:.2} s (median), {:.2} s (99 %), {:.2} s (longest of {})",
            shown(0.5),
            shown(0.99),
            shown(1.0),
            seconds.len()
        );
    }
    text + &format!("{} tests: {}\n{}\n", totals.tests, listed(&totals.verdicts), totals.lines().join("\n"))
}

/// Writes `index.html` into the folder of the suite.
pub fn write(folder: &Path, done: &[Done]) -> io::Result<()> {
    let done = with_results(done);
    let totals = totals(&done);
    let lines: String = totals.lines().iter().map(|line| format!("<li>{}", page::escape(line))).collect();
    let verdicts = page::escape(&listed(&totals.verdicts));
    let mut body = format!("<h1>{} tests: {verdicts}</h1><ul>{lines}</ul>", totals.tests);
    body.push_str(
        "<table><tr><th>test<th class=n>seed<th>verdict<th class=n>acknowledged<th class=n>faults<th>anomalies<th class=n>seconds</tr>",
    );
    for (done, results) in &done {
        let link = done.folder.as_ref().map_or(page::escape(&done.name), |run| {
            let run = Path::new(run);
            let near = std::path::absolute(folder)
                .ok()
                .and_then(|folder| run.strip_prefix(folder).ok().map(Path::to_owned));
            let target = near.unwrap_or_else(|| run.to_owned()).join("index.html");
            format!(
                "<a href=\"{}\">{}</a>",
                page::escape(&target.display().to_string()),
                page::escape(&done.name)
            )
        });
        let results = results.clone().unwrap_or_default();
        let anomalies: BTreeMap<String, i64> =
            results.counts.iter().map(|counted| (counted.name.clone(), counted.count)).collect();
        let _ = write!(
            body,
            "<tr class=c{}><td>{link}<td class=n>{}<td class=v>{}<td class=n>{}<td class=n>{}<td>{}<td class=n>{}</tr>",
            done.code,
            done.seed,
            word(done.code),
            number(results.acknowledged.unsigned_abs()),
            results.faults,
            page::escape(&listed(&anomalies)),
            done.seconds
        );
    }
    body.push_str("</table><h2>From a fault to the next message that was acknowledged, sent after it</h2>");
    body.push_str(&charts::recoveries(&totals.recoveries));
    fs::write(folder.join("index.html"), page::page("jepsen suite", &body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(name: &str, programs: &str) -> (Done, Option<Results>) {
        let recoveries_ms = BTreeMap::from([("kill-all".to_owned(), vec![1500])]);
        let results = Results { acknowledged: 1000, recoveries_ms, ..Results::default() };
        (Done { name: name.to_owned(), programs: programs.to_owned(), ..Done::default() }, Some(results))
    }

    #[test]
    fn programs_that_changed_are_told() {
        let told = |done: &[(Done, Option<Results>)]| {
            totals(done).lines().iter().any(|line| line.starts_with("the programs were changed"))
        };
        // The suites of earlier harnesses did not write them down.
        assert!(!told(&[done("kill", ""), done("kill", "a"), done("pause", "a")]));
        assert!(told(&[done("kill", "a"), done("kill", "b")]));
    }

    #[test]
    fn systems_that_are_compared_are_not_mixed() {
        let totals = totals(&[done("one: kill-all", "a"), done("two: kill-all", "a"), done("kill", "a")]);
        let names: Vec<&str> = totals.recoveries.keys().map(String::as_str).collect();
        assert_eq!(names, ["kill-all", "one: kill-all", "two: kill-all"]);
        assert!(totals.lines().contains(&"3,000 messages acknowledged".to_owned()));
    }
}
