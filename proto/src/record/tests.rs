use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::name::TopicName;
use crate::position::{LogOffset, QueueId, QueueOffset, Timestamp};

const BODY_BYTES_MAX: usize = 4_194_304;

/// Fields set apart, so that no two can be mistaken for each other.
fn message() -> NewRecord {
    NewRecord {
        topic: TopicName::parse("orders").expect("a topic"),
        queue_id: QueueId(3),
        flag: 0x0102_0304,
        sys_flag: SysFlag(0x308),
        born_timestamp: Timestamp(1_700_000_000_123),
        born_host: SocketAddr::from(([10, 1, 2, 3], 54321)),
        store_host: SocketAddr::from(([127, 0, 0, 1], 10911)),
        reconsume_times: 2,
        prepared_offset: LogOffset(0x3132_3334_3536_3738),
        properties: Bytes::from_static(b"TAGS\x01TagA\x02KEYS\x01k1 k2\x02"),
        body: Bytes::from_static(b"hello"),
    }
}

/// The same of a group with a long name, between hosts with IPv6.
fn long_message() -> NewRecord {
    let address = |last| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, last], 0));
    let with_port = |mut host: SocketAddr, port| {
        host.set_port(port);
        host
    };
    NewRecord {
        topic: TopicName::parse(&format!("%RETRY%{}", "g".repeat(121))).expect("a topic"),
        born_host: with_port(address(1), 54321),
        store_host: with_port(address(2), 10911),
        ..message()
    }
}

fn encoded(message: &NewRecord) -> Vec<u8> {
    let mut out = BytesMut::new();
    let size = message.encode(BODY_BYTES_MAX, &mut out).expect("a message that fits");
    assert_eq!(size, out.len());
    out.to_vec()
}

fn stamped(message: &NewRecord) -> Vec<u8> {
    let mut bytes = encoded(message);
    let queue_offset = QueueOffset(0x1112_1314_1516_1718);
    let log_offset = LogOffset(0x2122_2324_2526_2728);
    stamp(&mut bytes, queue_offset, log_offset, Timestamp(1_700_000_000_456)).expect("a record");
    bytes
}

/// What `MessageDecoder.encode` of Apache RocketMQ 5.5.0 makes of [`message`].
#[rustfmt::skip]
const GOLDEN_V1: &[&[u8]] = &[
    &[0, 0, 0, 123],                                        // size: 91 + 5 + 6 + 21
    &[0xDA, 0xA3, 0x20, 0xA7],                              // magic
    &[0x36, 0x10, 0xA6, 0x86],                              // CRC-32 of "hello"
    &[0, 0, 0, 3],                                          // queue id
    &[0x01, 0x02, 0x03, 0x04],                              // flag
    &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18],      // queue offset
    &[0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28],      // log offset
    &[0, 0, 0x03, 0x08],                                    // system flag
    &[0, 0, 0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x7B],            // born timestamp
    &[10, 1, 2, 3], &[0, 0, 0xD4, 0x31],                    // born host
    &[0, 0, 0x01, 0x8B, 0xCF, 0xE5, 0x69, 0xC8],            // store timestamp
    &[127, 0, 0, 1], &[0, 0, 0x2A, 0x9F],                   // store host
    &[0, 0, 0, 2],                                          // reconsume times
    &[0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38],      // prepared offset
    &[0, 0, 0, 5], b"hello",
    &[6], b"orders",
    &[0, 21], b"TAGS\x01TagA\x02KEYS\x01k1 k2\x02",
];

/// What `MessageExtEncoder.encode` of Apache RocketMQ 5.5.0 makes of [`long_message`], but for its log offset.
#[rustfmt::skip]
const GOLDEN_V2: &[&[u8]] = &[
    &[0, 0, 0x01, 0x0E],                                    // size: 92 + 2 × 12 + 5 + 128 + 21
    &[0xDA, 0xA3, 0x20, 0xAB],
    &[0x36, 0x10, 0xA6, 0x86],
    &[0, 0, 0, 3],
    &[0x01, 0x02, 0x03, 0x04],
    &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18],
    &[0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28],
    &[0, 0, 0x03, 0x38],
    &[0, 0, 0x01, 0x8B, 0xCF, 0xE5, 0x68, 0x7B],
    &[0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[0, 0, 0xD4, 0x31],
    &[0, 0, 0x01, 0x8B, 0xCF, 0xE5, 0x69, 0xC8],
    &[0x20, 0x01, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], &[0, 0, 0x2A, 0x9F],
    &[0, 0, 0, 2],
    &[0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38],
    &[0, 0, 0, 5], b"hello",
    &[0, 128], b"%RETRY%", &[b'g'; 121],
    &[0, 21], b"TAGS\x01TagA\x02KEYS\x01k1 k2\x02",
];

