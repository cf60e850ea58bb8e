//! Ending transactions.

use crate::header::NoFields;
use crate::position::{LogOffset, QueueOffset};
use crate::text::Text;

family! {
    /// Commits or rolls back, one-way.
    pub struct EndTransaction: 37 => NoFields {
        topic: Option<Text> = "topic",
        producer_group: Text = "producerGroup",
        /// The half message's offset in its queue, as the answer to its sending said.
        transaction_table_offset: QueueOffset = "tranStateTableOffset",
        /// And in the log, as its id says.
        commit_log_offset: LogOffset = "commitLogOffset",
        /// 8 commits, 12 rolls back, 0 does not know.
        commit_or_rollback: i32 = "commitOrRollback",
        from_transaction_check: bool = "fromTransactionCheck" or false,
        message_id: Text = "msgId",
        transaction_id: Option<Text> = "transactionId",
        broker_name: Option<Text> = "bname",
    }

    /// Makes the broker ask once more about a half message that it has given up.
    pub struct ResumeCheck: 323 => NoFields {
        topic: Option<Text> = "topic",
        /// Java lets it be missing, and then fails.
        message_id: Option<Text> = "msgId",
    }
}
