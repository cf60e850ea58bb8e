use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::{Field, Unit};
use crate::config::machine::Machine;

fn me() -> Machine {
    Machine { home: Some(PathBuf::from("/home/me")), ..Machine::default() }
}

#[derive(Debug)]
struct Config {
    switch: bool,
    number: usize,
    port: u16,
    time: Duration,
    path: PathBuf,
    address: IpAddr,
    text: String,
}

/// What `text` is as a value of `field`, in Apache's form; or what was expected.
fn put(field: &Field<Config>, text: &str) -> Result<(String, Config), String> {
    let mut config = Config {
        switch: false,
        number: 0,
        port: 0,
        time: Duration::ZERO,
        path: PathBuf::new(),
        address: IpAddr::from([0, 0, 0, 0]),
        text: String::new(),
    };
    let plain = field.put(&mut config, text, &me()).map_err(|error| error.to_string())?;
    Ok((plain, config))
}

fn plain(field: &Field<Config>, text: &str) -> Option<String> {
    put(field, text).ok().map(|(plain, _)| plain)
}

const SWITCH: Field<Config> = Field::Switch(|config| &mut config.switch);
const NUMBER: Field<Config> = Field::Number(1..=3000, |config| &mut config.number);
const PORT: Field<Config> = Field::Port(|config| &mut config.port);
const SIZE: Field<Config> = Field::Size(1..=1 << 40, |config| &mut config.number);
const MILLISECONDS: Field<Config> =
    Field::Time(Unit::Milliseconds, 10..=86_400_000, |config| &mut config.time);
const SECONDS: Field<Config> = Field::Time(Unit::Seconds, 0..=3600, |config| &mut config.time);
const PATH: Field<Config> = Field::Path(|config| &mut config.path);
const ADDRESS: Field<Config> = Field::Address(|config| &mut config.address);
const TEXT: Field<Config> = Field::Text(|config| &mut config.text);

#[test]
fn texts_become_values_in_the_form_of_apache() {
    let table = [
        (&SWITCH, "true", Some("true")),
        (&SWITCH, " FALSE ", Some("false")),
        (&SWITCH, "yes", None),
        (&SWITCH, "1", None),
        (&SWITCH, "", None),
        (&NUMBER, "3000", Some("3000")),
        (&NUMBER, "007", Some("7")),
        (&NUMBER, "0", None),
        (&NUMBER, "3001", None),
        (&NUMBER, "-1", None),
        (&NUMBER, "1.5", None),
        (&NUMBER, "18446744073709551616", None),
        (&PORT, "0", Some("0")),
        (&PORT, "65535", Some("65535")),
        (&PORT, "65536", None),
        (&SIZE, "4096", Some("4096")),
        (&SIZE, "4KiB", Some("4096")),
        (&SIZE, "16 mib", Some("16777216")),
        (&SIZE, "1GiB", Some("1073741824")),
        (&SIZE, "9B", Some("9")),
        (&SIZE, "16MB", None),
        (&SIZE, "KiB", None),
        (&SIZE, "18446744073709551615GiB", None),
        (&MILLISECONDS, "5000", Some("5000")),
        (&MILLISECONDS, "5s", Some("5000")),
        (&MILLISECONDS, "1d", Some("86400000")),
        (&MILLISECONDS, "9", None),
        (&MILLISECONDS, "2d", None),
        (&MILLISECONDS, "5 parsecs", None),
        (&SECONDS, "45", Some("45")),
        (&SECONDS, "0", Some("0")),
        (&SECONDS, "2m", Some("120")),
        (&SECONDS, "1h", Some("3600")),
        (&SECONDS, "3000ms", Some("3")),
        (&SECONDS, "1500ms", None),
        (&SECONDS, "-5s", None),
        (&PATH, "/a b/c", Some("/a b/c")),
        (&PATH, "~/c", Some("/home/me/c")),
        (&PATH, "c", Some("c")),
        (&PATH, "", None),
        (&PATH, "a\0b", None),
        (&ADDRESS, "127.0.0.1", Some("127.0.0.1")),
        (&ADDRESS, "::", Some("::")),
        (&ADDRESS, "localhost", None),
        (&ADDRESS, "1.2.3", None),
        (&TEXT, " a b ", Some("a b")),
        (&TEXT, "", Some("")),
    ];
    for (field, text, expected) in table {
        assert_eq!(plain(field, text).as_deref(), expected, "{} from {text:?}", field.type_name());
    }
}

#[test]
fn values_reach_their_places() {
    let config = |field, text| put(field, text).unwrap().1;
    assert!(config(&SWITCH, "true").switch);
    assert_eq!(config(&NUMBER, "5").number, 5);
    assert_eq!(config(&PORT, "9876").port, 9876);
    assert_eq!(config(&SIZE, "2KiB").number, 2048);
    assert_eq!(config(&MILLISECONDS, "1500").time, Duration::from_millis(1500));
    assert_eq!(config(&SECONDS, "45").time, Duration::from_secs(45));
    assert_eq!(config(&PATH, "~/x").path, PathBuf::from("/home/me/x"));
    assert_eq!(config(&ADDRESS, "::1").address, IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]));
    assert_eq!(config(&TEXT, "x").text, "x");
}

#[test]
fn a_wrong_value_hears_what_was_expected() {
    for (field, text, expected) in [
        (&SWITCH, "x", "expected true or false"),
        (&NUMBER, "x", "expected a whole number from 1 to 3000"),
        (&SIZE, "0", "expected 1B to 1024GiB, in bytes or with KiB, MiB or GiB behind it"),
        (&SECONDS, "x", "expected seconds from 0 to 3600, or a time with a unit such as 10s"),
        (&SECONDS, "1ms", "expected whole seconds"),
    ] {
        assert_eq!(put(field, text).unwrap_err(), expected);
    }
    let mut config = put(&TEXT, "").unwrap().1;
    let error = PATH.put(&mut config, "~/x", &Machine::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "~ means nothing here: the home folder is unknown; set HOME or write the path out"
    );
}
