//! Random commands: through their bytes, applied twice, and with a checkpoint in the middle.

use std::collections::BTreeMap;

use ferrymq_proto::bodies::{
    CustomizedRetryPolicy, ExponentialRetryPolicy, GroupRetryPolicy, GroupSubscriptionRule, RetryPolicyKind,
    TopicFilter,
};
use proptest::prelude::*;

use super::*;

fn topic_name() -> impl Strategy<Value = TopicName> {
    prop::sample::select(vec!["a", "b", "orders", "%RETRY%g", "x.y@z"])
        .prop_map(|name| TopicName::parse(name).unwrap())
}

fn group_name() -> impl Strategy<Value = GroupName> {
    prop::sample::select(vec!["g", "h", "billing"]).prop_map(|name| GroupName::parse(name).unwrap())
}

fn stamp() -> impl Strategy<Value = Stamp> {
    (any::<i64>(), 0..5_i64).prop_map(|(at, term)| Stamp { at: Timestamp(at), term })
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "k", "日本", "a=b\n", "+x"]).prop_map(str::to_owned)
}

fn attributes() -> impl Strategy<Value = BTreeMap<String, String>> {
    prop::collection::btree_map(text(), text(), 0..3)
}

fn topic() -> impl Strategy<Value = Topic> {
    let numbers = (any::<i32>(), -1..20_i32, 0..8_i32, any::<i32>());
    (topic_name(), numbers, any::<(bool, bool)>(), attributes()).prop_map(
        |(name, numbers, (order, multi), attributes)| {
            let config = TopicConfig {
                attributes,
                order,
                read_queue_nums: numbers.0,
                write_queue_nums: numbers.1,
                perm: numbers.2,
                topic_sys_flag: numbers.3,
                topic_filter_type: if multi { TopicFilter::MultiTag } else { TopicFilter::SingleTag },
                topic_name: String::new(),
            };
            Topic::new(name, config)
        },
    )
}

fn group() -> impl Strategy<Value = Group> {
    let rule =
        (text(), text(), text(), any::<i64>()).prop_map(|(expression, expression_type, topic, version)| {
            GroupSubscriptionRule { expression, expression_type, topic, version }
        });
    let subscriptions = prop::option::of(prop::collection::vec(rule, 0..3));
    let customized = prop::option::of(prop::collection::vec(any::<i64>(), 0..4));
    let exponential = prop::option::of(any::<(i64, i64, i64)>());
    let policy =
        (any::<bool>(), customized, exponential).prop_map(|(kind, customized, exponential)| {
            GroupRetryPolicy {
                customized: customized.map(|next_millis| CustomizedRetryPolicy { next_millis }),
                exponential: exponential.map(|(initial_millis, max_millis, multiplier)| {
                    ExponentialRetryPolicy { initial_millis, max_millis, multiplier }
                }),
                kind: if kind { RetryPolicyKind::Exponential } else { RetryPolicyKind::Customized },
            }
        });
    let numbers = any::<(i64, i32, i32, i32, i32, i64)>();
    let switches = any::<[bool; 5]>();
    (group_name(), attributes(), numbers, switches, policy, subscriptions).prop_map(
        |(name, attributes, numbers, switches, group_retry_policy, subscriptions)| {
            let config = GroupConfig {
                attributes,
                broker_id: numbers.0,
                consume_broadcast_enable: switches[0],
                consume_enable: switches[1],
                consume_from_min_enable: switches[2],
                consume_message_orderly: switches[3],
                consume_timeout_minutes: numbers.1,
                group_name: String::new(),
                group_retry_policy,
                group_sys_flag: numbers.2,
                notify_consumer_ids_changed_enable: switches[4],
                retry_max_times: numbers.3,
                retry_queue_nums: numbers.4,
                subscriptions,
                which_broker_when_consume_slowly: numbers.5,
            };
            Group::new(name, config)
        },
    )
}

fn offset_changes() -> impl Strategy<Value = Vec<OffsetChange>> {
    let line = (-1..4_i32, -1..50_i64)
        .prop_map(|(queue, next)| QueueLine { queue: QueueId(queue), next: QueueOffset(next) });
    let change = (group_name(), topic_name(), prop::collection::vec(line, 0..4))
        .prop_map(|(group, topic, queues)| OffsetChange { group, topic, queues });
    prop::collection::vec(change, 0..4)
}

fn topic_command() -> BoxedStrategy<Command> {
    let topics = || (prop::collection::vec(topic(), 0..3), stamp());
    let names = (prop::collection::vec(topic_name(), 0..3), any::<bool>(), stamp());
    prop_oneof![
        topics().prop_map(|(topics, stamp)| Command::CreateTopics { topics, stamp }),
        topics().prop_map(|(topics, stamp)| Command::PutTopics { topics, stamp }),
        names.prop_map(|(topics, offsets, stamp)| Command::DeleteTopics { topics, offsets, stamp }),
    ]
    .boxed()
}

