//! Pulling messages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ferrymq_proto::bodies::{GroupConfig, MessageModel, TopicConfig};
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::filter::{self, Filter, FilterError};
use ferrymq_proto::header::Header;
use ferrymq_proto::headers::{PullMessage, PullReply};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::net::Call;
use ferrymq_proto::position::QueueOffset;

use crate::broker::Broker;
use crate::config::broker as config;
use crate::refusal::Refusal;
use crate::replication::pair::Pair;
use crate::requests::{Reply, answered};
use crate::server::refuse;
use crate::services::archive::Span;
use crate::services::arrivals::Parked;
use crate::services::filters::Filters;
use crate::services::pull::{Pulled, Question, Status};
use crate::state::permission;

/// Bits of a pull's system flag.
const COMMITS_OFFSET: i32 = 0x1;
const WAITS: i32 = 0x2;
const HAS_SUBSCRIPTION: i32 = 0x4;
const CLASS_FILTER: i32 = 0x8;

/// A pull that passed every check.
#[derive(Clone)]
struct Checked {
    question: Question,
    /// What its filter takes, if it is this pull's alone.
    filter_bytes: usize,
    suspend_timeout_millis: i64,
    topic: Arc<TopicConfig>,
    group: Arc<GroupConfig>,
    /// When its messages began to be looked for.
    began: Instant,
}

/// 11 and 361.
pub fn pull(broker: &Arc<Broker>, call: Call) {
    if matches!(broker.writer.pair(), Pair::Slave(_)) && !broker.pull_rules.get().reads_from_slave {
        return refuse(call, Refusal::NoReadsFromSlave);
    }
    let header = match PullMessage::decode(&call.request.fields) {
        Ok(header) => header,
        Err(error) => return refuse(call, error.into()),
    };
    if broker.tables.read().groups().find(&header.consumer_group).is_none() {
        return create_group(broker, call, header);
    }
    pull_checked(broker, call, &header);
}

/// A group that has never been heard of may be created by its first pull.
fn create_group(broker: &Arc<Broker>, call: Call, header: PullMessage) {
    let broker = Arc::clone(broker);
    tokio::spawn(async move {
        match broker.groups.ensure(&header.consumer_group).await {
            Ok(_) => pull_checked(&broker, call, &header),
            Err(refusal) => refuse(call, refusal),
        }
    });
}

fn pull_checked(broker: &Arc<Broker>, call: Call, header: &PullMessage) {
    let is_lite = call.request.code == RequestCode::LITE_PULL_MESSAGE.0;
    let checked = match check(broker, header, is_lite) {
        Ok(checked) => checked,
        Err(refusal) => return refuse(call, refusal),
    };
    let topic = checked.question.topic.clone();
    let commits = header.sys_flag & COMMITS_OFFSET != 0 && broker.writer.is_leader();
    if commits {
        broker.offsets.commit(&header.consumer_group, &topic, header.queue_id, header.commit_offset);
    }
    if let Some(offset) = broker.offsets.take_reset(&header.consumer_group, &topic, header.queue_id) {
        let span = broker.pull.span(&topic, header.queue_id).ok().flatten().unwrap_or_default();
        let pulled = Pulled {
            status: Status::OffsetReset,
            next: offset,
            span,
            messages: 0,
            is_old: false,
            body: bytes::Bytes::new(),
        };
        return answer(broker, call, &checked, Ok(pulled));
    }
    read(broker, call, checked, header.sys_flag & WAITS != 0);
}

