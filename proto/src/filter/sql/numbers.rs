//! Numbers in properties, read as Java reads them.
//!
//! Whole numbers as `Integer.valueOf` and `Long.valueOf`: a sign, then digits of any script. Others as `Double.valueOf`: blanks
//! around them are passed over, ASCII digits only, hexadecimal with a binary exponent, a type letter at the end, `NaN` and
//! `Infinity`.

use std::cmp::Ordering;

/// The zeros of the scripts whose digits Java 17 knows (`Character.digit`); the other nine follow each.
const ZEROS: [u32; 37] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50,
    0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
];

/// The exponents of doubles: of the greatest, of the least that has all its bits, and of the least bit there is.
const EXPONENT_MAX: i64 = 1023;
const EXPONENT_MIN: i64 = -1022;
const LAST_BIT_MIN: i64 = -1074;
const DOUBLE_BITS: i64 = 53;

/// As `Integer.valueOf`.
pub(super) fn integer(text: &str) -> Option<i32> {
    i32::try_from(long(text)?).ok()
}

/// As `Long.valueOf`.
pub(super) fn long(text: &str) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() {
        return None;
    }
    // Downwards, as the least number has no positive counterpart.
    let mut number = 0_i64;
    for char in digits.chars() {
        number = number.checked_mul(10)?.checked_sub(digit(char)?.into())?;
    }
    if negative { Some(number) } else { number.checked_neg() }
}

fn digit(char: char) -> Option<u32> {
    let char = u32::from(char);
    let zero = ZEROS.iter().rev().find(|zero| **zero <= char)?;
    Some(char - zero).filter(|digit| *digit < 10)
}

/// As `Double.valueOf`.
pub(super) fn double(text: &str) -> Option<f64> {
    let (negative, number) = split_sign(text.trim_matches(|char| char <= ' '));
    let magnitude = match number {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        _ => {
            let number = number.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(number);
            match number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
                Some(_) if number.contains(['p', 'P']) => hexadecimal(number.get(2..)?)?,
                _ => decimal(number)?,
            }
        }
    };
    Some(if negative { -magnitude } else { magnitude })
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn decimal(number: &str) -> Option<f64> {
    // Rust knows infinities by more names, which begin with a letter, and takes a sign that was taken already.
    number.starts_with(|char: char| char.is_ascii_digit() || char == '.').then(|| number.parse().ok())?
}

/// Digits, a point somewhere, `p` and an exponent of two.
fn hexadecimal(number: &str) -> Option<f64> {
    let (significand, exponent) = number.split_once(['p', 'P'])?;
    let (below, magnitude) = split_sign(exponent);
    if magnitude.is_empty() || !magnitude.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (whole, fraction) = significand.split_once('.').unwrap_or((significand, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    // An exponent that fits no i32 outweighs every number of digits that a property can have.
    let magnitude = magnitude.parse::<i32>().map_or(i64::from(i32::MAX), i64::from);
    let mut exponent = if below { -magnitude } else { magnitude };
    let mut bits = 0_u64;
    for (index, char) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(char.to_digit(16)?);
        exponent -= if index < whole.len() { 0 } else { 4 };
        if bits >> 59 == 0 {
            bits = bits << 4 | digit;
        } else {
            // No room: that something was there decides how a tie is rounded.
            bits |= u64::from(digit != 0);
            exponent += 4;
        }
    }
    Some(scale(bits, exponent))
}

/// The double nearest to `bits` times two to the `exponent`; of two as near, the even one.
fn scale(bits: u64, exponent: i64) -> f64 {
    let Some(highest) = bits.checked_ilog2().map(|bit| i64::from(bit) + exponent) else { return 0.0 };
    if highest > EXPONENT_MAX {
        return f64::INFINITY;
    }
    let last = if highest < EXPONENT_MIN { LAST_BIT_MIN } else { highest - DOUBLE_BITS + 1 };
    let (kept, exponent) = match u32::try_from(last - exponent) {
        Ok(dropped @ 1..=64) => (drop_bits(bits, dropped), last),
        Ok(65..) => return 0.0,
        _ => (bits, exponent),
    };
    // No step rounds: what is kept fits a double. In two steps, as no double is as small as the least factor.
    let half = (exponent / 2) as i32;
    kept as f64 * 2_f64.powi(half) * 2_f64.powi(exponent as i32 - half)
}

fn drop_bits(bits: u64, dropped: u32) -> u64 {
    let kept = bits.checked_shr(dropped).unwrap_or(0);
    let rest = bits - kept.checked_shl(dropped).unwrap_or(0);
    let half = 1_u64 << (dropped - 1);
    kept + u64::from(rest > half || (rest == half && kept % 2 == 1))
}

/// As `Double.compareTo`: all NaNs are one, above everything else, and -0.0 lies below 0.0.
pub(super) fn compare_doubles(left: f64, right: f64) -> Ordering {
    let plain = |number: f64| if number.is_nan() { f64::NAN } else { number };
    plain(left).total_cmp(&plain(right))
}
