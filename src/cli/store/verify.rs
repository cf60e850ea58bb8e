//! `ferrymq store verify FOLDER`: whether a store is whole.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use ferrymq_proto::json::Writer;
use ferrymq_raft::{NodeFiles, verify_node};
use ferrymq_storage::disk::{Disk, RealDisk};
use ferrymq_storage::verify::{Affected, Expected, Finding, Verified, verify};
use ferrymq_storage::{Layout, MetaError, OpenError};

use super::inspect::layout_name;
use super::progress::Bar;
use super::{IndexSizes, Output, Target, array, complain, integer, print_json, string, truth};
use crate::cli::CHECK_FAILED;
use crate::replication::raft::check_state;

const SCHEMA: &str = "ferrymq.store.verify/1";

/// Check every checksum of a store, how its parts follow each other, and that queues and index agree with the log. Ends with 3
/// if anything is damaged.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,

    #[command(flatten)]
    index: IndexSizes,

    /// Take the times in the queues of delayed messages as they are: the broker has other delay levels than the usual ones
    /// (messageDelayLevel).
    #[arg(long)]
    other_delay_levels: bool,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, OpenError> {
    let look = match arguments.target.open_damaged() {
        Err(error @ OpenError::Meta(MetaError::Damaged { .. })) => {
            complain(&format!("error: {error}\n"));
            return Ok(ExitCode::from(CHECK_FAILED));
        }
        other => other?,
    };
    if look.is_in_use()? {
        let folder = arguments.target.folder.display();
        complain(&format!(
            "error: a broker has {folder} open; what it is about to write would count as damage\n help: stop the broker, or \
             verify a copy\n"
        ));
        return Ok(ExitCode::FAILURE);
    }
    let mut expected = Expected {
        index_slots: arguments.index.index_slots,
        index_entries: arguments.index.index_entries,
        ..Expected::default()
    };
    if arguments.other_delay_levels {
        expected.delay_levels = None;
    }
    let mut bar = Bar::new();
    let verified = verify(&look, &expected, &mut |progress| bar.show(progress));
    bar.end();
    let verified = verified?;
    let node = node_files(&arguments.target.folder, &verified)?;
    match arguments.target.output {
        Output::Text => super::print(&text(&verified, &node)),
        Output::Json => print_json(SCHEMA, |writer| json(writer, &verified, &node)),
    }
    Ok(if verified.findings.is_empty() && node.faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(CHECK_FAILED)
    })
}

