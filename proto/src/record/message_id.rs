//! The two kinds of message ids, both upper-case hexadecimal, of 32 digits with an IPv4 address and of 56 with an IPv6 one.
//!
//! The broker answers an [`OffsetMessageId`], which says where the message lies: tools connect to the host in it. A
//! [`UniqueId`] is made by the producer, and travels as the property `UNIQ_KEY`; the broker makes one when it is missing.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::position::{LogOffset, Timestamp};

/// Bytes besides the address, the same for both kinds.
const SUFFIX: usize = 12;
const DIGITS_V4: usize = 2 * (4 + SUFFIX);
const DIGITS_V6: usize = 2 * (16 + SUFFIX);

/// Why a text is no message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageIdError {
    #[error("a message id has 32 or 56 digits, not {0}")]
    BadLength(usize),
    #[error("the message id has no hexadecimal digits at position {0}")]
    NotHex(usize),
    #[error("the host in the message id has the port {0}")]
    BadPort(i32),
}

/// Where a message lies. With an IPv4 address: `7F00000100002A9F0000000000000064`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetMessageId {
    pub store_host: SocketAddr,
    pub log_offset: LogOffset,
}

impl OffsetMessageId {
    pub fn parse(text: &str) -> Result<Self, MessageIdError> {
        let (ip, [p0, p1, p2, p3, offset @ ..]) = decode(text)?;
        let port = i32::from_be_bytes([p0, p1, p2, p3]);
        let port = u16::try_from(port).map_err(|_| MessageIdError::BadPort(port))?;
        let log_offset = LogOffset(i64::from_be_bytes(offset));
        Ok(Self { store_host: SocketAddr::new(ip, port), log_offset })
    }
}

impl fmt::Display for OffsetMessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_ip(f, self.store_host.ip())?;
        write_hex(f, u32::from(self.store_host.port()).to_be_bytes())?;
        write_hex(f, self.log_offset.0.to_be_bytes())
    }
}

/// Which process makes unique ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    pub ip: IpAddr,
    /// The lower half of the process id.
    pub process: u16,
    /// Tells apart those who make ids within one process. Java takes the hash of a class loader, Go a constant.
    pub instance: u32,
}

/// The id a producer gives a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UniqueId {
    pub origin: Origin,
    /// Milliseconds since the month began, where the producer lives.
    pub into_month: u32,
    /// Goes on with every id of the origin, and around.
    pub counter: u16,
}

impl UniqueId {
    /// The months of ids begin at local midnight: tools guess from an id when its message was sent.
    pub fn new(origin: Origin, now: Timestamp, utc_offset_seconds: i32, counter: u16) -> Self {
        let local = now.0.saturating_add(i64::from(utc_offset_seconds) * 1000);
        Self { origin, into_month: into_month(local), counter }
    }

    pub fn parse(text: &str) -> Result<Self, MessageIdError> {
        let (ip, [p0, p1, i0, i1, i2, i3, m0, m1, m2, m3, c0, c1]) = decode(text)?;
        let process = u16::from_be_bytes([p0, p1]);
        let instance = u32::from_be_bytes([i0, i1, i2, i3]);
        Ok(Self {
            origin: Origin { ip, process, instance },
            into_month: u32::from_be_bytes([m0, m1, m2, m3]),
            counter: u16::from_be_bytes([c0, c1]),
        })
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { ip, process, instance } = self.origin;
        write_ip(f, ip)?;
        write!(f, "{process:04X}{instance:08X}{:08X}{:04X}", self.into_month, self.counter)
    }
}

const DAY_MS: i64 = 86_400_000;

/// How far a time is into its month.
fn into_month(time_ms: i64) -> u32 {
    let days = day_of_month(time_ms.div_euclid(DAY_MS));
    // At most 31 days, which is well below the limit.
    (days * DAY_MS + time_ms.rem_euclid(DAY_MS)) as u32
}

/// The day of the month, from 0, of a day counted since 1970.
///
/// Years are counted from March here, so that the leap day is the last one and months follow one line: 153 days are five
/// months. 400 years (146,097 days) repeat exactly.
fn day_of_month(days_since_1970: i64) -> i64 {
    let day_of_era = (days_since_1970 + 719_468).rem_euclid(146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month + 2) / 5
}

fn write_ip(f: &mut fmt::Formatter<'_>, ip: IpAddr) -> fmt::Result {
    match ip {
        IpAddr::V4(ip) => write_hex(f, ip.octets()),
        IpAddr::V6(ip) => write_hex(f, ip.octets()),
    }
}

/// Quicker than the formatter's own way: every message has such an id.
fn write_hex<const N: usize>(f: &mut fmt::Formatter<'_>, bytes: [u8; N]) -> fmt::Result {
    let mut digits = [[0; 2]; N];
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'A' - 10 + half };
    for (digits, byte) in digits.iter_mut().zip(bytes) {
        *digits = [digit(byte >> 4), digit(byte & 0xF)];
    }
    f.write_str(std::str::from_utf8(digits.as_flattened()).unwrap_or_default())
}

/// The address and the bytes behind it.
fn decode(text: &str) -> Result<(IpAddr, [u8; SUFFIX]), MessageIdError> {
    match text.len() {
        DIGITS_V4 => {
            let [a, b, c, d, suffix @ ..] = decode_hex::<{ DIGITS_V4 / 2 }>(text)?;
            Ok((IpAddr::from([a, b, c, d]), suffix))
        }
        DIGITS_V6 => {
            let bytes = decode_hex::<{ DIGITS_V6 / 2 }>(text)?;
            let (Some(ip), Some(suffix)) = (bytes.first_chunk::<16>(), bytes.last_chunk()) else {
                return Err(MessageIdError::BadLength(text.len()));
            };
            Ok((IpAddr::from(*ip), *suffix))
        }
        length => Err(MessageIdError::BadLength(length)),
    }
}

/// Java takes lower case as well, and reads letters past F as noise; we refuse those.
fn decode_hex<const N: usize>(text: &str) -> Result<[u8; N], MessageIdError> {
    let mut bytes = [0; N];
    for (index, (byte, digits)) in bytes.iter_mut().zip(text.as_bytes().chunks(2)).enumerate() {
        let digit = |digit: &u8| char::from(*digit).to_digit(16);
        let value = match digits {
            [high, low] => digit(high).zip(digit(low)).map(|(high, low)| (high << 4 | low) as u8),
            _ => None,
        };
        *byte = value.ok_or(MessageIdError::NotHex(index * 2))?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
