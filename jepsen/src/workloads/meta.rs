//! Topics that are made, changed and unmade. Each has one client that does so; everybody asks.

use std::sync::Arc;

use tokio::task::JoinSet;

use super::queue;
use super::stage::Stage;
use super::worker::{Heard, Worker};
use crate::client::told;
use crate::history::{EventType, NodeId, Op, TopicValue};

const TOPICS_EACH: u64 = 3;
const QUEUES_MAX: u64 = 16;

pub(super) fn spawn(stage: &Arc<Stage>, workers: &mut JoinSet<()>) {
    let makers = (stage.workers / 3).max(1);
    for number in 0..makers {
        // A table on disk is written at each change: these go slowly.
        workers.spawn(make(Worker::new(stage, number, makers * 20), number));
        workers.spawn(find(Worker::new(stage, makers + number, makers * 3), makers));
    }
    workers.spawn(queue::send(Worker::new(stage, 2 * makers, 4)));
}

fn topic(maker: u32, number: u64) -> String {
    format!("meta-{maker}-{number}")
}

fn value(worker: &mut Worker, topic: String, queues: Option<i64>) -> Option<(NodeId, TopicValue)> {
    // Only who leads may change anything, and only its answer counts.
    let node = worker.stage.directory.leader()?;
    Some((node, TopicValue { topic, queues, node: Some(node), error: None }))
}

async fn make(mut worker: Worker, maker: u32) {
    let mut last = 0;
    while worker.turn().await {
        let name = topic(maker, worker.dice.below(TOPICS_EACH));
        if worker.dice.once_in(5) {
            let Some((node, value)) = value(&mut worker, name.clone(), None) else { continue };
            worker.invoke(Op::DeleteTopic(value.clone()));
            let (session, crashes) = worker.parts();
            let heard = Worker::hear(crashes, session.delete_topic(node, &name)).await;
            end(&mut worker, heard, value, Op::DeleteTopic).await;
            continue;
        }
        last = last % QUEUES_MAX + 1;
        let queues = i32::try_from(last).unwrap_or(1);
        let Some((node, value)) = value(&mut worker, name.clone(), Some(queues.into())) else { continue };
        worker.invoke(Op::CreateTopic(value.clone()));
        let (session, crashes) = worker.parts();
        let heard = Worker::hear(crashes, session.create_topic(node, &name, queues)).await;
        end(&mut worker, heard, value, Op::CreateTopic).await;
    }
}

async fn end(worker: &mut Worker, heard: Heard<()>, value: TopicValue, op: fn(TopicValue) -> Op) {
    match heard {
        Heard::Ok(()) => worker.complete(EventType::Ok, op(value)),
        Heard::Error(error) => {
            let value = TopicValue { error: Some(told(&error)), ..value };
            worker.not_written(Some(&error), op(value)).await;
        }
        Heard::Crashed => worker.not_written(None, op(value)).await,
    }
}

async fn find(mut worker: Worker, makers: u32) {
    while worker.turn().await {
        let maker = u32::try_from(worker.dice.below(makers.into())).unwrap_or_default();
        let name = topic(maker, worker.dice.below(TOPICS_EACH));
        let Some((node, value)) = value(&mut worker, name.clone(), None) else { continue };
        worker.invoke(Op::FindTopic(value.clone()));
        let (session, crashes) = worker.parts();
        match Worker::hear(crashes, session.find_topic(node, &name)).await {
            Heard::Ok(queues) => {
                worker.complete(EventType::Ok, Op::FindTopic(TopicValue { queues, ..value }));
            }
            Heard::Error(error) => {
                let value = TopicValue { error: Some(told(&error)), ..value };
                worker.not_read(Some(&error), Op::FindTopic(value)).await;
            }
            Heard::Crashed => worker.not_read(None, Op::FindTopic(value)).await,
        }
    }
}
