//! What the clients do together: share the queues, and get what is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::net::Client;
use ferrymq_proto::position::QueueId;
use ferrymq_proto::record::Record;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::member::{Consumer, Member};
use crate::plan::Plan;
use crate::requests;

const PATIENCE: Duration = Duration::from_secs(240);
const MESSAGES_PER_PRODUCER: usize = 50;

/// What all clients know together, and so can be judged.
pub struct Crowd {
    pub plan: Arc<Plan>,
    /// How many clients believe that a queue is theirs, by group and queue.
    pub owners: Vec<AtomicU32>,
    /// How many queues a client has.
    pub shares: Vec<AtomicU32>,
    /// What each group is to get next of a queue.
    following: Vec<AtomicI64>,
    delivered: AtomicUsize,
    repeated: AtomicUsize,
    skipped: AtomicUsize,
}

impl Crowd {
    pub fn new(plan: Arc<Plan>) -> Arc<Self> {
        let (places, clients) = (plan.groups * plan.queues, plan.clients);
        Arc::new(Self {
            plan,
            owners: (0..places).map(|_| AtomicU32::new(0)).collect(),
            shares: (0..clients).map(|_| AtomicU32::new(0)).collect(),
            following: (0..places).map(|_| AtomicI64::new(0)).collect(),
            delivered: AtomicUsize::new(0),
            repeated: AtomicUsize::new(0),
            skipped: AtomicUsize::new(0),
        })
    }

    /// How many queues there are in all groups together.
    pub fn places(&self) -> usize {
        self.owners.len()
    }

    pub fn place(&self, group: usize, queue: usize) -> usize {
        group * self.plan.queues + queue
    }

    /// Waits until each queue has one owner in each group, and each of the first `living` clients has queues.
    pub async fn settled(&self, living: usize) {
        let began = Instant::now();
        let is_settled = || {
            self.owners.iter().all(|owners| owners.load(Ordering::Relaxed) == 1)
                && self.shares.iter().take(living).all(|share| share.load(Ordering::Relaxed) > 0)
        };
        while !is_settled() {
            assert!(began.elapsed() < PATIENCE, "the groups do not settle");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Each producer sends to queues of its own choice; each group of a topic gets each message, once.
    pub async fn deliver(&self, producers: &[Arc<Client>], what: &str) {
        let before = self.delivered.load(Ordering::Relaxed);
        let (began, plan) = (Instant::now(), &self.plan);
        let groups_of = |topic: usize| (0..plan.groups).filter(|group| group % plan.topics == topic).count();
        let mut expected = before;
        let mut sending = JoinSet::new();
        for (number, client) in producers.iter().enumerate() {
            let choices: Vec<_> =
                (0..MESSAGES_PER_PRODUCER).map(|n| (number * 31 + n * 17, number + n * 7)).collect();
            expected += choices.iter().map(|(topic, _)| groups_of(topic % plan.topics)).sum::<usize>();
            let (client, plan) = (Arc::clone(client), Arc::clone(plan));
            sending.spawn(async move {
                for (topic, queue) in choices {
                    let queue = QueueId(i32::try_from(queue % plan.queues).unwrap());
                    client
                        .call(
                            &requests::send("crowd", &plan.topic(topic), queue),
                            Bytes::from_static(b"crowd"),
                        )
                        .await
                        .expect("a send");
                }
            });
        }
        sending.join_all().await;
        let sent = began.elapsed();
        while self.delivered.load(Ordering::Relaxed) < expected {
            assert!(began.elapsed() < PATIENCE, "not all messages come");
            sleep(Duration::from_millis(10)).await;
        }
        let messages = producers.len() * MESSAGES_PER_PRODUCER;
        let (repeated, skipped) =
            (self.repeated.load(Ordering::Relaxed), self.skipped.load(Ordering::Relaxed));
        assert_eq!(skipped, 0, "messages were skipped");
        let deliveries = expected - before;
        plan.report(
            &format!(
                "{messages} messages sent in {:.1} s and {what} {deliveries} times, {repeated} repeated so far",
                sent.as_secs_f64()
            ),
            began.elapsed(),
        );
    }

    /// A consumer that lives until it is dropped.
    pub fn enter(self: &Arc<Self>, number: usize) -> Consumer {
        let (changed, changes) = mpsc::unbounded_channel();
        let crowd = Arc::clone(self);
        let task = tokio::spawn(Member::run(crowd, number, changed, changes));
        Consumer::new(task)
    }

    pub fn took(&self, place: usize, body: &Bytes) {
        let mut rest = body.clone();
        while !rest.is_empty() {
            let (record, bytes) = Record::decode(&rest).expect("a message");
            let expected = self.following[place].load(Ordering::Relaxed);
            match record.queue_offset.0.cmp(&expected) {
                std::cmp::Ordering::Less => drop(self.repeated.fetch_add(1, Ordering::Relaxed)),
                std::cmp::Ordering::Greater => drop(self.skipped.fetch_add(1, Ordering::Relaxed)),
                std::cmp::Ordering::Equal => {
                    self.following[place].store(expected + 1, Ordering::Relaxed);
                    self.delivered.fetch_add(1, Ordering::Relaxed);
                }
            }
            rest = rest.slice(bytes..);
        }
    }
}
