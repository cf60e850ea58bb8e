//! Very many clients of one broker: producers, and consumers of which each is a member of several groups. They come, share the
//! queues, are sent messages, die in part, and come back. Each behaves as Apache's: it speaks up with heartbeats, asks who else
//! is in its groups whenever it is told that this has changed, and holds a pull for each of its queues.
//!
//! ```text
//! crowd ADDRESS PROCESS [CLIENTS] [GROUPS] [TOPICS] [QUEUES]
//! ```
//! Prints a line for each step: how long it took until all was as it must be, and what the broker's process had taken by then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrymq_proto::bodies::{
    ConsumeFromWhere, ConsumerData, ConsumerList, HeartbeatData, ProducerData, SubscriptionData, TopicFilter,
};
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{
    ConsumersChanged, Heartbeat, ListConsumers, PullMessage, PullReply, QueryConsumerOffset, SendMessageV2,
    UpdateTopic,
};
use ferrymq_proto::json::{self, Dialect};
use ferrymq_proto::net::{Call, Client, Service};
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::Record;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

const CALL_MAX: Duration = Duration::from_secs(60);
const PATIENCE: Duration = Duration::from_secs(240);
const HEARTBEATS: Duration = Duration::from_secs(30);
/// Each client asks anew that often, whatever it was told.
const REBALANCES: Duration = Duration::from_secs(20);
const SUSPEND_MS: i64 = 15_000;
const GROUP_MEMBERS: usize = 2;
const IDLE_LOOKS: usize = 4;
const MESSAGES_PER_PRODUCER: usize = 50;
/// It holds pulls, commits what it read, and is subscribed by heartbeat.
const PULL_FLAGS: i32 = 0x1 | 0x2;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text| text.parse().expect("a number"));
    let plan = Arc::new(Plan {
        address: arguments[0].clone(),
        process: number(1, 0),
        clients: number(2, 1_000),
        groups: number(3, 2_000),
        topics: number(4, 500),
        queues: number(5, 100),
    });
    let crowd = Crowd::new(Arc::clone(&plan));
    plan.report("at first", Duration::ZERO);
    let began = Instant::now();
    plan.create_topics().await;
    plan.report(&format!("{} topics of {} queues created", plan.topics, plan.queues), began.elapsed());

    let began = Instant::now();
    let producers = plan.producers().await;
    plan.report(&format!("{} producers connected", producers.len()), began.elapsed());

    let began = Instant::now();
    let mut consumers: Vec<_> = (0..plan.clients).map(|number| crowd.enter(number)).collect();
    crowd.settled(plan.clients).await;
    let what =
        format!("{} consumers in {} groups share {} queues", plan.clients, plan.groups, crowd.owners.len());
    plan.report(&what, began.elapsed());

    crowd.deliver(&producers, "delivered").await;

    let began = Instant::now();
    let dying = plan.clients / 10;
    for consumer in consumers.split_off(plan.clients - dying) {
        consumer.die().await;
    }
    crowd.settled(plan.clients - dying).await;
    plan.report(&format!("{dying} consumers died: the others have their queues"), began.elapsed());

    crowd.deliver(&producers, "delivered to the others").await;

    let began = Instant::now();
    consumers.extend((plan.clients - dying..plan.clients).map(|number| crowd.enter(number)));
    crowd.settled(plan.clients).await;
    plan.report(&format!("{dying} consumers came back"), began.elapsed());

    // More than once, to see whether what it costs grows.
    for _ in 0..IDLE_LOOKS {
        let began = (Instant::now(), plan.cpu_seconds());
        sleep(Duration::from_secs(30)).await;
        let idle = (plan.cpu_seconds() - began.1) / began.0.elapsed().as_secs_f64();
        plan.report(&format!("nothing to do, {:.1} % of a core", idle * 100.0), began.0.elapsed());
    }
    drop(consumers);
    drop(producers);
    sleep(Duration::from_secs(5)).await;
    plan.report("all gone", Duration::from_secs(5));
}

struct Plan {
    address: String,
    process: usize,
    clients: usize,
    groups: usize,
    topics: usize,
    queues: usize,
}

impl Plan {
    fn topic(&self, number: usize) -> String {
        format!("crowd-topic-{}", number % self.topics)
    }

    fn members(&self, group: usize) -> [usize; GROUP_MEMBERS] {
        // So far apart that they do not die together.
        let first = group % self.clients;
        [first, (first + self.clients / 2 + group / self.clients) % self.clients]
    }

    async fn create_topics(&self) {
        let client = Client::new(&self.address, CALL_MAX);
        for number in 0..self.topics {
            let queues = i32::try_from(self.queues).unwrap();
            let header = UpdateTopic {
                topic: self.topic(number).into(),
                default_topic: "TBW102".into(),
                read_queue_nums: queues,
                write_queue_nums: queues,
                perm: 6,
                topic_filter_type: TopicFilter::default(),
                topic_sys_flag: 0,
                order: false,
                attributes: None,
                force: false,
            };
            client.call(&header, Bytes::new()).await.expect("a topic");
        }
    }

