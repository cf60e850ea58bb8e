//! The report of a run: one page that needs nothing but itself.
//!
//! First the verdict, the gravest anomaly in one sentence, and the events around it; then the charts.

mod charts;
pub mod page;
mod series;
pub mod summary;

use std::fmt::Write;
use std::fs;
use std::io;

use ferrymq_proto::json::{self, Dialect};

use crate::checkers::{Anomaly, Findings};
use crate::cli::given_up;
use crate::history::{Event, Op};
use crate::plan::Plan;
use crate::run::{Outcome, Verdict};
use page::{escape, number};
pub use series::{Series, gather};

/// Events that are shown before and after the first one of an anomaly.
const AROUND: usize = 10;
/// A batch or a scan is cut to this many characters.
const EVENT_SHOWN: usize = 400;

/// Writes `index.html` into the folder of the run.
pub fn write(plan: &Plan, outcome: &Outcome, history: &[Event], series: &Series) -> io::Result<()> {
    let mut body = String::new();
    head(&mut body, plan, outcome);
    anomalies(&mut body, outcome, history);
    let mut section = |title: &str, content: String| {
        // Writing to a string cannot fail; here and below.
        let _ = write!(body, "<h2>{title}</h2>{content}");
    };
    section("Latency of every operation", charts::legend(series) + &charts::latency(series));
    section("Latency by second: median, 95 %, 99 %", charts::quantiles(series));
    section("Operations each second", charts::rate(series));
    section("Availability of each queue", charts::availability(series));
    section("Who led, as the name server saw it", charts::leaders(series, plan.nodes));
    if !series.recoveries.is_empty() {
        section(
            "From a fault to the next message that was acknowledged, sent after it",
            charts::recoveries(&series.recoveries),
        );
    }
    faults(&mut body, series);
    let title = format!("{} on {}, seed {}", plan.workload, plan.system, plan.seed);
    fs::write(outcome.folder.join("index.html"), page::page(&title, &body))
}

fn head(body: &mut String, plan: &Plan, outcome: &Outcome) {
    let (class, word) = match outcome.verdict {
        Verdict::Valid => ("valid", "valid"),
        Verdict::Invalid => ("invalid", "invalid"),
        Verdict::Unknown(_) => ("unknown", "unknown"),
    };
    let tally = outcome.tally;
    let faults = if plan.nemesis.is_empty() { "no faults".to_owned() } else { plan.nemesis.join(", ") };
    let _ = write!(
        body,
        "<h1><span class=\"verdict {class}\">{word}</span> {} on {}</h1>\
         <p class=sub>{} {}, mode {}, {} flush, {} queues, {} clients, {} operations/s, seed {}; {}</p>\
         <dl><dt>acknowledged<dd>{}<dt>failed<dd>{}<dt>outcome unknown<dd>{}<dt>faults that took effect<dd>{}\
         <dt>changes of the leader<dd>{}</dl>",
        escape(&plan.workload),
        escape(&plan.system),
        plan.nodes,
        if plan.backend == "compose" { "containers" } else { "nodes" },
        escape(&plan.mode),
        if plan.sync_flush { "synchronous" } else { "asynchronous" },
        plan.queues,
        plan.clients,
        plan.rate,
        plan.seed,
        escape(&faults),
        number(tally.acknowledged),
        number(tally.failed),
        number(tally.unknown),
        number(tally.faults),
        number(tally.leader_changes.saturating_sub(1)),
    );
    if let Verdict::Unknown(reasons) = &outcome.verdict {
        let list: String = reasons.iter().map(|reason| format!("<li>{}", escape(reason))).collect();
        let _ = write!(body, "<p>Nothing wrong was seen, but too little was seen:</p><ul>{list}</ul>");
    }
    if let Some(sentence) = given_up(outcome) {
        let _ = write!(body, "<p>{}.</p>", escape(&sentence));
    }
    if !plan.unsafe_modes.is_empty() {
        let _ =
            write!(body, "<p>Wrong on purpose: <code>{}</code></p>", escape(&plan.unsafe_modes.join(", ")));
    }
}

