//! Administering consumer groups on a broker.

use crate::header::NoFields;
use crate::position::{QueueId, QueueOffset, Timestamp};
use crate::text::Text;

family! {
    /// Creates or changes a group. The body is a `GroupConfig`.
    pub struct UpdateGroup: 200 => NoFields {}

    /// The body is a `GroupConfigList`.
    pub struct UpdateGroups: 225 => NoFields {}

    /// All groups, or a page of them. The answer's body is a `GroupTable`.
    pub struct GetGroupTable: 201 => GroupTableReply {
        group_seq: Option<i32> = "groupSeq",
        max_group_num: Option<i32> = "maxGroupNum",
        /// JSON.
        data_version: Option<Text> = "dataVersion",
    }

    pub struct GroupTableReply {
        /// Without it, there are no more pages.
        total_group_num: Option<i32> = "totalGroupNum",
    }

    pub struct DeleteGroup: 207 => NoFields {
        group_name: Text = "groupName",
        clean_offset: bool = "cleanOffset" or false,
    }

    /// The answer's body is a `GroupConfig`.
    pub struct GetGroupConfig: 352 => NoFields {
        group: Text = "group",
    }

    /// May the group read the topic? Changes it when a value is given. The answer's body is a `GroupForbidden`.
    pub struct UpdateGroupForbidden: 353 => NoFields {
        group: Text = "group",
        topic: Text = "topic",
        readable: Option<bool> = "readable",
    }

    /// The answer's body is a `GroupSubscription`.
    pub struct GetSubscription: 345 => NoFields {
        group: Text = "group",
        topic: Text = "topic",
    }

    pub struct CloneOffsets: 314 => NoFields {
        source_group: Text = "srcGroup",
        destination_group: Text = "destGroup",
        topic: Option<Text> = "topic",
        offline: bool = "offline" or false,
    }

    /// The answer's body is a `QueueOffsets`.
    pub struct ResetOffset: 222 => NoFields {
        topic: Text = "topic",
        group: Text = "group",
        /// Negative: to the end.
        timestamp: Timestamp = "timestamp",
        is_force: bool = "isForce",
        /// −1: all.
        queue_id: QueueId = "queueId" or QueueId(-1),
        offset: Option<QueueOffset> = "offset",
    }

    /// How far are the group's clients? The answer's body is a `ConsumerStatus`.
    pub struct GetConsumerStatus: 223 => NoFields {
        topic: Text = "topic",
        group: Text = "group",
        client_addr: Option<Text> = "clientAddr",
    }
}
