//! Every request a broker serves: one row per code.
//!
//! The row says who may serve it and in which lane. What is quick is served where it arrives; what waits for something else
//! keeps its call and answers it later; what is rare and takes its time is a task of its own, of which there are only so many.

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use ferrymq_proto::code::{RequestCode, ResponseCode};
use ferrymq_proto::command::Command;
use ferrymq_proto::fields::Fields;
use ferrymq_proto::header::Header;
use ferrymq_proto::net::{Call, Connection};
use ferrymq_proto::text::Text;

use crate::broker::Broker;
use crate::handlers::*;
use crate::refusal::Refusal;

/// What a request is answered with.
#[derive(Debug)]
pub struct Reply {
    pub code: ResponseCode,
    pub remark: Option<Text>,
    pub fields: Option<Fields>,
    pub body: Bytes,
}

impl Reply {
    pub fn empty() -> Self {
        Self { code: ResponseCode::SUCCESS, remark: None, fields: None, body: Bytes::new() }
    }

    pub fn header(header: &impl Header) -> Self {
        Self { fields: Some(header.to_fields()), ..Self::empty() }
    }

    pub fn body(body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty() }
    }

    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    pub fn with_code(mut self, code: ResponseCode) -> Self {
        self.code = code;
        self
    }

    pub fn with_remark(mut self, remark: impl Into<Text>) -> Self {
        self.remark = Some(remark.into());
        self
    }
}

pub type Answer = Result<Reply, Refusal>;
pub type Task = Pin<Box<dyn Future<Output = Answer> + Send>>;

#[derive(Clone, Copy)]
pub enum Lane {
    /// Served at once: it neither blocks nor waits.
    Now(fn(&Broker, &Command, &Connection) -> Answer),
    /// Keeps its call, and answers it when it is done.
    Kept(fn(&Arc<Broker>, Call)),
    /// A task of its own.
    Task(fn(Arc<Broker>, Command, Connection) -> Task),
}

/// Who may serve a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Only the one that takes writes.
    Leader,
    /// The same; another node of its group carries it there.
    Carried,
    /// Only the one that knows that it is the one: older answers would do harm.
    Current,
    Any,
}

#[derive(Clone, Copy)]
pub struct Row {
    pub code: RequestCode,
    pub role: Role,
    pub lane: Lane,
}

macro_rules! requests {
    (@lane Now $handler:path) => { Lane::Now($handler) };
    (@lane Kept $handler:path) => { Lane::Kept($handler) };
    (@lane Task $handler:path) => {
        Lane::Task(|broker, request, connection| Box::pin(async move { $handler(&broker, &request, &connection).await }))
    };
    ($($code:ident $role:ident $lane:ident $handler:path;)*) => {
        /// The most frequent requests stand first: rows are searched in order.
        const ROWS: &[Row] = &[$(Row {
            code: RequestCode::$code,
            role: Role::$role,
            lane: requests!(@lane $lane $handler),
        },)*];
    };
}

