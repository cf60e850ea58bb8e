//! What the charts are drawn from, gathered in one pass over the history.

use std::collections::BTreeMap;

use ferrymq_proto::position::QueueId;

use crate::history::{Call, Event, EventType, Nanos, NodeId, Op, Outcome, phases};

/// One operation of a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds of the run at which it began.
    pub at: f64,
    pub latency_ms: f64,
    pub outcome: Outcome,
    pub is_send: bool,
}

/// A fault, from its installation to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    pub name: String,
    pub from: f64,
    pub to: f64,
    pub detail: String,
}

/// One node led from one moment to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reign {
    pub node: NodeId,
    pub from: f64,
    pub to: f64,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Shown is what happened from here on: before it everything boots.
    pub start: f64,
    pub end: f64,
    pub points: Vec<Point>,
    pub bands: Vec<Band>,
    pub reigns: Vec<Reign>,
    /// By queue: whether anything was acknowledged, or anything failed, in each second.
    pub availability: BTreeMap<i32, BTreeMap<u64, (bool, bool)>>,
    /// By fault: seconds from its installation to the next message that was acknowledged, sent after it, for each queue.
    pub recoveries: BTreeMap<String, Vec<f64>>,
}

pub fn gather(history: &[Event], calls: &[Call<'_>]) -> Series {
    let is_load = |event: &&Event| matches!(&event.op, Op::Phase(phase) if phase.phase == phases::LOAD);
    let mut series = Series {
        start: history.iter().find(is_load).map_or(0.0, |event| event.time.seconds().floor()),
        end: history.last().map_or(0.0, |event| event.time.seconds()),
        ..Series::default()
    };
    let mut acknowledged: Vec<(Nanos, Nanos, QueueId)> = Vec::new();
    for call in calls {
        let (queue, is_send) = match &call.invoked.op {
            Op::Send(value) | Op::Half(value) => (Some(value.queue), true),
            Op::Scan(_) | Op::Deliver(_) | Op::End(_) => continue,
            _ => (None, false),
        };
        let Some(completed) = call.completed else { continue };
        let (at, ended) = (call.invoked.time, completed.time);
        series.points.push(Point {
            at: at.seconds(),
            latency_ms: (ended.0.saturating_sub(at.0)) as f64 / 1e6,
            outcome: call.outcome,
            is_send,
        });
        let Some(queue) = queue else { continue };
        let second =
            series.availability.entry(queue.0).or_default().entry(ended.0 / 1_000_000_000).or_default();
        if call.outcome == Outcome::Ok {
            second.0 = true;
            acknowledged.push((at, ended, queue));
        } else {
            second.1 = true;
        }
    }
    series.gather_bands(history);
    series.gather_reigns(history);
    series.gather_recoveries(history, &acknowledged);
    series
}

impl Series {
    fn gather_bands(&mut self, history: &[Event]) {
        let mut open: BTreeMap<i64, Band> = BTreeMap::new();
        for event in history {
            match (&event.op, event.kind) {
                (Op::Fault(fault), EventType::Info) if fault.result.as_deref() == Some("installed") => {
                    let at = event.time.seconds();
                    let detail = fault.proof.clone().unwrap_or_default();
                    open.insert(
                        fault.number,
                        Band { name: fault.fault.clone(), from: at, to: self.end, detail },
                    );
                }
                (Op::Heal(fault), EventType::Info) => {
                    if let Some(mut band) = open.remove(&fault.number) {
                        band.to = event.time.seconds();
                        self.bands.push(band);
                    }
                }
                _ => {}
            }
        }
        self.bands.extend(open.into_values());
        self.bands.sort_by(|one, other| one.from.total_cmp(&other.from));
    }

    fn gather_reigns(&mut self, history: &[Event]) {
        let mut current: Option<(NodeId, f64)> = None;
        for event in history {
            let Op::Leader(leader) = &event.op else { continue };
            let at = event.time.seconds();
            if let Some((node, from)) = current.take() {
                self.reigns.push(Reign { node, from, to: at });
            }
            current = leader.node.map(|node| (node, at));
        }
        if let Some((node, from)) = current {
            self.reigns.push(Reign { node, from, to: self.end });
        }
    }

    fn gather_recoveries(&mut self, history: &[Event], acknowledged: &[(Nanos, Nanos, QueueId)]) {
        // By the moment of the question, which must come after the fault.
        let mut by_queue: BTreeMap<QueueId, Vec<(Nanos, Nanos)>> = BTreeMap::new();
        for (asked, heard, queue) in acknowledged {
            by_queue.entry(*queue).or_default().push((*asked, *heard));
        }
        for event in history {
            let (Op::Fault(fault), EventType::Info) = (&event.op, event.kind) else { continue };
            // A promotion is done by a script, and over when it is installed: its time says nothing of the brokers.
            if fault.result.as_deref() != Some("installed") || fault.promoted.is_some() {
                continue;
            }
            for sends in by_queue.values() {
                let later = sends.partition_point(|(asked, _)| *asked < event.time);
                // Answers may overtake each other a little: the first to be heard counts.
                let next = sends.iter().skip(later).take(100).map(|(_, heard)| *heard).min();
                if let Some(heard) = next {
                    let seconds = (heard.0 - event.time.0) as f64 / 1e9;
                    self.recoveries.entry(fault.fault.clone()).or_default().push(seconds);
                }
            }
        }
        for seconds in self.recoveries.values_mut() {
            seconds.sort_by(f64::total_cmp);
        }
    }
}

/// The value below which this share of a sorted list lies.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = (sorted.len().checked_sub(1)? as f64 * share).round();
    sorted.get(at as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::history::calls;
    use crate::mutation::FAMILIES;

    #[test]
    fn quantiles() {
        let sorted: Vec<f64> = (1..=101).map(f64::from).collect();
        assert_eq!(quantile(&sorted, 0.5), Some(51.0));
        assert_eq!(quantile(&sorted, 0.99), Some(100.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    /// Every fault that took effect is a band within the run, and every operation that ended is a point.
    #[test]
    fn of_a_model() {
        let history = (FAMILIES[0].valid)(&mut Dice::new(5));
        let calls = calls(&history).expect("a history");
        let series = gather(&history, &calls);
        let installed = crate::checkers::coverage::installed(&history).values().sum::<u64>();
        assert_eq!(series.bands.len() as u64, installed);
        assert!(series.bands.iter().all(|band| band.from <= band.to && band.to <= series.end));
        assert!(series.points.iter().all(|point| point.latency_ms >= 0.0 && point.at <= series.end));
        let ended = calls
            .iter()
            .filter(|call| call.completed.is_some() && !matches!(call.invoked.op, Op::Scan(_)))
            .count();
        assert_eq!(series.points.len(), ended);
    }
}
