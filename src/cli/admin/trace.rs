//! What became of a message, from the traces that its clients have sent.
//!
//! A trace is text: records end with `FIELD_END`, their fields are parted by `PART_END`, and the first one says what was done.

use std::collections::BTreeMap;

use ferrymq_proto::position::Timestamp;
use ferrymq_proto::record::Records;

use super::messages;
use super::options::Given;
use super::shown;
use crate::cli::print;
use crate::cli::remote::{Failure, Remote, unreadable};
use crate::config::quoted;

const TRACE_TOPIC: &str = "RMQ_SYS_TRACE_TOPIC";
const FIELD_END: char = '\u{2}';
const PART_END: char = '\u{1}';

#[derive(Debug, PartialEq, Eq)]
pub struct Step {
    pub is_sending: bool,
    pub group: String,
    pub time: Timestamp,
    pub cost_ms: String,
    pub is_success: bool,
}

/// What one trace says about a message.
pub fn steps(trace: &str, id: &str) -> Vec<Step> {
    trace.split(FIELD_END).filter_map(|record| step(record, id)).collect()
}

fn step(record: &str, id: &str) -> Option<Step> {
    let parts: Vec<&str> = record.split(PART_END).collect();
    let part = |at: usize| parts.get(at).copied();
    let time = |at: usize| part(at).and_then(|text| text.parse().ok()).map(Timestamp).unwrap_or_default();
    match part(0)? {
        "Pub" if part(5)? == id => Some(Step {
            is_sending: true,
            group: part(3)?.to_owned(),
            time: time(1),
            cost_ms: part(10)?.to_owned(),
            // Since 4.5 the id of the stored message comes before it.
            is_success: part(if parts.len() == 13 { 12 } else { 13 })? == "true",
        }),
        "SubAfter" if part(2)? == id => Some(Step {
            is_sending: false,
            group: part(8).unwrap_or_default().to_owned(),
            time: time(7),
            cost_ms: part(3)?.to_owned(),
            is_success: part(4)? == "true",
        }),
        _ => None,
    }
}

pub async fn of_message(remote: &Remote, given: &Given) -> Result<(), Failure> {
    let id = given.text('i');
    let topic = given.get('t').unwrap_or(TRACE_TOPIC);
    let mut consumed = BTreeMap::<String, String>::new();
    let mut is_found = false;
    for (_, records) in messages::with_key(remote, given, topic, id, 'c').await? {
        for record in Records::new(&records) {
            let record = record.map_err(|error| unreadable(&error))?;
            let host = record.born_host.ip().to_string();
            for step in steps(&String::from_utf8_lossy(record.body), id) {
                is_found = true;
                if step.is_sending {
                    print(&format!("{}{}\n", line(TITLES_OF_SENDING), step.line("Pub", &host)));
                } else {
                    let lines =
                        consumed.entry(step.group.clone()).or_insert_with(|| line(TITLES_OF_CONSUMING));
                    lines.push_str(&step.line("Sub", &host));
                }
            }
        }
    }
    for lines in consumed.values() {
        print(&format!("{lines}\n"));
    }
    match is_found {
        true => Ok(()),
        false => Err(Failure::nothing(
            format!("no trace tells of {}", quoted(id)),
            "clients trace only if they are told to (enableMsgTrace).",
        )),
    }
}

const TITLES_OF_SENDING: [&str; 6] =
    ["#Type", "#ProducerGroup", "#ClientHost", "#SendTime", "#CostTimes", "#Status"];
const TITLES_OF_CONSUMING: [&str; 6] =
    ["#Type", "#ConsumerGroup", "#ClientHost", "#ConsumerTime", "#CostTimes", "#Status"];

fn line([kind, group, host, time, cost, status]: [&str; 6]) -> String {
    format!("{kind:<10} {group:<20} {host:<20} {time:<20} {cost:<10} {status:<10}\n")
}

impl Step {
    fn line(&self, kind: &str, host: &str) -> String {
        let status = if self.is_success { "success" } else { "failed" };
        let cost = format!("{}ms", self.cost_ms);
        line([kind, &self.group, host, &shown::time_of_second(self.time), &cost, status])
    }
}
