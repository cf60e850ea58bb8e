//! The manual's page on configuration, made from the key table so that it cannot differ from it.

use std::fmt::Write;

use super::keys::{Change, Class, Ignored, Key};
use super::sources::Server;

const OPENING: &str = "\
# Configuration of the name server

Made by `ferrymq config docs` from the key table (`src/config/namesrv_keys.rs`); do not edit.

Keys are those of Apache RocketMQ, and an Apache `namesrv.conf` is read unchanged. Values come from, last wins:

1. what is built in,
2. the file: `-c FILE`, else the file at `configStorePath`, if it exists,
3. the environment: {prefix} and the key, as `{prefix}LISTEN_PORT`, `{prefix}LISTENPORT` or `{prefix}listenPort`,
4. the command line: `--set listenPort=9877`.

The file has the syntax of Java properties: `key=value`, `key: value` or `key value` a line, comments behind `#` or `!`, a
backslash to continue a line, `\\uXXXX` for a character. It is read as UTF-8 (a line that is not, as Latin-1).

`ferrymq namesrv -c FILE --check` lists every mistake and starts nothing; `--strict` takes unknown keys for mistakes too.
`ferrymq namesrv -c FILE -p --origin` prints every value and where it came from. Changes by request (`mqadmin
updateNamesrvConfig`) are written into the file, into the one line that changes.

Times are whole numbers in the unit of the key, or numbers with a unit: `500ms`, `10s`, `5m`, `1h`, `1d`. Sizes are bytes, or
numbers with `B`, `KiB`, `MiB` or `GiB`. A path may begin with `~/`.
";

/// The page for a server.
pub fn page<C>(server: &Server<C>) -> String {
    let mut page = OPENING.replace("{prefix}", server.prefix);
    effective(&mut page, server.keys);
    refused(&mut page, server.keys);
    ignored(&mut page, server.keys);
    page
}

fn effective<C>(page: &mut String, keys: &[Key<C>]) {
    page.push_str(
        "\n## Keys\n\nChange `by request`: at once and by anyone who reaches the port. Change `restart`: in the file, then \
         restart.\n\n| key | value | built in | change | since | what it does |\n|---|---|---|---|---|---|\n",
    );
    for key in keys {
        let Class::Effective { field, change, since, about } = &key.class else { continue };
        let change = match change {
            Change::ByRequest => "by request",
            Change::Restart => "restart",
        };
        let (name, default, value) = (spelled(key), code(key.default), field.type_name());
        row(page, &[&name, &value, &default, change, since, about]);
    }
}

fn refused<C>(page: &mut String, keys: &[Key<C>]) {
    page.push_str(
        "\n## Keys that are refused\n\nNothing starts with them, since they ask for what is not offered and must not be missing \
         in silence.\n\n| key | refused unless | why |\n|---|---|---|\n",
    );
    for key in keys {
        let Class::Refused { harmless, reason, .. } = &key.class else { continue };
        let unless: Vec<String> = harmless.iter().map(|value| code(value)).collect();
        let unless = if unless.is_empty() { "empty".to_string() } else { unless.join(" or ") };
        row(page, &[&spelled(key), &unless, reason]);
    }
}

fn ignored<C>(page: &mut String, keys: &[Key<C>]) {
    page.push_str(
        "\n## Keys without effect\n\nKnown from Apache RocketMQ and accepted, so that a file works unchanged; those that are set \
         are listed once at the start.\n\n| keys | why they have no effect |\n|---|---|\n",
    );
    let mut families: Vec<(&Ignored, Vec<String>)> = Vec::new();
    for key in keys {
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

fn spelled<C>(key: &Key<C>) -> String {
    let also: String = key.aliases.iter().map(|alias| format!(" (also `{alias}`)")).collect();
    format!("`{}`{also}", key.name)
}