#[test]
fn records_are_apaches() {
    assert_eq!(stamped(&message()), GOLDEN_V1.concat());
    assert_eq!(stamped(&long_message()), GOLDEN_V2.concat());
}

#[test]
fn all_fields_are_read() {
    for (message, version) in [(message(), Version::V1), (long_message(), Version::V2)] {
        let bytes = stamped(&message);
        let (record, size) = Record::decode(&bytes).expect("a record");
        assert_eq!(size, bytes.len());
        assert_eq!(record.version, version);
        assert_eq!(record.body_crc, 0x3610_A686);
        assert_eq!(record.queue_offset, QueueOffset(0x1112_1314_1516_1718));
        assert_eq!(record.log_offset, LogOffset(0x2122_2324_2526_2728));
        assert_eq!(record.store_timestamp, Timestamp(1_700_000_000_456));
        assert_eq!(record.sys_flag.transaction(), TransactionState::Committed);
        assert_eq!(record.properties.get(property::TAGS).as_deref(), Some("TagA"));
        assert_same_message(&record, &message);
    }
    let bytes = stamped(&message());
    let (record, _) = Record::decode(&bytes).expect("a record");
    assert_eq!(record.message_id().to_string(), "7F00000100002A9F2122232425262728");
}

fn assert_same_message(record: &Record<'_>, message: &NewRecord) {
    let hosts = SysFlag::BORN_HOST_V6 | SysFlag::STORE_HOST_V6;
    assert_eq!(record.topic, message.topic.as_str());
    assert_eq!(record.queue_id, message.queue_id);
    assert_eq!(record.flag, message.flag);
    assert_eq!(record.sys_flag.without(hosts), message.sys_flag.without(hosts));
    assert_eq!(record.sys_flag.has(SysFlag::BORN_HOST_V6), message.born_host.is_ipv6());
    assert_eq!(record.sys_flag.has(SysFlag::STORE_HOST_V6), message.store_host.is_ipv6());
    assert_eq!(record.born_timestamp, message.born_timestamp);
    assert_eq!(record.born_host, message.born_host);
    assert_eq!(record.store_host, message.store_host);
    assert_eq!(record.reconsume_times, message.reconsume_times);
    assert_eq!(record.prepared_offset, message.prepared_offset);
    assert_eq!(record.properties.as_bytes(), message.properties);
    assert_eq!(record.body, message.body);
}

#[test]
fn a_message_leaves_holes_for_its_place() {
    let mut message = message();
    message.sys_flag = message.sys_flag | SysFlag::BORN_HOST_V6 | SysFlag::STORE_HOST_V6;
    let bytes = encoded(&message);
    let (record, _) = Record::decode(&bytes).expect("a record");
    assert_eq!(record.queue_offset, QueueOffset(0));
    assert_eq!(record.log_offset, LogOffset(0));
    assert_eq!(record.store_timestamp, Timestamp(0));
    assert_eq!(record.sys_flag, SysFlag(0x308), "the hosts decide about their bits");
}

#[test]
fn mapped_hosts_are_ipv4() {
    let message = NewRecord {
        born_host: SocketAddr::new(Ipv4Addr::new(10, 1, 2, 3).to_ipv6_mapped().into(), 54321),
        ..message()
    };
    assert_eq!(stamped(&message), GOLDEN_V1.concat());
}

#[test]
fn topics_choose_the_version() {
    for (length, version) in [(1, Version::V1), (127, Version::V1), (128, Version::V2), (255, Version::V2)] {
        let message =
            NewRecord { topic: TopicName::parse(&"t".repeat(length)).expect("a topic"), ..message() };
        let bytes = encoded(&message);
        assert_eq!(Record::decode(&bytes).expect("a record").0.version, version, "{length}");
    }
}

#[test]
fn limits() {
    let mut out = BytesMut::from(&b"before"[..]);
    let longest = NewRecord {
        properties: Bytes::from(vec![b'p'; properties::PROPERTIES_BYTES_MAX]),
        body: Bytes::from_static(b"12345"),
        ..message()
    };
    let size = longest.encode(5, &mut out).expect("both at their limits");
    assert_eq!(Record::decode(&out[6..]).expect("a record").1, size);

    out.truncate(6);
    assert_eq!(longest.encode(4, &mut out), Err(EncodeError::BodyTooLong { bytes: 5, max: 4 }));
    let too_long = NewRecord { properties: Bytes::from(vec![b'p'; 32_768]), ..message() };
    assert_eq!(too_long.encode(5, &mut out), Err(EncodeError::PropertiesTooLong(32_768)));
    assert_eq!(out, "before");
}

