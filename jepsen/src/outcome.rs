//! What an answer says about the effect of a write: one row per answer. `OUTCOMES.md` is this table.
//!
//! `fail` is a promise that checkers build on, so a row says it only where the answer is given before anything is stored,
//! whichever broker gives it. A read has no effect: one that fails has failed.

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::net::CallError;

use crate::history::EventType;

/// What came of a call that was not answered with success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    DefinitelyNot,
    Perhaps,
}

impl Effect {
    pub fn event_type(self) -> EventType {
        match self {
            Self::DefinitelyNot => EventType::Fail,
            Self::Perhaps => EventType::Info,
        }
    }
}

use Effect::{DefinitelyNot, Perhaps};

/// Codes without a row are `info`.
pub const CODES: &[(ResponseCode, Effect, &str)] = &[
    (ResponseCode::SYSTEM_ERROR, Perhaps, "also said when a quorum did not confirm in time"),
    (
        ResponseCode::SYSTEM_BUSY,
        DefinitelyNot,
        "refused at the door: a slave, a busy page cache, a full queue",
    ),
    (ResponseCode::REQUEST_CODE_NOT_SUPPORTED, DefinitelyNot, "nobody serves it"),
    (ResponseCode::FLUSH_DISK_TIMEOUT, Perhaps, "stored, but not known to be on disk"),
    (ResponseCode::SLAVE_NOT_AVAILABLE, Perhaps, "stored on the master alone"),
    (ResponseCode::FLUSH_SLAVE_TIMEOUT, Perhaps, "stored, but not known to be on a slave"),
    (ResponseCode::MESSAGE_ILLEGAL, DefinitelyNot, "checked before it is stored"),
    (
        ResponseCode::SERVICE_NOT_AVAILABLE,
        Perhaps,
        "said before storing by who is no leader, but also by who stops to be one meanwhile",
    ),
    (ResponseCode::NO_PERMISSION, DefinitelyNot, "checked before it is stored"),
    (ResponseCode::TOPIC_NOT_EXIST, DefinitelyNot, "checked before it is stored"),
    (ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST, DefinitelyNot, "checked before it is stored"),
    (ResponseCode::INVALID_PARAMETER, DefinitelyNot, "checked before it is stored"),
    (ResponseCode::FLOW_CONTROL, DefinitelyNot, "refused at the door"),
];

/// What a failed write may have done.
pub fn of_write(error: &CallError) -> Effect {
    match error {
        CallError::Connect { .. } => DefinitelyNot,
        CallError::Refused { code, .. } => of_code(*code),
        CallError::Timeout { .. } | CallError::Closed { .. } | CallError::BadAnswer(_) => Perhaps,
    }
}

pub fn of_code(code: ResponseCode) -> Effect {
    CODES.iter().find(|(row, ..)| *row == code).map_or(Perhaps, |(_, effect, _)| *effect)
}

/// The table as Markdown.
pub fn as_markdown() -> String {
    let mut table = String::from("| answer | event | why |\n|---|---|---|\n");
    for (code, effect, why) in CODES {
        let event = effect.event_type().as_str();
        table.push_str(&format!("| {code} | `{event}` | {why} |\n"));
    }
    let others = [
        ("any other code", Perhaps, "nothing is known of it"),
        ("the connection was refused", DefinitelyNot, "nothing was sent"),
        ("the connection was closed before the answer", Perhaps, "it may have been stored before"),
        ("no answer in time", Perhaps, "it may be stored still"),
        ("an answer that cannot be read", Perhaps, "it may have meant success"),
    ];
    for (answer, effect, why) in others {
        table.push_str(&format!("| {answer} | `{}` | {why} |\n", effect.event_type().as_str()));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document is the table.
    #[test]
    fn outcomes_md_is_this_table() {
        let document = include_str!("../OUTCOMES.md");
        let table = as_markdown();
        assert!(document.ends_with(&table), "OUTCOMES.md must end with:\n{table}");
    }

    #[test]
    fn a_code_without_a_row_leaves_a_doubt() {
        assert_eq!(of_code(ResponseCode(999_999)), Perhaps);
        assert_eq!(of_code(ResponseCode::TOPIC_NOT_EXIST), DefinitelyNot);
    }
}