    async fn producers(&self) -> Vec<Arc<Client>> {
        let mut clients = Vec::new();
        for number in 0..self.clients {
            let client = Arc::new(Client::new(&self.address, CALL_MAX));
            let data = HeartbeatData {
                client_id: format!("producer@{number}"),
                producers: vec![ProducerData { group_name: format!("crowd-producers-{number}") }],
                ..HeartbeatData::default()
            };
            beat(&client, &data).await;
            let speaking = Arc::downgrade(&client);
            tokio::spawn(async move {
                loop {
                    sleep(HEARTBEATS).await;
                    let Some(client) = speaking.upgrade() else { return };
                    beat(&client, &data).await;
                }
            });
            clients.push(client);
        }
        clients
    }

    fn report(&self, what: &str, took: Duration) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process)).unwrap_or_default();
        let field = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
        };
        println!(
            "{what}: {:.1} s; broker: {} MiB resident, {:.1} CPU-seconds, {} threads",
            took.as_secs_f64(),
            field("VmRSS:") / 1024,
            self.cpu_seconds(),
            field("Threads:")
        );
    }

    fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap_or_default();
        let after = text.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
        // Linux shows hundredths of a second, whatever the machine.
        ticks as f64 / 100.0
    }
}

async fn beat(client: &Client, data: &HeartbeatData) {
    let body = Bytes::from(json::to_string(data, Dialect::Fastjson));
    client.call(&Heartbeat {}, body).await.expect("a heartbeat");
}

/// What all clients know together, and so can be judged.
struct Crowd {
    plan: Arc<Plan>,
    /// How many clients believe that a queue is theirs, by group and queue.
    owners: Vec<AtomicU32>,
    /// How many queues a client has.
    shares: Vec<AtomicU32>,
    /// What each group is to get next of a queue.
    following: Vec<AtomicI64>,
    delivered: AtomicUsize,
    repeated: AtomicUsize,
    skipped: AtomicUsize,
}

