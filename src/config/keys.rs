//! The key table: everything there is to know about a key, once.
//!
//! One row a key; parser, dump, manual and did-you-mean all read it. A server's rows stand in files of their own
//! (`namesrv_keys`, `broker`); adding a setting is adding a row, whose [`Field`] says where in the server's configuration
//! it goes.

use super::field::Field;
use crate::errors::Problem;

#[derive(Debug)]
pub struct Key<C: 'static> {
    pub name: &'static str,
    /// Other spellings that are accepted.
    pub aliases: &'static [&'static str],
    pub default: &'static str,
    pub listing: Listing,
    /// Whether it is among the few that Apache's `-m` prints.
    pub is_important: bool,
    /// Whether its value, once it is set, is shown to nobody.
    pub is_secret: bool,
    pub class: Class<C>,
}

/// Whether Apache's tools expect a key in the answer to `getNamesrvConfig` or `getBrokerConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    Never,
    Always,
    /// Not without a value: in Java it is null then.
    IfSet,
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
    pub const fn effective(
        name: &'static str,
        default: &'static str,
        field: Field<C>,
        change: Change,
        about: &'static str,
    ) -> Self {
        let class = Class::Effective { field, change, since: "0.1.0", about };
        Self::new(name, default, Listing::Always, class)
    }

    const fn new(name: &'static str, default: &'static str, listing: Listing, class: Class<C>) -> Self {
        Key { name, aliases: &[], default, listing, is_important: false, is_secret: false, class }
    }

    pub const fn ignored(name: &'static str, default: &'static str, family: &'static Ignored) -> Self {
        let class = Class::Ignored(family);
        Self::new(name, default, Listing::Never, class)
    }

    pub const fn refused(
        name: &'static str,
        default: &'static str,
        harmless: &'static [&'static str],
        problem: &'static Problem,
        reason: &'static str,
    ) -> Self {
        let class = Class::Refused { harmless, problem, reason };
        Self::new(name, default, Listing::Never, class)
    }

    pub const fn listed(self) -> Self {
        Key { listing: Listing::Always, ..self }
    }

    pub const fn listed_if_set(self) -> Self {
        Key { listing: Listing::IfSet, ..self }
    }

    pub const fn important(self) -> Self {
        Key { is_important: true, ..self }
    }

    pub const fn secret(self) -> Self {
        Key { is_secret: true, ..self }
    }

    pub const fn also(self, aliases: &'static [&'static str]) -> Self {
        Key { aliases, ..self }
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

/// All rows of a server, theme by theme.
#[derive(Debug)]
pub struct KeyTable<C: 'static>(pub &'static [&'static [Key<C>]]);

impl<C> Clone for KeyTable<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for KeyTable<C> {}

impl<C> KeyTable<C> {
    pub fn iter(self) -> impl Iterator<Item = &'static Key<C>> {
        self.0.iter().copied().flatten()
    }

    /// The row that `spelling` means.
    pub fn find(self, spelling: &str) -> Option<&'static Key<C>> {
        self.iter().find(|key| key.is(spelling))
    }
}

/// The key in `table` whose name is most like `word`, if one is like it at all.
pub fn nearest<C>(table: KeyTable<C>, word: &str) -> Option<&'static str> {
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
