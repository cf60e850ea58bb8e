//! Names that come from outside: of topics, groups, brokers and clusters.
//!
//! Many become file names or parts of keys, so a name can never leave a directory: it has no slash, colon, quote, white space
//! or control character, and does not start with a dot. `parse` asks no more, for names that a cluster of Apache brokers may
//! already hold; `parse_new` asks what Apache asks of a name that is being created. Past the parser nobody checks again.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The longest name of any kind, and the longest file name of common file systems.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest new topic. One byte of the first record version holds its length, and Java reads that byte signed.
pub const NEW_TOPIC_BYTES_MAX: usize = 127;
/// The longest new group, so that its retry topics stay within [`NAME_BYTES_MAX`].
pub const NEW_GROUP_BYTES_MAX: usize = 120;

/// Before a group: the topic of its messages that are to be consumed again.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Before a group: the topic of its messages that were given up.
pub const DEAD_LETTER_PREFIX: &str = "%DLQ%";
/// Topics that only brokers create.
pub const SYSTEM_TOPIC_PREFIX: &str = "rmq_sys_";
/// Where messages wait for a moment of their own choice.
pub const TIMER_TOPIC: &str = "rmq_sys_wheel_timer";
/// Groups that only brokers and their tools create.
pub const SYSTEM_GROUP_PREFIX: &str = "CID_RMQ_SYS_";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameKind {
    Topic,
    Group,
    Broker,
    Cluster,
}

impl fmt::Display for NameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Topic => "topic",
            Self::Group => "group",
            Self::Broker => "broker",
            Self::Cluster => "cluster",
        })
    }
}

/// Why a text is no name. Safe to log and to answer: the one character it repeats is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the name of a {0} must not be empty")]
    Empty(NameKind),
    #[error("the name of a {kind} has {bytes} bytes, more than the {max} allowed")]
    TooLong { kind: NameKind, bytes: usize, max: usize },
    #[error("the name of a {kind} must not have {character:?} at position {position}")]
    Character { kind: NameKind, character: char, position: usize },
}

/// Declares the kinds of names.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $kind:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A name that exists already.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(NameKind::$kind, text, NAME_BYTES_MAX, stays_in_directory)?;
                Ok(Self(Arc::from(text)))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                *self.0 == *other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                *self.0 == **other
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

names! {
    TopicName: Topic;
    /// A group of consumers or of producers.
    GroupName: Group;
    /// The nodes that replicate one log, which clients see as one broker.
    BrokerName: Broker;
    ClusterName: Cluster;
}

impl TopicName {
    /// A name for a topic that is being created.
    pub fn parse_new(text: &str) -> Result<Self, NameError> {
        let of_group = text.starts_with(RETRY_PREFIX) || text.starts_with(DEAD_LETTER_PREFIX);
        let bytes_max = if of_group { NAME_BYTES_MAX } else { NEW_TOPIC_BYTES_MAX };
        check(NameKind::Topic, text, bytes_max, apache_creates)?;
        Ok(Self(Arc::from(text)))
    }

    /// Where messages of `group` wait to be consumed again. Fails only for a group longer than any new one.
    pub fn retry(group: &GroupName) -> Result<Self, NameError> {
        Self::parse(&format!("{RETRY_PREFIX}{group}"))
    }

    /// Where messages that `group` gave up are kept. Fails only for a group longer than any new one.
    pub fn dead_letter(group: &GroupName) -> Result<Self, NameError> {
        Self::parse(&format!("{DEAD_LETTER_PREFIX}{group}"))
    }

    pub fn is_retry(&self) -> bool {
        self.0.starts_with(RETRY_PREFIX)
    }

    pub fn is_dead_letter(&self) -> bool {
        self.0.starts_with(DEAD_LETTER_PREFIX)
    }

