//! Users and what they may do: of 5.x (3001 to 3010), and of 4.x (50 to 54).

use crate::header::NoFields;
use crate::text::Text;

family! {
    /// The body is a `UserInfo`.
    pub struct CreateUser: 3001 => NoFields {
        username: Text = "username",
    }

    /// The body is a `UserInfo`; what it leaves out stays.
    pub struct UpdateUser: 3002 => NoFields {
        username: Text = "username",
    }

    pub struct DeleteUser: 3003 => NoFields {
        username: Option<Text> = "username",
    }

    /// The answer's body is a `UserInfo`, or nothing.
    pub struct GetUser: 3004 => NoFields {
        username: Text = "username",
    }

    /// The answer's body is a list of `UserInfo`, or nothing.
    pub struct ListUsers: 3005 => NoFields {
        filter: Option<Text> = "filter",
    }

    /// The body is an `AclInfo`.
    pub struct CreateAcl: 3006 => NoFields {
        subject: Option<Text> = "subject",
    }

    /// The body is an `AclInfo`.
    pub struct UpdateAcl: 3007 => NoFields {
        subject: Option<Text> = "subject",
    }

    pub struct DeleteAcl: 3008 => NoFields {
        subject: Option<Text> = "subject",
        policy_type: Option<Text> = "policyType",
        resource: Option<Text> = "resource",
    }

    /// The answer's body is an `AclInfo`, or nothing.
    pub struct GetAcl: 3009 => NoFields {
        subject: Option<Text> = "subject",
    }

    /// The answer's body is a list of `AclInfo`, or nothing.
    pub struct ListAcls: 3010 => NoFields {
        subject_filter: Option<Text> = "subjectFilter",
        resource_filter: Option<Text> = "resourceFilter",
    }

    pub struct UpdatePlainAcl: 50 => NoFields {
        access_key: Text = "accessKey",
        secret_key: Text = "secretKey",
        white_remote_address: Option<Text> = "whiteRemoteAddress",
        admin: bool = "admin" or false,
        default_topic_perm: Option<Text> = "defaultTopicPerm",
        default_group_perm: Option<Text> = "defaultGroupPerm",
        /// `topic=PUB`, `,` between them.
        topic_perms: Option<Text> = "topicPerms",
        group_perms: Option<Text> = "groupPerms",
    }

    pub struct DeletePlainAcl: 51 => NoFields {
        access_key: Text = "accessKey",
    }

    pub struct GetPlainAclVersion: 52 => PlainAclVersionReply {}

    pub struct PlainAclVersionReply {
        /// A `DataVersion` as JSON.
        version: Text = "version",
        all_acl_file_version: Option<Text> = "allAclFileVersion",
        broker_name: Text = "brokerName",
        broker_addr: Text = "brokerAddr",
        cluster_name: Text = "clusterName",
    }

    pub struct UpdateGlobalWhiteAddresses: 53 => NoFields {
        global_white_addrs: Text = "globalWhiteAddrs",
        acl_file_full_path: Option<Text> = "aclFileFullPath",
    }

    /// The answer's body is a `PlainAcls`.
    pub struct GetPlainAcls: 54 => NoFields {}
}