/// What a node of a group keeps beside its log.
fn node_files(folder: &Path, verified: &Verified) -> Result<NodeFiles, OpenError> {
    if verified.layout == Layout::Classic {
        return Ok(NodeFiles::default());
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let is_state = |state: &[u8]| check_state(state).map_err(|error| error.to_string());
    let found = verify_node(&disk, folder, verified.segment_bytes, &is_state);
    found.map_err(|source| OpenError::Io { path: folder.to_owned(), source })
}

fn text(verified: &Verified, node: &NodeFiles) -> String {
    let mut text = String::new();
    for finding in &verified.findings {
        text += &format!("DAMAGED {}\n  {}\n", finding.fault, affected(finding));
    }
    for fault in &node.faults {
        text += &format!("DAMAGED {fault}\n  {}\n", fault.effect());
    }
    // Writing to a string does not fail.
    let _ = write_summary(verified, node, &mut text);
    text
}

fn affected(finding: &Finding) -> String {
    match &finding.affected {
        Affected::Messages { count: 0, .. } => "affects no message that is in a queue".to_owned(),
        Affected::Messages { count, first } => {
            let names: Vec<String> = first
                .iter()
                .map(|message| format!("{}/{} at {}", message.topic, message.queue, message.offset))
                .collect();
            let more = if *count > first.len() as u64 { ", …" } else { "" };
            format!("affects {count} messages: {}{more}", names.join(", "))
        }
        Affected::Readers => "affects readers of the queue; `ferrymq store rebuild` heals it".to_owned(),
        Affected::Searches => "affects searches by key; `ferrymq store rebuild` heals it".to_owned(),
        Affected::Everybody => {
            "affects everybody: no broker opens the store before that is put right".to_owned()
        }
        Affected::Nobody => "affects nobody: it is made anew when a broker opens the store".to_owned(),
    }
}

fn write_summary(verified: &Verified, node: &NodeFiles, text: &mut String) -> std::fmt::Result {
    let Verified { records, frames, start, end, .. } = verified;
    let layout = layout_name(verified.layout);
    write!(text, "{layout} log from {start} to {end}: {records} records")?;
    if *frames > 0 {
        write!(text, " in {frames} frames")?;
    }
    if verified.summed_bytes > 0 {
        write!(text, ", {} bytes with a checksum beside them", verified.summed_bytes)?;
    }
    writeln!(text)?;
    if verified.are_sums_void {
        writeln!(text, "Apache's broker has had the store: no checksums beside the log count")?;
    }
    if let Some(damage) = &verified.torn {
        writeln!(text, "torn tail at {end}, which is no damage and is cut off at the next start: {damage}")?;
    }
    if verified.skipped_bytes > 0 {
        let skipped = verified.skipped_bytes;
        writeln!(
            text,
            "{skipped} bytes are missing or lie behind damage in a segment: nothing was compared with them"
        )?;
    }
    match verified.derived_to {
        Some(to) => writeln!(text, "queues and index were compared with the log up to {to}")?,
        None => writeln!(text, "queues and index were not compared with the log")?,
    }
    if node.has_meta {
        writeln!(text, "node of a group: raft.meta and {} checkpoints were looked at", node.checkpoints)?;
    }
    match verified.findings.len() + node.faults.len() {
        0 => writeln!(text, "sound"),
        count => writeln!(text, "damaged in {count} places"),
    }
}

fn json(writer: &mut Writer, verified: &Verified, node: &NodeFiles) {
    truth(writer, "isSound", verified.findings.is_empty() && node.faults.is_empty());
    string(writer, "layout", layout_name(verified.layout));
    integer(writer, "start", verified.start.0);
    integer(writer, "confirmed", verified.confirmed.0);
    integer(writer, "durable", verified.durable.0);
    integer(writer, "end", verified.end.0);
    integer(writer, "records", verified.records);
    integer(writer, "frames", verified.frames);
    integer(writer, "summedBytes", verified.summed_bytes);
    truth(writer, "sumsAreVoid", verified.are_sums_void);
    if let Some(damage) = &verified.torn {
        string(writer, "tornTail", &damage.to_string());
    }
    if verified.skipped_bytes > 0 {
        integer(writer, "skippedBytes", verified.skipped_bytes);
    }
    if let Some(to) = verified.derived_to {
        integer(writer, "derivedComparedTo", to.0);
    }
    if node.has_meta {
        integer(writer, "checkpoints", node.checkpoints);
    }
    if !node.faults.is_empty() {
        array(writer, "nodeFindings", &node.faults, |writer, fault| {
            string(writer, "kind", fault.kind());
            string(writer, "path", &fault.path().display().to_string());
            string(writer, "problem", &fault.to_string());
            string(writer, "effect", fault.effect());
        });
    }
    array(writer, "findings", &verified.findings, |writer, finding| {
        string(writer, "kind", finding.fault.kind());
        if let Some(path) = finding.fault.path() {
            string(writer, "path", &path.display().to_string());
        }
        string(writer, "problem", &finding.fault.to_string());
        string(writer, "effect", &affected(finding));
        if let Affected::Messages { count, first } = &finding.affected {
            integer(writer, "messagesAffected", *count);
            array(writer, "firstMessages", first, |writer, message| {
                string(writer, "topic", message.topic.as_str());
                integer(writer, "queue", message.queue.0);
                integer(writer, "offset", message.offset.0);
            });
        }
    });
}
