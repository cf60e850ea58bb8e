//! What a client says about its own work. Brokers relay it untouched; only clients and tools look inside.

use std::collections::BTreeMap;

use super::clients::SubscriptionData;
use super::queue::MessageQueue;
use super::word::words;
use crate::position::{QueueOffset, Timestamp};

words! {
    /// What became of a message that was consumed on request (RocketMQ: CMResult).
    pub enum ConsumeOutcome {
        Success = "CR_SUCCESS",
        Later = "CR_LATER",
        Rollback = "CR_ROLLBACK",
        Commit = "CR_COMMIT",
        ThrowException = "CR_THROW_EXCEPTION",
        #[default]
        ReturnNull = "CR_RETURN_NULL",
    }
}

family! {
    /// The answer to `ConsumeDirectly` (RocketMQ: ConsumeMessageDirectlyResult).
    pub struct ConsumeResult {
        auto_commit: bool = "autoCommit" or true,
        outcome: Option<ConsumeOutcome> = "consumeResult",
        order: bool = "order",
        remark: Option<String> = "remark",
        /// Java's spelling.
        spent_time_millis: i64 = "spentTimeMills",
    }

    pub struct ConsumerRunningInfo {
        jstack: Option<String> = "jstack",
        pop_queues: BTreeMap<MessageQueue, PopProcessQueue> = "mqPopTable",
        queues: BTreeMap<MessageQueue, ProcessQueue> = "mqTable",
        properties: BTreeMap<String, String> = "properties",
        /// By topic.
        status_table: BTreeMap<String, ConsumeStatus> = "statusTable",
        subscriptions: Vec<SubscriptionData> = "subscriptionSet",
        user_consumer_info: BTreeMap<String, String> = "userConsumerInfo",
    }

    /// Messages of one queue that wait in the client (RocketMQ: ProcessQueueInfo).
    pub struct ProcessQueue {
        cached_message_count: i32 = "cachedMsgCount",
        cached_message_max_offset: QueueOffset = "cachedMsgMaxOffset",
        cached_message_min_offset: QueueOffset = "cachedMsgMinOffset",
        cached_message_size_mib: i32 = "cachedMsgSizeInMiB",
        commit_offset: QueueOffset = "commitOffset",
        /// Java's spelling.
        dropped: bool = "droped",
        last_consume_timestamp: Timestamp = "lastConsumeTimestamp",
        last_lock_timestamp: Timestamp = "lastLockTimestamp",
        last_pull_timestamp: Timestamp = "lastPullTimestamp",
        locked: bool = "locked",
        transaction_message_count: i32 = "transactionMsgCount",
        transaction_message_max_offset: QueueOffset = "transactionMsgMaxOffset",
        transaction_message_min_offset: QueueOffset = "transactionMsgMinOffset",
        try_unlock_times: i64 = "tryUnlockTimes",
    }

    pub struct PopProcessQueue {
        dropped: bool = "droped",
        last_pop_timestamp: Timestamp = "lastPopTimestamp",
        wait_ack_count: i32 = "waitAckCount",
    }

    /// Rates are per second, response times in milliseconds.
    pub struct ConsumeStatus {
        consume_failed_messages: i64 = "consumeFailedMsgs",
        consume_failed_tps: f64 = "consumeFailedTPS",
        consume_ok_tps: f64 = "consumeOKTPS",
        consume_rt: f64 = "consumeRT",
        pull_rt: f64 = "pullRT",
        pull_tps: f64 = "pullTPS",
    }
}
