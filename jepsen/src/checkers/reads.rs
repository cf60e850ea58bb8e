//! C9: what was read stays.

use std::collections::{BTreeMap, HashSet};

use ferrymq_proto::position::{QueueId, QueueOffset};

use super::digest::Pulled;
use super::faulty::downtimes;
use super::{Digest, Findings, Place};
use crate::history::{EventIndex, NodeId};

/// Whatever a consumer has read is in the final scan at the same place; and what one node has shown, it goes on to show for as
/// long as it runs. (Two nodes are not compared: a deposed leader may show less than the new one for a while.)
pub(super) fn final_reads(digest: &Digest<'_>, findings: &mut Findings) {
    dirty_reads(digest, findings);
    regressions(digest, findings);
}

fn dirty_reads(digest: &Digest<'_>, findings: &mut Findings) {
    let scans = digest.final_scans();
    let mut reported = HashSet::new();
    for pulled in &digest.pulls {
        let queue = pulled.value.queue;
        let Some(scan) = scans.get(&queue) else { continue };
        for seen in pulled.value.seen.iter().filter(|seen| seen.offset >= scan.value.min) {
            let kept = scan.value.at(seen.offset);
            let is_gone = kept.is_none_or(|kept| kept.id != seen.id);
            let may_be = || digest.gave_up(seen.id, pulled.event, pulled.value.node);
            if is_gone && !may_be() && reported.insert(seen.id) {
                findings.add("dirty-read", &[pulled.event, scan.event], || {
                    let place = Place { queue, offset: seen.offset };
                    format!("message {} was read at {place} and is not there at the end", seen.id)
                });
            }
        }
    }
}

fn regressions(digest: &Digest<'_>, findings: &mut Findings) {
    let downtimes = downtimes(digest.history);
    let ran_through = |node: NodeId, from: EventIndex, until: EventIndex| {
        !downtimes
            .iter()
            .any(|down| down.node == node && down.from < until && down.until.is_none_or(|end| end > from))
    };
    // The longest that each node has shown each queue since it was last started, by the order of the answers; an answer counts
    // from its question on.
    let mut by_answer: Vec<_> = digest.pulls.iter().collect();
    by_answer.sort_by_key(|pulled| pulled.event);
    let mut by_question = by_answer.clone();
    by_question.sort_by_key(|pulled| pulled.invoked);
    let mut shown: BTreeMap<(NodeId, QueueId), (QueueOffset, &Pulled<'_>)> = BTreeMap::new();
    let mut answers = by_answer.into_iter().peekable();
    for pulled in by_question {
        while let Some(answer) = answers.next_if(|answer| answer.event < pulled.invoked) {
            let Some(node) = answer.value.node else { continue };
            let Some(last) = answer.value.seen.iter().map(|seen| seen.offset).max() else { continue };
            if !ran_through(node, answer.invoked, answer.event) {
                continue;
            }
            let longest = shown.entry((node, answer.value.queue)).or_insert((last, answer));
            if last > longest.0 || !ran_through(node, longest.1.invoked, answer.event) {
                *longest = (last, answer);
            }
        }
        let (Some(node), Some(max)) = (pulled.value.node, pulled.value.max) else { continue };
        let Some((last, shown)) = shown.get(&(node, pulled.value.queue)) else { continue };
        if max.0 <= last.0 && ran_through(node, shown.invoked, pulled.event) {
            findings.add("read-regression", &[shown.event, pulled.event], || {
                format!(
                    "{node} had shown queue {} up to offset {last}, and later says that it ends at {max}",
                    pulled.value.queue
                )
            });
        }
    }
}
