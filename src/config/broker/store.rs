//! Where messages are kept and in what portions.

use super::rows::{HOUR_MS, Row, fixed, live, milliseconds, switch};
use crate::config::field::Field;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Store {
    pub root: PathBuf,
    pub log_folder: PathBuf,
    pub segment_bytes: usize,
    /// See [`Store::queue_file_entries`].
    queue_file_bytes: usize,
    pub flush: FlushDisk,
    /// How long a written message may wait for the disk when nobody waits for it.
    pub flush_interval: Duration,
    /// The longest message body.
    pub message_bytes_max: usize,
    pub has_index: bool,
    pub index_slots: usize,
    pub index_entries: usize,
    /// What one query answers at most, by key and by unique key.
    pub query_messages_max: usize,
    pub unique_query_messages_max: usize,
}

/// What an acknowledgement of a send promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlushDisk {
    /// The message is with the operating system.
    #[default]
    Async,
    /// The message is on disk.
    Sync,
}

impl Store {
    /// Entries of 20 bytes in one file of a consume queue. As in Java an incomplete one counts.
    pub fn queue_file_entries(&self) -> usize {
        const ENTRY_BYTES: usize = 20;
        self.queue_file_bytes.div_ceil(ENTRY_BYTES)
    }
}

pub(super) static KEYS: &[Row] = &[
    fixed(
        "storePathRootDir",
        "~/store",
        Field::Path(|config| &mut config.store.root),
        "The folder for everything that the broker keeps.",
    )
    .important(),
    fixed(
        "storePathCommitLog",
        "",
        // Without a value it follows from the root.
        Field::Parsed("one absolute path", |config, text| {
            let is_path = text.is_empty() || (text.starts_with('/') && !text.contains([',', '\0']));
            config.store.log_folder = PathBuf::from(text);
            is_path.then(|| text.to_string())
        }),
        "The folder of the commit log, if it is another than `commitlog` below storePathRootDir. Several folders are not \
         offered.",
    )
    .listed_if_set()
    .important(),
    fixed(
        "mappedFileSizeCommitLog",
        "1073741824",
        Field::Size(65_536..=2_147_483_647, |config| &mut config.store.segment_bytes),
        "The size of each file of the commit log. The store of a running broker keeps the size that it has.",
    ),
    fixed(
        "mappedFileSizeConsumeQueue",
        "6000000",
        Field::Size(20..=1_073_741_820, |config| &mut config.store.queue_file_bytes),
        "The size of each file of a consume queue, in bytes: 20 for each message.",
    ),
    fixed(
        "flushDiskType",
        "ASYNC_FLUSH",
        Field::Parsed("ASYNC_FLUSH or SYNC_FLUSH", |config, text| {
            config.store.flush = match text {
                "ASYNC_FLUSH" => FlushDisk::Async,
                "SYNC_FLUSH" => FlushDisk::Sync,
                _ => return None,
            };
            Some(text.to_string())
        }),
        "What an acknowledged send means: SYNC_FLUSH, the message is on disk (of a majority, in a group that elects its \
         leader: there it is built in); ASYNC_FLUSH, it is in memory there, which a power failure loses.",
    )
    .important(),
    fixed(
        "flushIntervalCommitLog",
        "500",
        milliseconds(1..=HOUR_MS, |config| &mut config.store.flush_interval),
        "With ASYNC_FLUSH: how long a message may wait for the disk.",
    )
    .important(),
    live(
        "maxMessageSize",
        "4194304",
        Field::Size(1..=67_108_864, |config| &mut config.store.message_bytes_max),
        "The longest message body.",
    ),
    fixed(
        "messageIndexEnable",
        "true",
        switch(|config| &mut config.store.has_index),
        "Keep the index that queries by key need.",
    )
    .important(),
    fixed(
        "maxHashSlotNum",
        "5000000",
        Field::Number(1..=500_000_000, |config| &mut config.store.index_slots),
        "Hash slots in each file of the index.",
    ),
    fixed(
        "maxIndexNum",
        "20000000",
        Field::Number(2..=2_000_000_000, |config| &mut config.store.index_entries),
        "Keys in each file of the index.",
    ),
    live(
        "maxMsgsNumBatch",
        "64",
        Field::Number(1..=10_000, |config| &mut config.store.query_messages_max),
        "Messages that one query by key answers at most.",
    ),
    live(
        "defaultQueryMaxNum",
        "32",
        Field::Number(1..=10_000, |config| &mut config.store.unique_query_messages_max),
        "Messages that one query by unique key answers at most.",
    ),
];
