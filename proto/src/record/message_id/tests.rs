use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

/// Each made by `MessageDecoder.createMessageId` of Apache RocketMQ 5.5.0.
#[test]
fn offset_ids_are_apaches() {
    let cases = [
        ("127.0.0.1:10911", 100, "7F00000100002A9F0000000000000064"),
        ("[2001:db8::2]:10911", -1, "20010DB800000000000000000000000200002A9FFFFFFFFFFFFFFFFF"),
        ("255.255.255.255:65535", i64::MAX, "FFFFFFFF0000FFFF7FFFFFFFFFFFFFFF"),
        ("0.0.0.0:0", 0, "00000000000000000000000000000000"),
    ];
    for (host, offset, text) in cases {
        let id = OffsetMessageId { store_host: host.parse().expect(host), log_offset: LogOffset(offset) };
        assert_eq!(id.to_string(), text);
        assert_eq!(OffsetMessageId::parse(text), Ok(id));
        assert_eq!(OffsetMessageId::parse(&text.to_lowercase()), Ok(id));
    }
}

/// Made by `MessageClientIDSetter` of Apache RocketMQ 5.5.0 in UTC.
#[test]
fn unique_ids_are_apaches() {
    let ip = IpAddr::from([0xFD00, 0, 0, 0, 0, 0, 0, 2]);
    let origin = Origin { ip, process: 19_310, instance: 815_033_865 };
    let now = Timestamp(1_795_236_614_759);
    let texts = [
        "FD0000000000000000000000000000024B6E30946E096808EA670000",
        "FD0000000000000000000000000000024B6E30946E096808EA670001",
    ];
    for (counter, text) in texts.into_iter().enumerate() {
        let id = UniqueId::new(origin, now, 0, counter as u16);
        assert_eq!(id.to_string(), text);
        assert_eq!(UniqueId::parse(text), Ok(id));
    }
    let local = Origin { ip: Ipv4Addr::LOCALHOST.into(), process: 1, instance: 2 };
    let id = UniqueId { origin: local, into_month: 3, counter: 0xFFFF };
    assert_eq!(id.to_string(), "7F00000100010000000200000003FFFF");
}

/// Midnights, in seconds since 1970.
#[test]
fn months_begin_at_local_midnight() {
    let cases = [
        (0, 0, 0, "1970-01-01"),
        (-1, 0, 31 * 86_400 - 1, "the second before"),
        (951_782_400, 0, 28 * 86_400, "2000-02-29, a leap day"),
        (951_868_800, 0, 0, "2000-03-01"),
        (4_107_456_000, 0, 27 * 86_400, "2100-02-28, the last of its month"),
        (4_107_542_400, 0, 0, "2100-03-01"),
        (1_735_689_599, 0, 31 * 86_400 - 1, "the end of 2024"),
        (1_735_689_599, 1, 0, "2025 elsewhere"),
        (1_735_689_600, -8 * 3600, 30 * 86_400 + 16 * 3600, "still 2024 elsewhere"),
    ];
    let origin = Origin { ip: Ipv4Addr::LOCALHOST.into(), process: 0, instance: 0 };
    for (seconds, utc_offset, expected, what) in cases {
        let id = UniqueId::new(origin, Timestamp(seconds * 1000 + 7), utc_offset, 0);
        assert_eq!(i64::from(id.into_month), expected * 1000 + 7, "{what}");
    }
}

#[test]
fn texts_that_are_no_ids() {
    let id = "7F00000100002A9F0000000000000064";
    let cases = [
        (String::new(), MessageIdError::BadLength(0)),
        (id[1..].to_owned(), MessageIdError::BadLength(31)),
        (format!("{id}0"), MessageIdError::BadLength(33)),
        (format!("{id},{id}"), MessageIdError::BadLength(65)),
        (id.replace("64", "6G"), MessageIdError::NotHex(30)),
        (id.replace("64", "+4"), MessageIdError::NotHex(30)),
        (format!("{}é", &id[2..]), MessageIdError::NotHex(30)),
    ];
    for (text, error) in cases {
        assert_eq!(OffsetMessageId::parse(&text), Err(error), "{text}");
        assert_eq!(UniqueId::parse(&text), Err(error), "{text}");
    }
    let port = |port| OffsetMessageId::parse(&format!("7F000001{port}0000000000000064"));
    assert_eq!(port("00010000"), Err(MessageIdError::BadPort(65_536)));
    assert_eq!(port("FFFFFFFF"), Err(MessageIdError::BadPort(-1)));
}

fn ips() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits))),
    ]
}

proptest! {
    #[test]
    fn offset_ids_are_read_as_written(ip in ips(), port in any::<u16>(), offset in any::<i64>()) {
        let id = OffsetMessageId { store_host: SocketAddr::new(ip, port), log_offset: LogOffset(offset) };
        prop_assert_eq!(OffsetMessageId::parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn unique_ids_are_read_as_written(
        ip in ips(),
        (process, instance, into_month, counter) in any::<(u16, u32, u32, u16)>(),
    ) {
        let id = UniqueId { origin: Origin { ip, process, instance }, into_month, counter };
        prop_assert_eq!(UniqueId::parse(&id.to_string()), Ok(id));
    }

    #[test]
    fn a_month_is_never_longer_than_31_days(now in any::<i64>(), utc_offset in any::<i32>()) {
        let origin = Origin { ip: Ipv4Addr::LOCALHOST.into(), process: 0, instance: 0 };
        let id = UniqueId::new(origin, Timestamp(now), utc_offset, 0);
        prop_assert!(i64::from(id.into_month) < 31 * DAY_MS);
    }

    #[test]
    fn any_text(text in prop_oneof![any::<String>(), "[0-9A-Fa-fG]{32}", "[0-9A-F]{56}", "[0-9é]{16,32}"]) {
        if let Ok(id) = OffsetMessageId::parse(&text) {
            prop_assert_eq!(id.to_string(), text.to_uppercase());
        }
        if let Ok(id) = UniqueId::parse(&text) {
            prop_assert_eq!(id.to_string(), text.to_uppercase());
        }
    }
}
