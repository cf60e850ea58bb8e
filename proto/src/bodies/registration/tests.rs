use super::*;
use crate::position::{QueueId, Timestamp};

/// What Java 5.5.0 writes for [`sample`].
const JAVA: &str = "78da554fb16ac3301055bb67ed2cde5ad58d1293a4da329410680b25a64b294256aea9a96d19491e82f1bf57ce5272c783e3\
    ddbdbb778cb1cd00ebfa3692875a0b8468227d900f956ba19602b16a28914d0725d7f3ff181963b7098f85eb2abbe539dff0\
    153fecdf762fcfbad8eef880fba40ce644593c770405c34b4cb2bb62c165caebf1a933fb84cc16d932cb95c457226e12dc80\
    b235cdb4a1f4ee97fc838180edbddf1f5f4df235cc951c058e958f67a86f530712a0ced91fa8a7f4927597f35a9f6a579a5a\
    eb248f93eb441e2e7534f57b4f3d05a87cfc0362134d44";

fn java() -> Vec<u8> {
    (0..JAVA.len()).step_by(2).map(|at| u8::from_str_radix(&JAVA[at..at + 2], 16).unwrap()).collect()
}

fn topic(name: &str, read: i32, write: i32) -> (String, TopicConfig) {
    let read_write = TopicConfig {
        topic_name: name.to_owned(),
        read_queue_nums: read,
        write_queue_nums: write,
        ..Default::default()
    };
    (name.to_owned(), read_write)
}

fn sample() -> Registration {
    let mut topics = TopicTable {
        data_version: DataVersion { counter: 7, state_version: 3, timestamp: Timestamp(1_700_000_000_000) },
        topic_config_table: BTreeMap::from([topic("TopicA", 4, 8), topic("T2", 1, 1)]),
        ..TopicTable::default()
    };
    let attributes = &mut topics.topic_config_table.get_mut("TopicA").unwrap().attributes;
    attributes.insert("+message.type".to_owned(), "a b".to_owned());
    let mapping = QueueMappingInfo {
        broker_name: Some("broker-a".to_owned()),
        current_ids: BTreeMap::from([(QueueId(0), QueueId(1))]),
        epoch: 9,
        topic: Some("S".to_owned()),
        total_queues: 4,
        ..QueueMappingInfo::default()
    };
    topics.topic_queue_mapping_info_map.insert("S".to_owned(), mapping);
    Registration { filter_server_list: vec!["1.2.3.4:1".to_owned()], topics }
}

fn deflated(parts: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(parts).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn javas_compressed_form_is_read() {
    assert_eq!(Registration::decode(&java(), true, version::V5_0_0).unwrap(), sample());
    let mut without_mappings = sample();
    without_mappings.topics.topic_queue_mapping_info_map.clear();
    assert_eq!(Registration::decode(&java(), true, version::V4_9_4).unwrap(), without_mappings);
}

#[test]
fn what_is_deflated_inflates_but_loses_two_flags() {
    let mut registration = sample();
    assert_eq!(Registration::inflate(&registration.deflate().unwrap(), version::OURS).unwrap(), registration);
    let topic = registration.topics.topic_config_table.get_mut("TopicA").unwrap();
    (topic.order, topic.topic_sys_flag) = (true, 1);
    assert_eq!(Registration::inflate(&registration.deflate().unwrap(), version::OURS).unwrap(), sample());
}

#[test]
fn the_form_follows_the_version() {
    let table = br#"{"dataVersion":{"counter":7},"topicConfigTable":{"T":{"topicName":"T"}}}"#;
    let old = Registration::decode(table, false, version::V3_0_11 - 1).unwrap();
    assert_eq!((old.topics.data_version.counter, old.topics.topic_config_table.len()), (7, 1));
    let new = Registration::decode(br#"{"filterServerList":["a"]}"#, false, version::V3_0_11).unwrap();
    assert_eq!((new.filter_server_list.len(), new.topics), (1, TopicTable::default()));
    assert_eq!(Registration::decode(b"", true, 0).unwrap(), Registration::default());
}

#[test]
fn lines_are_read_as_java_reads_them() {
    let attributes = |line: &str| TopicConfig::parse_line(line).map(|topic| topic.attributes.len());
    let cases = [
        ("a 1 2 6 SINGLE_TAG", Some(0)),
        ("a 1 2 6 SINGLE_TAG ", Some(0)),
        ("a 1 2 6 SINGLE_TAG null", Some(0)),
        ("a 1 2 6 SINGLE_TAG {broken", Some(0)),
        ("a 1 2 6 SINGLE_TAG {\"a\":\"b\"} x y", Some(1)),
        ("a 1 2 6 BAD_TAG", None),
        ("a x 2 6 SINGLE_TAG", None),
        ("a 1 2", None),
        ("", None),
    ];
    for (line, expected) in cases {
        assert_eq!(attributes(line), expected, "{line}");
    }
}

#[test]
fn a_bomb_does_not_go_off() {
    let bomb = deflated(&vec![b'0'; 1 << 20]);
    assert!(bomb.len() * INFLATION_MAX < 1 << 20, "a bomb of {} bytes", bomb.len());
    let limit = bomb.len() * INFLATION_MAX;
    assert!(
        matches!(Registration::inflate(&bomb, 0), Err(RegistrationError::TooLarge(found)) if found == limit)
    );
}

#[test]
fn damage_is_named() {
    let error =
        |parts: &[u8]| Registration::inflate(&deflated(parts), version::OURS).unwrap_err().to_string();
    assert_eq!(error(b"\0\0"), "the data version is cut off");
    assert_eq!(error(b"\xff\xff\xff\xff{}"), "the data version is cut off");
    assert_eq!(error(b"\0\0\0\x02{}"), "the count of topics is cut off");
    assert_eq!(error(b"\0\0\0\x02{}\x7f\xff\xff\xff"), "a topic is cut off");
    assert_eq!(error(b"\0\0\0\x02{}\0\0\0\x01\0\0\0\x01T"), "a topic's line is no topic: \"T\"");
    assert_eq!(error(b"\0\0\0\x02{}\0\0\0\0\0\0\0\x01?"), "the count of mappings is cut off");
    assert!(matches!(Registration::inflate(b"plain", 0), Err(RegistrationError::Deflate(_))));
}

proptest::proptest! {
    #[test]
    fn no_bytes_break_the_reader(bytes: Vec<u8>, version in 0..500) {
        let _ = Registration::decode(&bytes, true, version);
        let _ = Registration::inflate(&deflated(&bytes), version);
    }
}
