use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What `MessageDecoder.encodeMessages` of Apache RocketMQ 5.5.0 makes of two messages.
#[rustfmt::skip]
const GOLDEN: &[&[u8]] = &[
    &[0, 0, 0, 32], &[0; 4], &[0; 4],       // size, magic, checksum
    &[0, 0, 0, 7],                          // flag
    &[0, 0, 0, 3], b"one",
    &[0, 7], b"TAGS\x01A\x02",
    &[0, 0, 0, 22], &[0; 4], &[0; 4],
    &[0, 0, 0, 0],
    &[0, 0, 0, 0],
    &[0, 0],
];

fn golden_entries() -> [BatchEntry<'static>; 2] {
    let first = BatchEntry { flag: 7, body: b"one", properties: Properties::new(b"TAGS\x01A\x02") };
    [first, BatchEntry::default()]
}

fn encoded(entries: &[BatchEntry<'_>]) -> BytesMut {
    let mut out = BytesMut::new();
    entries.iter().for_each(|entry| entry.encode(&mut out).expect("an entry that fits"));
    out
}

#[test]
fn entries_are_apaches() {
    assert_eq!(encoded(&golden_entries()), GOLDEN.concat());
    let body = GOLDEN.concat();
    let entries: Vec<_> = BatchEntries::new(&body).map(|entry| entry.expect("an entry")).collect();
    assert_eq!(entries, golden_entries());
    assert_eq!(BatchEntries::new(&[]).count(), 0);
}

#[test]
fn size_magic_and_checksum_are_ignored() {
    let mut body = GOLDEN.concat();
    body[..12].fill(0xAB);
    let entries: Vec<_> = BatchEntries::new(&body).map(|entry| entry.expect("an entry")).collect();
    assert_eq!(entries, golden_entries());
}

#[test]
fn prefixes_end_with_an_error() {
    let body = GOLDEN.concat();
    for length in 1..body.len() {
        let entries: Vec<_> = BatchEntries::new(&body[..length]).collect();
        let [first, second] = golden_entries().map(Ok);
        let expected = match length {
            0..32 => vec![Err(BatchError::Damaged { at: 0 })],
            32 => vec![first],
            33..54 => vec![first, Err(BatchError::Damaged { at: 32 })],
            _ => vec![first, second],
        };
        assert_eq!(entries, expected, "{length}");
    }
}

#[test]
fn lengths_that_lie() {
    let lengths: [&[u8]; 3] = [&[0xFF; 4], &[0x80, 0, 0, 0], &[0x7F, 0xFF, 0xFF, 0xFF]];
    for length in lengths {
        let mut body = GOLDEN.concat();
        body[16..20].copy_from_slice(length);
        assert_eq!(BatchEntries::new(&body).next(), Some(Err(BatchError::Damaged { at: 0 })));
    }
    for length in [[0xFF, 0xFF], [0x80, 0], [0x7F, 0xFF]] {
        let mut body = GOLDEN.concat();
        body[23..25].copy_from_slice(&length);
        assert_eq!(BatchEntries::new(&body).next(), Some(Err(BatchError::Damaged { at: 0 })));
    }
}

#[test]
fn a_batch_of_ten_thousand() {
    let entry = BatchEntry { body: b"0123456789", ..BatchEntry::default() };
    let body = encoded(&vec![entry; 10_000]);
    assert!(BatchEntries::new(&body).eq(vec![Ok(entry); 10_000]));
}

#[test]
fn a_batch_has_a_largest_count() {
    let mut body = encoded(&vec![BatchEntry::default(); BATCH_ENTRIES_MAX]);
    assert!(BatchEntries::new(&body).all(|entry| entry.is_ok()));
    body.extend_from_slice(&[0]);
    let last = BatchEntries::new(&body).last();
    assert_eq!(last, Some(Err(BatchError::TooMany)));
    assert_eq!(BatchEntries::new(&body).count(), BATCH_ENTRIES_MAX + 1);
}

#[test]
fn properties_have_a_limit() {
    let long = vec![b'p'; 32_768];
    let mut out = BytesMut::new();
    let entry = BatchEntry { properties: Properties::new(&long), ..BatchEntry::default() };
    assert_eq!(entry.encode(&mut out), Err(EncodeError::PropertiesTooLong(32_768)));
    assert!(out.is_empty());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        messages in vec((any::<i32>(), vec(any::<u8>(), 0..50), vec(any::<u8>(), 0..50)), 0..8),
    ) {
        let entries: Vec<_> = messages
            .iter()
            .map(|(flag, body, properties)| BatchEntry { flag: *flag, body, properties: Properties::new(properties) })
            .collect();
        let body = encoded(&entries);
        let read: Result<Vec<_>, _> = BatchEntries::new(&body).collect();
        prop_assert_eq!(read, Ok(entries));
    }

    #[test]
    fn any_bytes(
        messages in vec((any::<i32>(), vec(any::<u8>(), 0..50), vec(any::<u8>(), 0..50)), 0..4),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        after in vec(any::<u8>(), 0..60),
    ) {
        let mut body = BytesMut::new();
        for (flag, content, properties) in &messages {
            let properties = Properties::new(properties);
            BatchEntry { flag: *flag, body: content, properties }.encode(&mut body).expect("an entry");
        }
        body.extend_from_slice(&after);
        for (at, value) in damage {
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = value;
            }
        }
        let read: Vec<_> = BatchEntries::new(&body).collect();
        prop_assert!(read.len() <= body.len() / 22 + 1);
        prop_assert!(read.iter().rev().skip(1).all(Result::is_ok), "an error is the last item");
    }
}