#[test]
fn only_records_are_stamped() {
    let place = (QueueOffset(-1), LogOffset(-1), Timestamp(-1));
    let put = |bytes: &mut [u8]| stamp(bytes, place.0, place.1, place.2);
    let whole = encoded(&long_message());
    let holes_end = 76;
    for length in 0..holes_end {
        let mut bytes = whole[..length].to_vec();
        assert_eq!(put(&mut bytes), Err(NotARecord));
        assert_eq!(bytes, whole[..length], "nothing is written by halves");
    }
    assert_eq!(put(&mut whole[..holes_end].to_vec()), Ok(()));
    let mut blank = [&[0, 0, 1, 0][..], &BLANK_MAGIC.to_be_bytes(), &[0; 248]].concat();
    assert_eq!(put(&mut blank), Err(NotARecord));
}

#[test]
fn prefixes_are_truncated() {
    for bytes in [GOLDEN_V1.concat(), GOLDEN_V2.concat()] {
        for length in 0..bytes.len() {
            let needed = if length < 8 { 8 } else { bytes.len() };
            assert_eq!(Record::decode(&bytes[..length]), Err(RecordError::Truncated { needed }), "{length}");
            assert_eq!(scan(&bytes[..length]), Found::Truncated { needed }, "{length}");
        }
        assert_eq!(scan(&bytes), Found::Record { size: bytes.len() });
    }
}

/// What a recovery makes of a record with one damaged bit, by the place of the bit.
#[test]
fn damaged_bits() {
    for bytes in [GOLDEN_V1.concat(), GOLDEN_V2.concat()] {
        let (intact, size) = Record::decode(&bytes).expect("a record");
        let body_length_at = if intact.version == Version::V1 { 84 } else { 108 };
        let topic_length_at = body_length_at + 4 + intact.body.len();
        let topic_at = topic_length_at + if intact.version == Version::V1 { 1 } else { 2 };
        let properties_length_at = topic_at + intact.topic.len();

        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                let found = scan(&damaged);
                let decoded = Record::decode(&damaged);
                let is_size = matches!(found, Found::BadSize(_) | Found::Truncated { .. });
                match at {
                    0..4 => assert!(is_size, "{at} {found:?}"),
                    // The magics of the two versions are two bits apart.
                    4..8 => assert!(matches!(found, Found::BadMagic(_)), "{at} {found:?}"),
                    8..12 => assert_eq!(found, Found::BadCrc { size }),
                    // The bits that say how long the hosts are.
                    39 if bit == 4 || bit == 5 => assert_eq!(found, Found::BadSize(size as i32)),
                    _ if (body_length_at..body_length_at + 4).contains(&at)
                        || (topic_length_at..topic_at).contains(&at)
                        || (properties_length_at..properties_length_at + 2).contains(&at) =>
                    {
                        assert_eq!(found, Found::BadSize(size as i32), "{at}");
                    }
                    _ if (body_length_at + 4..topic_length_at).contains(&at) => {
                        assert_eq!(found, Found::BadCrc { size });
                        assert!(decoded.is_ok(), "only a scan asks for the checksum");
                    }
                    // No checksum of the format covers the rest; that of the frame around it does.
                    _ => assert_eq!(found, Found::Record { size }, "{at}"),
                }
                assert_ne!(decoded, Ok((intact, size)), "every bit counts: {at}");
            }
        }
    }
}

#[test]
fn things_that_are_no_records() {
    let thing = |size: i32, magic: i32| [size.to_be_bytes(), magic.to_be_bytes()].concat();
    let v1 = Version::V1.magic();
    let cases = [
        (vec![], Found::Truncated { needed: 8 }),
        (vec![0; 100], Found::BadMagic(0)),
        (thing(8, BLANK_MAGIC), Found::Blank { size: 8 }),
        (thing(1 << 30, BLANK_MAGIC), Found::Blank { size: 1 << 30 }),
        (thing(7, BLANK_MAGIC), Found::BadSize(7)),
        (thing(-1, BLANK_MAGIC), Found::BadSize(-1)),
        (thing(64, 0x5251_4631), Found::BadMagic(0x5251_4631)),
        (thing(-1, v1), Found::BadSize(-1)),
        (thing(i32::MIN, v1), Found::BadSize(i32::MIN)),
        (thing(0, v1), Found::BadSize(0)),
        (thing(8, v1), Found::BadSize(8)),
        (thing(90, v1), Found::Truncated { needed: 90 }),
        (thing(i32::MAX, v1), Found::Truncated { needed: i32::MAX as usize }),
    ];
    for (bytes, found) in cases {
        assert_eq!(scan(&bytes), found, "{bytes:?}");
        assert!(Record::decode(&bytes).is_err(), "{bytes:?}");
    }
}

