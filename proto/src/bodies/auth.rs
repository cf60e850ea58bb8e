//! Users and what they may do: of 5.x, and of 4.x.

family! {
    /// What is left out of an update stays.
    pub struct UserInfo {
        password: Option<String> = "password",
        /// `enable` or `disable`.
        user_status: Option<String> = "userStatus",
        /// `Super` or `Normal`.
        user_type: Option<String> = "userType",
        username: Option<String> = "username",
    }

    pub struct AclInfo {
        policies: Vec<PolicyInfo> = "policies",
        /// `User:name`.
        subject: Option<String> = "subject",
    }

    pub struct PolicyInfo {
        entries: Vec<PolicyEntry> = "entries",
        /// `Custom` or `Default`.
        policy_type: Option<String> = "policyType",
    }

    pub struct PolicyEntry {
        actions: Vec<String> = "actions",
        /// `Allow` or `Deny`.
        decision: Option<String> = "decision",
        /// `Topic:name` and the like.
        resource: Option<String> = "resource",
        source_ips: Vec<String> = "sourceIps",
    }

    /// RocketMQ 4.9: AclConfig.
    pub struct PlainAcls {
        global_white_addrs: Vec<String> = "globalWhiteAddrs",
        accounts: Vec<PlainAccount> = "plainAccessConfigs",
    }

    /// RocketMQ 4.9: PlainAccessConfig.
    pub struct PlainAccount {
        access_key: Option<String> = "accessKey",
        admin: bool = "admin",
        default_group_perm: Option<String> = "defaultGroupPerm",
        default_topic_perm: Option<String> = "defaultTopicPerm",
        /// `group=SUB`.
        group_perms: Vec<String> = "groupPerms",
        secret_key: Option<String> = "secretKey",
        topic_perms: Vec<String> = "topicPerms",
        white_remote_address: Option<String> = "whiteRemoteAddress",
    }
}