    /// Whether every broker has this topic for its own use. Topics named after a broker or a cluster are the broker's own
    /// too, but no name shows it.
    pub fn is_system(&self) -> bool {
        SystemTopic::find(self).is_some() || self.0.starts_with(SYSTEM_TOPIC_PREFIX)
    }
}

impl GroupName {
    /// A name for a group that is being created.
    pub fn parse_new(text: &str) -> Result<Self, NameError> {
        check(NameKind::Group, text, NEW_GROUP_BYTES_MAX, apache_creates)?;
        Ok(Self(Arc::from(text)))
    }

    pub fn is_system(&self) -> bool {
        self.0.starts_with(SYSTEM_GROUP_PREFIX)
    }
}

/// Declares the topics that every broker has.
macro_rules! system_topics {
    ($($(#[$doc:meta])* $topic:ident = $name:literal, $senders:ident;)*) => {
        /// A topic that every broker has for its own use.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum SystemTopic {
            $($(#[$doc])* $topic,)*
        }

        impl SystemTopic {
            pub const ALL: &[Self] = &[$(Self::$topic,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$topic => $name,)*
                }
            }

            /// Who may send to it.
            pub fn senders(self) -> Senders {
                match self {
                    $(Self::$topic => Senders::$senders,)*
                }
            }
        }
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    Anybody,
    BrokersOnly,
}

system_topics! {
    /// What a topic that is created by a first message is modelled on.
    Default = "TBW102", Anybody;
    /// Messages that wait for their delay level.
    Schedule = "SCHEDULE_TOPIC_XXXX", BrokersOnly;
    Benchmark = "BenchmarkTest", Anybody;
    /// Messages whose transaction is open.
    TransactionHalf = "RMQ_SYS_TRANS_HALF_TOPIC", BrokersOnly;
    /// Marks that say which of them are decided.
    TransactionOperation = "RMQ_SYS_TRANS_OP_HALF_TOPIC", BrokersOnly;
    TransactionHalfRocks = "RMQ_SYS_ROCKSDB_TRANS_HALF_TOPIC", BrokersOnly;
    TransactionOperationRocks = "RMQ_SYS_ROCKSDB_TRANS_OP_HALF_TOPIC", BrokersOnly;
    /// Messages whose transaction was asked for too often.
    TransactionGivenUp = "TRANS_CHECK_MAX_TIME_TOPIC", BrokersOnly;
    Trace = "RMQ_SYS_TRACE_TOPIC", Anybody;
    SelfTest = "SELF_TEST_TOPIC", BrokersOnly;
    OffsetMoved = "OFFSET_MOVED_EVENT", BrokersOnly;
    Checkpoint = "CHECKPOINT_TOPIC", Anybody;
}

impl SystemTopic {
    pub fn find(topic: &TopicName) -> Option<Self> {
        Self::ALL.iter().copied().find(|system| topic == system.as_str())
    }
}

impl From<SystemTopic> for TopicName {
    fn from(topic: SystemTopic) -> Self {
        Self(Arc::from(topic.as_str()))
    }
}

fn check(kind: NameKind, text: &str, bytes_max: usize, allows: fn(char) -> bool) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty(kind));
    }
    if text.len() > bytes_max {
        return Err(NameError::TooLong { kind, bytes: text.len(), max: bytes_max });
    }
    let wrong = |(position, character)| (position == 0 && character == '.') || !allows(character);
    match text.char_indices().find(|indexed| wrong(*indexed)) {
        Some((position, character)) => Err(NameError::Character { kind, character, position }),
        None => Ok(()),
    }
}

/// `+` is in the retry topics of POP consumers, dots in the host names that brokers are called by; the rest is harmless.
fn stays_in_directory(character: char) -> bool {
    apache_creates(character) || matches!(character, '.' | '+' | '@' | '$' | '*')
}

/// Apache's own rule for topics and groups.
fn apache_creates(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '%' | '|' | '_' | '-')
}

#[cfg(test)]
mod tests;
