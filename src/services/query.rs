//! Looking for stored messages: by key, by place in the log, and entry by entry of a queue.
//!
//! The index knows hashes of keys only. What it finds is read and compared, so nobody gets a message that has another key.

use bytes::{Bytes, BytesMut};
use ferrymq_proto::name::TopicName;
use ferrymq_proto::position::{LogOffset, QueueId, QueueOffset, Timestamp};
use ferrymq_proto::record::{Record, property};
use ferrymq_storage::index::KeyQuery;
use ferrymq_storage::queues::QueueEntry;

use super::archive::{Archive, Span, unreadable};
use crate::config::live::Live;
use crate::refusal::Refusal;

/// Messages with one key are sent in one frame, which every client reads up to 16 MiB.
const ANSWER_BYTES_MAX: usize = 14 << 20;
/// How often it is looked further back when all that was found had another key with the same hash.
const ROUNDS_MAX: usize = 3;
/// Entries of a queue that one request shows.
const ENTRIES_MAX: usize = 1024;

#[derive(Clone, Copy, Debug)]
pub struct QueryRules {
    pub messages_max: usize,
    pub unique_messages_max: usize,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub topic: TopicName,
    pub key: String,
    /// The key is the one that its producer made for a message.
    pub is_unique: bool,
    pub messages_max: usize,
    pub begin: Timestamp,
    pub end: Timestamp,
}

/// Messages, the oldest first, and how far the index has come.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub messages: Bytes,
    pub indexed_time: Timestamp,
    pub indexed_offset: LogOffset,
}

/// A part of a queue.
#[derive(Clone, Debug)]
pub struct Excerpt {
    pub span: Span,
    pub entries: Vec<QueueEntry>,
}

#[derive(Debug)]
pub struct Query {
    archive: Archive,
    rules: Live<QueryRules>,
}

impl Query {
    pub fn new(archive: Archive, rules: Live<QueryRules>) -> Self {
        Self { archive, rules }
    }

    pub async fn by_key(&self, wanted: Wanted) -> Result<Found, Refusal> {
        let rules = self.rules.get();
        let messages_max = match wanted.is_unique {
            true => rules.unique_messages_max.min(rules.messages_max),
            false => wanted.messages_max.min(rules.messages_max),
        };
        let wanted = Wanted { messages_max, ..wanted };
        self.archive.patiently(move |archive| find(archive, &wanted)).await
    }

    /// The message that begins at a place in the log.
    pub async fn by_offset(&self, offset: LogOffset) -> Result<Bytes, Refusal> {
        let find = move |archive: &Archive| archive.record(offset).ok_or(Refusal::NoMessageAt(offset));
        self.archive.patiently(find).await
    }

    /// Up to `count` entries of a queue. `None` for a queue that never had a message.
    pub async fn entries(
        &self,
        topic: TopicName,
        queue: QueueId,
        from: QueueOffset,
        count: usize,
    ) -> Result<Option<Excerpt>, Refusal> {
        let read = move |archive: &Archive| {
            let Some(span) = archive.span(&topic, queue)? else { return Ok(None) };
            let entries = archive.entries(&topic, queue, from, count.min(ENTRIES_MAX))?;
            Ok(Some(Excerpt { span, entries }))
        };
        self.archive.patiently(read).await
    }
}

fn find(archive: &Archive, wanted: &Wanted) -> Result<Found, Refusal> {
    let mut found = Found::default();
    let mut records: Vec<(LogOffset, Bytes)> = Vec::new();
    let mut end = wanted.end;
    for _ in 0..ROUNDS_MAX {
        let query = KeyQuery {
            topic: &wanted.topic,
            key: &wanted.key,
            records_max: wanted.messages_max,
            begin: wanted.begin,
            end,
        };
        let known = archive.index().query(query).map_err(|error| unreadable(&error))?;
        found.indexed_time = known.last_store_time;
        found.indexed_offset = known.last_offset;
        let is_last = known.records.len() < wanted.messages_max;
        let mut oldest = end;
        for offset in known.records {
            let Some(bytes) = archive.record(offset) else { continue };
            let Ok((record, _)) = Record::decode(&bytes) else { continue };
            oldest = oldest.min(record.store_timestamp);
            // A message may have the same word twice.
            if has_key(&record, wanted) && !records.iter().any(|(known, _)| *known == offset) {
                records.push((offset, bytes));
            }
        }
        if is_last || !records.is_empty() || oldest >= end {
            break;
        }
        end = oldest;
    }
    found.messages = joined(records);
    Ok(found)
}

fn has_key(record: &Record<'_>, wanted: &Wanted) -> bool {
    if wanted.topic != record.topic {
        return false;
    }
    let is_unique = record.properties.get(property::UNIQUE_KEY).is_some_and(|key| key == wanted.key);
    let keys = record.properties.get(property::KEYS).unwrap_or_default();
    is_unique || keys.split(property::KEY_SEPARATOR).any(|key| key == wanted.key)
}

/// The newest ones that fit, the oldest of them first.
fn joined(mut records: Vec<(LogOffset, Bytes)>) -> Bytes {
    records.sort_unstable_by_key(|(offset, _)| std::cmp::Reverse(*offset));
    let mut bytes = 0;
    let fits = |(_, record): &&(LogOffset, Bytes)| {
        bytes += record.len();
        bytes <= ANSWER_BYTES_MAX
    };
    let taken = records.iter().take_while(fits).count().max(1).min(records.len());
    let mut joined = BytesMut::new();
    records.iter().take(taken).rev().for_each(|(_, record)| joined.extend_from_slice(record));
    joined.freeze()
}