/// Reads and answers, or parks the pull if it may wait and there is nothing.
fn read(broker: &Arc<Broker>, call: Call, mut checked: Checked, may_wait: bool) {
    checked.began = Instant::now();
    match broker.pull.try_read(&checked.question) {
        Ok(Some(pulled)) => {
            let pulled = patient(broker, pulled, checked.question.offset);
            let is_nothing = code_of(&pulled, checked.question.offset) == ResponseCode::PULL_NOT_FOUND;
            if may_wait && is_nothing && !sends_home(broker, &pulled) {
                park(broker, call, checked, pulled);
            } else {
                answer(broker, call, &checked, Ok(pulled));
            }
        }
        // What has to be fetched from the disk is a message: there is nothing to wait for.
        Ok(None) => read_cold(broker, call, checked),
        Err(refusal) => answer(broker, call, &checked, Err(refusal)),
    }
}

/// Lets a thread read that may wait for the disk.
fn read_cold(broker: &Arc<Broker>, call: Call, checked: Checked) {
    let answering = Arc::clone(broker);
    let question = checked.question.clone();
    let call = Arc::new(Mutex::new(Some((call, checked))));
    let taken = Arc::clone(&call);
    let done = move |result| {
        if let Some((call, checked)) = take(&taken) {
            answer(&answering, call, &checked, result);
        }
    };
    if let Err(refusal) = broker.pull.read_cold(question, done)
        && let Some((call, checked)) = take(&call)
    {
        answer(broker, call, &checked, Err(refusal));
    }
}

fn take<T>(slot: &Mutex<Option<T>>) -> Option<T> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Waits for a message to arrive, or until the consumer wants to hear that there is none. Where too many wait, it hears so now.
fn park(broker: &Arc<Broker>, mut call: Call, checked: Checked, nothing: Pulled) {
    if !broker.arrivals.has_room(checked.filter_bytes) || !call.set_aside() {
        return answer(broker, call, &checked, Ok(nothing));
    }
    // A pull that was read alone would keep a buffer of kilobytes for as long as it waits.
    call.request.let_go();
    let wait = broker.pull_rules.get().wait(checked.suspend_timeout_millis);
    let (question, filter_bytes) = (checked.question.clone(), checked.filter_bytes);
    let connection = call.connection.clone();
    let again = {
        let broker = Arc::clone(broker);
        move || {
            let runtime = broker.runtime.clone();
            runtime.spawn(async move { read(&broker, call, checked, false) });
        }
    };
    let parked = Parked {
        offset: question.offset,
        filter: Arc::clone(&question.filter),
        filter_bytes,
        until: Instant::now() + wait,
        is_gone: Box::new(move || connection.is_closed()),
        again: Box::new(again),
    };
    broker.arrivals.park(question.topic.as_str(), question.queue, parked);
    // A message may have come between the look and the parking.
    if let Ok(Some(Span { max, .. })) = broker.pull.span(&question.topic, question.queue) {
        broker.arrivals.wake(question.topic.as_str(), question.queue, max);
    }
}

fn check(broker: &Broker, header: &PullMessage, is_lite: bool) -> Result<Checked, Refusal> {
    let rules = broker.pull_rules.get();
    let address = || broker.topics.broker_ip();
    if !broker.topics.broker_permission().may_read() {
        return Err(Refusal::BrokerForbidden { address: address(), operation: "pulling message" });
    }
    if is_lite && !rules.allows_lite_pull {
        return Err(Refusal::BrokerForbidden { address: address(), operation: "for lite pull consumer" });
    }
    let (group, found) = {
        let tables = broker.tables.read();
        let group = tables.groups().find(&header.consumer_group).cloned();
        let topic = tables.topics().find_named(&header.topic);
        (group, topic.map(|(name, config)| (name.clone(), Arc::clone(config))))
    };
    let group = group.ok_or_else(|| Refusal::NoSuchGroup(header.consumer_group.to_string()))?;
    if !group.consume_enable {
        return Err(Refusal::GroupForbidden(header.consumer_group.to_string()));
    }
    let (name, topic) = found.ok_or_else(|| Refusal::NoSuchTopic(header.topic.to_string()))?;
    if topic.perm & permission::READ == 0 {
        return Err(Refusal::TopicForbidden { topic: name, operation: "pulling message" });
    }
    if header.queue_id.0 < 0 || header.queue_id.0 >= topic.read_queue_nums {
        return Err(Refusal::NoSuchQueue {
            topic: name,
            queue: header.queue_id,
            queues: topic.read_queue_nums,
        });
    }
    if header.sys_flag & CLASS_FILTER != 0 {
        return Err(Refusal::FilterUnsupported("class".to_owned()));
    }
    let (filter, filter_bytes) = filter_of(broker, header, &group, &name)?;
    if matches!(*filter, Filter::Sql(_)) && !rules.allows_sql {
        return Err(Refusal::FilterUnsupported(filter::SQL92.to_owned()));
    }
    let messages_max = usize::try_from(header.max_message_nums).unwrap_or_default().min(rules.batch_max);
    let question =
        Question { topic: name, queue: header.queue_id, offset: header.queue_offset, messages_max, filter };
    let suspend_timeout_millis = header.suspend_timeout_millis;
    Ok(Checked { question, filter_bytes, suspend_timeout_millis, topic, group, began: Instant::now() })
}