impl Crowd {
    fn new(plan: Arc<Plan>) -> Arc<Self> {
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

    fn place(&self, group: usize, queue: usize) -> usize {
        group * self.plan.queues + queue
    }

    /// Waits until each queue has one owner in each group, and each of the first `living` clients has queues.
    async fn settled(&self, living: usize) {
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
    async fn deliver(&self, producers: &[Arc<Client>], what: &str) {
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
                        .call(&send(plan.topic(topic), queue), Bytes::from_static(b"crowd"))
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
    fn enter(self: &Arc<Self>, number: usize) -> Consumer {
        let (changed, changes) = mpsc::unbounded_channel();
        let crowd = Arc::clone(self);
        let task = tokio::spawn(Member::run(crowd, number, changed, changes));
        Consumer(task)
    }

    fn took(&self, place: usize, body: &Bytes) {
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

fn send(topic: String, queue: QueueId) -> SendMessageV2 {
    SendMessageV2 {
        producer_group: "crowd".into(),
        topic: topic.into(),
        default_topic: "TBW102".into(),
        default_topic_queue_nums: 4,
        queue_id: queue,
        sys_flag: 0,
        born_timestamp: Timestamp(0),
        flag: 0,
        properties: None,
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
        broker_name: None,
    }
}

/// Dies when it is dropped, and its connection with it.
struct Consumer(JoinHandle<()>);

impl Consumer {
    /// Returns when it is dead.
    async fn die(mut self) {
        self.0.abort();
        // That it was ended is no news.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A pull that is held for a queue, which is given up when this is dropped.
struct Holding {
    crowd: Arc<Crowd>,
    place: usize,
    client: usize,
    task: AbortHandle,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.task.abort();
        self.crowd.owners[self.place].fetch_sub(1, Ordering::Relaxed);
        self.crowd.shares[self.client].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands on that a group has changed.
struct Listener(mpsc::UnboundedSender<String>);

impl Service for Listener {
    fn serve(&self, call: Call) {
        if call.request.code == RequestCode::NOTIFY_CONSUMER_IDS_CHANGED.0
            && let Ok(header) = ConsumersChanged::decode(&call.request.fields)
        {
            // The client may be about to die.
            let _ = self.0.send(header.consumer_group.to_string());
        }
        let answer = call.request.answer(ResponseCode::SUCCESS);
        call.answer(answer);
    }
}

struct Member {
    crowd: Arc<Crowd>,
    number: usize,
    id: String,
    client: Arc<Client>,
    groups: Vec<usize>,
    held: HashMap<(usize, usize), Holding>,
}

/// Ends the connection of a client that dies.
struct Ending(Arc<Client>);

impl Drop for Ending {
    fn drop(&mut self) {
        let client = Arc::clone(&self.0);
        tokio::spawn(async move { client.close().await });
    }
}

impl Member {
    async fn run(
        crowd: Arc<Crowd>,
        number: usize,
        changed: mpsc::UnboundedSender<String>,
        mut changes: mpsc::UnboundedReceiver<String>,
    ) {
        let plan = Arc::clone(&crowd.plan);
        let client = Arc::new(Client::new(&plan.address, CALL_MAX).with_service(Arc::new(Listener(changed))));
        let _ending = Ending(Arc::clone(&client));
        let groups: Vec<_> =
            (0..plan.groups).filter(|group| plan.members(*group).contains(&number)).collect();
        let mut member =
            Self { crowd, number, id: format!("consumer-{number:05}"), client, groups, held: HashMap::new() };
        let said = member.statement();
        beat(&member.client, &said).await;
        for group in member.groups.clone() {
            member.rebalance(group).await;
        }
        let (mut heartbeats, mut rebalances) = (interval(HEARTBEATS), interval(REBALANCES));
        for ticks in [&mut heartbeats, &mut rebalances] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.reset();
        }
        loop {
            tokio::select! {
                Some(name) = changes.recv() => {
                    if let Some(group) = member.groups.iter().copied().find(|group| group_name(*group) == name) {
                        member.rebalance(group).await;
                    }
                }
                _ = heartbeats.tick() => beat(&member.client, &said).await,
                _ = rebalances.tick() => {
                    for group in member.groups.clone() {
                        member.rebalance(group).await;
                    }
                }
            }
        }
    }

    fn statement(&self) -> HeartbeatData {
        let consumer = |group: &usize| ConsumerData {
            group_name: group_name(*group),
            consume_from_where: ConsumeFromWhere::FirstOffset,
            subscriptions: vec![SubscriptionData {
                topic: self.crowd.plan.topic(*group),
                expression: "*".to_owned(),
                version: 1,
                ..SubscriptionData::default()
            }],
            ..ConsumerData::default()
        };
        HeartbeatData {
            client_id: self.id.clone(),
            consumers: self.groups.iter().map(consumer).collect(),
            ..HeartbeatData::default()
        }
    }

    /// Takes and gives up queues as Apache's default strategy deals them: the first member has the first ones.
    async fn rebalance(&mut self, group: usize) {
        let header = ListConsumers { consumer_group: group_name(group).into() };
        let (_, body) = self.client.call(&header, Bytes::new()).await.expect("the members of a group");
        let list: ConsumerList = json::from_slice(&body).expect("a list of members");
        let mut members = list.consumer_ids;
        members.sort_unstable();
        let Some(at) = members.iter().position(|member| *member == self.id) else { return };
        let queues = self.crowd.plan.queues;
        let (share, rest) = (queues / members.len(), queues % members.len());
        let first = at * share + at.min(rest);
        let own = first..first + share + usize::from(at < rest);
        self.held.retain(|(of, queue), _| *of != group || own.contains(queue));
        for queue in own {
            let (crowd, client, number) = (Arc::clone(&self.crowd), Arc::clone(&self.client), self.number);
            self.held.entry((group, queue)).or_insert_with(|| {
                let place = crowd.place(group, queue);
                crowd.owners[place].fetch_add(1, Ordering::Relaxed);
                crowd.shares[number].fetch_add(1, Ordering::Relaxed);
                let task = tokio::spawn(hold(Arc::clone(&crowd), client, group, queue, place)).abort_handle();
                Holding { crowd, place, client: number, task }
            });
        }
    }
}

fn group_name(group: usize) -> String {
    format!("crowd-group-{group}")
}

/// Pulls one queue for ever.
async fn hold(crowd: Arc<Crowd>, client: Arc<Client>, group: usize, queue: usize, place: usize) {
    let (group, topic) = (group_name(group), crowd.plan.topic(group));
    let queue = QueueId(i32::try_from(queue).unwrap());
    let question = QueryConsumerOffset {
        consumer_group: group.as_str().into(),
        topic: topic.as_str().into(),
        queue_id: queue,
        set_zero_if_not_found: Some(true),
    };
    let mut next =
        client.call(&question, Bytes::new()).await.map_or(QueueOffset(0), |(reply, _)| reply.offset);
    loop {
        let header = PullMessage {
            consumer_group: group.as_str().into(),
            topic: topic.as_str().into(),
            queue_id: queue,
            queue_offset: next,
            max_message_nums: 32,
            sys_flag: PULL_FLAGS,
            commit_offset: next,
            suspend_timeout_millis: SUSPEND_MS,
            subscription: None,
            subscription_version: 1,
            expression_type: None,
            max_message_bytes: None,
            request_source: None,
            proxy_forward_client_id: None,
            lite_topic: None,
        };
        let mut command = ferrymq_proto::command::Command::request(RequestCode::PULL_MESSAGE);
        command.fields = header.to_fields();
        let Ok(Ok(answer)) = timeout(CALL_MAX, client.exchange(command)).await else { return };
        let reply =
            PullReply::decode(&answer.fields).unwrap_or_else(|_| panic!("no answer to a pull: {answer:?}"));
        if answer.code == ResponseCode::SUCCESS.0 {
            crowd.took(place, &answer.body);
        }
        next = reply.next_begin_offset;
    }
}