#[test]
fn the_checksum_of_an_empty_body_is_not_asked_for() {
    let mut bytes = encoded(&NewRecord { body: Bytes::new(), ..message() });
    assert_eq!(bytes[8..12], [0, 0, 0, 0]);
    bytes[8] = 1;
    assert_eq!(scan(&bytes), Found::Record { size: bytes.len() });
}

#[test]
fn fields_that_cannot_be_read() {
    let with = |at: usize, value: u8| {
        let mut bytes = GOLDEN_V1.concat();
        bytes[at] = value;
        bytes
    };
    assert_eq!(Record::decode(&with(52, 0x80)), Err(RecordError::BadPort(0x8000_D431_u32 as i32)));
    assert_eq!(Record::decode(&with(69, 1)), Err(RecordError::BadPort(0x0001_2A9F)));
    assert_eq!(Record::decode(&with(94, 0xFF)), Err(RecordError::TopicNotUtf8));
}

/// Java reads every length signed, also the one byte of a topic.
#[test]
fn negative_lengths() {
    let mut long_topic = GOLDEN_V2.concat();
    long_topic.remove(112 + 5);
    long_topic[3] -= 1;
    long_topic[7] = 0xA7;
    let size = long_topic.len() as i32;
    assert_eq!(long_topic[117], 128);
    assert_eq!(Record::decode(&long_topic), Err(RecordError::BadSize(size)));

    let mut no_properties = encoded(&NewRecord { properties: Bytes::new(), ..message() });
    let size = no_properties.len();
    no_properties[size - 2..].fill(0xFF);
    assert_eq!(Record::decode(&no_properties), Err(RecordError::BadSize(size as i32)));

    // All that an unsigned length would ask for is there.
    let mut long_properties = encoded(&NewRecord { properties: Bytes::new(), ..message() });
    let size = long_properties.len() + 0x8000;
    long_properties.truncate(long_properties.len() - 2);
    long_properties.extend_from_slice(&[0x80, 0x00]);
    long_properties.resize(size, b'p');
    long_properties[..4].copy_from_slice(&(size as i32).to_be_bytes());
    assert_eq!(Record::decode(&long_properties), Err(RecordError::BadSize(size as i32)));

    let mut no_body = encoded(&NewRecord { body: Bytes::new(), ..message() });
    no_body[84..88].fill(0xFF);
    assert_eq!(Record::decode(&no_body), Err(RecordError::BadSize(no_body.len() as i32)));
}

#[test]
fn records_follow_each_other() {
    let both = [GOLDEN_V1.concat(), GOLDEN_V2.concat()].concat();
    let topics: Vec<_> = Records::new(&both).map(|record| record.expect("a record").topic.len()).collect();
    assert_eq!(topics, [6, 128]);

    let torn: Vec<_> = Records::new(&both[..200]).map(|record| record.map(|record| record.topic)).collect();
    assert_eq!(torn, [Ok("orders"), Err(RecordError::Truncated { needed: 270 })]);
    assert_eq!(Records::new(&[]).count(), 0);
}

fn hosts() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<[u8; 4]>().prop_map(|ip| IpAddr::V4(Ipv4Addr::from(ip)));
    // The first byte keeps it apart from mapped IPv4.
    let v6 = any::<[u8; 15]>().prop_map(|rest| {
        let mut ip = [0x20; 16];
        ip[1..].copy_from_slice(&rest);
        IpAddr::V6(Ipv6Addr::from(ip))
    });
    (prop_oneof![v4, v6], any::<u16>()).prop_map(SocketAddr::from)
}

