//! One client: asks, writes down what it asked and what it heard, and keeps its pace.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use ferrymq_proto::net::CallError;
use ferrymq_proto::position::QueueId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::stage::{Part, Stage};
use crate::client::{Outgoing, Session};
use crate::dice::Dice;
use crate::history::{EventType, NodeId, Op, Process, SendValue, Sent};
use crate::message::{self, MessageId};
use crate::outcome;

/// Pause after an answer that was not success.
const AFTER_FAILURE: Duration = Duration::from_millis(100);
const ORDINARY_BODY: usize = 100;

/// How a call went.
#[derive(Debug)]
pub enum Heard<T> {
    Ok(T),
    Error(CallError),
    /// The client was told to forget everything while it waited.
    Crashed,
}

#[derive(Debug)]
pub struct Worker {
    pub stage: Arc<Stage>,
    pub session: Session,
    pub dice: Dice,
    /// The last operation did not succeed.
    pub failed: bool,
    process: u32,
    /// Of the messages of this worker's process.
    counter: u64,
    crashes: watch::Receiver<u64>,
    next_turn: Instant,
    turn: Duration,
}

impl Worker {
    /// The worker of this number, in a workload in which `share` of all workers keep the rate together.
    pub fn new(stage: &Arc<Stage>, number: u32, share: u32) -> Self {
        let nanos = 1_000_000_000 * u64::from(share.max(1)) / stage.rate.max(1);
        let mut dice = Dice::derive(stage.seed, &format!("worker {number}"));
        let start = Duration::from_nanos(dice.below(nanos + 1));
        let mut crashes = stage.crashes.clone();
        crashes.mark_unchanged();
        Self {
            stage: Arc::clone(stage),
            session: stage.session().with_java(stage.java.clone()),
            dice,
            failed: false,
            process: stage.new_process(),
            counter: 0,
            crashes,
            next_turn: Instant::now() + start,
            turn: Duration::from_nanos(nanos),
        }
    }

    pub fn process(&self) -> u32 {
        self.process
    }

    /// Waits for its turn. False when the load is over.
    pub async fn turn(&mut self) -> bool {
        sleep_until(self.next_turn).await;
        // A worker that was held up does not make up for it in a burst.
        self.next_turn = (self.next_turn + self.turn).max(Instant::now());
        if self.failed {
            sleep(AFTER_FAILURE).await;
        }
        self.stage.part() == Part::Load
    }

    pub fn node(&mut self) -> NodeId {
        let failed = self.failed;
        self.stage.directory.choose(&mut self.dice, failed)
    }

    /// Who is asked, as far as it is known before the answer.
    pub fn asked(&self, node: NodeId) -> Option<NodeId> {
        Some(node).filter(|_| !self.session.finds_nodes())
    }

    pub fn queue(&mut self) -> QueueId {
        QueueId(
            i32::try_from(self.dice.below(self.stage.queues.max(1).cast_unsigned().into()))
                .unwrap_or_default(),
        )
    }

    /// A message that nobody has sent yet, of a size by chance.
    pub fn message(&mut self) -> Outgoing {
        self.counter += 1;
        // Processes count from 0, senders from 1: nobody is nobody's.
        let id = MessageId { producer: self.process + 1, counter: self.counter };
        let length = match self.dice.below(10_000) {
            0..9000 => ORDINARY_BODY,
            9000..9500 => usize::from(self.dice.once_in(2)),
            9500..9950 => 4 << 10,
            9950..9998 => 64 << 10,
            _ => (4 << 20) - 1,
        };
        let body = message::body(id, length.min(self.stage.body_bytes_max));
        Outgoing { id, body, properties: Vec::new() }
    }

    pub fn invoke(&self, op: Op) {
        self.stage.recorder.record(Process::Client(self.process), EventType::Invoke, op);
    }

    pub fn complete(&mut self, kind: EventType, op: Op) {
        self.stage.recorder.record(Process::Client(self.process), kind, op);
        self.failed = kind != EventType::Ok;
    }

    /// Nobody hears of this process again.
    pub async fn retire(&mut self) {
        self.process = self.stage.new_process();
        self.counter = 0;
        self.session.hang_up().await;
    }

    /// Waits for a call, unless the client crashes first.
    pub async fn hear<T>(
        crashes: &mut watch::Receiver<u64>,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Heard<T> {
        tokio::select! {
            answer = call => match answer {
                Ok(answer) => Heard::Ok(answer),
                Err(error) => Heard::Error(error),
            },
            // At the end of the run nobody can crash any more.
            Ok(()) = crashes.changed() => Heard::Crashed,
        }
    }

    /// The end of a write that was not acknowledged.
    pub async fn not_written(&mut self, error: Option<&CallError>, op: Op) {
        let kind = error.map_or(EventType::Info, |error| outcome::of_write(error).event_type());
        self.complete(kind, op);
        if kind == EventType::Info {
            self.retire().await;
        }
    }

    /// The end of a read that was not answered.
    pub async fn not_read(&mut self, error: Option<&CallError>, op: Op) {
        self.complete(EventType::Fail, op);
        if !matches!(error, Some(CallError::Refused { .. })) {
            self.session.hang_up().await;
        }
    }

    pub fn parts(&mut self) -> (&mut Session, &mut watch::Receiver<u64>) {
        (&mut self.session, &mut self.crashes)
    }

    /// Sends messages to a queue and writes it down. Returns whether they were acknowledged.
    pub async fn send(&mut self, queue: QueueId, messages: &[Outgoing]) -> bool {
        let sender = self.process;
        if self.send_once(queue, messages).await {
            return true;
        }
        // Another process: nobody knows what came of it.
        let may_be_stored = self.process != sender;
        self.stage.resends && may_be_stored && self.send_once(queue, messages).await
    }

    async fn send_once(&mut self, queue: QueueId, messages: &[Outgoing]) -> bool {
        let node = self.node();
        let sent = |outgoing: &Outgoing| Sent {
            id: outgoing.id,
            hash: message::hash(&outgoing.body, &outgoing.id.to_string()),
        };
        let value = SendValue {
            queue,
            messages: messages.iter().map(sent).collect(),
            node: self.asked(node),
            ..SendValue::default()
        };
        self.invoke(Op::Send(value.clone()));
        let (session, crashes) = self.parts();
        let heard = Self::hear(crashes, session.send(node, queue, messages)).await;
        match heard {
            Heard::Ok(stored) => {
                let value = SendValue {
                    offset: Some(stored.offset),
                    log_offset: stored.log_offset,
                    node: stored.node,
                    ..value
                };
                self.complete(EventType::Ok, Op::Send(value));
                true
            }
            Heard::Error(error) => {
                let value = SendValue { error: Some(crate::client::told(&error)), ..value };
                self.not_written(Some(&error), Op::Send(value)).await;
                false
            }
            Heard::Crashed => {
                self.not_written(None, Op::Send(value)).await;
                false
            }
        }
    }
}
