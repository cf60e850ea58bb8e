//! `export`: a second opinion. Histories in the forms that other checkers read.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Refusal, VALID};
use crate::export;
use crate::history;

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Form {
    /// For jepsen.tests.kafka/checker
    EdnKafka,
    /// For knossos: one register for each group and queue
    EdnRegister,
}

#[derive(Clone, Debug, Args)]
pub struct ExportOptions {
    #[arg(long, value_enum, default_value = "edn-kafka")]
    pub format: Form,
    /// The history.jsonl of a run
    #[arg(long)]
    pub history: PathBuf,
    /// Where to write it; by default to standard output
    #[arg(long)]
    pub output: Option<PathBuf>,
}

pub fn export(options: &ExportOptions) -> Result<u8, Refusal> {
    let history = history::load(&options.history).map_err(|error| Refusal::bad(error.to_string()))?;
    let text = match options.format {
        Form::EdnKafka => export::edn_kafka(&history),
        Form::EdnRegister => export::edn_register(&history),
    };
    match &options.output {
        None => print!("{text}"),
        Some(path) => fs::write(path, text)
            .map_err(|error| Refusal::unknown(format!("cannot write {}: {error}", path.display())))?,
    }
    Ok(VALID)
}
