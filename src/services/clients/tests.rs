use std::fmt::Write as _;

use ferrymq_proto::bodies::{ConsumeType, SubscriptionData};
use ferrymq_proto::language::Language;

use super::table::{GROUPS_PER_CONNECTION_MAX, SUBSCRIPTION_BYTES_MAX, SUBSCRIPTIONS_PER_GROUP_MAX, Silent};
use super::*;

fn caller(connection: u64, client: &str) -> Caller {
    Caller {
        connection: ConnectionId(connection),
        client: client.into(),
        address: format!("10.0.0.1:{}", 1000 + connection).parse().expect("an address"),
        language: Language::Java,
        version: 479,
    }
}

fn name(group: &str) -> GroupName {
    GroupName::parse(group).expect("a group")
}

/// `topic`, or `topic@version`, or `topic@version:expression`.
fn subscription(text: &str) -> SubscriptionData {
    let (rest, expression) = text.split_once(':').unwrap_or((text, "*"));
    let (topic, version) = rest.split_once('@').unwrap_or((rest, "1"));
    SubscriptionData {
        topic: topic.to_owned(),
        version: version.parse().expect("a version"),
        expression: expression.to_owned(),
        ..SubscriptionData::default()
    }
}

fn statement(topics: &[&str]) -> Statement {
    let subscriptions = Some(topics.iter().map(|topic| subscription(topic)).collect());
    Statement { manner: Manner::default(), subscriptions, fingerprint: 0 }
}

fn dump(table: &Table) -> String {
    let mut text = String::new();
    for (name, group) in table.groups() {
        let members: Vec<_> = group.members().map(|member| member.caller.client.to_string()).collect();
        let topics: Vec<_> = group
            .subscriptions()
            .map(|one| format!("{}@{}:{}", one.data().topic, one.version(), one.data().expression))
            .collect();
        writeln!(text, "{name}: [{}] {}", members.join(" "), topics.join(" ")).expect("text");
    }
    for (name, members) in table.producer_groups() {
        let members: Vec<_> = members.map(|member| member.caller.client.to_string()).collect();
        writeln!(text, "{name}> [{}]", members.join(" ")).expect("text");
    }
    text
}

/// One command a line; what it answers follows `->`, and `dump` shows the table.
fn play(script: &str) -> String {
    let mut table = Table::default();
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().expect("a number");
        let answer = match words.as_slice() {
            ["consume", now, connection, client, group, topics @ ..] => {
                let now = Timestamp(number(now) as i64);
                let heard =
                    table.consume(&caller(number(connection), client), &name(group), statement(topics), now);
                format!("{heard:?}")
            }
            ["again", now, connection, client, group, fingerprint, topics @ ..] => {
                let mut statement = statement(topics);
                statement.fingerprint = number(fingerprint) as i32;
                statement.subscriptions = statement.subscriptions.filter(|_| !topics.is_empty());
                let now = Timestamp(number(now) as i64);
                let heard = table.consume(&caller(number(connection), client), &name(group), statement, now);
                format!("{heard:?}")
            }
            ["produce", now, connection, client, group] => {
                let now = Timestamp(number(now) as i64);
                format!("{:?}", table.produce(&caller(number(connection), client), &name(group), now))
            }
            ["leave", connection, group] => {
                let connection = ConnectionId(number(connection));
                let (consumed, produced) =
                    (table.leave_consumers(connection, group), table.leave_producers(connection, group));
                format!("consumer {consumed}, producer {produced}")
            }
            ["close", connection] => format!("{:?}", table.close(ConnectionId(number(connection)))),
            ["expire", now] => format!("{:?}", table.expire(Timestamp(number(now) as i64), 120_000)),
            ["reach", client] => format!("{:?}", table.reach(client)),
            ["dump"] => dump(&table),
            _ => panic!("no such command: {line}"),
        };
        writeln!(out, "{line} -> {}", answer.trim_end()).expect("text");
    }
    out
}

