//! The manual's page on configuration, made from the key table so that it cannot differ from it.

use std::fmt::Write;

use super::broker::BROKER;
use super::keys::{Change, Class, Ignored, Key, KeyTable};
use super::machine::{ADDRESS, HOST_NAME, described};
use super::namesrv_keys::NAMESRV;
use super::server::Server;

const OPENING: &str = "\
# Configuration

Made by `ferrymq config docs` from the key tables (`src/config/namesrv_keys.rs`, `src/config/broker`); do not edit.

Keys are those of Apache RocketMQ, and an Apache `namesrv.conf` or `broker.conf` is read unchanged. Values come from, last wins:

1. what is built in,
2. for a broker's `namesrvAddr`: the variable `NAMESRV_ADDR`,
3. the file: `-c FILE`, else the file at `configStorePath` (name server) or `brokerConfigPath` (broker), if it exists,
4. the environment: `FERRYMQ_NAMESRV_` or `FERRYMQ_BROKER_` and the key, as `FERRYMQ_NAMESRV_LISTEN_PORT`,
   `FERRYMQ_NAMESRV_LISTENPORT` or `FERRYMQ_NAMESRV_listenPort`,
5. the command line: `--set listenPort=9877`, and a broker's `-n ADDRESSES`.

The file has the syntax of Java properties: `key=value`, `key: value` or `key value` a line, comments behind `#` or `!`, a
backslash to continue a line, `\\uXXXX` for a character. It is read as UTF-8 (a line that is not, as Latin-1).

`ferrymq broker -c FILE --check` lists every mistake and starts nothing; `--strict` takes unknown keys for mistakes too.
`ferrymq broker -c FILE -p --origin` prints every value and where it came from. `ferrymq namesrv` has the same options. Changes
by request (`mqadmin updateBrokerConfig`, `updateNamesrvConfig`) are written into the file, into the one line that changes.

Times are whole numbers in the unit of the key, or numbers with a unit: `500ms`, `10s`, `5m`, `1h`, `1d`. Sizes are bytes, or
numbers with `B`, `KiB`, `MiB` or `GiB`. A path may begin with `~/`.

Change `by request`: at once and by anyone who reaches the port. Change `restart`: in the file, then restart.
";

/// The page for all servers.
pub fn page() -> String {
    let mut page = OPENING.to_string();
    section(&mut page, &BROKER);
    section(&mut page, &NAMESRV);
    page
}

/// What there is to say of one key, for each server that knows it. None: nobody does.
pub fn explained(name: &str) -> Option<String> {
    let texts: Vec<String> =
        explained_for(&BROKER, name).into_iter().chain(explained_for(&NAMESRV, name)).collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn explained_for<C>(server: &Server<C>, name: &str) -> Option<String> {
    let is_meant = |known: &str| known.eq_ignore_ascii_case(name);
    let key = server
        .keys
        .iter()
        .find(|key| is_meant(key.name) || key.aliases.iter().any(|alias| is_meant(alias)))?;
    let title = format!("{} of the {}", key.name, server.noun);
    Some(match &key.class {
        Class::Effective { field, change, about, .. } => {
            let change = match change {
                Change::ByRequest => "at once, by request or in the file",
                Change::Restart => "in the file, then restart",
            };
            let default = match key.default {
                HOST_NAME | ADDRESS => described(key.default),
                "" => "nothing".to_owned(),
                text => text.to_owned(),
            };
            let value = field.type_name();
            format!("{title}\n  {about}\n  value: {value}\n  built in: {default}\n  change: {change}\n")
        }
        Class::Ignored(family) => format!("{title}\n  has no effect here: {}\n", family.reason),
        Class::Refused { reason, .. } => format!("{title}\n  is refused: {reason}\n"),
    })
}

fn section<C>(page: &mut String, server: &Server<C>) {
    let noun = server.noun;
    page.push_str(&format!("\n## Keys of the {noun}\n"));
    effective(page, server.keys);
    page.push_str(&format!("\n### Keys of the {noun} that are refused\n"));
    refused(page, server.keys);
    page.push_str(&format!("\n### Keys of the {noun} without effect\n"));
    ignored(page, server.keys);
}

fn effective<C>(page: &mut String, keys: KeyTable<C>) {
    page.push_str(
        "\n| key | value | built in | change | since | what it does |\n|---|---|---|---|---|---|\n",
    );
    for key in keys.iter() {
        let Class::Effective { field, change, since, about } = &key.class else { continue };
        let change = match change {
            Change::ByRequest => "by request",
            Change::Restart => "restart",
        };
        let (name, default, value) = (spelled(key), built_in(key.default), field.type_name());
        row(page, &[&name, &value, &default, change, since, about]);
    }
}

fn refused<C>(page: &mut String, keys: KeyTable<C>) {
    page.push_str(
        "\nNothing starts with them, since they ask for what is not offered and must not be missing \
         in silence.\n\n| key | refused unless | why |\n|---|---|---|\n",
    );
    for key in keys.iter() {
        let Class::Refused { harmless, reason, .. } = &key.class else { continue };
        let unless: Vec<String> = harmless.iter().map(|value| code(value)).collect();
        let unless = if unless.is_empty() { "empty".to_string() } else { unless.join(" or ") };
        row(page, &[&spelled(key), &unless, reason]);
    }
}

fn ignored<C>(page: &mut String, keys: KeyTable<C>) {
    page.push_str(
        "\nKnown from Apache RocketMQ and accepted, so that a file works unchanged; those that are set \
         are listed once at the start.\n\n| keys | why they have no effect |\n|---|---|\n",
    );
    let mut families: Vec<(&Ignored, Vec<String>)> = Vec::new();
    for key in keys.iter() {
        let Class::Ignored(family) = &key.class else { continue };
        match families.iter_mut().find(|(known, _)| known.plural == family.plural) {
            Some((_, names)) => names.push(spelled(key)),
            None => families.push((family, vec![spelled(key)])),
        }
    }
    for (family, names) in families {
        row(page, &[&names.join(", "), family.reason]);
    }
}

fn row(page: &mut String, cells: &[&str]) {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    // Writing into a string cannot fail.
    let _ = writeln!(page, "| {} |", cells.join(" | "));
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

fn built_in(default: &str) -> String {
    match default {
        HOST_NAME | ADDRESS => described(default),
        text => code(text),
    }
}

fn spelled<C>(key: &Key<C>) -> String {
    let also: String = key.aliases.iter().map(|alias| format!(" (also `{alias}`)")).collect();
    format!("`{}`{also}", key.name)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_manual_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/config.md");
        let page = super::page();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page,
            "docs/config.md is out of date: run `UPDATE=1 cargo test -p ferrymq` and commit it"
        );
    }
}
