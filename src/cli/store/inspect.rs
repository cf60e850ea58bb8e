//! `ferrymq store inspect FOLDER`: what there is of a store.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use ferrymq_proto::json::Writer;
use ferrymq_proto::name::TopicName;
use ferrymq_storage::look::inspect::{CheckpointFacts, Inspection, QueueFacts, inspect};
use ferrymq_storage::{Keeper, Layout, OpenError, StoreMeta};

use super::table::Table;
use super::{Output, Target, array, integer, print_json, string, truth};

const SCHEMA: &str = "ferrymq.store.inspect/1";

/// Show the files of a store and what they say of themselves. Only the end of the log is read.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,

    /// Show each queue of this topic.
    #[arg(long)]
    topic: Option<String>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, OpenError> {
    let look = arguments.target.open_with_warning()?;
    let mut found = inspect(&look)?;
    if let Some(topic) = &arguments.topic {
        found.topics.retain(|name, _| name.as_str() == topic);
    }
    match arguments.target.output {
        Output::Text => super::print(&text(&found, arguments.topic.is_some())),
        Output::Json => print_json(SCHEMA, |writer| json(writer, &found)),
    }
    Ok(ExitCode::SUCCESS)
}

pub fn layout_name(layout: Layout) -> &'static str {
    match layout {
        Layout::Classic => "classic",
        Layout::Framed => "framed",
    }
}

fn keeper_name(keeper: Keeper) -> &'static str {
    match keeper {
        Keeper::Ferrymq => "ferrymq",
        Keeper::Apache => "apache",
        Keeper::Unknown => "unknown",
        Keeper::Damaged => "damaged",
    }
}

fn stop_name(found: &Inspection) -> &'static str {
    match &found.meta {
        Some(meta) if meta.clean => "in order",
        // Ours, or Apache's broker, which leaves a marker.
        Some(_) => "not in order",
        None if found.has_abort_marker => "not in order",
        None => "in order",
    }
}

fn entries(queues: &[QueueFacts]) -> i64 {
    queues.iter().map(|queue| queue.next.0 - queue.begin.0).sum()
}

fn text(found: &Inspection, with_queues: bool) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_store(found, &mut text);
    text += &log_table(found);
    let queues: usize = found.topics.values().map(Vec::len).sum();
    let all: i64 = found.topics.values().map(|queues| entries(queues)).sum();
    let (topics, file_entries) = (found.topics.len(), found.queue_file_entries);
    let _ =
        writeln!(text, "queues: {queues} in {topics} topics, with {all} entries, in files of {file_entries}");
    text += &if with_queues { queue_table(found) } else { topic_table(found) };
    let _ = writeln!(text, "index: {} files", found.index.len());
    text += &index_table(found);
    let _ = write_checkpoint(&found.checkpoint, &mut text);
    text
}

fn write_store(found: &Inspection, text: &mut String) -> std::fmt::Result {
    writeln!(text, "store {}", found.folder.display())?;
    writeln!(text, "  layout       {}", layout_name(found.layout))?;
    writeln!(text, "  last used by {}", keeper_name(found.keeper))?;
    writeln!(text, "  last stop    {}", stop_name(found))?;
    if found.has_abort_marker {
        writeln!(text, "  marker       abort")?;
    }
    match &found.meta {
        Some(StoreMeta { start, confirmed, durable, .. }) => {
            writeln!(text, "  start        {start}")?;
            writeln!(text, "  confirmed    {}", confirmed.offset)?;
            if found.layout == Layout::Framed {
                let chain = confirmed.chain;
                writeln!(
                    text,
                    "  last frame   index {}, term {}, crc {:08x}",
                    chain.index, chain.term, chain.header_crc
                )?;
            }
            writeln!(text, "  durable      {durable}")?;
        }
        None => writeln!(text, "  store.meta   none that counts")?,
    }
    match &found.torn {
        Some(damage) => writeln!(text, "  end          {}, and there a torn tail: {damage}", found.end),
        None => writeln!(text, "  end          {}", found.end),
    }?;
    writeln!(text, "log: {} segments of {} bytes", found.segments.len(), found.segment_bytes)
}

fn log_table(found: &Inspection) -> String {
    let mut table = Table::new(&["FIRST", "END", "FIRST STORED (MS)", "SUMMED", "FILE"]);
    for segment in &found.segments {
        let time = segment.first_time.map_or_else(|| "-".to_owned(), |time| time.0.to_string());
        table.row(&[&segment.base, &segment.end, &time, &segment.summed_bytes, &segment.path.display()]);
    }
    table.print()
}

fn topic_table(found: &Inspection) -> String {
    let mut table = Table::new(&["QUEUES", "ENTRIES", "TOPIC", ""]);
    for (topic, queues) in &found.topics {
        let damaged = queues.iter().filter(|queue| queue.problem.is_some()).count();
        let problem = if damaged == 0 { String::new() } else { format!("{damaged} damaged") };
        table.row(&[&queues.len(), &entries(queues), topic, &problem]);
    }
    table.print()
}

fn queue_table(found: &Inspection) -> String {
    let mut table = Table::new(&["QUEUE", "FIRST", "NEXT", "FILES", "TOPIC", ""]);
    for (topic, queue) in all_queues(found) {
        let problem = queue.problem.as_deref().unwrap_or_default();
        table.row(&[&queue.id, &queue.begin, &queue.next, &queue.files, topic, &problem]);
    }
    table.print()
}

