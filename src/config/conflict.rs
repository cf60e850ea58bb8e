//! Keys that are well written each and contradict each other.

use super::diagnostic::Severity;
use crate::errors::Problem;

#[derive(Debug)]
pub struct Conflict {
    pub severity: Severity,
    pub problem: &'static Problem,
    /// The keys it is about. It is shown at the first that was set, and not at all if one of them is wrong in itself.
    pub keys: &'static [&'static str],
    pub message: String,
    /// What stands under the value.
    pub label: String,
    pub help: String,
}
