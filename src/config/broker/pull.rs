//! Handing messages out.

use super::rows::{DAY_MS, Row, fixed, live, milliseconds, switch};
use crate::config::field::Field;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pull {
    /// A pull that finds nothing waits, as long as its consumer wants.
    pub is_long: bool,
    /// How long it waits otherwise.
    pub short_wait: Duration,
    /// What one answer holds at most, when the messages are in memory and when they are not.
    pub bytes_max: usize,
    pub messages_max: usize,
    pub cold_bytes_max: usize,
    pub cold_messages_max: usize,
    /// Messages that a consumer may ask for at once.
    pub batch_max: usize,
    pub allows_lite_pull: bool,
    pub allows_sql: bool,
    /// Bytes of a consume queue that one pull looks through.
    pub filtered_bytes_max: usize,
    /// A slave serves consumers that lag behind.
    pub reads_from_slave: bool,
    /// Share of memory, in percent, that recent messages are taken to fill.
    pub memory_ratio: u8,
    /// Consumers that call pull themselves are not served.
    pub refuses_pull_consumers: bool,
}

pub(super) static KEYS: &[Row] = &[
    live(
        "longPollingEnable",
        "true",
        switch(|config| &mut config.pull.is_long),
        "A pull that finds nothing waits as long as its consumer wants.",
    ),
    live(
        "shortPollingTimeMills",
        "1000",
        milliseconds(1..=DAY_MS, |config| &mut config.pull.short_wait),
        "How long it waits if longPollingEnable is false.",
    ),
    live(
        "maxTransferBytesOnMessageInMemory",
        "262144",
        Field::Size(1..=67_108_864, |config| &mut config.pull.bytes_max),
        "Bytes in one answer to a pull. One message is always handed out, however long.",
    )
    .important(),
    live(
        "maxTransferCountOnMessageInMemory",
        "32",
        Field::Number(1..=1024, |config| &mut config.pull.messages_max),
        "Messages in one answer to a pull.",
    )
    .important(),
    live(
        "maxTransferBytesOnMessageInDisk",
        "65536",
        Field::Size(1..=67_108_864, |config| &mut config.pull.cold_bytes_max),
        "Bytes in one answer, if they must be read from disk.",
    )
    .important(),
    live(
        "maxTransferCountOnMessageInDisk",
        "8",
        Field::Number(1..=1024, |config| &mut config.pull.cold_messages_max),
        "Messages in one answer, if they must be read from disk.",
    )
    .important(),
    fixed(
        "accessMessageInMemoryMaxRatio",
        "40",
        Field::Percent(0..=100, |config| &mut config.pull.memory_ratio),
        "Messages that lie further behind the newest than this part of the machine's memory count as being on disk.",
    )
    .important(),
    live(
        "pullBatchMaxMessageCount",
        "160",
        Field::Number(1..=1024, |config| &mut config.pull.batch_max),
        "Messages that a consumer may ask for at once.",
    ),
    live(
        "litePullMessageEnable",
        "true",
        switch(|config| &mut config.pull.allows_lite_pull),
        "Serve lite pulls.",
    ),
    live(
        "enablePropertyFilter",
        "false",
        switch(|config| &mut config.pull.allows_sql),
        "Serve subscriptions that are SQL92 expressions.",
    ),
    fixed(
        "maxFilterMessageSize",
        "16000",
        Field::Size(1..=1_048_576, |config| &mut config.pull.filtered_bytes_max),
        "Bytes that are looked through for one pull whose filter takes few messages, as 20 for each.",
    ),
    live(
        "slaveReadEnable",
        "false",
        switch(|config| &mut config.pull.reads_from_slave),
        "Send consumers that lag far behind to a slave.",
    ),
    live(
        "rejectPullConsumerEnable",
        "false",
        switch(|config| &mut config.pull.refuses_pull_consumers),
        "Refuse consumers that pull by themselves instead of being pushed to.",
    ),
];
