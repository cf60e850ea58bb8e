//! Tidying up a broker's storage.

use crate::header::NoFields;
use crate::position::Timestamp;
use crate::text::Text;

family! {
    pub struct CleanExpiredConsumeQueues: 306 => NoFields {}

    pub struct CleanUnusedTopics: 316 => NoFields {}

    pub struct DeleteExpiredLog: 329 => NoFields {}

    /// The answer's body is a `ConsumeQueueCheck`.
    pub struct CheckConsumeQueues: 354 => NoFields {
        topic: Text = "topic",
        check_store_time: Timestamp = "checkStoreTime" or Timestamp(0),
    }

    pub struct ExportMetadata: 355 => NoFields {
        /// Of `topics`, `subscriptionGroups` and `consumerOffsets`, `;` between them.
        config_type: Text = "configType",
    }
}
