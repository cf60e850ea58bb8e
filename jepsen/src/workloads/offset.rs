//! Groups that say how far they are, and ask. Each group has one member that commits; everybody asks.

use std::sync::Arc;

use ferrymq_proto::position::{QueueId, QueueOffset};
use tokio::task::JoinSet;

use super::queue;
use super::stage::Stage;
use super::worker::{Heard, Worker};
use crate::client::told;
use crate::history::{EventType, OffsetValue, Op};

fn committers(stage: &Stage) -> u32 {
    (stage.workers / 3).max(1)
}

pub(super) fn groups(stage: &Stage) -> Vec<String> {
    (0..committers(stage)).map(group).collect()
}

/// One third commits, one third asks, the rest sends, so that there is something to be ahead of.
pub(super) fn spawn(stage: &Arc<Stage>, workers: &mut JoinSet<()>) {
    let third = committers(stage);
    for number in 0..third {
        workers.spawn(commit(Worker::new(stage, number, third * 3), number));
        workers.spawn(ask(Worker::new(stage, third + number, third * 3), third));
        workers.spawn(queue::send(Worker::new(stage, 2 * third + number, third * 3)));
    }
}

fn group(number: u32) -> String {
    format!("offset-group-{number}")
}

async fn commit(mut worker: Worker, number: u32) {
    let group = group(number);
    let mut reached = vec![0_i64; usize::try_from(worker.stage.queues).unwrap_or_default()];
    while worker.turn().await {
        let queue = worker.queue();
        let Some(offset) = usize::try_from(queue.0).ok().and_then(|at| reached.get_mut(at)) else { return };
        *offset += 1;
        let offset = QueueOffset(*offset);
        write(&mut worker, &group, queue, offset).await;
    }
}

/// Commits once and writes it down. Returns whether it was acknowledged.
pub(super) async fn write(worker: &mut Worker, group: &str, queue: QueueId, offset: QueueOffset) -> bool {
    let node = worker.node();
    let value = OffsetValue {
        group: group.to_owned(),
        queue,
        offset: Some(offset),
        node: worker.asked(node),
        error: None,
    };
    worker.invoke(Op::Commit(value.clone()));
    let (session, crashes) = worker.parts();
    match Worker::hear(crashes, session.commit(node, group, queue, offset)).await {
        Heard::Ok(()) => {
            worker.complete(EventType::Ok, Op::Commit(value));
            true
        }
        Heard::Error(error) => {
            let value = OffsetValue { error: Some(told(&error)), ..value };
            worker.not_written(Some(&error), Op::Commit(value)).await;
            false
        }
        Heard::Crashed => {
            worker.not_written(None, Op::Commit(value)).await;
            false
        }
    }
}

async fn ask(mut worker: Worker, groups: u32) {
    while worker.turn().await {
        let number = u32::try_from(worker.dice.below(groups.into())).unwrap_or_default();
        let queue = worker.queue();
        let _ = read(&mut worker, &group(number), queue).await;
    }
}

/// Asks whoever leads. Only the leader's answer counts: a follower may not have heard yet.
pub(super) async fn read(worker: &mut Worker, group: &str, queue: QueueId) -> Option<Option<QueueOffset>> {
    let node = worker.stage.directory.leader()?;
    let value =
        OffsetValue { group: group.to_owned(), queue, offset: None, node: worker.asked(node), error: None };
    worker.invoke(Op::Fetch(value.clone()));
    let (session, crashes) = worker.parts();
    match Worker::hear(crashes, session.fetch(node, group, queue)).await {
        Heard::Ok(offset) => {
            worker.complete(EventType::Ok, Op::Fetch(OffsetValue { offset, ..value }));
            Some(offset)
        }
        Heard::Error(error) => {
            let value = OffsetValue { error: Some(told(&error)), ..value };
            worker.not_read(Some(&error), Op::Fetch(value)).await;
            None
        }
        Heard::Crashed => {
            worker.not_read(None, Op::Fetch(value)).await;
            None
        }
    }
}