fn all_queues(found: &Inspection) -> impl Iterator<Item = (&TopicName, &QueueFacts)> {
    found.topics.iter().flat_map(|(topic, queues)| queues.iter().map(move |queue| (topic, queue)))
}

fn index_table(found: &Inspection) -> String {
    let mut table =
        Table::new(&["ENTRIES", "SLOTS", "FROM (MS)", "TO (MS)", "FIRST RECORD", "LAST RECORD", "FILE"]);
    for file in &found.index {
        table.row(&[
            &file.entries,
            &file.slots_used,
            &file.begin_time.0,
            &file.end_time.0,
            &file.begin_offset,
            &file.end_offset,
            &file.path.display(),
        ]);
    }
    table.print()
}

fn write_checkpoint(facts: &CheckpointFacts, text: &mut String) -> std::fmt::Result {
    writeln!(text, "checkpoint")?;
    match &facts.synced {
        Some(synced) => {
            let (queues, time) = (synced.queues, synced.last_store_time.0);
            writeln!(
                text,
                "  durable to   {}, with {queues} queues, last stored {time} ms",
                synced.position
            )?;
            if synced.queues_are_void || synced.index_is_void {
                writeln!(
                    text,
                    "  to be made anew: queues {}, index {}",
                    synced.queues_are_void, synced.index_is_void
                )?;
            }
        }
        None if facts.synced_is_damaged => writeln!(text, "  durable to   damaged: all is made anew")?,
        None => writeln!(text, "  durable to   nothing known: all is made anew")?,
    }
    match &facts.written {
        Some((_, position)) => writeln!(text, "  written to   {position}")?,
        None if facts.written_is_damaged => writeln!(text, "  written to   damaged")?,
        None => writeln!(text, "  written to   nothing known")?,
    }
    if let Some([log, queues, index]) = facts.apaches {
        writeln!(text, "  for Apache   log {} ms, queues {} ms, index {} ms", log.0, queues.0, index.0)?;
    }
    Ok(())
}

fn json(writer: &mut Writer, found: &Inspection) {
    string(writer, "folder", &found.folder.display().to_string());
    string(writer, "layout", layout_name(found.layout));
    string(writer, "lastUsedBy", keeper_name(found.keeper));
    truth(writer, "stoppedInOrder", stop_name(found) == "in order");
    truth(writer, "abortMarker", found.has_abort_marker);
    integer(writer, "segmentBytes", found.segment_bytes);
    if let Some(meta) = &found.meta {
        let chain = meta.confirmed.chain;
        integer(writer, "start", meta.start.0);
        integer(writer, "confirmed", meta.confirmed.offset.0);
        integer(writer, "confirmedIndex", chain.index.0);
        integer(writer, "confirmedTerm", chain.term.0);
        integer(writer, "confirmedHeaderCrc", chain.header_crc);
        integer(writer, "durable", meta.durable.0);
    }
    integer(writer, "end", found.end.0);
    if let Some(damage) = &found.torn {
        string(writer, "tornTail", &damage.to_string());
    }
    array(writer, "segments", &found.segments, |writer, segment| {
        string(writer, "path", &segment.path.display().to_string());
        integer(writer, "first", segment.base.0);
        integer(writer, "end", segment.end.0);
        if let Some(time) = segment.first_time {
            integer(writer, "firstStored", time.0);
        }
        integer(writer, "summedBytes", segment.summed_bytes);
    });
    integer(writer, "queueFileEntries", found.queue_file_entries);
    array(writer, "queues", all_queues(found), |writer, (topic, queue)| {
        string(writer, "topic", topic.as_str());
        integer(writer, "queue", queue.id.0);
        integer(writer, "first", queue.begin.0);
        integer(writer, "next", queue.next.0);
        integer(writer, "files", queue.files as u64);
        if let Some(problem) = &queue.problem {
            string(writer, "problem", problem);
        }
    });
    array(writer, "index", &found.index, |writer, file| {
        string(writer, "path", &file.path.display().to_string());
        integer(writer, "entries", file.entries);
        integer(writer, "slotsUsed", file.slots_used);
        integer(writer, "beginTime", file.begin_time.0);
        integer(writer, "endTime", file.end_time.0);
        integer(writer, "beginOffset", file.begin_offset.0);
        integer(writer, "endOffset", file.end_offset.0);
    });
    writer.key("checkpoint");
    writer.object(|writer| checkpoint_json(writer, &found.checkpoint));
}

fn checkpoint_json(writer: &mut Writer, facts: &CheckpointFacts) {
    truth(writer, "isDamaged", facts.synced_is_damaged || facts.written_is_damaged);
    if let Some(synced) = &facts.synced {
        integer(writer, "durableTo", synced.position.0);
        integer(writer, "lastStored", synced.last_store_time.0);
        truth(writer, "queuesAreVoid", synced.queues_are_void);
        truth(writer, "indexIsVoid", synced.index_is_void);
    }
    if let Some((_, position)) = &facts.written {
        integer(writer, "writtenTo", position.0);
    }
    if let Some([log, queues, index]) = facts.apaches {
        integer(writer, "apacheLog", log.0);
        integer(writer, "apacheQueues", queues.0);
        integer(writer, "apacheIndex", index.0);
    }
}