/// What the consumer wants of the topic: it says so itself, or its group has. And what the filter takes, if nobody else has it.
fn filter_of(
    broker: &Broker,
    header: &PullMessage,
    group: &GroupConfig,
    topic: &TopicName,
) -> Result<(Arc<Filter>, usize), Refusal> {
    if header.sys_flag & HAS_SUBSCRIPTION != 0 {
        let kind = header.expression_type.as_deref().unwrap_or(filter::TAG);
        let text = header.subscription.as_deref().unwrap_or_default();
        if !matches!(kind, "" | filter::TAG) && !broker.pull_rules.get().allows_sql {
            return Err(Refusal::FilterUnsupported(kind.to_owned()));
        }
        return Ok((broker.filters.compile(kind, text)?, Filters::bytes_beside(kind, text)));
    }
    let unknown = || Refusal::GroupUnknown(header.consumer_group.to_string());
    let model = broker.clients.model(&header.consumer_group).ok_or_else(unknown)?;
    if !group.consume_broadcast_enable && model == MessageModel::Broadcasting {
        return Err(Refusal::BroadcastForbidden(header.consumer_group.to_string()));
    }
    if broker.tables.read().groups().forbidden(&header.consumer_group, topic.as_str()) & permission::READ != 0
    {
        return Err(Refusal::GroupForbidden(header.consumer_group.to_string()));
    }
    let subscription = broker.clients.subscription(&header.consumer_group, topic.as_str());
    let subscription = subscription.ok_or_else(|| Refusal::NotSubscribed {
        group: header.consumer_group.to_string(),
        topic: topic.to_string(),
    })?;
    if subscription.version() < header.subscription_version {
        return Err(Refusal::SubscriptionOld);
    }
    match subscription.filter() {
        Ok(filter) => Ok((filter, 0)),
        Err(FilterError::Sql(error)) => Err(Refusal::NoFilter(error)),
        Err(error) => Err(error.into()),
    }
}

/// A node that may be behind does not send a consumer back that is further than itself: what it wants will come.
fn patient(broker: &Broker, pulled: Pulled, offset: QueueOffset) -> Pulled {
    let is_ahead = match pulled.status {
        Status::OffsetOverflowBadly => true,
        Status::NoMatchedLogicQueue | Status::NoMessageInQueue => offset > QueueOffset(0),
        _ => false,
    };
    match is_ahead && broker.writer.may_be_behind() {
        true => Pulled { status: Status::OffsetOverflowOne, next: offset, ..pulled },
        false => pulled,
    }
}

/// A slave serves those who lag, and those whose master is away. Others shall ask the master.
fn sends_home(broker: &Broker, pulled: &Pulled) -> bool {
    matches!(broker.writer.pair(), Pair::Slave(following) if following.is_following()) && !pulled.is_old
}

