//! A group that consumes. Each queue has one member at a time; a member may die at any moment, and the next one goes on where the
//! broker says the group is.
//!
//! Who has which queue is decided here and not by the brokers: what is tested is that nothing is skipped.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ferrymq_proto::position::{QueueId, QueueOffset};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::stage::{Part, Stage};
use super::worker::{Heard, Worker};
use super::{offset, queue};
use crate::client::told;
use crate::history::{DeliverValue, EventType, Op, PullValue};

const GROUP: &str = "consumers";
/// A member dies after so many deliveries, on the average.
const LIFE: u64 = 40;
/// One delivery in so many is followed by a commit.
const COMMIT_EVERY: u64 = 3;
const IDLE: Duration = Duration::from_millis(50);

static NEXT_SESSION: AtomicI64 = AtomicI64::new(1);

pub(super) fn groups(_: &Stage) -> Vec<String> {
    vec![GROUP.to_owned()]
}

pub(super) fn spawn(stage: &Arc<Stage>, workers: &mut JoinSet<()>) {
    let senders = (stage.workers / 2).max(1);
    for number in 0..senders {
        workers.spawn(queue::send(Worker::new(stage, number, senders)));
    }
    for queue in 0..stage.queues {
        let number = senders + queue.cast_unsigned();
        workers.spawn(consume(Worker::new(stage, number, stage.queues.cast_unsigned()), QueueId(queue)));
    }
}

/// The members of one queue, one after the other.
async fn consume(mut worker: Worker, queue: QueueId) {
    loop {
        let started_at = match offset::read(&mut worker, GROUP, queue).await {
            Some(offset) => offset.unwrap_or_default(),
            None => {
                sleep(IDLE).await;
                if worker.stage.part() == Part::Over {
                    return;
                }
                continue;
            }
        };
        let session = NEXT_SESSION.fetch_add(1, Ordering::Relaxed);
        if !live(&mut worker, queue, session, started_at).await {
            return;
        }
        worker.retire().await;
    }
}

/// One member. Returns false when there is nothing more to consume, ever.
async fn live(worker: &mut Worker, queue: QueueId, session: i64, started_at: QueueOffset) -> bool {
    let mut cursor = started_at;
    loop {
        if worker.dice.once_in(LIFE) && worker.stage.part() == Part::Load {
            return true;
        }
        worker.turn().await;
        let Some((node, pulled)) = pull(worker, queue, cursor).await else {
            sleep(IDLE).await;
            if worker.stage.part() == Part::Over {
                return false;
            }
            continue;
        };
        let _ = node;
        if pulled.seen.is_empty() {
            if worker.stage.part() == Part::Over
                || (worker.stage.part() == Part::Drain && pulled.next >= pulled.max)
            {
                return false;
            }
            sleep(IDLE).await;
            continue;
        }
        let value = DeliverValue {
            group: GROUP.to_owned(),
            session,
            queue,
            started_at,
            seen: pulled.seen,
            retried: false,
        };
        if worker.stage.commits_ahead {
            // Wrong on purpose: what is committed is not delivered yet, and the member may die in between.
            let committed = offset::write(worker, GROUP, queue, pulled.next).await;
            if committed && worker.dice.once_in(4) && worker.stage.part() == Part::Load {
                return true;
            }
        }
        worker.invoke(Op::Deliver(DeliverValue { seen: Vec::new(), ..value.clone() }));
        worker.complete(EventType::Ok, Op::Deliver(value));
        cursor = pulled.next;
        if !worker.stage.commits_ahead && worker.dice.once_in(COMMIT_EVERY) {
            offset::write(worker, GROUP, queue, cursor).await;
        }
    }
}

async fn pull(
    worker: &mut Worker,
    queue: QueueId,
    offset: QueueOffset,
) -> Option<(crate::history::NodeId, crate::client::Pulled)> {
    let node = worker.stage.directory.leader()?;
    let value = PullValue { queue, offset, node: worker.asked(node), ..PullValue::default() };
    worker.invoke(Op::Pull(value.clone()));
    let (session, crashes) = worker.parts();
    match Worker::hear(crashes, session.pull(node, queue, offset)).await {
        Heard::Ok(pulled) => {
            let value = PullValue { seen: pulled.seen.clone(), max: Some(pulled.max), ..value };
            worker.complete(EventType::Ok, Op::Pull(value));
            Some((node, pulled))
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
