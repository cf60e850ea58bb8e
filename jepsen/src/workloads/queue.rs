//! Senders, single messages and batches, and readers that follow each queue from its beginning.

use std::sync::Arc;

use ferrymq_proto::position::{QueueId, QueueOffset};
use tokio::task::JoinSet;

use super::stage::{Part, Stage};
use super::worker::{Heard, Worker};
use crate::client::told;
use crate::history::{EventType, Op, PullValue};

const BATCH_MAX: u64 = 32;
/// A batch shares one limit of size, so its messages are short.
const BATCH_BODY_MAX: usize = 4 << 10;

/// Two thirds send, one third reads.
pub(super) fn spawn(stage: &Arc<Stage>, workers: &mut JoinSet<()>) {
    let readers = (stage.workers / 3).max(1);
    let senders = stage.workers.saturating_sub(readers).max(1);
    for number in 0..senders {
        workers.spawn(send(Worker::new(stage, number, senders)));
    }
    for number in 0..readers {
        workers.spawn(read(Worker::new(stage, senders + number, readers * 4), number, readers));
    }
}

pub(super) async fn send(mut worker: Worker) {
    while worker.turn().await {
        let queue = worker.queue();
        let count = if worker.dice.once_in(8) { worker.dice.between(2, BATCH_MAX) } else { 1 };
        let mut messages: Vec<_> = (0..count).map(|_| worker.message()).collect();
        if count > 1 {
            for message in &mut messages {
                message.body.truncate(BATCH_BODY_MAX);
            }
        }
        worker.send(queue, &messages).await;
    }
}

/// Each reader has queues of its own, which it reads in turn.
async fn read(mut worker: Worker, number: u32, readers: u32) {
    let mine = |queue: &i32| queue.cast_unsigned() % readers == number;
    let mut cursors: Vec<(QueueId, QueueOffset)> =
        (0..worker.stage.queues).filter(mine).map(|queue| (QueueId(queue), QueueOffset(0))).collect();
    let mut at = 0;
    while worker.turn().await && worker.stage.part() == Part::Load {
        at = (at + 1) % cursors.len().max(1);
        let Some((queue, cursor)) = cursors.get_mut(at) else { return };
        if let Some(next) = pull(&mut worker, *queue, *cursor).await {
            *cursor = next;
        }
    }
}

/// Pulls once and writes it down. Returns where to go on.
pub(super) async fn pull(worker: &mut Worker, queue: QueueId, offset: QueueOffset) -> Option<QueueOffset> {
    let node = worker.node();
    let value = PullValue { queue, offset, node: worker.asked(node), ..PullValue::default() };
    worker.invoke(Op::Pull(value.clone()));
    let (session, crashes) = worker.parts();
    match Worker::hear(crashes, session.pull(node, queue, offset)).await {
        Heard::Ok(pulled) => {
            let value = PullValue { seen: pulled.seen, max: Some(pulled.max), ..value };
            worker.complete(EventType::Ok, Op::Pull(value));
            Some(pulled.next)
        }
        Heard::Error(error) => {
            let value = PullValue { error: Some(told(&error)), ..value };
            worker.not_read(Some(&error), Op::Pull(value)).await;
            None
        }
        Heard::Crashed => {
            worker.not_read(None, Op::Pull(value)).await;
            None
        }
    }
}
