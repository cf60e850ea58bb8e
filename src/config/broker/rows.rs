//! How the rows of a broker's keys are written down.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::BrokerConfig;
use crate::config::field::{Field, Unit};
use crate::config::keys::{Change, Key};

pub(super) type Row = Key<BrokerConfig>;

/// Changed by anyone who reaches the port.
pub(super) const fn live(
    name: &'static str,
    default: &'static str,
    field: Field<BrokerConfig>,
    about: &'static str,
) -> Row {
    Key::effective(name, default, field, Change::ByRequest, about)
}

/// Changed in the file, by who runs the broker.
pub(super) const fn fixed(
    name: &'static str,
    default: &'static str,
    field: Field<BrokerConfig>,
    about: &'static str,
) -> Row {
    Key::effective(name, default, field, Change::Restart, about)
}

pub(super) const fn switch(place: fn(&mut BrokerConfig) -> &mut bool) -> Field<BrokerConfig> {
    Field::Switch(place)
}

pub(super) const fn milliseconds(
    range: RangeInclusive<u64>,
    place: fn(&mut BrokerConfig) -> &mut Duration,
) -> Field<BrokerConfig> {
    Field::Time(Unit::Milliseconds, range, place)
}

pub(super) const fn seconds(
    range: RangeInclusive<u64>,
    place: fn(&mut BrokerConfig) -> &mut Duration,
) -> Field<BrokerConfig> {
    Field::Time(Unit::Seconds, range, place)
}

pub(super) const HOUR_MS: u64 = 3_600_000;
pub(super) const DAY_MS: u64 = 24 * HOUR_MS;
