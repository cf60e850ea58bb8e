//! `ferrymq store`: looks at a store that no broker has open.
//!
//! Nothing is changed, but by `rebuild` and `cut --at`. It ends with 0 if all is well; 1: the store cannot be read; 2: it was called
//! wrongly; 3: it is damaged; 5: it is not cut off there; 6: there is no store.

mod cut;
mod dump;
mod inspect;
pub(super) mod progress;
mod rebuild;
mod table;
mod verify;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use ferrymq_proto::json::{Dialect, Writer};
use ferrymq_storage::disk::RealDisk;
use ferrymq_storage::look::{Assumed, Look};
use ferrymq_storage::{OpenError, SurveyError};

use super::{NOT_FOUND, complain, print};

/// Look at a store that no broker has open.
#[derive(Debug, Subcommand)]
pub enum Command {
    Inspect(inspect::Arguments),
    Verify(verify::Arguments),
    Dump(dump::Arguments),
    Rebuild(rebuild::Arguments),
    Cut(cut::Arguments),
}

pub fn run(command: &Command) -> ExitCode {
    let done = match command {
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Dump(arguments) => dump::run(arguments),
        Command::Rebuild(arguments) => rebuild::run(arguments),
        Command::Cut(arguments) => cut::run(arguments),
    };
    done.unwrap_or_else(|error| failed(&error))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Which store, and how to show it.
#[derive(Debug, Args)]
struct Target {
    /// The folder of the store: storePathRootDir of its broker.
    folder: PathBuf,

    /// How to print it.
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,

    /// The length of a segment, of a store that says nothing of itself (mappedFileSizeCommitLog).
    #[arg(long, value_name = "BYTES")]
    segment_bytes: Option<u64>,
}

/// The length of the files of the index, if it is not Apache's.
#[derive(Debug, Args)]
struct IndexSizes {
    /// Slots of a file of the index (maxHashSlotNum).
    #[arg(long, default_value_t = 5_000_000, value_name = "COUNT")]
    index_slots: u32,

    /// Entries of a file of the index (maxIndexNum).
    #[arg(long, default_value_t = 20_000_000, value_name = "COUNT")]
    index_entries: u32,
}

impl Target {
    fn open(&self) -> Result<Look, OpenError> {
        Look::open(Arc::new(RealDisk), &self.folder, self.assumed())
    }

    /// As [`open`](Self::open), whatever is missing.
    fn open_damaged(&self) -> Result<Look, OpenError> {
        Look::open_damaged(Arc::new(RealDisk), &self.folder, self.assumed())
    }

    fn assumed(&self) -> Assumed {
        // Without it the checkpoint of an earlier start counts, which is behind.
        Assumed { segment_bytes: self.segment_bytes, boot: RealDisk::boot_id().ok() }
    }

    /// As [`open`](Self::open), with a warning when the store is not at rest.
    fn open_with_warning(&self) -> Result<Look, OpenError> {
        let look = self.open()?;
        if look.is_in_use()? {
            complain(&format!(
                "warning: a broker has {} open: it changes while you look\n",
                self.folder.display()
            ));
        }
        Ok(look)
    }
}

fn failed(error: &OpenError) -> ExitCode {
    let missing = match error {
        OpenError::Io { source, .. } | OpenError::Survey(SurveyError::Io { source, .. }) => {
            source.kind() == io::ErrorKind::NotFound
        }
        _ => false,
    };
    if missing {
        complain(&format!(
            "error: there is no store: {error}\n help: name the folder that has `commitlog` in it\n"
        ));
        return ExitCode::from(NOT_FOUND);
    }
    complain(&format!("error: {error}\n"));
    ExitCode::FAILURE
}

/// Prints one JSON object, which says first what it is.
fn print_json(schema: &str, members: impl FnOnce(&mut Writer)) {
    let mut writer = Writer::new(Dialect::Standard);
    writer.object(|writer| {
        writer.key("schema");
        writer.string(schema);
        members(writer);
    });
    print(&(writer.finish() + "\n"));
}

fn string(writer: &mut Writer, key: &str, value: &str) {
    writer.key(key);
    writer.string(value);
}

fn integer(writer: &mut Writer, key: &str, value: impl TryInto<i64>) {
    writer.key(key);
    writer.integer(value.try_into().unwrap_or(i64::MAX));
}

fn truth(writer: &mut Writer, key: &str, value: bool) {
    writer.key(key);
    writer.boolean(value);
}

fn array<T>(
    writer: &mut Writer,
    key: &str,
    items: impl IntoIterator<Item = T>,
    element: impl Fn(&mut Writer, T),
) {
    writer.key(key);
    writer.array(|writer| {
        for item in items {
            writer.element();
            writer.object(|writer| element(writer, item));
        }
    });
}
