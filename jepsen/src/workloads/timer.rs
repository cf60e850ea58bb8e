//! Messages that come later, by delay level and by any delay, and readers that wait for them.

use std::sync::Arc;

use ferrymq_proto::record::property;
use tokio::task::JoinSet;

use super::queue;
use super::stage::{Part, Stage};
use super::worker::{Heard, Worker};
use crate::client::told;
use crate::history::{EventType, Op, SendValue, Sent};
use crate::message;

/// The first levels, in milliseconds; those after them are too long for a run.
const LEVELS_MS: [i64; 3] = [1000, 5000, 10_000];
/// A broker counts in whole seconds where any delay can be asked for, and rounds down.
const PRECISION_MS: i64 = 1000;
const DELAY_MS: (u64, u64) = (2000, 12_000);

pub(super) fn spawn(stage: &Arc<Stage>, workers: &mut JoinSet<()>) {
    let senders = (stage.workers / 2).max(1);
    for number in 0..senders {
        workers.spawn(schedule(Worker::new(stage, number, senders)));
    }
    for queue in 0..stage.queues {
        let number = senders + queue.cast_unsigned();
        workers.spawn(wait(Worker::new(stage, number, stage.queues.cast_unsigned()), queue));
    }
}

async fn schedule(mut worker: Worker) {
    while worker.turn().await {
        let queue = worker.queue();
        let mut outgoing = worker.message();
        let delay_ms = if worker.dice.once_in(2) {
            let level = worker.dice.index(LEVELS_MS.len());
            outgoing.properties.push((property::DELAY_LEVEL, (level + 1).to_string()));
            LEVELS_MS.get(level).copied().unwrap_or_default()
        } else {
            let delay = worker.dice.between(DELAY_MS.0, DELAY_MS.1);
            outgoing.properties.push((property::TIMER_DELAY_MS, delay.to_string()));
            delay.cast_signed() - PRECISION_MS
        };
        let node = worker.node();
        let hash = message::hash(&outgoing.body, &outgoing.id.to_string());
        let value = SendValue {
            queue,
            messages: vec![Sent { id: outgoing.id, hash }],
            node: Some(node),
            delay_ms: Some(delay_ms),
            ..SendValue::default()
        };
        worker.invoke(Op::Send(value.clone()));
        let (session, crashes) = worker.parts();
        match Worker::hear(crashes, session.send(node, queue, std::slice::from_ref(&outgoing))).await {
            Heard::Ok(_) => worker.complete(EventType::Ok, Op::Send(value)),
            Heard::Error(error) => {
                let value = SendValue { error: Some(told(&error)), ..value };
                worker.not_written(Some(&error), Op::Send(value)).await;
            }
            Heard::Crashed => worker.not_written(None, Op::Send(value)).await,
        }
    }
}

/// Goes on reading while what was sent last is still to come.
async fn wait(mut worker: Worker, queue: i32) {
    let queue = ferrymq_proto::position::QueueId(queue);
    let mut cursor = ferrymq_proto::position::QueueOffset(0);
    while worker.turn().await || worker.stage.part() != Part::Over {
        if let Some(next) = queue::pull(&mut worker, queue, cursor).await {
            cursor = next;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
