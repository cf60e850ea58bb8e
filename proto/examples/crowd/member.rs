//! One consumer, a member of several groups.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use ferrymq_proto::bodies::{ConsumeFromWhere, ConsumerData, ConsumerList, HeartbeatData, SubscriptionData};
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{ConsumersChanged, ListConsumers, PullMessage, PullReply, QueryConsumerOffset};
use ferrymq_proto::json;
use ferrymq_proto::net::{Call, Client, Service};
use ferrymq_proto::position::{QueueId, QueueOffset};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::crowd::Crowd;
use crate::plan::{CALL_MAX, HEARTBEATS, beat};
use crate::requests;

/// Each client asks anew that often, whatever it was told.
const REBALANCES: Duration = Duration::from_secs(20);
const SUSPEND_MS: i64 = 15_000;
/// It holds pulls, commits what it read, and is subscribed by heartbeat.
const PULL_FLAGS: i32 = 0x1 | 0x2;

/// Dies when it is dropped, and its connection with it.
pub struct Consumer(JoinHandle<()>);

impl Consumer {
    pub fn new(task: JoinHandle<()>) -> Self {
        Self(task)
    }

    /// Returns when it is dead.
    pub async fn die(mut self) {
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

pub struct Member {
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
    pub async fn run(
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
            sys_flag: PULL_FLAGS,
            suspend_timeout_millis: SUSPEND_MS,
            ..requests::pull(&group, &topic, queue, next)
        };
        let mut command = Command::request(RequestCode::PULL_MESSAGE);
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
