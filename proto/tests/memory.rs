//! No length that a peer claims decides how much is allocated: a counting allocator watches the readers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::{Bytes, BytesMut};
use ferrymq_proto::bodies;
use ferrymq_proto::command::Command;
use ferrymq_proto::filter::Filter;
use ferrymq_proto::frame::{self, FRAME_BYTES_MAX, Frame};
use ferrymq_proto::record::batch::BatchEntries;
use ferrymq_proto::record::{Record, Records};

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator with its arguments unchanged; the counters do not allocate.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    let live = LIVE.get() + bytes;
    LIVE.set(live);
    PEAK.set(PEAK.get().max(live));
}

/// The most that was allocated at a time while `work` ran, beyond what was there before.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = LIVE.get();
    PEAK.set(before);
    work();
    usize::try_from(PEAK.get() - before).unwrap()
}

/// What reading `received` bytes may cost at most.
fn bound(received: usize) -> usize {
    2 * received + 65_536
}

fn header_of(claims: &[u8]) -> Vec<u8> {
    [&[0, 105, 0, 1, 0xdf, 0, 0, 0, 1, 0, 0, 0, 0], claims].concat()
}

#[test]
fn claimed_lengths_allocate_nothing() {
    let long_frame = [0x00, 0xff, 0xff, 0xff, 0, 0, 0, 2, b'{', b'}'];
    let mut buffer = BytesMut::from(&long_frame[..]);
    let peak = peak_of(|| assert_eq!(frame::take(&mut buffer, FRAME_BYTES_MAX), Ok(None)));
    assert!(peak <= bound(long_frame.len()), "{peak}");

    let claims: [&[u8]; 4] = [
        &[0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0, 0, 0, 0, 6, 0x7f, 0xff, 0x7f, 0xff, 0xff, 0xff],
        &[0, 0, 0, 0, 0, 0, 0, 7, 0, 1, b'k', 0x7f, 0xff, 0xff, 0xff],
    ];
    for claim in claims {
        let header = Bytes::from(header_of(claim));
        let frame = Frame { form: 1, header: header.clone(), body: Bytes::new() };
        let peak = peak_of(|| assert!(Command::decode(frame).is_err()));
        assert!(peak <= bound(header.len()), "{claim:?}: {peak}");
    }

    let mut record = vec![0; 91];
    record[..4].copy_from_slice(&0x7fff_fff0_u32.to_be_bytes());
    record[4..8].copy_from_slice(&0xDAA3_20A7_u32.to_be_bytes());
    record[84..88].copy_from_slice(&0x7fff_0000_u32.to_be_bytes());
    let peak = peak_of(|| {
        assert!(Record::decode(&record).is_err());
        assert_eq!(Records::new(&record).filter(Result::is_ok).count(), 0);
        let _ = BatchEntries::new(&record).count();
    });
    assert!(peak <= bound(record.len()), "{peak}");
}

#[test]
fn headers_cost_no_more_than_twice_their_bytes() {
    let fields: String = (0..250).map(|n| format!("\"key{n}\":\"{}\",", "\\u0001v".repeat(100))).collect();
    let header = Bytes::from(format!("{{\"code\":10,\"extFields\":{{{fields}\"last\":\"\"}}}}"));
    let frame = Frame { form: 0, header: header.clone(), body: Bytes::new() };
    let peak = peak_of(|| {
        let command = Command::decode(frame).unwrap();
        let mut read = 0;
        command.fields.for_each(|_, value| read += value.len());
        assert_eq!(read, 250 * 200);
    });
    assert!(peak <= bound(header.len()), "{peak} for {}", header.len());
}

/// What is reckoned with is not less than what they take.
#[test]
fn compiled_expressions_take_what_is_said() {
    let sql = [
        format!("a = '{}'", "x".repeat(1 << 20)),
        vec!["a=1"; 250].join(" OR "),
        vec!["a"; 1000].join(" OR "),
        vec!["NOT a IS NULL"; 200].join(" AND "),
        format!("a IN ({})", vec!["''"; 1000].join(",")),
        (0..200).map(|n| format!("p{n} BETWEEN 1 AND 1{n}")).collect::<Vec<_>>().join(" OR "),
        vec!["a CONTAINS 'x'"; 250].join(" OR "),
    ];
    let tags = ["*".to_owned(), "a".to_owned(), (0..900).map(|n| format!("{n}||")).collect()];
    let all = sql.map(|text| ("SQL92", text)).into_iter().chain(tags.map(|text| ("TAG", text)));
    for (kind, text) in all {
        let before = LIVE.get();
        let filter = Filter::compile(kind, &text).expect(kind);
        let taken = usize::try_from(LIVE.get() - before).unwrap() + size_of_val(&filter);
        let said = Filter::bytes_max(kind, text.len());
        assert!(taken <= said, "{taken} bytes, {said} were said: {kind} {}", text.get(..40).unwrap_or(&text));
    }
}

#[test]
fn a_deflated_bomb_is_stopped() {
    use flate2::{Compression, write::ZlibEncoder};
    use std::io::Write;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    for _ in 0..256 {
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    let peak = peak_of(|| assert!(bodies::Registration::decode(&bomb, true, 479).is_err()));
    assert!(peak <= 100 << 20, "{peak} for a bomb of {} bytes that holds 256 MiB", bomb.len());
}

/// A body's values are larger in memory than in JSON. By how much at most is a property of the types; it must be a constant.
#[test]
fn bodies_cost_a_bounded_multiple_of_their_bytes() {
    // The worst is a list of empty groups, 85 times its three bytes each.
    const FACTOR_MAX: usize = 100;
    let repeated = |item: &str, before: &str, after: &str| format!("{before}{}{after}", item.repeat(20_000));
    let cases = [
        repeated("[", "", ""),
        repeated("\"\",", "{\"topicList\":[", "]}"),
        repeated("{},", "{\"queueDatas\":[", "]}"),
        repeated("{},", "{\"brokerDatas\":[", "]}"),
        (0..20_000)
            .map(|n| format!("{n}:{{}},"))
            .fold("{\"topicConfigTable\":{".to_owned(), |all, one| all + &one)
            + "}}",
    ];
    for body in cases {
        let peak = peak_of(|| {
            bodies::decode_any(body.as_bytes());
        });
        let start = body.get(..30).unwrap_or_default();
        assert!(peak <= FACTOR_MAX * body.len(), "{} times for {start}", peak / body.len());
    }
}