requests! {
    SEND_MESSAGE_V2                     Carried Kept produce::send_short;
    SEND_BATCH_MESSAGE                  Carried Kept produce::send_short;
    SEND_MESSAGE                        Carried Kept produce::send;
    PULL_MESSAGE                        Any    Kept pull::pull;
    LITE_PULL_MESSAGE                   Any    Kept pull::pull;
    END_TRANSACTION                     Carried Kept transactions::end;
    SEND_REPLY_MESSAGE_V2               Leader Kept replies::send_short;
    SEND_REPLY_MESSAGE                  Leader Kept replies::send;
    UPDATE_CONSUMER_OFFSET              Current Kept offsets::commit;
    HEART_BEAT                          Any    Kept clients::heartbeat;
    CONSUMER_SEND_MSG_BACK              Carried Task retries::send_back;
    RECALL_MESSAGE                      Carried Task recall::recall;
    LOCK_BATCH_MQ                       Current Task locks::lock;
    UNLOCK_BATCH_MQ                     Current Task locks::unlock;
    GET_CONSUMER_LIST_BY_GROUP          Any    Now  clients::list_consumers;
    QUERY_CONSUMER_OFFSET               Current Now  offsets::query;
    GET_MAX_OFFSET                      Current Now  offsets::max;
    GET_MIN_OFFSET                      Any    Now  offsets::min;
    GET_TOPIC_STATS_INFO                Any    Task stats::of_topic;
    GET_CONSUME_STATS                   Any    Task stats::of_group;
    GET_BROKER_CONSUME_STATS            Any    Task stats::of_groups;
    QUERY_CONSUME_TIME_SPAN             Any    Task stats::time_spans;
    VIEW_BROKER_STATS_DATA              Any    Now  stats::view;
    GET_BROKER_RUNTIME_INFO             Any    Task runtime::info;
    GET_RAFT_STATUS                     Any    Now  raft::status;
    CHANGE_RAFT_GROUP                   Any    Task raft::change;
    GET_RAFT_CHAIN                      Any    Task raft::chain;
    GET_BROKER_CONFIG                   Any    Now  configuration::text;
    UPDATE_BROKER_CONFIG                Any    Task configuration::update;
    CLEAN_EXPIRED_CONSUMEQUEUE          Any    Task store::clean_queues;
    DELETE_EXPIRED_COMMITLOG            Any    Now  store::delete_expired;
    GET_BROKER_HA_STATUS                Any    Now  replication::status;
    GET_ALL_CONSUMER_OFFSET             Any    Now  replication::offsets;
    GET_ALL_DELAY_OFFSET                Any    Now  replication::delays;
    GET_TIMER_CHECK_POINT               Any    Now  replication::timers;
    GET_TIMER_METRICS                   Any    Now  replication::timer_counts;
    EXCHANGE_BROKER_HA_INFO             Any    Now  replication::exchange;
    GET_OWN_TABLES                      Any    Now  replication::own_tables;
    SEARCH_OFFSET_BY_TIMESTAMP          Current Task offsets::at_time;
    GET_EARLIEST_MSG_STORETIME          Any    Task offsets::earliest_time;
    QUERY_MESSAGE                       Any    Task query::by_key;
    VIEW_MESSAGE_BY_ID                  Any    Task query::by_offset;
    QUERY_CONSUME_QUEUE                 Any    Task query::entries;
    QUERY_CORRECTION_OFFSET             Any    Now  offsets::correction;
    CLONE_GROUP_OFFSET                  Leader Task offsets::copy;
    INVOKE_BROKER_TO_RESET_OFFSET       Leader Task resets::reset;
    INVOKE_BROKER_TO_GET_CONSUMER_STATUS Any   Task resets::status;
    RESUME_CHECK_HALF_MESSAGE           Leader Task transactions::resume;
    UNREGISTER_CLIENT                   Any    Now  clients::unregister;
    CHECK_CLIENT_CONFIG                 Any    Now  clients::check_config;
    GET_CONSUMER_CONNECTION_LIST        Any    Now  clients::consumer_connections;
    GET_PRODUCER_CONNECTION_LIST        Any    Now  clients::producer_connections;
    GET_ALL_PRODUCER_INFO               Any    Now  clients::producers;
    QUERY_SUBSCRIPTION_BY_CONSUMER      Any    Now  clients::subscription;
    GET_CONSUMER_RUNNING_INFO           Any    Task clients::running_info;
    CONSUME_MESSAGE_DIRECTLY            Any    Task clients::consume_directly;
    UPDATE_AND_CREATE_TOPIC             Leader Task topics::put;
    UPDATE_AND_CREATE_TOPIC_LIST        Leader Task topics::put_all;
    GET_ALL_TOPIC_CONFIG                Any    Now  topics::table;
    GET_TOPIC_CONFIG                    Any    Now  topics::config;
    DELETE_TOPIC_IN_BROKER              Leader Task topics::delete;
    GET_SYSTEM_TOPIC_LIST_FROM_BROKER   Any    Now  topics::system;
    CLEAN_UNUSED_TOPIC                  Leader Task topics::clean_unused;
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP Leader Task groups::put;
    UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST Leader Task groups::put_all;
    GET_ALL_SUBSCRIPTIONGROUP_CONFIG    Any    Now  groups::table;
    DELETE_SUBSCRIPTIONGROUP            Leader Task groups::delete;
    GET_SUBSCRIPTIONGROUP_CONFIG        Any    Now  groups::config;
    UPDATE_AND_GET_GROUP_FORBIDDEN      Leader Task groups::allow;
    QUERY_TOPIC_CONSUME_BY_WHO          Any    Now  groups::of_topic;
    QUERY_TOPICS_BY_CONSUMER            Any    Now  groups::topics;
    QUERY_ASSIGNMENT                    Any    Task assignment::share;
    SET_MESSAGE_REQUEST_MODE            Leader Task assignment::set_mode;
    GET_ALL_MESSAGE_REQUEST_MODE        Any    Now  assignment::modes;
}

/// The codes that are served, most frequent first.
#[cfg(test)]
pub fn served() -> impl Iterator<Item = RequestCode> {
    ROWS.iter().map(|row| row.code)
}

pub fn find(code: i32) -> Option<Row> {
    ROWS.iter().find(|row| row.code.0 == code).copied()
}

/// The command that carries an answer.
pub fn answered(request: &Command, answer: Answer) -> Command {
    match answer {
        Ok(reply) => {
            let mut command = request.answer(reply.code).with_body(reply.body);
            command.remark = reply.remark;
            if let Some(fields) = reply.fields {
                command.fields = fields;
            }
            command
        }
        Err(refusal) => request.answer(refusal.code()).with_remark(refusal.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_one_row() {
        let mut codes: Vec<_> = served().collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ROWS.len());
    }
}
