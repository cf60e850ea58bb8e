//! Every body against what Java writes for it; a body that has no recording fails.

use std::collections::BTreeMap;
use std::fmt::Debug;

use super::*;
use crate::json::Dialect;
use crate::position::QueueId;

/// Of 4.9, whose classes 5.5 no longer has.
const NOT_RECORDED: [&str; 2] = ["PlainAcls", "PlainAccount"];

/// Our own, which Java does not know.
const OURS: [&str; 2] = ["RaftStatus", "RaftMember"];

/// Java writes members that are not ours.
const WRITTEN_SHORTER: [&str; 2] = ["ConsumeTimeSpans", "QueueTimeSpan"];

/// By body: what Java writes, full first.
fn recordings() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut recordings: BTreeMap<_, Vec<_>> = BTreeMap::new();
    let mut name = "";
    for line in include_str!("java-5.5.0.txt").lines().filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("  ") {
            Some(json) => recordings.entry(name).or_default().push(json),
            None => name = line,
        }
    }
    recordings
}

fn name_of<B>() -> &'static str {
    std::any::type_name::<B>().rsplit("::").next().unwrap()
}

fn read<B: FromJson>(text: &str) -> B {
    json::from_str(text).unwrap_or_else(|error| panic!("{} {text}: {error}", name_of::<B>()))
}

/// The same value as another writer may put it: bare keys, white space, members that are unknown or null.
fn loosened(text: &str) -> String {
    let mut parts = text.split('"').peekable();
    let mut loose = String::new();
    let mut quoted = false;
    while let Some(part) = parts.next() {
        let is_key = quoted && parts.peek().is_some_and(|next| next.starts_with(':'));
        match (quoted, is_key) {
            (false, _) => loose.push_str(&part.replace(',', " ,\n").replace(':', " : ")),
            (true, true) => loose.push_str(part),
            (true, false) => loose.push_str(&format!("'{part}'")),
        }
        quoted = !quoted;
    }
    loose.replacen('{', "{unknown:[{1:{'a':null}}],'gone':null,\"$ref\":\"$.x\",", 1)
}

struct Recorded(BTreeMap<&'static str, Vec<&'static str>>);

impl Visitor for Recorded {
    fn visit<B: FromJson + ToJson + Default + Clone + PartialEq + Debug>(
        &mut self,
        keys: &'static [&'static str],
    ) {
        let name = name_of::<B>();
        let Some(recordings) = self.0.remove(name) else {
            assert!(NOT_RECORDED.contains(&name) || OURS.contains(&name), "{name} has no recording");
            let blank = B::default();
            assert_eq!(read::<B>(&json::to_string(&blank, Dialect::Fastjson)), blank, "{name}");
            return;
        };
        let full: B = read(recordings[0]);
        let written = json::to_string(&full, Dialect::Fastjson);
        assert_eq!(read::<B>(&written), full, "{name}");
        if !WRITTEN_SHORTER.contains(&name) {
            assert_eq!(written, recordings[0], "{name}");
        }
        assert_eq!(read::<B>(&json::to_string(&full, Dialect::Standard)), full, "{name}");
        assert_eq!(read::<B>(&loosened(recordings[0])), full, "{name}");
        for key in keys.iter().filter(|key| !["activated"].contains(key)) {
            assert!(recordings[0].contains(&format!("\"{key}\":")), "{name} has {key}, which Java has not");
        }
        if let Some(new) = recordings.get(1) {
            assert_eq!(read::<B>(new), B::default(), "{name}");
        }
    }
}

#[test]
fn bodies_are_read_and_written_as_java_does() {
    let mut recorded = Recorded(recordings());
    for_each(&mut recorded);
    assert!(recorded.0.is_empty(), "recorded for nothing: {:?}", recorded.0.keys());
}

struct Shapes;

impl Visitor for Shapes {
    fn visit<B: FromJson + ToJson + Default + Clone + PartialEq + Debug>(
        &mut self,
        keys: &'static [&'static str],
    ) {
        let name = name_of::<B>();
        assert!(keys.is_sorted_by(|one, next| one < next), "{name}: {keys:?}");
        assert_eq!(read::<B>("{}"), B::default(), "{name}");
        for key in keys {
            assert_eq!(read::<B>(&format!("{{\"{key}\":null}}")), B::default(), "{name}");
        }
        assert_eq!(read::<B>(&json::to_string(&B::default(), Dialect::Fastjson)), B::default(), "{name}");
    }
}

