//! All that is to be said about a configuration, in the order it was found.

use std::fmt;

use super::diagnostic::{Diagnostic, Severity};

/// A broken file is understood from so many mistakes; the rest are counted.
const DIAGNOSTICS_MAX: usize = 50;

#[derive(Debug, Default)]
pub struct Report {
    diagnostics: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    omitted: usize,
}

impl Report {
    pub fn add(&mut self, diagnostic: Diagnostic) {
        let is_error = diagnostic.severity == Severity::Error;
        let is_first_error = is_error && self.errors == 0;
        self.errors += usize::from(is_error);
        self.warnings += usize::from(diagnostic.severity == Severity::Warning);
        if self.diagnostics.len() < DIAGNOSTICS_MAX || is_first_error {
            self.diagnostics.push(diagnostic);
        } else {
            self.omitted += 1;
        }
    }

    pub fn errors(&self) -> usize {
        self.errors
    }

    pub fn warnings(&self) -> usize {
        self.warnings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for diagnostic in &self.diagnostics {
            write!(f, "{diagnostic}")?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => writeln!(f, "… and {omitted} more like these"),
        }
    }
}
