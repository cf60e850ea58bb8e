//! The types of values: how a text becomes one, where it goes, and what is expected if it is none.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::machine::Machine;

/// A place in the configuration `C`, with the type and the range of what may go there.
#[derive(Debug)]
pub enum Field<C: 'static> {
    Switch(fn(&mut C) -> &mut bool),
    Number(RangeInclusive<u64>, fn(&mut C) -> &mut usize),
    /// A number that Java holds in an int.
    Integer(RangeInclusive<i32>, fn(&mut C) -> &mut i32),
    /// Of a whole.
    Percent(RangeInclusive<u8>, fn(&mut C) -> &mut u8),
    Port(fn(&mut C) -> &mut u16),
    Size(RangeInclusive<u64>, fn(&mut C) -> &mut usize),
    /// The range is in the unit.
    Time(Unit, RangeInclusive<u64>, fn(&mut C) -> &mut Duration),
    Path(fn(&mut C) -> &mut PathBuf),
    Address(fn(&mut C) -> &mut IpAddr),
    Text(fn(&mut C) -> &mut String),
    /// What is expected, and what puts it there and gives it back in its usual form.
    Parsed(&'static str, fn(&mut C, &str) -> Option<String>),
}

/// What a bare number means in a key that holds a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Seconds,
    Hours,
}

impl Unit {
    fn milliseconds(self) -> u64 {
        match self {
            Unit::Milliseconds => 1,
            Unit::Seconds => 1000,
            Unit::Hours => 3_600_000,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Unit::Milliseconds => "milliseconds",
            Unit::Seconds => "seconds",
            Unit::Hours => "hours",
        }
    }
}

/// What was expected of a text that is no value of its field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongValue {
    #[error("expected true or false")]
    Switch,
    #[error("expected a whole number from {} to {}", .0.start(), .0.end())]
    Number(RangeInclusive<u64>),
    #[error("expected a whole number from {} to {}", .0.start(), .0.end())]
    Integer(RangeInclusive<i32>),
    #[error("expected {} to {}, in bytes or with KiB, MiB or GiB behind it", size(*.0.start()), size(*.0.end()))]
    Size(RangeInclusive<u64>),
    #[error("expected {} from {} to {}, or a time with a unit such as 10s", .0.name(), .1.start(), .1.end())]
    Time(Unit, RangeInclusive<u64>),
    #[error("expected whole {}", .0.name())]
    Fraction(Unit),
    #[error("expected a path")]
    Path,
    #[error("~ means nothing here: the home folder is unknown; set HOME or write the path out")]
    Home,
    #[error("expected an IP address of this machine, or 0.0.0.0 for all of them")]
    Address,
    #[error("expected {0}")]
    Parsed(&'static str),
}

impl<C> Field<C> {
    /// Checks `text`, puts its value into `config`, and gives the value back in the form Apache's tools read.
    pub fn put(&self, config: &mut C, text: &str, machine: &Machine) -> Result<String, WrongValue> {
        let text = text.trim();
        match self {
            Field::Switch(place) => put(place(config), switch(text)?),
            Field::Number(range, place) => {
                put(place(config), whole(text, range).ok_or(WrongValue::Number(range.clone()))?)
            }
            Field::Integer(range, place) => {
                let number = text.parse().ok().filter(|number| range.contains(number));
                put(place(config), number.ok_or(WrongValue::Integer(range.clone()))?)
            }
            Field::Percent(range, place) => {
                let number = text.parse().ok().filter(|number| range.contains(number));
                let expected = || WrongValue::Number((*range.start()).into()..=(*range.end()).into());
                put(place(config), number.ok_or_else(expected)?)
            }
            Field::Port(place) => {
                put(place(config), text.parse().map_err(|_| WrongValue::Number(0..=65535))?)
            }
            Field::Size(range, place) => {
                let bytes = scaled(text, &SIZES, 1).filter(|bytes| range.contains(bytes));
                let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
                put(place(config), bytes.ok_or(WrongValue::Size(range.clone()))?)
            }
            Field::Time(unit, range, place) => {
                let count = time(text, *unit, range)?;
                *place(config) = Duration::from_millis(count * unit.milliseconds());
                Ok(count.to_string())
            }
            Field::Path(place) => {
                let path = path(text, machine)?;
                *place(config) = PathBuf::from(&path);
                Ok(path)
            }
            Field::Address(place) => put(place(config), text.parse().map_err(|_| WrongValue::Address)?),
            Field::Text(place) => put(place(config), text.to_string()),
            Field::Parsed(expected, parse) => parse(config, text).ok_or(WrongValue::Parsed(expected)),
        }
    }

    /// The type for the manual.
    pub fn type_name(&self) -> String {
        match self {
            Field::Switch(_) => "true or false".to_string(),
            Field::Number(range, _) => format!("number, {} to {}", range.start(), range.end()),
            Field::Integer(range, _) => format!("number, {} to {}", range.start(), range.end()),
            Field::Percent(range, _) => format!("percent, {} to {}", range.start(), range.end()),
            Field::Port(_) => "port, 0 to 65535".to_string(),
            Field::Size(range, _) => format!("size, {} to {}", size(*range.start()), size(*range.end())),
            Field::Time(unit, range, _) => format!("{}, {} to {}", unit.name(), range.start(), range.end()),
            Field::Path(_) => "path".to_string(),
            Field::Address(_) => "IP address".to_string(),
            Field::Text(_) => "text".to_string(),
            Field::Parsed(expected, _) => (*expected).to_string(),
        }
    }
}

fn put<T: ToString>(place: &mut T, value: T) -> Result<String, WrongValue> {
    let text = value.to_string();
    *place = value;
    Ok(text)
}

fn switch(text: &str) -> Result<bool, WrongValue> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(WrongValue::Switch)
    }
}

fn whole(text: &str, range: &RangeInclusive<u64>) -> Option<usize> {
    let number: u64 = text.parse().ok()?;
    if range.contains(&number) { usize::try_from(number).ok() } else { None }
}

const SIZES: [(&str, u64); 4] = [("b", 1), ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30)];
const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A number with one of `units` behind it, or with none, which means `plain`.
fn scaled(text: &str, units: &[(&str, u64)], plain: u64) -> Option<u64> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    let unit = unit.trim_start();
    let factor = if unit.is_empty() {
        plain
    } else {
        units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|&(_, factor)| factor)?
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn time(text: &str, unit: Unit, range: &RangeInclusive<u64>) -> Result<u64, WrongValue> {
    let milliseconds = scaled(text, &TIMES, unit.milliseconds());
    let milliseconds = milliseconds.ok_or(WrongValue::Time(unit, range.clone()))?;
    if milliseconds % unit.milliseconds() != 0 {
        return Err(WrongValue::Fraction(unit));
    }
    let count = milliseconds / unit.milliseconds();
    if range.contains(&count) { Ok(count) } else { Err(WrongValue::Time(unit, range.clone())) }
}

fn path(text: &str, machine: &Machine) -> Result<String, WrongValue> {
    if text.is_empty() || text.contains(char::is_control) {
        return Err(WrongValue::Path);
    }
    match text.strip_prefix("~/") {
        None => Ok(text.to_string()),
        Some(rest) => {
            Ok(machine.home.as_ref().ok_or(WrongValue::Home)?.join(rest).to_string_lossy().into_owned())
        }
    }
}

/// Bytes in the largest unit that divides them.
fn size(bytes: u64) -> String {
    let (name, factor) = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        .into_iter()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .unwrap_or(("B", 1));
    format!("{}{name}", bytes / factor)
}

#[cfg(test)]
mod tests;
