//! The messages. A tag is never used again for something else.

use std::collections::BTreeMap;

use prost::{Message, Oneof};

/// Raised when older versions can no longer read what we write.
pub const CHECKPOINT_FORMAT: u32 = 1;

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Stamp {
    #[prost(int64, tag = "1")]
    pub at: i64,
    #[prost(int64, tag = "2")]
    pub term: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Topic {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(int32, tag = "2")]
    pub read_queues: i32,
    #[prost(int32, tag = "3")]
    pub write_queues: i32,
    #[prost(int32, tag = "4")]
    pub perm: i32,
    /// 0 a single tag, 1 several.
    #[prost(int32, tag = "5")]
    pub filter: i32,
    #[prost(int32, tag = "6")]
    pub sys_flag: i32,
    #[prost(bool, tag = "7")]
    pub order: bool,
    #[prost(btree_map = "string, string", tag = "8")]
    pub attributes: BTreeMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Group {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(btree_map = "string, string", tag = "2")]
    pub attributes: BTreeMap<String, String>,
    #[prost(int64, tag = "3")]
    pub broker_id: i64,
    #[prost(bool, tag = "4")]
    pub consume_broadcast: bool,
    #[prost(bool, tag = "5")]
    pub consume: bool,
    #[prost(bool, tag = "6")]
    pub consume_from_min: bool,
    #[prost(bool, tag = "7")]
    pub consume_orderly: bool,
    #[prost(int32, tag = "8")]
    pub consume_timeout_minutes: i32,
    #[prost(message, required, tag = "9")]
    pub retry_policy: RetryPolicy,
    #[prost(int32, tag = "10")]
    pub sys_flag: i32,
    #[prost(bool, tag = "11")]
    pub notify_members: bool,
    #[prost(int32, tag = "12")]
    pub retry_times: i32,
    #[prost(int32, tag = "13")]
    pub retry_queues: i32,
    #[prost(message, optional, tag = "14")]
    pub subscriptions: Option<Subscriptions>,
    #[prost(int64, tag = "15")]
    pub slow_broker_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct RetryPolicy {
    /// 0 customized, 1 exponential.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(message, optional, tag = "2")]
    pub customized: Option<CustomizedRetry>,
    #[prost(message, optional, tag = "3")]
    pub exponential: Option<ExponentialRetry>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CustomizedRetry {
    #[prost(int64, repeated, tag = "1")]
    pub next_millis: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct ExponentialRetry {
    #[prost(int64, tag = "1")]
    pub initial_millis: i64,
    #[prost(int64, tag = "2")]
    pub max_millis: i64,
    #[prost(int64, tag = "3")]
    pub multiplier: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Subscriptions {
    #[prost(message, repeated, tag = "1")]
    pub rules: Vec<SubscriptionRule>,
}

#[derive(Clone, PartialEq, Message)]
pub struct SubscriptionRule {
    #[prost(string, tag = "1")]
    pub expression: String,
    #[prost(string, tag = "2")]
    pub expression_type: String,
    #[prost(string, tag = "3")]
    pub topic: String,
    #[prost(int64, tag = "4")]
    pub version: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Forbidden {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(string, tag = "2")]
    pub topic: String,
    #[prost(int32, tag = "3")]
    pub bits: i32,
}

/// Offsets of one group in one topic. As many queues as offsets.
#[derive(Clone, PartialEq, Message)]
pub struct Offsets {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(string, tag = "2")]
    pub topic: String,
    #[prost(int32, repeated, tag = "3")]
    pub queues: Vec<i32>,
    #[prost(int64, repeated, tag = "4")]
    pub next: Vec<i64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Queue {
    #[prost(string, tag = "1")]
    pub topic: String,
    #[prost(int32, tag = "2")]
    pub queue: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Lock {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(message, required, tag = "2")]
    pub queue: Queue,
    #[prost(string, tag = "3")]
    pub client: String,
    #[prost(int64, tag = "4")]
    pub granted: i64,
    #[prost(uint64, tag = "5")]
    pub number: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Delay {
    #[prost(int32, tag = "1")]
    pub level: i32,
    #[prost(int64, tag = "2")]
    pub next: i64,
}

/// Without a value: it is removed.
#[derive(Clone, PartialEq, Message)]
pub struct Register {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(oneof = "RegisterValue", tags = "2, 3")]
    pub value: Option<RegisterValue>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum RegisterValue {
    #[prost(int64, tag = "2")]
    Number(i64),
    #[prost(bytes = "vec", tag = "3")]
    Bytes(Vec<u8>),
}

/// Without a value: it is removed.
#[derive(Clone, PartialEq, Message)]
pub struct Setting {
    #[prost(string, tag = "1")]
    pub namespace: String,
    #[prost(string, tag = "2")]
    pub key: String,
    #[prost(string, optional, tag = "3")]
    pub value: Option<String>,
}

/// The tags of [`Kind`], which stand in [`Command`] a second time because the derive macro takes no constant.
pub const KINDS: std::ops::RangeInclusive<u32> = 1..=17;

#[derive(Clone, PartialEq, Message)]
pub struct Command {
    #[prost(oneof = "Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17")]
    pub kind: Option<Kind>,
}

#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    #[prost(message, tag = "1")]
    CreateTopics(Topics),
    #[prost(message, tag = "2")]
    PutTopics(Topics),
    #[prost(message, tag = "3")]
    DeleteTopics(Deletion),
    #[prost(message, tag = "4")]
    CreateGroups(Groups),
    #[prost(message, tag = "5")]
    PutGroups(Groups),
    #[prost(message, tag = "6")]
    DeleteGroups(Deletion),
    #[prost(message, tag = "7")]
    Forbid(Forbid),
    #[prost(message, tag = "8")]
    CommitOffsets(OffsetChanges),
    #[prost(message, tag = "9")]
    ResetOffsets(OffsetChanges),
    #[prost(message, tag = "10")]
    ForgetResets(ForgetResets),
    #[prost(message, tag = "11")]
    CloneOffsets(CloneOffsets),
    #[prost(message, tag = "12")]
    RemoveOffsets(RemoveOffsets),
    #[prost(message, tag = "13")]
    GrantLocks(GrantLocks),
    #[prost(message, tag = "14")]
    ReleaseLocks(ReleaseLocks),
    #[prost(message, tag = "15")]
    Advance(Advance),
    #[prost(message, tag = "16")]
    Configure(Setting),
    #[prost(message, tag = "17")]
    Together(Together),
}

#[derive(Clone, PartialEq, Message)]
pub struct Topics {
    #[prost(message, repeated, tag = "1")]
    pub topics: Vec<Topic>,
    #[prost(message, required, tag = "2")]
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Message)]
pub struct Groups {
    #[prost(message, repeated, tag = "1")]
    pub groups: Vec<Group>,
    #[prost(message, required, tag = "2")]
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Message)]
pub struct Deletion {
    #[prost(string, repeated, tag = "1")]
    pub names: Vec<String>,
    #[prost(bool, tag = "2")]
    pub offsets: bool,
    #[prost(message, required, tag = "3")]
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Message)]
pub struct Forbid {
    #[prost(message, required, tag = "1")]
    pub forbidden: Forbidden,
    #[prost(message, required, tag = "2")]
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Message)]
pub struct OffsetChanges {
    #[prost(message, repeated, tag = "1")]
    pub changes: Vec<Offsets>,
    #[prost(message, required, tag = "2")]
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Message)]
pub struct ForgetResets {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(string, tag = "2")]
    pub topic: String,
    #[prost(int32, repeated, tag = "3")]
    pub queues: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub struct CloneOffsets {
    #[prost(string, tag = "1")]
    pub from: String,
    #[prost(string, tag = "2")]
    pub to: String,
    #[prost(string, repeated, tag = "3")]
    pub topics: Vec<String>,
    #[prost(message, required, tag = "4")]
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Message)]
pub struct RemoveOffsets {
    #[prost(string, optional, tag = "1")]
    pub group: Option<String>,
    #[prost(string, optional, tag = "2")]
    pub topic: Option<String>,
    #[prost(message, required, tag = "3")]
    pub stamp: Stamp,
}

