//! Taking the open transactions from the store: what a node does before it leads, and then for each half that arrives.
//!
//! Halves from progress on are open unless a mark names them. A crash may come between a message that commits a half and its
//! mark, so the log itself is read from where the last mark says that such messages may lie. (Apache's marks do not say so;
//! behind one of them it is read from the oldest open half on.) What is found there was decided, and lacks its mark only.

use std::collections::HashSet;
use std::time::Duration;

use ferrymq_proto::name::{SystemTopic, TopicName};
use ferrymq_proto::position::{LogOffset, QueueOffset};
use ferrymq_proto::record::{Record, TransactionState, property};
use ferrymq_storage::{ReadError, RecordsError, Window};

use super::halves::{self, QUEUE};
use super::table::{Half, Progress, Root, Table};
use crate::refusal::Refusal;
use crate::services::archive::{Archive, Span};

/// Marks that are looked up at once.
const MARKS_AT_ONCE: usize = 1024;
/// How long dispatch may be behind before we go on without it: halves that come later are taken in as they come.
const DISPATCH_WAIT: Duration = Duration::from_secs(10);

/// Everything that is open, of a store in which progress came so far.
pub fn load(archive: &Archive, stored: Progress, open_max: usize) -> Result<Table, Refusal> {
    let end = archive.log().confirmed().offset;
    if !archive.derived().wait_dispatched(end, DISPATCH_WAIT) {
        tracing::warn!("dispatch is behind: open transactions of late will be seen later");
    }
    let (halves, marks) = (halves_span(archive)?, span(archive, &mark_topic())?);
    let progress = Progress {
        halves: stored.halves.clamp(halves.min, halves.max),
        marks: stored.marks.clamp(marks.min, marks.max),
    };
    let mut table = Table::new(progress, open_max);
    let commits_from = read_marks(archive, &mut table, progress.marks, marks)?;
    table.skip_to(halves.min);
    loop {
        let wanted = table.wanted(halves.max);
        let read = read_halves(archive, &wanted)?;
        if read.is_empty() || !table.pass(read) {
            break;
        }
    }
    if let Some(oldest) = table.oldest() {
        read_commits(archive, &mut table, oldest.max(commits_from), end)?;
    }
    Ok(table)
}

pub fn half_topic() -> TopicName {
    SystemTopic::TransactionHalf.into()
}

pub fn mark_topic() -> TopicName {
    SystemTopic::TransactionOperation.into()
}

fn span(archive: &Archive, topic: &TopicName) -> Result<Span, Refusal> {
    Ok(archive.span(topic, QUEUE)?.unwrap_or_default())
}

/// Returns from where messages that commit are to be looked for, as the last mark says.
fn read_marks(
    archive: &Archive,
    table: &mut Table,
    from: QueueOffset,
    span: Span,
) -> Result<LogOffset, Refusal> {
    let mut commits_from = LogOffset(0);
    // The last one says more than what it marks, also when it need not be read again.
    let mut at = from.min(QueueOffset(span.max.0 - 1)).max(span.min);
    while at < span.max {
        let entries = archive.entries(&mark_topic(), QUEUE, at, MARKS_AT_ONCE)?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            let bytes = archive.record(entry.log_offset);
            let record = bytes.as_ref().and_then(|bytes| Record::decode(bytes).ok());
            if at >= from {
                table.found_mark(at, record.iter().flat_map(|(record, _)| halves::marked(record)));
            }
            commits_from = record.map_or(LogOffset(0), |(record, _)| record.prepared_offset);
            at.0 += 1;
        }
    }
    Ok(commits_from)
}

/// Where the halves lie that can be read.
pub fn halves_span(archive: &Archive) -> Result<Span, Refusal> {
    span(archive, &half_topic())
}

/// Reads these halves, which are in order and not far apart; `None` for what is no half.
pub fn read_halves(
    archive: &Archive,
    wanted: &[QueueOffset],
) -> Result<Vec<(QueueOffset, Option<Half>)>, Refusal> {
    let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(Vec::new()) };
    let count = usize::try_from(last.0 - first.0 + 1).unwrap_or_default();
    let entries = archive.entries(&half_topic(), QUEUE, *first, count)?;
    let places = (first.0..).map(QueueOffset).zip(entries);
    let wanted: HashSet<_> = wanted.iter().collect();
    let wanted = places.filter(|(at, _)| wanted.contains(at));
    Ok(wanted.map(|(at, entry)| (at, half_at(archive, entry.log_offset))).collect())
}

/// The half that lies there.
fn half_at(archive: &Archive, offset: LogOffset) -> Option<Half> {
    let bytes = archive.record(offset)?;
    let (record, _) = Record::decode(&bytes).ok()?;
    halves::half(&record)
}

/// Takes in the messages of the log that commit something.
fn read_commits(
    archive: &Archive,
    table: &mut Table,
    from: LogOffset,
    end: LogOffset,
) -> Result<(), Refusal> {
    let log = archive.log();
    let mut at = from;
    while at < end {
        let window = match Window::read(log, at, end) {
            Err(RecordsError::Read(ReadError::BeforeStart { start, .. })) => {
                at = start;
                continue;
            }
            other => other.map_err(|error| unreadable(&error))?,
        };
        let mut pieces = window.pieces();
        while let Some(placed) = pieces.next_record().map_err(|error| unreadable(&error))? {
            let record = &placed.record;
            let commits = record.sys_flag.transaction() == TransactionState::Committed;
            if commits && (record.prepared_offset.0 > 0 || commits_the_first(archive, record)) {
                table.found_commit(root_of(archive, table, record.prepared_offset), placed.offset);
            }
        }
        if pieces.position() <= at {
            break;
        }
        at = pieces.position();
    }
    Ok(())
}

/// Whether a message that names offset 0 means it: Apache's broker forgets which half it was when it delays a message.
fn commits_the_first(archive: &Archive, message: &Record<'_>) -> bool {
    let bytes = archive.record(LogOffset(0));
    let first = bytes.as_ref().and_then(|bytes| Record::decode(bytes).ok());
    let key = |record: &Record<'_>| record.properties.get(property::UNIQUE_KEY).map(|key| key.into_owned());
    first.is_some_and(|(first, _)| halves::half(&first).is_some() && key(&first) == key(message))
}

/// The root of the half that lies there.
fn root_of(archive: &Archive, table: &Table, half: LogOffset) -> Root {
    let itself = Root(half);
    if table.knows(itself) {
        return itself;
    }
    half_at(archive, half).map_or(itself, |half| half.root)
}

fn unreadable(error: &RecordsError) -> Refusal {
    tracing::error!(%error, "the log cannot be read");
    Refusal::Failed(format!("the log cannot be read: {error}"))
}
