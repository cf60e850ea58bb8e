//! Many topics, groups and queues, to see that nothing grows faster than they do.

use super::*;

const TOPICS: usize = 500;
const QUEUES: i32 = 100;
const GROUPS: usize = 2_000;

fn topic(number: usize) -> TopicName {
    TopicName::parse(&format!("topic-{number}")).unwrap()
}

fn group(number: usize) -> GroupName {
    GroupName::parse(&format!("group-{number}")).unwrap()
}

/// 50,000 queues, each consumed by four of 2,000 groups.
#[test]
fn fifty_thousand_queues_and_two_thousand_groups() {
    let stamp = Stamp::default();
    let mut tables = Tables::default();
    let topics = (0..TOPICS).map(|number| Topic::of_queues(topic(number), QUEUES, 6)).collect();
    let groups = (0..GROUPS).map(|number| Group::new(group(number), GroupConfig::default())).collect();
    tables.apply(Command::PutTopics { topics, stamp });
    tables.apply(Command::PutGroups { groups, stamp });

    let queues: Vec<_> =
        (0..QUEUES).map(|queue| QueueLine { queue: QueueId(queue), next: QueueOffset(7) }).collect();
    let change =
        |number| OffsetChange { group: group(number), topic: topic(number % TOPICS), queues: queues.clone() };
    let commit = Command::CommitOffsets { changes: (0..GROUPS).map(change).collect(), stamp };
    tables.apply(Command::decode(&commit.encode()).unwrap());

    let offsets = tables.offsets();
    assert_eq!(offsets.find("group-1999", "topic-499", QueueId(99)), Some(QueueOffset(7)));
    assert_eq!(offsets.iter().map(|(_, _, lines)| lines.len()).sum::<usize>(), GROUPS * QUEUES as usize);
    assert_eq!(offsets.groups_of("topic-3").count(), GROUPS / TOPICS);

    let checkpoint = tables.checkpoint();
    assert!(checkpoint.len() < 4 << 20, "a checkpoint has {} bytes", checkpoint.len());
    assert_eq!(Tables::restore(&checkpoint).unwrap(), tables);
}
