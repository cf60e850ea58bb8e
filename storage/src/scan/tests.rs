use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{NewRecord, SysFlag, stamp};

use super::*;

const OFFSET: LogOffset = LogOffset(4096);

fn record(body_bytes: usize, properties: &[u8]) -> Vec<u8> {
    let host = SocketAddr::from(([127, 0, 0, 1], 10911));
    let new = NewRecord {
        topic: TopicName::parse("orders").unwrap(),
        queue_id: QueueId(0),
        flag: 0,
        sys_flag: SysFlag(0),
        born_timestamp: Timestamp(0),
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_offset: LogOffset(0),
        properties: Bytes::copy_from_slice(properties),
        body: vec![7; body_bytes].into(),
    };
    let mut bytes = BytesMut::new();
    new.encode(10_000, &mut bytes).unwrap();
    stamp(&mut bytes, QueueOffset(0), OFFSET, Timestamp(0)).unwrap();
    bytes.to_vec()
}

fn verdict(bytes: &[u8], layout: Layout) -> Verdict {
    examine(bytes, Spot { layout, offset: OFFSET, position: 0, left: 4096 })
}

fn damage(bytes: &[u8]) -> Damage {
    match verdict(bytes, Layout::Classic) {
        Verdict::Damaged(damage) => damage,
        other => panic!("{other:?}"),
    }
}

#[test]
fn records_are_units_of_a_classic_log() {
    let bytes = record(5, b"A\x01b\x02");
    let unit = Verdict::Unit { bytes: bytes.len() as u64, unit: Unit::Record };
    assert_eq!(verdict(&bytes, Layout::Classic), unit);
    assert_eq!(verdict(&bytes, Layout::Framed), Verdict::Damaged(Damage::RecordInFramedLog));
    assert_eq!(verdict(&bytes[..20], Layout::Classic), Verdict::More(bytes.len()));
    assert_eq!(verdict(&bytes[..7], Layout::Classic), Verdict::More(8));
    assert_eq!(verdict(&[0; 8], Layout::Classic), Verdict::Nothing);
}

#[test]
fn what_is_no_unit_is_told_apart() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = record(5, b"");
        bytes[at] = byte;
        damage(&bytes)
    };
    assert_eq!(changed(7, 0), Damage::BadMagic(0xDAA3_2000_u32 as i32));
    assert_eq!(changed(3, 90), Damage::BadSize(90));
    assert_eq!(changed(2, 0x20), Damage::TooLong { bytes: 0x2066, left: 4096 });
    assert_eq!(changed(88, 0), Damage::BadBodyCrc);
    assert_eq!(changed(35, 9), Damage::BadOffset(LogOffset(4096 + 9)));
    assert_eq!(damage(&[0, 0, 1, 0, 0xCB, 0xD4, 0x31, 0x94]), Damage::BadBlank { found: 256, left: 4096 });
    assert_eq!(damage(&[0, 0, 1, 0, b'R', b'Q', b'F', b'1']), Damage::FrameInClassicLog);
    assert_eq!(damage(&record(4096 - 97 - 7, b"")), Damage::TooLong { bytes: 4089, left: 4096 });
}

/// The body is whole and all lengths add up, but a sector behind it is not there.
#[test]
fn lost_sectors_of_topic_and_properties_are_noticed() {
    // The topic lies from 509 on: three of its letters in the second sector.
    let mut bytes = record(420, b"");
    assert_eq!(&bytes[509..515], b"orders");
    assert!(matches!(verdict(&bytes, Layout::Classic), Verdict::Unit { .. }));
    bytes[512..].fill(0);
    assert_eq!(damage(&bytes), Damage::LostSector);

    // Properties over three sectors, of which the middle one is lost.
    let text = [b"A\x01".as_slice(), &[b'x'; 1000], b"\x02"].concat();
    let mut bytes = record(300, &text);
    bytes[512..1024].fill(0);
    assert_eq!(damage(&bytes), Damage::LostSector);

    // Zeros among other bytes are somebody's, and a length of zero alone in its sector is no text.
    let bytes = record(300, b"A\x01\0\0\x02");
    assert!(matches!(verdict(&bytes, Layout::Classic), Verdict::Unit { .. }));
    let bytes = record(417, b"");
    assert_eq!((&bytes[506..512], &bytes[512..]), (b"orders".as_slice(), [0, 0].as_slice()));
    assert!(matches!(verdict(&bytes, Layout::Classic), Verdict::Unit { .. }));
}
