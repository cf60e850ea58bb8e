//! Members of a group that lock queues, hold them for a while and give them back, while others want them too.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::queue;
use super::stage::Stage;
use super::worker::{Heard, Worker};
use crate::client::told;
use crate::history::{EventType, LockValue, Op};

const GROUP: &str = "orderly-members";
/// A holder asks again, and with one chance in so many gives back.
const HOLD: u64 = 4;

pub(super) fn groups(_: &Stage) -> Vec<String> {
    vec![GROUP.to_owned()]
}

pub(super) fn spawn(stage: &Arc<Stage>, workers: &mut JoinSet<()>) {
    let members = (stage.workers * 2 / 3).max(2);
    for number in 0..members {
        workers.spawn(contend(Worker::new(stage, number, members)));
    }
    workers.spawn(queue::send(Worker::new(stage, members, 4)));
}

async fn contend(mut worker: Worker) {
    let mut held = Vec::new();
    while worker.turn().await {
        // A member that was retired is a stranger to the broker.
        let owner = format!("member-{}", worker.process());
        let queue = worker.queue();
        if held.contains(&(queue, owner.clone())) && worker.dice.once_in(HOLD) {
            held.retain(|(of, by)| *of != queue || *by != owner);
            give_back(&mut worker, &owner, queue).await;
            continue;
        }
        let node = worker.node();
        let value = LockValue {
            group: GROUP.to_owned(),
            owner: owner.clone(),
            queue,
            node: Some(node),
            ..LockValue::default()
        };
        worker.invoke(Op::Lock(value.clone()));
        let (session, crashes) = worker.parts();
        match Worker::hear(crashes, session.lock(node, GROUP, &owner, queue)).await {
            Heard::Ok(granted) => {
                if granted {
                    held.push((queue, owner));
                }
                worker.complete(EventType::Ok, Op::Lock(LockValue { granted, ..value }));
            }
            Heard::Error(error) => {
                let value = LockValue { error: Some(told(&error)), ..value };
                worker.not_written(Some(&error), Op::Lock(value)).await;
            }
            Heard::Crashed => worker.not_written(None, Op::Lock(value)).await,
        }
    }
}

async fn give_back(worker: &mut Worker, owner: &str, queue: ferrymq_proto::position::QueueId) {
    let node = worker.node();
    let value = LockValue {
        group: GROUP.to_owned(),
        owner: owner.to_owned(),
        queue,
        node: Some(node),
        ..LockValue::default()
    };
    worker.invoke(Op::Unlock(value.clone()));
    let (session, crashes) = worker.parts();
    match Worker::hear(crashes, session.unlock(node, GROUP, owner, queue)).await {
        Heard::Ok(()) => worker.complete(EventType::Ok, Op::Unlock(value)),
        Heard::Error(error) => {
            let value = LockValue { error: Some(told(&error)), ..value };
            worker.not_written(Some(&error), Op::Unlock(value)).await;
        }
        Heard::Crashed => worker.not_written(None, Op::Unlock(value)).await,
    }
}
