//! `ferrymq explain CODE`: what a problem's code means, and what to do about it.

use std::process::ExitCode;

use clap::Args;

use super::NOT_FOUND;
use crate::errors::{CATALOGUE, find};

/// Explain the code of an error or a warning.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The code, such as F1203.
    code: String,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match find(&arguments.code) {
        Some(problem) => {
            super::print(&format!("{}: {}\n\n{}\n", problem.code, problem.title, problem.text));
            ExitCode::SUCCESS
        }
        None => {
            let codes: Vec<&str> = CATALOGUE.iter().map(|problem| problem.code).collect();
            let code = crate::config::quoted(&arguments.code);
            super::complain(&format!(
                "error: nothing has the code {code}\n help: there are {}\n",
                codes.join(", ")
            ));
            ExitCode::from(NOT_FOUND)
        }
    }
}
