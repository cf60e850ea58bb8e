//! One page for a suite: what was run, and what all runs together have shown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

use super::page;
use crate::cli::{Done, Results, load_results};

/// With no loss in n independent faults, the chance of a loss by one fault is below 3/n (at 95 %).
const UPPER_BOUND: f64 = 3.0;

#[derive(Debug, Default)]
struct Totals {
    tests: usize,
    verdicts: BTreeMap<String, u64>,
    acknowledged: i64,
    faults: BTreeMap<String, i64>,
    anomalies: BTreeMap<String, i64>,
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
        *totals.verdicts.entry(word(done.code).to_owned()).or_default() += 1;
        let Some(results) = results else { continue };
        totals.acknowledged += results.acknowledged;
        for (name, count) in &results.fault_kinds {
            *totals.faults.entry(name.clone()).or_default() += count;
        }
        for counted in &results.counts {
            *totals.anomalies.entry(counted.name.clone()).or_default() += counted.count;
        }
    }
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

/// For the terminal.
pub fn text(done: &[Done]) -> String {
    let totals = totals(&with_results(done));
    let faults: i64 = totals.faults.values().sum();
    let mut text = format!(
        "{} tests: {}\n{} messages acknowledged\n{faults} faults: {}\nanomalies: {}\n",
        totals.tests,
        listed(&totals.verdicts),
        totals.acknowledged,
        listed(&totals.faults),
        listed(&totals.anomalies),
    );
    if faults > 0 && !totals.anomalies.contains_key("lost") {
        let bound = UPPER_BOUND / faults as f64;
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "no message was lost: a fault loses one with a chance below {bound:.5} (95 %)");
    }
    text
}

/// Writes `index.html` into the folder of the suite.
pub fn write(folder: &Path, done: &[Done]) -> io::Result<()> {
    let done = with_results(done);
    let totals = totals(&done);
    let mut body = format!(
        "<h1>{} tests</h1><dl><dt>verdicts<dd>{}<dt>acknowledged<dd>{}<dt>faults<dd>{}<dt>anomalies<dd>{}</dl>",
        totals.tests,
        page::escape(&listed(&totals.verdicts)),
        totals.acknowledged,
        page::escape(&listed(&totals.faults)),
        page::escape(&listed(&totals.anomalies)),
    );
    body.push_str(
        "<table><tr><th>test<th>seed<th>verdict<th>acknowledged<th>faults<th>anomalies<th>seconds</tr>",
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
            "<tr class=c{}><td>{link}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            done.code,
            done.seed,
            word(done.code),
            results.acknowledged,
            results.faults,
            page::escape(&listed(&anomalies)),
            done.seconds
        );
    }
    body.push_str("</table>");
    fs::write(folder.join("index.html"), page::page("jepsen suite", &body))
}
