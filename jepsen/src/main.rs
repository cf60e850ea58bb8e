//! The command line of the fault harness.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrymq_jepsen::cli::main()
}
