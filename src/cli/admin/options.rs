//! Options as mqadmin takes them: `-t orders`, `--topic orders`, `--topic=orders`.
//!
//! A verb's options are words such as `t:topic!`: the letter; `:` if a value follows, `.` if none does; the long name; and
//! `!` if it must be given.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ferrymq_proto::position::Timestamp;

use crate::cli::remote::{Failure, Moment};
use crate::config::quoted;

const EVERYWHERE: &str = "n:namesrvAddr";

#[derive(Clone, Copy, Debug)]
pub struct Known {
    letter: char,
    long: &'static str,
    takes_value: bool,
    is_required: bool,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = if self.takes_value { " <arg>" } else { "" };
        let required = if self.is_required { "   (required)" } else { "" };
        write!(f, "-{}, --{}{value}{required}", self.letter, self.long)
    }
}

pub fn all(options: &'static str) -> impl Iterator<Item = Known> {
    options.split_whitespace().chain([EVERYWHERE]).filter_map(|word| {
        let mut characters = word.chars();
        let letter = characters.next()?;
        let takes_value = characters.next()? == ':';
        let long = characters.as_str();
        let is_required = long.ends_with('!');
        Some(Known { letter, long: long.trim_end_matches('!'), takes_value, is_required })
    })
}

/// The options that were given, by their letters.
#[derive(Debug, Default)]
pub struct Given(BTreeMap<char, String>);

impl Given {
    pub fn read(options: &'static str, words: &[String]) -> Result<Self, String> {
        let mut given = BTreeMap::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, attached) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (word.as_str(), None),
            };
            let is_it = |known: &Known| {
                name.strip_prefix("--")
                    .or(name.strip_prefix('-'))
                    .is_some_and(|name| name == known.long || name.chars().eq([known.letter]))
            };
            let Some(known) = all(options).find(is_it) else {
                return Err(format!("there is no option {}", quoted(word)));
            };
            let value = match (known.takes_value, attached) {
                (false, _) => String::new(),
                (true, Some(value)) => value,
                (true, None) => words.next().ok_or(format!("-{} wants a value", known.letter))?.clone(),
            };
            given.insert(known.letter, value.trim().to_owned());
        }
        match all(options).find(|known| known.is_required && !given.contains_key(&known.letter)) {
            Some(missing) => Err(format!("-{} ({}) is missing", missing.letter, missing.long)),
            None => Ok(Self(given)),
        }
    }

    pub fn has(&self, letter: char) -> bool {
        self.0.contains_key(&letter)
    }

    pub fn get(&self, letter: char) -> Option<&str> {
        self.0.get(&letter).map(String::as_str)
    }

    /// The value of a required option.
    pub fn text(&self, letter: char) -> &str {
        self.get(letter).unwrap_or_default()
    }

    pub fn number<N: FromStr>(&self, letter: char) -> Result<Option<N>, Failure> {
        let parsed = self.get(letter).map(|text| {
            text.parse()
                .map_err(|_| Failure::usage(&format!("-{letter}: {} is no such number", quoted(text))))
        });
        parsed.transpose()
    }

    /// As Java reads truth: whatever is not "true" is not.
    pub fn truth(&self, letter: char) -> Option<bool> {
        self.get(letter).map(|text| text.eq_ignore_ascii_case("true"))
    }

    /// `now`, milliseconds, or `yyyy-MM-dd#HH:mm:ss:SSS` (in UTC).
    pub fn time(&self, letter: char) -> Result<Option<Timestamp>, Failure> {
        let Some(text) = self.get(letter) else { return Ok(None) };
        if text == "now" {
            return Ok(Some(crate::clock::now()));
        }
        if let Ok(milliseconds) = text.parse() {
            return Ok(Some(Timestamp(milliseconds)));
        }
        let mut written = text.replacen('#', "T", 1);
        if let (3, Some(last)) = (written.matches(':').count(), written.rfind(':')) {
            written.replace_range(last..=last, ".");
        }
        let moment: Moment =
            written.parse().map_err(|error| Failure::usage(&format!("-{letter}: {error}")))?;
        Ok(Some(moment.0))
    }
}
