//! The command line. Exit codes: 0 valid, 1 invalid, 2 unknown, 254 bad arguments, 255 the harness itself failed.

mod cases;
mod check;
mod export;
mod options;
mod results;
mod selftest;
mod suites;

mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use results::{Results, given_up, load as load_results};
pub use suites::Done;

pub const VALID: u8 = 0;
pub const INVALID: u8 = 1;
pub const UNKNOWN: u8 = 2;
pub const BAD_ARGUMENTS: u8 = 254;
pub const CRASHED: u8 = 255;

/// Breaks a group of brokers on purpose and judges what its clients saw.
#[derive(Debug, Parser)]
#[command(name = "jepsen", version)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs one workload under faults, and judges it.
    Test(Box<options::TestOptions>),

    /// Runs a suite of tests, and sums it up.
    TestAll(suites::SuiteOptions),
    /// Carries out a plan again: the same operations and faults at the same times.
    Replay(test::ReplayOptions),
    /// Judges a history that was written before.
    Check(check::CheckOptions),
    /// Writes a history in the form of another checker.
    Export(export::ExportOptions),
    /// Shows that the checkers find planted bugs and accuse nobody without reason.
    Selftest(selftest::SelftestOptions),
    /// Draws the report of a run again.
    Report(check::ReportOptions),
}

/// Why there is no verdict, and what to exit with.
#[derive(Debug)]
pub struct Refusal {
    pub code: u8,
    pub sentence: String,
}

impl Refusal {
    pub fn bad(sentence: impl Into<String>) -> Self {
        Self { code: BAD_ARGUMENTS, sentence: sentence.into() }
    }

    pub fn unknown(sentence: impl Into<String>) -> Self {
        Self { code: UNKNOWN, sentence: sentence.into() }
    }

    pub fn crashed(sentence: impl Into<String>) -> Self {
        Self { code: CRASHED, sentence: sentence.into() }
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let code = if error.use_stderr() { BAD_ARGUMENTS } else { VALID };
            // Nobody may be listening.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    // A panic is caught by its thread's end, so that everything that was started is ended first.
    let done = std::thread::Builder::new().name("jepsen".to_owned()).spawn(move || match arguments.command {
        Verb::Test(options) => test::test(&options),

        Verb::TestAll(options) => suites::test_all(&options),
        Verb::Replay(options) => test::replay(&options),
        Verb::Check(options) => check::check(&options),
        Verb::Export(options) => export::export(&options),
        Verb::Selftest(options) => selftest::selftest(&options),
        Verb::Report(options) => check::report(&options),
    });
    match done.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(code))) => ExitCode::from(code),
        Ok(Ok(Err(refusal))) => {
            eprintln!("jepsen: {}", refusal.sentence);
            ExitCode::from(refusal.code)
        }
        Ok(Err(_)) | Err(_) => ExitCode::from(CRASHED),
    }
}
