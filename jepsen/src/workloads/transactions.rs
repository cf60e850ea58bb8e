//! Transactions. A third is committed, a third rolled back, and of a third the broker has to ask; what the answer will be
//! follows from the message, so that it is the same however often somebody asks.

use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{CheckTransaction, EndTransaction};
use ferrymq_proto::net::{Call, Service};
use ferrymq_proto::position::QueueOffset;
use ferrymq_proto::record::{Record, property};
use tokio::task::JoinSet;

use super::queue;
use super::stage::{Part, Stage};
use super::worker::{Heard, Worker};
use crate::client::{PRODUCERS, told};
use crate::history::{EndValue, EventType, Op, Process, Recorder, SendValue, Sent};
use crate::message::{self, MessageId};

const COMMIT: i32 = 8;
const ROLL_BACK: i32 = 12;
const HEARTBEAT: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Commit,
    RollBack,
    /// Nothing is said until the broker asks; then the second says what.
    Asked(bool),
}

fn ending(id: MessageId) -> Ending {
    match message::fnv1a(id.to_string().as_bytes()) % 6 {
        0 | 1 => Ending::Commit,
        2 | 3 => Ending::RollBack,
        4 => Ending::Asked(true),
        _ => Ending::Asked(false),
    }
}

fn commits(id: MessageId) -> bool {
    matches!(ending(id), Ending::Commit | Ending::Asked(true))
}

pub(super) fn spawn(stage: &Arc<Stage>, workers: &mut JoinSet<()>) {
    let producers = (stage.workers / 2).max(1);
    for number in 0..producers {
        workers.spawn(produce(Worker::new(stage, number, producers)));
    }
    for queue in 0..stage.queues {
        let number = producers + queue.cast_unsigned();
        workers.spawn(read(Worker::new(stage, number, stage.queues.cast_unsigned() * 2), queue));
    }
    workers.spawn(answer_questions(Arc::clone(stage)));
}

/// Registered with every broker as a producer of the group, for as long as the run lasts.
async fn answer_questions(stage: Arc<Stage>) {
    let service = Arc::new(Answers { recorder: Arc::clone(&stage.recorder) });
    let mut session = stage.session().with_service(service);
    while stage.part() != Part::Over {
        for node in stage.directory.nodes() {
            // A broker that cannot be reached asks later.
            let _ = session.heartbeat(node, "jepsen-answers", None).await;
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// Answers a broker that asks how a transaction ended.
struct Answers {
    recorder: Arc<Recorder>,
}

impl Service for Answers {
    fn serve(&self, call: Call) {
        if RequestCode(call.request.code) != RequestCode::CHECK_TRANSACTION_STATE {
            let answer = call.request.answer(ResponseCode::REQUEST_CODE_NOT_SUPPORTED);
            return call.answer(answer);
        }
        let Ok(question) = CheckTransaction::decode(&call.request.fields) else { return };
        let Some(id) =
            Record::decode(&call.request.body).ok().and_then(|(record, _)| message::id_in(record.body))
        else {
            return;
        };
        let commit = commits(id);
        let header = EndTransaction {
            producer_group: PRODUCERS.into(),
            transaction_table_offset: question.transaction_table_offset,
            commit_log_offset: question.commit_log_offset,
            commit_or_rollback: if commit { COMMIT } else { ROLL_BACK },
            from_transaction_check: true,
            message_id: question.message_id.clone().unwrap_or_default(),
            transaction_id: question.transaction_id,
            ..EndTransaction::default()
        };
        let value = EndValue { id, commit, asked: true, error: None };
        self.recorder.record(Process::Observer, EventType::Info, Op::End(value));
        let mut command = Command::request(RequestCode::END_TRANSACTION);
        command.fields = header.to_fields();
        call.connection.push(command);
        let answer = call.request.answer(ResponseCode::SUCCESS);
        call.answer(answer);
    }
}

async fn produce(mut worker: Worker) {
    while worker.turn().await {
        let queue = worker.queue();
        let mut outgoing = worker.message();
        outgoing.properties.push((property::TRANSACTION_PREPARED, "true".to_owned()));
        outgoing.properties.push((property::PRODUCER_GROUP, PRODUCERS.to_owned()));
        let id = outgoing.id;
        let node = worker.node();
        let hash = message::hash(&outgoing.body, &id.to_string());
        let value =
            SendValue { queue, messages: vec![Sent { id, hash }], node: Some(node), ..SendValue::default() };
        worker.invoke(Op::Half(value.clone()));
        let (session, crashes) = worker.parts();
        match Worker::hear(crashes, session.send_half(node, queue, &outgoing)).await {
            Heard::Ok(half) => {
                worker.complete(EventType::Ok, Op::Half(value));
                if matches!(ending(id), Ending::Commit | Ending::RollBack) {
                    let end = EndValue { id, commit: commits(id), asked: false, error: None };
                    worker.invoke(Op::End(end.clone()));
                    let (session, _) = worker.parts();
                    let _ = session.end(node, &half, end.commit).await;
                    // Nobody answers: whether it arrived is not known, and does not matter.
                    worker.complete(EventType::Ok, Op::End(end));
                }
            }
            Heard::Error(error) => {
                let value = SendValue { error: Some(told(&error)), ..value };
                worker.not_written(Some(&error), Op::Half(value)).await;
            }
            Heard::Crashed => worker.not_written(None, Op::Half(value)).await,
        }
    }
}

async fn read(mut worker: Worker, queue: i32) {
    let queue = ferrymq_proto::position::QueueId(queue);
    let mut cursor = QueueOffset(0);
    while worker.turn().await || worker.stage.part() != Part::Over {
        if let Some(next) = queue::pull(&mut worker, queue, cursor).await {
            cursor = next;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
