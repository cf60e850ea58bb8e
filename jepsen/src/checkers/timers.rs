//! C15: a message that is to come later comes later, and comes.

use std::collections::HashMap;

use super::{Attempt, Digest, Findings};
use crate::history::{EventIndex, Nanos, Op, phases};
use crate::message::MessageId;

/// Brokers count in milliseconds, of another clock of the same machine.
const EARLY_MS_MAX: i64 = 20;
/// After its time, or after the faults were over if that was later.
const LATE_MS_MAX: i64 = 30_000;

pub(super) fn on_time(digest: &Digest<'_>, findings: &mut Findings) {
    let times: HashMap<EventIndex, Nanos> = digest
        .pulls
        .iter()
        .map(|pulled| pulled.event)
        .chain(digest.scans.iter().map(|scan| scan.event))
        .filter_map(|index| Some((index, digest.time_of(index)?)))
        .collect();
    let mut first: HashMap<MessageId, EventIndex> = HashMap::new();
    let is_delayed = |id| digest.attempts.get(id).is_some_and(|attempt| attempt.delay_ms.is_some());
    for sighting in digest.sightings().filter(|sighting| is_delayed(sighting.id)) {
        let known = first.entry(sighting.id).or_insert(sighting.event);
        *known = sighting.event.min(*known);
    }
    let healed = phase_time(digest, phases::HEALED);
    let drained = phase_time(digest, phases::DRAINED);
    for attempt in digest.attempts.iter().filter(|attempt| attempt.delay_ms.is_some()) {
        let due = due(attempt);
        match first.get(&attempt.id) {
            Some(event) => {
                let Some(seen) = times.get(event) else { continue };
                judge_time(attempt, *event, *seen, due, healed, findings);
            }
            None if attempt.acknowledged() && drained.is_some_and(|drained| milliseconds(drained) > due) => {
                findings.add("timer-lost", &[attempt.invoked], || {
                    format!(
                        "message {} was to come after {} ms and never came",
                        attempt.id,
                        attempt.delay_ms.unwrap_or_default()
                    )
                });
            }
            None => {}
        }
    }
}

fn judge_time(
    attempt: &Attempt,
    event: EventIndex,
    seen: Nanos,
    due: i64,
    healed: Option<Nanos>,
    findings: &mut Findings,
) {
    let seen = milliseconds(seen);
    if seen < due - EARLY_MS_MAX {
        findings.add("timer-early", &[attempt.invoked, event], || {
            format!("message {} came {} ms before its time", attempt.id, due - seen)
        });
    }
    let excused = healed.map_or(due, |healed| due.max(milliseconds(healed)));
    if seen > excused + LATE_MS_MAX {
        findings.add("timer-late", &[attempt.invoked, event], || {
            format!("message {} came {} ms after its time", attempt.id, seen - due)
        });
    }
}

/// The earliest moment, in milliseconds of the run.
fn due(attempt: &Attempt) -> i64 {
    milliseconds(attempt.invoked_at) + attempt.delay_ms.unwrap_or_default()
}

fn milliseconds(time: Nanos) -> i64 {
    i64::try_from(time.0 / 1_000_000).unwrap_or(i64::MAX)
}

fn phase_time(digest: &Digest<'_>, name: &str) -> Option<Nanos> {
    let phase =
        digest.history.iter().find(|event| matches!(&event.op, Op::Phase(phase) if phase.phase == name));
    phase.map(|event| event.time)
}