#[derive(Clone, PartialEq, Message)]
pub struct GrantLocks {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(string, tag = "2")]
    pub client: String,
    #[prost(int64, tag = "3")]
    pub at: i64,
    #[prost(message, repeated, tag = "4")]
    pub grants: Vec<Grant>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Grant {
    #[prost(message, required, tag = "1")]
    pub queue: Queue,
    #[prost(uint64, optional, tag = "2")]
    pub ends: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ReleaseLocks {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(message, repeated, tag = "2")]
    pub queues: Vec<Release>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Release {
    #[prost(message, required, tag = "1")]
    pub queue: Queue,
    #[prost(uint64, tag = "2")]
    pub number: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Advance {
    #[prost(message, repeated, tag = "1")]
    pub delay: Vec<Delay>,
    #[prost(message, repeated, tag = "2")]
    pub registers: Vec<Register>,
}

/// Each is a [`Command`].
#[derive(Clone, PartialEq, Message)]
pub struct Together {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub commands: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub struct Version {
    #[prost(int64, tag = "1")]
    pub counter: i64,
    #[prost(int64, tag = "2")]
    pub term: i64,
    #[prost(int64, tag = "3")]
    pub at: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Checkpoint {
    #[prost(uint32, tag = "1")]
    pub format: u32,
    #[prost(message, required, tag = "2")]
    pub topics_version: Version,
    #[prost(message, repeated, tag = "3")]
    pub topics: Vec<Topic>,
    #[prost(message, required, tag = "4")]
    pub groups_version: Version,
    #[prost(message, repeated, tag = "5")]
    pub groups: Vec<Group>,
    #[prost(message, repeated, tag = "6")]
    pub forbidden: Vec<Forbidden>,
    #[prost(message, required, tag = "7")]
    pub offsets_version: Version,
    #[prost(message, repeated, tag = "8")]
    pub offsets: Vec<Offsets>,
    #[prost(message, repeated, tag = "9")]
    pub resets: Vec<Offsets>,
    #[prost(uint64, tag = "10")]
    pub last_grant: u64,
    #[prost(message, repeated, tag = "11")]
    pub locks: Vec<Lock>,
    #[prost(message, repeated, tag = "12")]
    pub delays: Vec<Delay>,
    #[prost(message, repeated, tag = "13")]
    pub registers: Vec<Register>,
    #[prost(message, repeated, tag = "14")]
    pub settings: Vec<Setting>,
}

/// What came of a command. Never stored.
#[derive(Clone, PartialEq, Message)]
pub struct Reply {
    #[prost(uint32, tag = "1")]
    pub kind: u32,
    #[prost(message, repeated, tag = "2")]
    pub granted: Vec<Queue>,
    #[prost(message, repeated, tag = "3")]
    pub each: Vec<Reply>,
}