fn group_command() -> BoxedStrategy<Command> {
    let groups = || (prop::collection::vec(group(), 0..3), stamp());
    let names = (prop::collection::vec(group_name(), 0..3), any::<bool>(), stamp());
    prop_oneof![
        groups().prop_map(|(groups, stamp)| Command::CreateGroups { groups, stamp }),
        groups().prop_map(|(groups, stamp)| Command::PutGroups { groups, stamp }),
        names.prop_map(|(groups, offsets, stamp)| Command::DeleteGroups { groups, offsets, stamp }),
        (group_name(), topic_name(), -1..3_i32, stamp())
            .prop_map(|(group, topic, bits, stamp)| Command::Forbid { group, topic, bits, stamp }),
    ]
    .boxed()
}

fn offset_command() -> BoxedStrategy<Command> {
    let changes = || (offset_changes(), stamp());
    prop_oneof![
        changes().prop_map(|(changes, stamp)| Command::CommitOffsets { changes, stamp }),
        changes().prop_map(|(changes, stamp)| Command::ResetOffsets { changes, stamp }),
        (group_name(), topic_name(), prop::collection::vec((-1..4_i32).prop_map(QueueId), 0..3))
            .prop_map(|(group, topic, queues)| Command::ForgetResets { group, topic, queues }),
        (group_name(), group_name(), prop::collection::vec(topic_name(), 0..3), stamp())
            .prop_map(|(from, to, topics, stamp)| Command::CloneOffsets { from, to, topics, stamp }),
        (prop::option::of(group_name()), prop::option::of(topic_name()), stamp())
            .prop_map(|(group, topic, stamp)| Command::RemoveOffsets { group, topic, stamp }),
    ]
    .boxed()
}

fn other_command() -> BoxedStrategy<Command> {
    let client = || prop::sample::select(vec!["c1", "c2", ""]).prop_map(ClientId::from);
    let queue =
        || (topic_name(), 0..2_i32).prop_map(|(topic, queue)| TopicQueue { topic, queue: QueueId(queue) });
    let grant = (queue(), prop::option::of((0..20_u64).prop_map(GrantNumber)))
        .prop_map(|(queue, ends)| LockGrant { queue, ends });
    let delay = (1..4_i32, 0..9_i64).prop_map(|(level, next)| (DelayLevel(level), QueueOffset(next)));
    let value = prop_oneof![
        any::<i64>().prop_map(Register::Number),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Register::Bytes)
    ];
    let register = (text().prop_map(Arc::from), prop::option::of(value));
    prop_oneof![
        (group_name(), client(), any::<i64>().prop_map(Timestamp), prop::collection::vec(grant, 0..3))
            .prop_map(|(group, client, at, grants)| Command::GrantLocks { group, client, at, grants }),
        (group_name(), prop::collection::vec((queue(), (0..20_u64).prop_map(GrantNumber)), 0..3))
            .prop_map(|(group, queues)| Command::ReleaseLocks { group, queues }),
        (prop::collection::vec(delay, 0..3), prop::collection::vec(register, 0..3))
            .prop_map(|(delay, registers)| Command::Advance { delay, registers }),
        (text(), text(), prop::option::of(text())).prop_map(|(namespace, key, value)| Command::Configure {
            namespace: namespace.into(),
            key: key.into(),
            value: value.map(Arc::from),
        }),
    ]
    .boxed()
}

pub(in crate::state) fn command() -> impl Strategy<Value = Command> {
    let single = || prop_oneof![topic_command(), group_command(), offset_command(), other_command()];
    prop_oneof![9 => single(), 1 => prop::collection::vec(single(), 0..4).prop_map(Command::Together)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_command_survives_its_bytes(command in command()) {
        prop_assert_eq!(Command::decode(&command.encode()).unwrap(), command);
    }

    #[test]
    fn the_same_commands_give_the_same_tables(
        commands in prop::collection::vec(command(), 0..60),
        middle in any::<prop::sample::Index>(),
    ) {
        let bytes: Vec<_> = commands.iter().map(Command::encode).collect();
        let mut one = Tables::default();
        let replies: Vec<_> = commands.into_iter().map(|command| one.apply(command)).collect();

        let mut other = Tables::default();
        let middle = middle.index(bytes.len() + 1);
        for (at, command) in bytes.iter().enumerate() {
            if at == middle {
                other = Tables::restore(&other.checkpoint()).unwrap();
            }
            prop_assert_eq!(&other.apply(Command::decode(command).unwrap()), &replies[at]);
        }
        prop_assert_eq!(one.dump(), other.dump());
        prop_assert_eq!(one.checkpoint(), other.checkpoint());
    }

    /// Damage is an error or another command, never a panic.
    #[test]
    fn any_bytes_can_be_decoded(command in command(), at in any::<prop::sample::Index>(), with in any::<u8>()) {
        let mut bytes = command.encode();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            let _ = Command::decode(&bytes[..at]);
            bytes[at] = with;
            let _ = Command::decode(&bytes).map(|command| Tables::default().apply(command));
        }
        let _ = Tables::restore(&bytes);
    }
}

