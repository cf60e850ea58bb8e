//! Points in time as people write and read them.

use std::fmt;
use std::str::FromStr;

use ferrymq_proto::position::Timestamp;

use crate::clock;

const DAY_MS: i64 = 86_400_000;

/// A time in UTC. Written `2026-11-21T15:04:05.678Z`; read from that (the time of day may be left out), from milliseconds since
/// 1970, or as an age: `90s`, `15m`, `2h`, `3d` ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, of_day) = (self.0.0.div_euclid(DAY_MS), self.0.0.rem_euclid(DAY_MS));
        let (year, month, day) = date(days);
        let (seconds, milliseconds) = (of_day / 1000, of_day % 1000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{:02}.{milliseconds:03}Z",
            seconds % 60
        )
    }
}

impl FromStr for Moment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let parsed = text.parse().ok().or_else(|| age(text)).or_else(|| written(text));
        let wrong = || {
            "a time is written 2026-11-21T15:04:05Z, in milliseconds since 1970, or as an age: 90s, 15m, 2h, 3d"
                .to_owned()
        };
        parsed.map(|time| Self(Timestamp(time))).ok_or_else(wrong)
    }
}

fn age(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => DAY_MS,
        _ => return None,
    };
    let count: u32 = text.get(..text.len() - 1)?.parse().ok()?;
    clock::now().0.checked_sub(i64::from(count) * unit)
}

fn written(text: &str) -> Option<i64> {
    let text = text.trim_end_matches('Z');
    let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, "0:0:0"));
    let [year, month, day] = numbers(day, '-')?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hours, minutes, seconds] = numbers(time, ':')?;
    let milliseconds: i64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let is_sane = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hours)
        && (0..60).contains(&minutes)
        && (0..60).contains(&seconds);
    let days = days_until(year, month, day);
    // The 31st of a month that has none would be the next month's first.
    let is_day = is_sane && date(days) == (year, month, day);
    is_day.then(|| days * DAY_MS + ((hours * 60 + minutes) * 60 + seconds) * 1000 + milliseconds)
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let numbers: Option<Vec<i64>> = text.split(separator).map(|part| part.parse().ok()).collect();
    numbers?.try_into().ok()
}

/// The date of a day counted since 1970. Years begin in March here, so that the leap day is the last one.
fn date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn days_until(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year * 365 + year / 4 - year / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use ferrymq_proto::position::Timestamp;

    use super::Moment;

    #[test]
    fn times_are_written_and_read_back() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_795_273_445_678, "2026-11-21T15:04:05.678Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            let moment = Moment(Timestamp(time));
            assert_eq!(moment.to_string(), text);
            assert_eq!(text.parse(), Ok(moment), "{text}");
            assert_eq!(time.to_string().parse(), Ok(moment));
        }
        assert_eq!("2026-11-21".parse(), Ok(Moment(Timestamp(1_795_219_200_000))));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in
            ["", "x", "5w", "2026-02-30", "2026-13-01", "2026-11-21T25:00:00", "2026-11-21T1:2", "-5m"]
        {
            assert!(text.parse::<Moment>().is_err(), "{text}");
        }
    }
}
