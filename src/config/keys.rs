//! The key table: everything there is to know about a key, once.
//!
//! One row a key; parser, dump, manual and did-you-mean all read it. A server's rows stand in a file of their own
//! (`namesrv_keys`); adding a setting is adding a row, whose [`Field`] says where in the server's configuration it goes.

use super::field::Field;
use crate::errors::Problem;

#[derive(Debug)]
pub struct Key<C: 'static> {
    pub name: &'static str,
    /// Other spellings that are accepted.
    pub aliases: &'static [&'static str],
    pub default: &'static str,
    /// Whether Apache's tools expect it in the answer to `getNamesrvConfig`.
    pub is_listed: bool,
    pub class: Class<C>,
}

/// What a key does here.
#[derive(Debug)]
pub enum Class<C: 'static> {
    Effective {
        field: Field<C>,
        change: Change,
        /// The version that brought it.
        since: &'static str,
        about: &'static str,
    },
    /// Known to Apache, without meaning here: accepted in silence but for one line for all of them.
    Ignored(&'static Ignored),
    /// Asks for what we do not have and what must not be missing in silence: nothing starts with it.
    Refused {
        /// Values that ask for nothing. None at all: the key itself is the question.
        harmless: &'static [&'static str],
        problem: &'static Problem,
        reason: &'static str,
    },
}

/// When a changed value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// At once, asked for by anyone who reaches the port (request 318). So: no path, no address, no limit.
    ByRequest,
    /// After a restart.
    Restart,
}

/// A family of keys that have no effect, for the same reason.
#[derive(Debug)]
pub struct Ignored {
    /// What they are called in "14 … have no effect here".
    pub plural: &'static str,
    pub reason: &'static str,
}

impl<C> Key<C> {
    pub const fn ignored(name: &'static str, default: &'static str, family: &'static Ignored) -> Self {
        Key { name, aliases: &[], default, is_listed: false, class: Class::Ignored(family) }
    }

    pub const fn refused(
        name: &'static str,
        default: &'static str,
        harmless: &'static [&'static str],
        problem: &'static Problem,
        reason: &'static str,
    ) -> Self {
        Key {
            name,
            aliases: &[],
            default,
            is_listed: false,
            class: Class::Refused { harmless, problem, reason },
        }
    }

    pub const fn listed(self) -> Self {
        Key { is_listed: true, ..self }
    }

    /// Whether `spelling` means this key. Case counts, as in Java.
    pub fn is(&self, spelling: &str) -> bool {
        self.spellings().any(|name| name == spelling)
    }

    /// Whether the end of an environment variable's name means this key: `LISTEN_PORT`, `LISTENPORT`, `listenPort`.
    pub fn is_variable(&self, suffix: &str) -> bool {
        self.spellings().any(|name| letters(name).eq(letters(suffix)))
    }

    fn spellings(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

fn letters(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(char::is_ascii_alphanumeric).map(|character| character.to_ascii_lowercase())
}

/// The key in `table` whose name is most like `word`, if one is like it at all.
pub fn nearest<C>(table: &'static [Key<C>], word: &str) -> Option<&'static str> {
    /// No key is so long; comparing costs the product of both lengths.
    const WORD_BYTES_MAX: usize = 100;
    /// Fewer letters are the start of too many words.
    const START_LETTERS_MIN: usize = 5;
    if word.len() > WORD_BYTES_MAX {
        return None;
    }
    let plain: String = letters(word).collect();
    let names =
        || table.iter().flat_map(Key::spellings).map(|name| (name, letters(name).collect::<String>()));
    let (name, distance) = names()
        .map(|(name, other)| (name, strsim::damerau_levenshtein(&plain, &other)))
        .min_by_key(|&(_, distance)| distance)?;
    // Every third letter may be wrong: more is another word.
    if distance <= plain.len() / 3 {
        return Some(name);
    }
    let mut longer =
        names().filter(|(_, other)| plain.len() >= START_LETTERS_MIN && other.starts_with(&plain));
    longer.next().map(|(name, _)| name)
}