/// Offsets against a plain map.
#[derive(Default)]
struct Model {
    committed: BTreeMap<(GroupName, TopicName, QueueId), QueueOffset>,
    resets: BTreeMap<(GroupName, TopicName, QueueId), QueueOffset>,
}

impl Model {
    fn apply(&mut self, command: &Command) {
        match command {
            Command::CommitOffsets { changes, .. } => {
                for (key, next) in keys(changes) {
                    if !self.resets.contains_key(&key) {
                        self.committed.insert(key, next);
                    }
                }
            }
            Command::ResetOffsets { changes, .. } => {
                for (key, next) in keys(changes) {
                    self.committed.insert(key.clone(), next);
                    self.resets.insert(key, next);
                }
            }
            Command::ForgetResets { group, topic, queues } => {
                for queue in queues {
                    self.resets.remove(&(group.clone(), topic.clone(), *queue));
                }
            }
            Command::CloneOffsets { from, to, topics, .. } => {
                topics.iter().for_each(|topic| self.copy(from, to, topic));
            }
            Command::RemoveOffsets { group: None, topic: None, .. } => {}
            Command::RemoveOffsets { group, topic, .. } => {
                for table in [&mut self.committed, &mut self.resets] {
                    table.retain(|key, _| {
                        group.as_ref().is_some_and(|group| *group != key.0)
                            || topic.as_ref().is_some_and(|topic| *topic != key.1)
                    });
                }
            }
            other => panic!("no command of offsets: {other:?}"),
        }
    }

    fn copy(&mut self, from: &GroupName, to: &GroupName, topic: &TopicName) {
        let source: Vec<_> = self
            .committed
            .iter()
            .filter(|((group, of, _), _)| group == from && of == topic)
            .map(|((_, _, queue), next)| (*queue, *next))
            .collect();
        if source.is_empty() {
            return;
        }
        for table in [&mut self.committed, &mut self.resets] {
            table.retain(|(group, of, _), _| !(group == to && of == topic));
        }
        for (queue, next) in source {
            self.committed.insert((to.clone(), topic.clone(), queue), next);
        }
    }
}

fn keys(changes: &[OffsetChange]) -> impl Iterator<Item = ((GroupName, TopicName, QueueId), QueueOffset)> {
    changes.iter().flat_map(|change| {
        let key = |line: &QueueLine| ((change.group.clone(), change.topic.clone(), line.queue), line.next);
        change.queues.iter().map(key)
    })
}

fn flat<'a>(
    entries: impl Iterator<Item = (&'a GroupName, &'a TopicName, &'a [QueueLine])>,
) -> BTreeMap<(GroupName, TopicName, QueueId), QueueOffset> {
    entries
        .flat_map(|(group, topic, lines)| {
            lines.iter().map(move |line| ((group.clone(), topic.clone(), line.queue), line.next))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn offsets_are_those_of_the_model(commands in prop::collection::vec(offset_command(), 0..60)) {
        let (mut tables, mut model) = (Tables::default(), Model::default());
        for command in commands {
            model.apply(&command);
            tables.apply(command);
            prop_assert_eq!(flat(tables.offsets().iter()), model.committed.clone());
            prop_assert_eq!(flat(tables.offsets().resets()), model.resets.clone());
        }
    }
}

/// A field with this tag and the value 1.
fn field(tag: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::uint64::encode(tag, &1, &mut bytes);
    bytes
}

#[test]
fn what_is_unknown_is_an_error() {
    let error = |bytes: &[u8]| Command::decode(bytes).unwrap_err().to_string();
    assert_eq!(error(&[]), "it holds nothing");
    assert_eq!(error(&field(99)), "it is a command of kind 99, which this version does not know");

    let command = Command::Configure { namespace: "n".into(), key: "k".into(), value: None };
    assert_eq!(
        error(&[command.encode(), field(99)].concat()),
        "it has a member that this version does not know"
    );
    let nested = Command::Together(vec![Command::Together(vec![command])]);
    assert_eq!(error(&nested.encode()), "it is a group of commands within another");

    let checkpoint = Tables::default().checkpoint();
    let error = |bytes: &[u8]| Tables::restore(bytes).unwrap_err().to_string();
    assert_eq!(error(&[checkpoint, field(99)].concat()), "it has a member that this version does not know");
    assert_eq!(error(&[]), "it is a checkpoint of format 0, and this version reads 1");
}
