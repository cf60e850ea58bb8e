//! The names of the properties that brokers and clients agree on. All others are the user's.

/// Between the keys of one message.
pub const KEY_SEPARATOR: char = ' ';

// Of the user, and how the message is found and sent.

/// Keys for the index, separated by [`KEY_SEPARATOR`].
pub const KEYS: &str = "KEYS";
/// One tag, whose hash is in the consume queue.
pub const TAGS: &str = "TAGS";
/// `false`: the sender does not wait for disk and replicas.
pub const WAIT: &str = "WAIT";
/// What the sender chose the queue by.
pub const SHARDING_KEY: &str = "__SHARDINGKEY";
pub const BUYER_ID: &str = "BUYER_ID";
/// A namespace.
pub const INSTANCE_ID: &str = "INSTANCE_ID";
pub const PRIORITY: &str = "_SYS_MSG_PRIORITY_";
pub const LITE_TOPIC: &str = "__LITE_TOPIC";
/// The id that the producer gave the message.
pub const UNIQUE_KEY: &str = "UNIQ_KEY";
pub const EXTENDED_UNIQUE_INFO: &str = "EXTEND_UNIQ_INFO";
pub const TRACE_CONTEXT: &str = "TRACE_CONTEXT";
pub const TRANSFER_FLAG: &str = "TRANSFER_FLAG";
pub const CORRECTION_FLAG: &str = "CORRECTION_FLAG";
pub const MQ2_FLAG: &str = "MQ2_FLAG";

// Of the broker that stored the message.

pub const CLUSTER: &str = "CLUSTER";
pub const REGION: &str = "MSG_REGION";
/// `false`: the client traces nothing.
pub const TRACE_ON: &str = "TRACE_ON";
pub const BORN_HOST: &str = "__BORNHOST";
pub const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
pub const DUPLICATION_INFO: &str = "DUP_INFO";
/// Of the whole record; always its last 20 bytes.
pub const RECORD_CRC: &str = "__CRC32#";

// Of messages that were moved: delayed, retried, given up.

/// Where the message is to go.
pub const REAL_TOPIC: &str = "REAL_TOPIC";
/// Where the message is to go.
pub const REAL_QUEUE_ID: &str = "REAL_QID";
/// Where a message came from that is consumed again.
pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
pub const ORIGIN_GROUP: &str = "ORIGIN_GROUP";
/// The offset id of the first copy.
pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
pub const DEAD_LETTER_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
pub const DEAD_LETTER_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
/// From 1.
pub const DELAY_LEVEL: &str = "DELAY";
pub const TIMER_DELAY_LEVEL: &str = "TIMER_DELAY_LEVEL";
pub const TIMER_DELAY_SECONDS: &str = "TIMER_DELAY_SEC";
pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
pub const TIMER_ENQUEUE_MS: &str = "TIMER_ENQUEUE_MS";
pub const TIMER_DEQUEUE_MS: &str = "TIMER_DEQUEUE_MS";
pub const TIMER_ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
pub const TIMER_ROLL_LABEL: &str = "TIMER_ROLL_LABEL";
/// The unique key of the timer that is recalled.
pub const TIMER_DELETE_UNIQUE_KEY: &str = "TIMER_DEL_UNIQKEY";

// Of transactions.

/// `true`: the half of a transaction.
pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
/// Who is asked how the transaction ended.
pub const PRODUCER_GROUP: &str = "PGROUP";
pub const TRANSACTION_ID: &str = "__transactionId__";
pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
/// Of the first copy of a half that was written again.
pub const TRANSACTION_PREPARED_QUEUE_OFFSET: &str = "TRAN_PREPARED_QUEUE_OFFSET";
pub const TRANSACTION_OFFSET: &str = "TRANS_OFFSET";
/// How long nobody is asked.
pub const CHECK_IMMUNITY_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";

// Of requests that wait for a reply.

pub const CORRELATION_ID: &str = "CORRELATION_ID";
pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
pub const TIME_TO_LIVE: &str = "TTL";
pub const REPLY_ARRIVE_TIME: &str = "ARRIVE_TIME";
pub const REPLY_PUSH_TIME: &str = "PUSH_REPLY_TIME";
/// `reply` and others.
pub const MESSAGE_TYPE: &str = "MSG_TYPE";

// Of consumption.

/// Only within a client.
pub const MIN_OFFSET: &str = "MIN_OFFSET";
/// Only within a client.
pub const MAX_OFFSET: &str = "MAX_OFFSET";
/// Only within a client.
pub const CONSUME_START_TIME: &str = "CONSUME_START_TIME";
/// A receipt handle: never taken from a producer.
pub const POP_CHECKPOINT: &str = "POP_CK";
pub const POP_CHECKPOINT_OFFSET: &str = "POP_CK_OFFSET";
pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
pub const FORWARD_QUEUE_ID: &str = "PROPERTY_FORWARD_QUEUE_ID";
pub const REDIRECT: &str = "REDIRECT";
/// Entries of an inner batch.
pub const INNER_COUNT: &str = "INNER_NUM";
/// The queue offset of its first entry.
pub const INNER_BASE: &str = "INNER_BASE";
/// Light queues the message is in as well, separated by commas.
pub const MULTI_DISPATCH: &str = "INNER_MULTI_DISPATCH";
/// Its offsets there.
pub const MULTI_QUEUE_OFFSET: &str = "INNER_MULTI_QUEUE_OFFSET";
/// Before the names of those that no broker stores.
pub const TRANSIENT_PREFIX: &str = "__RMQ.TRANSIENT.";
pub const TRANSIENT_TOPIC_SYS_FLAG: &str = "__RMQ.TRANSIENT.TOPIC_SYS_FLAG";
pub const TRANSIENT_GROUP_SYS_FLAG: &str = "__RMQ.TRANSIENT.GROUP_SYS_FLAG";
