//! A kind of server, as far as its configuration goes.

use std::path::Path;

use super::conflict::Conflict;
use super::keys::KeyTable;

#[derive(Debug)]
pub struct Server<C: 'static> {
    pub noun: &'static str,
    pub keys: KeyTable<C>,
    /// In front of a key in the environment.
    pub prefix: &'static str,
    /// Variables of Apache's that mean a key; the file wins over them.
    pub variables: &'static [&'static str],
    /// The key that names the file: which one is read, and where changes by request are kept.
    pub file_key: &'static str,
    /// What `mqadmin` calls a change by request.
    pub update_verb: &'static str,
    pub blank: fn() -> C,
    /// Keys, and their built-in values, that depend on what others were set to.
    pub dependent: fn(&C) -> &'static [(&'static str, &'static str)],
    /// Works out what follows from several keys, and says where they contradict each other.
    pub settle: fn(&mut C) -> Vec<Conflict>,
    pub file: fn(&C) -> &Path,
    /// Keys that must not change by request although their row allows it, separated by `;`.
    pub black_list: fn(&C) -> &str,
}