#[test]
fn members_are_in_order_and_may_be_missing_or_null() {
    for_each(&mut Shapes);
}

#[test]
fn old_and_long_names_are_read() {
    assert_eq!(read::<QueueData>("{topicSynFlag:3}").topic_sys_flag, 3);
    let long = r#"{"bitSet":"AQ==","consumerGroup":"g","invisibleTime":1,"popTime":2,"queueId":3,"retry":"0",
        "reviveQueueId":4,"startOffset":5,"topic":"t"}"#;
    let short = r#"{"b":"AQ==","c":"g","it":1,"pt":2,"q":3,"r":"0","rq":4,"so":5,"t":"t"}"#;
    assert_eq!(read::<Ack>(long), read::<Ack>(short));
    assert_eq!(json::to_string(&read::<Ack>(long), Dialect::Fastjson), short);
}

#[test]
fn words_are_read_in_any_case_by_number_and_unknown() {
    let cases = [
        ("'BROADCASTING'", MessageModel::Broadcasting),
        ("'broadcasting'", MessageModel::Broadcasting),
        ("0", MessageModel::Broadcasting),
        ("1", MessageModel::Clustering),
        ("7", MessageModel::Clustering),
        ("-1", MessageModel::Clustering),
        ("'NONSENSE'", MessageModel::Clustering),
    ];
    for (text, expected) in cases {
        assert_eq!(read::<MessageModel>(text), expected, "{text}");
    }
}

#[test]
fn a_queue_is_a_key_in_any_order_but_no_text() {
    let offsets: QueueOffsets = read("{offsetTable:{ {topic:'t',queueId:7,brokerName:'b',x:1} : 5 , }}");
    let queue = MessageQueue { broker_name: "b".to_owned(), queue_id: QueueId(7), topic: "t".to_owned() };
    assert_eq!(offsets.offset_table.get(&queue).map(|offset| offset.0), Some(5));
    assert!(json::from_str::<QueueOffsets>("{offsetTable:{'b':5}}").is_err());
}

/// As Go and C++ send them.
#[test]
fn heartbeats_of_other_clients_are_read() {
    let cpp = r#"{"clientID":"1@2","consumerDataSet":[{"consumeFromWhere":0,"consumeType":1,"groupName":"g","messageModel":1,
        "subscriptionDataSet":[{"codeSet":["97"],"subString":"a","subVersion":"5","tagsSet":["a"],"topic":"T"}]}],
        "producerDataSet":[{"groupName":"p"}]}"#;
    let heartbeat: HeartbeatData = read(cpp);
    let consumer = &heartbeat.consumers[0];
    assert_eq!(
        (consumer.consume_type, consumer.message_model),
        (ConsumeType::Passively, MessageModel::Clustering)
    );
    let subscription = &consumer.subscriptions[0];
    assert_eq!((subscription.codes.contains(&97), subscription.version), (true, 5));
    assert_eq!(subscription.expression_type, "TAG");
}

#[test]
fn bytes_are_tried_as_every_body() {
    assert_eq!(decode_any(b"nothing of ours"), 0);
    let mut count = Count(0);
    for_each(&mut count);
    assert_eq!(decode_any(b"{}"), count.0);
    assert!(decode_any(&Registration::default().deflate().unwrap()) >= 1);
    assert_eq!(decode_any(&TimerCheckpoint::default().encode()), 1);
}

struct Count(usize);

impl Visitor for Count {
    fn visit<B>(&mut self, _keys: &'static [&'static str]) {
        self.0 += 1;
    }
}

proptest::proptest! {
    /// A recording with a few characters put in the place of others.
    #[test]
    fn no_text_breaks_a_body(
        line in 0..500_usize,
        changes in proptest::collection::vec((0..400_usize, r#"[\PC"\\{}\[\]:,0-9]{0,2}"#), 1..4),
    ) {
        let recordings: Vec<_> = recordings().into_values().flatten().collect();
        let mut text: Vec<char> = recordings[line % recordings.len()].chars().collect();
        for (at, change) in changes {
            let at = at % text.len();
            text.splice(at..=at, change.chars());
            text.push('}');
        }
        decode_any(String::from_iter(text).as_bytes());
    }
}