/// A loss before everything else; then whatever began first.
fn gravest(findings: &Findings) -> Option<&Anomaly> {
    findings.told.iter().find(|anomaly| anomaly.name == "lost").or_else(|| findings.first())
}

fn anomalies(body: &mut String, outcome: &Outcome, history: &[Event]) {
    let Some(first) = gravest(&outcome.findings) else { return };
    let _ = write!(body, "<p class=first><b>{}</b>: {}</p>", first.name, escape(&first.sentence));
    body.push_str("<table><tr><th>anomaly<th class=n>times</tr>");
    for (name, count) in &outcome.findings.counts {
        let _ = write!(body, "<tr><td>{name}<td class=n>{}</tr>", number(*count));
    }
    body.push_str("</table>");
    let _ = write!(
        body,
        "<h2>The events around it</h2><table class=mono><tr><th>event<th>time<th>process<th>type<th>what</tr>"
    );
    let is_named = |event: &Event| first.events.contains(&event.index);
    // The reads at the end of a run follow each other; what was done and heard lies before them.
    let told: Vec<&Event> = history.iter().filter(|event| !matches!(event.op, Op::Scan(_))).collect();
    let middle = told.iter().position(|event| is_named(event)).unwrap_or(told.len());
    let around = told.into_iter().skip(middle.saturating_sub(AROUND)).take(2 * AROUND);
    let mut rows: Vec<&Event> = around.chain(history.iter().filter(|event| is_named(event))).collect();
    rows.sort_by_key(|event| event.index);
    rows.dedup_by_key(|event| event.index);
    for event in rows {
        let hit = if is_named(event) { " class=hit" } else { "" };
        let _ = write!(
            body,
            "<tr{hit}><td>{}<td>{:.3} s<td>{}<td>{}<td>{}</tr>",
            event.index,
            event.time.seconds(),
            event.process,
            event.kind.as_str(),
            escape(&described(event))
        );
    }
    body.push_str("</table><h2>Anomalies in full</h2><table><tr><th>name<th>what</tr>");
    for anomaly in &outcome.findings.told {
        let events: Vec<String> = anomaly.events.iter().map(ToString::to_string).collect();
        let _ = write!(
            body,
            "<tr><td>{}<td>{} <span class=mono>(events {})</span></tr>",
            anomaly.name,
            escape(&anomaly.sentence),
            events.join(", ")
        );
    }
    body.push_str("</table>");
}

fn described(event: &Event) -> String {
    if let Op::Scan(scan) = &event.op
        && let Some(node) = scan.node
    {
        let (queue, min, max, seen) = (scan.queue, scan.min, scan.max, scan.seen.len());
        return format!("scan of queue {queue} on {node}: {seen} messages from {min} to {max}");
    }
    let text = json::to_string(event, Dialect::Standard);
    let value = text.split_once("\"value\":").map_or("", |(_, value)| value);
    let value = value.strip_suffix('}').unwrap_or(value);
    let shown: String = value.chars().take(EVENT_SHOWN).collect();
    let more = if shown.len() < value.len() { " …" } else { "" };
    format!("{} {shown}{more}", event.op.f())
}

fn faults(body: &mut String, series: &Series) {
    if series.bands.is_empty() {
        return;
    }
    body.push_str("<h2>Faults</h2><table><tr><th>fault<th class=n>from<th class=n>to<th>what shows it</tr>");
    for band in &series.bands {
        let _ = write!(
            body,
            "<tr><td>{}<td class=n>{:.1} s<td class=n>{:.1} s<td>{}</tr>",
            escape(&band.name),
            band.from,
            band.to,
            escape(&band.detail)
        );
    }
    body.push_str("</table>");
}