#[track_caller]
fn check(script: &str, expected: &str) {
    let trimmed = |text: &str| {
        text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(trimmed(&play(script)), trimmed(expected));
}

#[test]
fn members_join_change_and_leave() {
    check(
        "
        consume 0 1 a g t
        consume 1 1 a g t
        consume 2 2 b g t
        consume 3 2 b g t@2:x
        consume 4 1 a g t@1:old
        consume 5 1 a g t u
        consume 6 2 b g t
        dump
        leave 1 g
        leave 1 g
        close 2
        dump
        ",
        "
        consume 0 1 a g t -> Ok(Heard { changed: true, wants_all: false })
        consume 1 1 a g t -> Ok(Heard { changed: false, wants_all: false })
        consume 2 2 b g t -> Ok(Heard { changed: true, wants_all: false })
        consume 3 2 b g t@2:x -> Ok(Heard { changed: false, wants_all: false })
        consume 4 1 a g t@1:old -> Ok(Heard { changed: false, wants_all: false })
        consume 5 1 a g t u -> Ok(Heard { changed: true, wants_all: false })
        consume 6 2 b g t -> Ok(Heard { changed: true, wants_all: false })
        dump -> g: [a b] t@2:x
        leave 1 g -> consumer true, producer false
        leave 1 g -> consumer false, producer false
        close 2 -> {\"g\"}
        dump ->
        ",
    );
}

#[test]
fn one_client_id_over_two_connections_is_two_members() {
    check(
        "
        consume 0 1 same g t
        consume 0 2 same g t
        consume 0 2 other g t
        dump
        ",
        "
        consume 0 1 same g t -> Ok(Heard { changed: true, wants_all: false })
        consume 0 2 same g t -> Ok(Heard { changed: true, wants_all: false })
        consume 0 2 other g t -> Ok(Heard { changed: false, wants_all: false })
        dump -> g: [same other] t@1:*
        ",
    );
}

#[test]
fn subscriptions_that_are_left_out_stay() {
    check(
        "
        again 0 1 a g 7 t
        again 1 1 a g 7
        again 2 1 a g 8
        again 3 2 b g 8 t
        again 4 3 c fresh 9
        dump
        ",
        "
        again 0 1 a g 7 t -> Ok(Heard { changed: true, wants_all: false })
        again 1 1 a g 7 -> Ok(Heard { changed: false, wants_all: false })
        again 2 1 a g 8 -> Ok(Heard { changed: false, wants_all: true })
        again 3 2 b g 8 t -> Ok(Heard { changed: true, wants_all: false })
        again 4 3 c fresh 9 -> Ok(Heard { changed: true, wants_all: true })
        dump -> fresh: [c]
        g: [a b] t@1:*
        ",
    );
}

#[test]
fn the_silent_are_forgotten() {
    check(
        "
        consume 0 1 a g t
        consume 60000 2 b g t
        produce 0 1 a p
        produce 0 3 c p
        produce 100000 3 c p
        expire 120000
        expire 120001
        dump
        expire 300000
        dump
        ",
        "
        consume 0 1 a g t -> Ok(Heard { changed: true, wants_all: false })
        consume 60000 2 b g t -> Ok(Heard { changed: true, wants_all: false })
        produce 0 1 a p -> Ok(())
        produce 0 3 c p -> Ok(())
        produce 100000 3 c p -> Ok(())
        expire 120000 -> Silent { connections: {}, groups: {} }
        expire 120001 -> Silent { connections: {ConnectionId(1)}, groups: {\"g\"} }
        dump -> g: [b] t@1:*
        p> [c]
        expire 300000 -> Silent { connections: {ConnectionId(2), ConnectionId(3)}, groups: {\"g\"} }
        dump ->
        ",
    );
}

/// Whoever takes another's name gets what is sent to that name, as with Apache's broker, but cannot cut the other off.
#[test]
fn a_forged_client_id_takes_nothing_away() {
    check(
        "
        produce 0 1 victim p
        produce 0 2 thief q
        leave 2 p
        reach victim
        produce 0 2 victim p
        reach victim
        close 1
        reach victim
        close 2
        reach victim
        ",
        "
        produce 0 1 victim p -> Ok(())
        produce 0 2 thief q -> Ok(())
        leave 2 p -> consumer false, producer false
        reach victim -> Some(ConnectionId(1))
        produce 0 2 victim p -> Ok(())
        reach victim -> Some(ConnectionId(2))
        close 1 -> {}
        reach victim -> Some(ConnectionId(2))
        close 2 -> {}
        reach victim -> None
        ",
    );
}

#[test]
fn ten_thousand_subscriptions_are_taken_and_more_than_the_limit_are_not() {
    let mut table = Table::default();
    let topics = |count: usize| (0..count).map(|topic| subscription(&format!("t{topic}"))).collect();
    let state = |count| Statement { subscriptions: Some(topics(count)), ..statement(&[]) };
    let heard = table.consume(&caller(1, "a"), &name("g"), state(10_000), Timestamp(0));
    assert_eq!(heard, Ok(Heard { changed: true, wants_all: false }));
    let count = |table: &Table| table.group("g").map(|group| group.subscriptions().len());
    assert_eq!(count(&table), Some(10_000));

    let too_many = SUBSCRIPTIONS_PER_GROUP_MAX + 1;
    let refused = table.consume(&caller(1, "a"), &name("g"), state(too_many), Timestamp(1));
    assert_eq!(refused, Err(TooMuch::Subscriptions(too_many)));
    assert_eq!(count(&table), Some(10_000), "what was there stays");
}

#[test]
fn subscriptions_cannot_fill_the_memory() {
    let mut table = Table::default();
    let long = "x".repeat(8 << 20);
    let state = || {
        let data = SubscriptionData { expression: long.clone(), ..subscription("t") };
        Statement { subscriptions: Some(vec![data]), ..statement(&[]) }
    };
    let groups = SUBSCRIPTION_BYTES_MAX / long.len();
    let taken = (0..=groups)
        .take_while(|group| {
            table.consume(&caller(1, "a"), &name(&format!("g{group}")), state(), Timestamp(0)).is_ok()
        })
        .count();
    assert_eq!(taken, groups - 1, "the texts alone are not all that counts");
    let again = table.consume(&caller(1, "a"), &name("g0"), state(), Timestamp(1));
    assert!(again.is_ok(), "what fits already goes on: {again:?}");
    table.close(ConnectionId(1));
    assert!(table.consume(&caller(2, "b"), &name("g"), state(), Timestamp(2)).is_ok(), "room is given back");
}

#[test]
fn a_connection_has_only_so_many_groups() {
    let mut table = Table::default();
    for group in 0..GROUPS_PER_CONNECTION_MAX {
        assert_eq!(table.produce(&caller(1, "a"), &name(&format!("p{group}")), Timestamp(0)), Ok(()));
    }
    let refused = table.produce(&caller(1, "a"), &name("one-more"), Timestamp(0));
    assert_eq!(refused, Err(TooMuch::GroupsOfConnection));
    assert_eq!(table.produce(&caller(1, "a"), &name("p0"), Timestamp(1)), Ok(()), "old ones go on");
    assert_eq!(table.expire(Timestamp(500_000), 120_000).connections.len(), 1);
    assert_eq!(table.expire(Timestamp(500_000), 120_000), Silent::default());
}

#[test]
fn the_last_speaker_says_how_a_group_consumes() {
    let mut table = Table::default();
    let manner = |consume_type| Manner { consume_type, ..Manner::default() };
    for (connection, consume_type) in [(1, ConsumeType::Passively), (2, ConsumeType::Actively)] {
        let statement = Statement { manner: manner(consume_type), ..statement(&["t"]) };
        table.consume(&caller(connection, "a"), &name("g"), statement, Timestamp(0)).expect("room");
        assert_eq!(table.group("g").map(ConsumerGroup::manner), Some(manner(consume_type)));
    }
}

#[test]
fn filters_are_compiled_from_the_text() {
    let tags = Subscription::new(subscription("t@1:a || b"));
    assert!(tags.filter().is_ok_and(|filter| !matches!(&*filter, ferrymq_proto::filter::Filter::Sql(_))));
    let bomb = SubscriptionData {
        expression_type: "SQL92".to_owned(),
        expression: "(".repeat(1 << 20),
        ..subscription("t")
    };
    let bomb = Subscription::new(bomb);
    assert!(bomb.filter().is_err());
    assert_eq!(bomb.filter(), bomb.filter(), "and the error stays");
}
