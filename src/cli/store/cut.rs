//! `ferrymq store cut FOLDER`: gives up the end of a log that is damaged.

use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use ferrymq_proto::json::Writer;
use ferrymq_proto::position::LogOffset;
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::look::Look;
use ferrymq_storage::look::loss::{self, Loss};
use ferrymq_storage::recovery::cut::{self, CutError, Refused};
use ferrymq_storage::{FatalHook, FlushMode, Layout, Mark, OpenError, OpenLog, Settings};

use super::{Output, Target, array, integer, print_json, string, truth};
use crate::cli::remote::Moment;
use crate::cli::{CHECK_FAILED, REFUSED_FOR_SAFETY, complain, print};

const SCHEMA: &str = "ferrymq.store.cut/1";
/// Of the queues that lose messages, so many are named.
const NAMED_MAX: usize = 20;

/// Cut off the log of a single broker where a start is refused because it is damaged. Without --at nothing is changed, and it is said
/// what would be lost.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    target: Target,

    /// Cut it off here: at the offset that a call without it names. What lies behind is lost.
    #[arg(long, value_name = "OFFSET")]
    at: Option<i64>,
}

pub fn run(arguments: &Arguments) -> Result<ExitCode, OpenError> {
    match arguments.run() {
        Ok(code) => Ok(code),
        Err(CutError::Open(error)) => Err(error),
        Err(CutError::NotRefused) => {
            print(&format!("{}; nothing is cut off\n", CutError::NotRefused));
            Ok(ExitCode::SUCCESS)
        }
        Err(other) => {
            complain(&format!("error: {other}\n"));
            Ok(ExitCode::from(REFUSED_FOR_SAFETY))
        }
    }
}

impl Arguments {
    fn run(&self) -> Result<ExitCode, CutError> {
        let look = self.target.open_damaged()?;
        if look.is_in_use()? {
            return Err(OpenError::Locked { path: self.target.folder.join("lock") }.into());
        }
        let refused = cut::find(&look)?.ok_or(CutError::NotRefused)?;
        let loss = loss::behind(&look, refused.offset)?;
        let is_cut = match self.at {
            None => false,
            Some(at) if LogOffset(at) == refused.offset => {
                self.cut(look, refused.offset)?;
                true
            }
            Some(at) => {
                return Err(CutError::Elsewhere { asked: LogOffset(at), found: refused.offset });
            }
        };
        match self.target.output {
            Output::Text => print(&text(&self.target.folder, &refused, &loss, is_cut)),
            Output::Json => print_json(SCHEMA, |writer| json(writer, &refused, &loss, is_cut)),
        }
        Ok(if is_cut { ExitCode::SUCCESS } else { ExitCode::from(CHECK_FAILED) })
    }

    /// And ends it in order, as a broker does.
    fn cut(&self, look: Look, at: LogOffset) -> Result<(), CutError> {
        let folder = &self.target.folder;
        let failed = |source| OpenError::Io { path: folder.clone(), source };
        let settings = Settings {
            folder: folder.clone(),
            layout: Layout::Classic,
            segment_bytes: look.segment_bytes(),
            mode: FlushMode::Sync,
            flush_interval: Settings::FLUSH_INTERVAL_DEFAULT,
            boot: RealDisk::boot_id().map_err(failed)?,
            on_fatal: FatalHook::abort(),
        };
        drop(look);
        let OpenLog { appender, .. } = cut::cut(Arc::new(RealDisk), settings, at)?;
        let log = appender.log().clone();
        log.confirm(Mark { offset: log.written(), ..log.confirmed() });
        appender.close().map_err(|broken| failed(io::Error::other(broken)))?;
        Ok(())
    }
}

fn text(folder: &Path, refused: &Refused, loss: &Loss, is_cut: bool) -> String {
    let Refused { offset, why, .. } = refused;
    let (is, then) = match is_cut {
        true => ("was", "cut off there, with all that lay behind"),
        false => ("is", "to cut it off there loses all that lies behind"),
    };
    let mut text = format!("a start {is} refused at offset {offset} of the log: {why}\n{then}:\n");
    text += &match loss.stored {
        Some((first, last)) => format!(
            "  whole messages: {} with {} bytes, stored from {} to {}\n",
            loss.records,
            loss.bytes,
            Moment(first),
            Moment(last)
        ),
        None => "  whole messages: none\n".to_owned(),
    };
    for ((topic, queue), lost) in loss.queues.iter().take(NAMED_MAX) {
        text += &format!("    {topic}/{queue}: {} from {} to {}\n", lost.records, lost.first, lost.last);
    }
    if loss.queues.len() > NAMED_MAX {
        text += &format!("    … and {} queues more\n", loss.queues.len() - NAMED_MAX);
    }
    for file in &loss.files {
        text += &format!("  the file {}\n", file.display());
    }
    text += "  and whatever cannot be read\n";
    text += &match is_cut {
        true => "the next start makes queues and index anew; later messages get the offsets of those that are lost\n".to_owned(),
        false => format!(
            "nothing was changed. Without a copy or a slave to take the file from, copy the folder and cut it off:\n  ferrymq store \
             cut {} --at {offset}\n",
            folder.display()
        ),
    };
    text
}

fn json(writer: &mut Writer, refused: &Refused, loss: &Loss, is_cut: bool) {
    truth(writer, "isCut", is_cut);
    integer(writer, "offset", refused.offset.0);
    string(writer, "path", &refused.path.display().to_string());
    string(writer, "problem", &refused.why.to_string());
    integer(writer, "messagesLost", loss.records);
    integer(writer, "bytesLost", loss.bytes);
    if let Some((first, last)) = loss.stored {
        integer(writer, "firstStored", first.0);
        integer(writer, "lastStored", last.0);
    }
    array(writer, "queues", &loss.queues, |writer, ((topic, queue), lost)| {
        string(writer, "topic", topic.as_str());
        integer(writer, "queue", queue.0);
        integer(writer, "first", lost.first.0);
        integer(writer, "last", lost.last.0);
        integer(writer, "messages", lost.records);
    });
    array(writer, "files", &loss.files, |writer, file| string(writer, "path", &file.display().to_string()));
}