prop_compose! {
    fn messages()(
        topic in prop_oneof![9 => "[a-zA-Z0-9_%|-]{1,20}", 1 => "[a-z]{120,255}"],
        numbers in any::<(i32, i32, i32, i64, i32, i64)>(),
        born_host in hosts(),
        store_host in hosts(),
        properties in prop_oneof![9 => vec(any::<u8>(), 0..100), 1 => vec(any::<u8>(), 32_700..=32_767)],
        body in vec(any::<u8>(), 0..300),
    ) -> NewRecord {
        let (queue_id, flag, sys_flag, born_timestamp, reconsume_times, prepared_offset) = numbers;
        NewRecord {
            topic: TopicName::parse(&topic).expect("a topic"),
            queue_id: QueueId(queue_id),
            flag,
            sys_flag: SysFlag(sys_flag),
            born_timestamp: Timestamp(born_timestamp),
            born_host,
            store_host,
            reconsume_times,
            prepared_offset: LogOffset(prepared_offset),
            properties: Bytes::from(properties),
            body: Bytes::from(body),
        }
    }
}

fn message_of(record: &Record<'_>) -> NewRecord {
    NewRecord {
        topic: TopicName::parse(record.topic).expect("a topic"),
        queue_id: record.queue_id,
        flag: record.flag,
        sys_flag: record.sys_flag,
        born_timestamp: record.born_timestamp,
        born_host: record.born_host,
        store_host: record.store_host,
        reconsume_times: record.reconsume_times,
        prepared_offset: record.prepared_offset,
        properties: Bytes::copy_from_slice(record.properties.as_bytes()),
        body: Bytes::copy_from_slice(record.body),
    }
}

/// Readers must agree about any bytes at all.
fn read_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    match (Record::decode(bytes), scan(bytes)) {
        (Ok((record, size)), Found::Record { size: scanned } | Found::BadCrc { size: scanned }) => {
            prop_assert_eq!(size, scanned);
            prop_assert!(size <= bytes.len());
            prop_assert!(record.properties.iter().count() <= record.properties.as_bytes().len());
        }
        (Ok((record, _)), found) => prop_assert!(false, "{record:?} but {found:?}"),
        (Err(RecordError::Truncated { needed }), found) => {
            prop_assert!(needed > bytes.len());
            prop_assert_eq!(found, Found::Truncated { needed });
        }
        (Err(RecordError::BadSize(size)), found) => prop_assert_eq!(found, Found::BadSize(size)),
        (Err(RecordError::BadMagic(BLANK_MAGIC)), found) => {
            let is_blank = matches!(found, Found::Blank { .. } | Found::BadSize(_));
            prop_assert!(is_blank);
        }
        (Err(RecordError::BadMagic(magic)), found) => prop_assert_eq!(found, Found::BadMagic(magic)),
        (Err(RecordError::BadPort(_) | RecordError::TopicNotUtf8), found) => {
            let is_record = matches!(found, Found::Record { .. } | Found::BadCrc { .. });
            prop_assert!(is_record);
        }
    }
    prop_assert!(Records::new(bytes).count() <= bytes.len() / 91 + 1);
    let _ = stamp(&mut bytes.to_vec(), QueueOffset(1), LogOffset(2), Timestamp(3));
    Ok(())
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        message in messages(),
        (queue_offset, log_offset, store_timestamp) in any::<(i64, i64, i64)>(),
        after in vec(any::<u8>(), 0..20),
    ) {
        let mut bytes = encoded(&message);
        let size = bytes.len();
        bytes.extend_from_slice(&after);
        let place = (QueueOffset(queue_offset), LogOffset(log_offset), Timestamp(store_timestamp));
        stamp(&mut bytes, place.0, place.1, place.2).expect("a record");

        let (record, read) = Record::decode(&bytes).expect("a record");
        prop_assert_eq!(read, size);
        prop_assert_eq!((record.queue_offset, record.log_offset, record.store_timestamp), place);
        assert_same_message(&record, &message);
        prop_assert_eq!(scan(&bytes), Found::Record { size });

        let mut again = encoded(&message_of(&record));
        stamp(&mut again, place.0, place.1, place.2).expect("a record");
        prop_assert_eq!(again, &bytes[..size]);
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        read_all(&bytes)?;
    }

    #[test]
    fn any_bytes_behind_a_magic(
        size in prop_oneof![any::<i32>(), -10..400],
        magic in prop_oneof![Just(Version::V1.magic()), Just(Version::V2.magic()), Just(BLANK_MAGIC)],
        rest in vec(any::<u8>(), 0..300),
    ) {
        read_all(&[&size.to_be_bytes()[..], &magic.to_be_bytes(), &rest].concat())?;
    }

    #[test]
    fn damaged_records(
        message in messages(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encoded(&message);
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        read_all(&bytes)?;
        bytes.truncate(cut.index(bytes.len()));
        read_all(&bytes)?;
    }
}