/// The answer's code for what was found.
fn code_of(pulled: &Pulled, offset: QueueOffset) -> ResponseCode {
    match pulled.status {
        Status::Found => ResponseCode::SUCCESS,
        Status::NoMatchedMessage | Status::MessageWasRemoving => ResponseCode::PULL_RETRY_IMMEDIATELY,
        Status::NoMatchedLogicQueue | Status::NoMessageInQueue if offset == QueueOffset(0) => {
            ResponseCode::PULL_NOT_FOUND
        }
        Status::OffsetFoundNull | Status::OffsetOverflowOne => ResponseCode::PULL_NOT_FOUND,
        Status::NoMatchedLogicQueue
        | Status::NoMessageInQueue
        | Status::OffsetOverflowBadly
        | Status::OffsetTooSmall
        | Status::OffsetReset => ResponseCode::PULL_OFFSET_MOVED,
    }
}

fn answer(broker: &Broker, call: Call, checked: &Checked, result: Result<Pulled, Refusal>) {
    let reply = result.map(|pulled| {
        let sends_home = sends_home(broker, &pulled);
        let code = match code_of(&pulled, checked.question.offset) {
            ResponseCode::SUCCESS => ResponseCode::SUCCESS,
            _ if sends_home => ResponseCode::PULL_RETRY_IMMEDIATELY,
            code => code,
        };
        broker.statistics.got(
            checked.question.topic.as_str(),
            &checked.group.group_name,
            pulled.messages,
            pulled.body.len(),
            checked.began.elapsed(),
        );
        let header = PullReply {
            suggest_which_broker_id: match sends_home {
                true => 0,
                false => broker.pull_rules.get().suggestion(&checked.group, pulled.is_old),
            },
            next_begin_offset: pulled.next,
            min_offset: pulled.span.min,
            max_offset: pulled.span.max,
            offset_delta: None,
            topic_sys_flag: Some(checked.topic.topic_sys_flag),
            group_sys_flag: Some(checked.group.group_sys_flag),
            forbidden_type: None,
        };
        broker.offsets.pulled(
            &checked.group.group_name,
            &checked.question.topic,
            checked.question.queue,
            pulled.next,
        );
        Reply::header(&header).with_code(code).with_remark(pulled.status.name()).with_body(pulled.body)
    });
    let command = answered(&call.request, reply);
    call.answer(command);
}

/// What the settings say about pulls.
#[derive(Clone, Debug)]
pub struct PullRules {
    pub is_long: bool,
    pub short_wait: Duration,
    pub allows_lite_pull: bool,
    pub allows_sql: bool,
    pub batch_max: usize,
    pub reads_from_slave: bool,
    pub refuses_pull_consumers: bool,
}

/// A consumer waits no longer than this, whatever it says.
const WAIT_MAX: Duration = Duration::from_secs(60);

impl From<&config::Pull> for PullRules {
    fn from(settings: &config::Pull) -> Self {
        Self {
            is_long: settings.is_long,
            short_wait: settings.short_wait,
            allows_lite_pull: settings.allows_lite_pull,
            allows_sql: settings.allows_sql,
            batch_max: settings.batch_max,
            reads_from_slave: settings.reads_from_slave,
            refuses_pull_consumers: settings.refuses_pull_consumers,
        }
    }
}

impl PullRules {
    fn wait(&self, wanted_ms: i64) -> Duration {
        let wanted = Duration::from_millis(u64::try_from(wanted_ms).unwrap_or_default());
        if self.is_long { wanted.min(WAIT_MAX) } else { self.short_wait }
    }

    /// Where to pull from next time.
    fn suggestion(&self, group: &GroupConfig, is_old: bool) -> i64 {
        match (self.reads_from_slave, is_old) {
            (false, _) => 0,
            (true, true) => group.which_broker_when_consume_slowly,
            (true, false) => group.broker_id,
        }
    }
}
