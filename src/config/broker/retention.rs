//! When stored messages are deleted.

use super::rows::{DAY_MS, Row, fixed, live, milliseconds, switch};
use crate::config::field::{Field, Unit};
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    pub kept_for: Duration,
    /// The hours of the day in which expired files are deleted.
    pub hours: Vec<u8>,
    /// Above this use of the disk, in percent, expired files are deleted at any hour.
    pub disk_use_clean: u8,
    /// Above this the oldest files are deleted although they have not expired, if `deletes_unexpired`.
    pub disk_use_force: u8,
    /// Above this sends are refused.
    pub disk_use_refuse: u8,
    pub deletes_unexpired: bool,
    /// How often it is looked.
    pub interval: Duration,
    /// Files of the log that are deleted in one go, with a pause after each.
    pub files_max: usize,
    pub file_pause: Duration,
}

pub(super) static KEYS: &[Row] = &[
    live(
        "fileReservedTime",
        "72",
        Field::Time(Unit::Hours, 0..=876_000, |config| &mut config.retention.kept_for),
        "How long messages are kept, in hours. A file of the log is deleted when its newest message is older; with 0, at the next occasion.",
    )
    .important(),
    live(
        "deleteWhen",
        "04",
        Field::Parsed("hours of the day from 00 to 23, separated by ;", |config, text| {
            config.retention.hours = hours(text)?;
            Some(text.to_string())
        }),
        "The hours of the day in which they are deleted.",
    )
    .important(),
    live(
        "diskMaxUsedSpaceRatio",
        "75",
        Field::Percent(1..=99, |config| &mut config.retention.disk_use_clean),
        "When the disk is fuller than this, they are deleted at any hour.",
    ),
    live(
        "diskSpaceCleanForciblyRatio",
        "85",
        Field::Percent(1..=99, |config| &mut config.retention.disk_use_force),
        "When it is fuller than this, the oldest files are deleted before their time, if cleanFileForciblyEnable allows it.",
    ),
    live(
        "diskSpaceWarningLevelRatio",
        "90",
        Field::Percent(1..=99, |config| &mut config.retention.disk_use_refuse),
        "When it is fuller than this, sends are refused until there is room.",
    ),
    live(
        "cleanFileForciblyEnable",
        "true",
        switch(|config| &mut config.retention.deletes_unexpired),
        "Whether a disk that runs full may cost messages that are not yet old enough.",
    )
    .important(),
    fixed(
        "cleanResourceInterval",
        "10000",
        milliseconds(10..=DAY_MS, |config| &mut config.retention.interval),
        "How often it is looked whether something is to be deleted.",
    ),
    fixed(
        "deleteFileBatchMax",
        "10",
        Field::Number(1..=100_000, |config| &mut config.retention.files_max),
        "Files that are deleted in one go.",
    )
    .important(),
    fixed(
        "deleteCommitLogFilesInterval",
        "100",
        milliseconds(0..=60_000, |config| &mut config.retention.file_pause),
        "The pause after each file of the log, so that deleting does not hold up the disk.",
    ),
];

/// `04` or `02;14`.
fn hours(text: &str) -> Option<Vec<u8>> {
    let parts = text.split(';').map(str::trim).filter(|part| !part.is_empty());
    let hours: Option<Vec<u8>> = parts.map(|part| part.parse().ok().filter(|hour| *hour < 24)).collect();
    hours.filter(|hours| !hours.is_empty())
}
