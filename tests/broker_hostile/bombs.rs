//! Bodies that are small and inflate to very much: nobody but a consumer inflates one.

use bytes::Bytes;
use ferrymq_proto::record::{Record, property};
use flate2::{Compress, Compression, FlushCompress, Status};

use crate::broker::{Broker, field, pull, request, said, send};

const MIB: usize = 1024 * 1024;
/// What one takes when it is inflated.
const INFLATED: usize = 1024 * MIB;
const TOPIC: &str = "bombs";
/// Compressed, as older clients say it; and by LZ4, Zstandard and zlib, as newer ones do.
const FLAGS: [i32; 4] = [0x1, 0x101, 0x201, 0x301];
/// Bodies that are kept twice on their way, and what all other work takes.
const OTHER_BYTES: usize = 48 * MIB;

/// A gibibyte of zeros in about one mebibyte.
fn bomb() -> Bytes {
    let mut packer = Compress::new(Compression::best(), true);
    let zeros = vec![0; MIB];
    // Each part ends on a byte and looks back at nothing. The first one has the stream's head.
    let mut part = || {
        let mut packed = Vec::with_capacity(MIB);
        assert_eq!(packer.compress_vec(&zeros, &mut packed, FlushCompress::Full).unwrap(), Status::Ok);
        packed
    };
    let (mut packed, next) = (part(), part());
    for _ in 1..INFLATED / MIB {
        packed.extend_from_slice(&next);
    }
    Bytes::from(packed)
}

pub async fn they_stay_folded() {
    let bomb = bomb();
    assert!(bomb.len() < 3 * MIB, "{} bytes", bomb.len());
    let broker = Broker::start(&["enablePropertyFilter=true", "messageDelayLevel=1s 2s"]);
    let client = broker.client();
    assert_eq!(client.exchange(send(TOPIC, 0, "", 0, "first")).await.unwrap().code, 0);
    let before = broker.resident();
    let mut sent = 0;
    for (number, flag) in FLAGS.into_iter().enumerate() {
        let own = format!("UNIQ_KEY=bomb-{number},KEYS=boom,TAGS=a,n=1");
        // As it is, to wait for its time, and as the half of a transaction.
        let (later, half) = (format!("{own},DELAY=1"), format!("{own},TRAN_MSG=true,PGROUP=p"));
        for (properties, flag) in [(own.clone(), flag), (later, flag), (half, flag | 0x4)] {
            let answer = client.exchange(send(TOPIC, 1, &properties, flag, bomb.clone())).await.unwrap();
            assert_eq!(answer.code, 0, "{}", said(&answer));
            sent += bomb.len();
        }
    }
    // What was to wait comes too.
    let mut found = 0;
    for offset in 0..2 * FLAGS.len() {
        let expression = if offset.is_multiple_of(2) { ("TAG", "a || b") } else { ("SQL92", "n = 1") };
        let answer = loop {
            let answer = client.exchange(pull(TOPIC, "1", &offset.to_string(), expression)).await.unwrap();
            if answer.code != 19 {
                break answer;
            }
        };
        assert_eq!(answer.code, 0, "{}", answer.remark.unwrap_or_default());
        let (record, _) = Record::decode(&answer.body).unwrap();
        assert_eq!(record.body, bomb, "as it was sent");
        assert!(record.properties.get(property::UNIQUE_KEY).is_some());
        let place = record.log_offset.0.to_string();
        let viewed = client.exchange(request(33, &[("offset", &place)], Bytes::new())).await.unwrap();
        assert_eq!(viewed.body, answer.body);
        found += 1;
    }
    assert_eq!(found, 2 * FLAGS.len());
    let query = [
        ("topic", TOPIC),
        ("key", "boom"),
        ("maxNum", "1"),
        ("beginTimestamp", "0"),
        ("endTimestamp", "9223372036854775807"),
    ];
    let answer = client.exchange(request(12, &query, Bytes::new())).await.unwrap();
    assert!(answer.code == 0 && answer.body.len() < 2 * bomb.len(), "{} {}", answer.code, answer.body.len());
    assert!(!field(&answer, "indexLastUpdatePhyoffset").is_empty());
    for command in [&["topic", "peek", TOPIC][..], &["message", "query", "--topic", TOPIC, "--key", "boom"]] {
        let printed = broker.says(command);
        let start = printed.get(..1_000).unwrap_or(&printed);
        assert!(printed.contains("compressed by") && printed.len() < MIB, "{command:?}: {start}");
    }
    // Each was received, stored and handed out some times; none of them was unfolded.
    let grown = broker.resident().saturating_sub(before);
    println!("{sent} bytes of bombs cost {grown} bytes");
    assert!(grown < 2 * sent + OTHER_BYTES && 2 * sent + OTHER_BYTES < INFLATED, "{grown} bytes for {sent}");
}
