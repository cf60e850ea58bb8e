//! Why a command did not do what it was asked for, and the code it ends with.

use std::process::ExitCode;

use ferrymq_proto::code::ResponseCode;
use ferrymq_proto::net::CallError;

use crate::cli::{CHECK_FAILED, NOT_FOUND, REFUSED_FOR_SAFETY, UNAVAILABLE, WRONG_CALL};
use crate::config::{Diagnostic, Severity, quoted};
use crate::errors::{NO_LEADER, NOT_REACHED, NOTHING_FOUND, Problem, REQUEST_REFUSED};

#[derive(Debug)]
pub struct Failure {
    exit: u8,
    text: String,
    /// What the server answered, if it did.
    code: Option<ResponseCode>,
    /// Nothing has happened yet, and it may go well in a moment: the leader is changing.
    passes: bool,
}

impl Failure {
    fn new(exit: u8, problem: &'static Problem, message: String, help: &str) -> Self {
        let text = Diagnostic::new(Severity::Error, problem, message).help(help).to_string();
        Self { exit, text, code: None, passes: false }
    }

    pub fn of(diagnostic: &Diagnostic) -> Self {
        Self { exit: 1, text: diagnostic.to_string(), code: None, passes: false }
    }

    fn plain(exit: u8, mut message: String) -> Self {
        message.insert_str(0, "error: ");
        message.push('\n');
        Self { exit, text: message, code: None, passes: false }
    }

    pub fn operation(message: String) -> Self {
        Self::plain(1, message)
    }

    pub fn usage(message: &str) -> Self {
        Self::plain(WRONG_CALL, message.to_owned())
    }

    pub fn safety(message: &str) -> Self {
        Self::plain(REFUSED_FOR_SAFETY, message.to_owned())
    }

    /// Says nothing: what was printed says it all.
    pub fn silent(exit: u8) -> Self {
        Self { exit, text: String::new(), code: None, passes: false }
    }

    pub fn degraded() -> Self {
        Self::silent(CHECK_FAILED)
    }

    pub fn unavailable() -> Self {
        Self::silent(UNAVAILABLE)
    }

    pub fn nothing(message: String, help: &str) -> Self {
        Self::new(NOT_FOUND, &NOTHING_FOUND, message, help)
    }

    pub fn no_topic(topic: &str) -> Self {
        Self::nothing(
            format!("no broker has the topic {}", quoted(topic)),
            "`ferrymq topic list` shows those there are; `ferrymq topic create` makes one.",
        )
    }

    pub fn no_leader(group: Option<&str>) -> Self {
        let message = match group {
            Some(group) => {
                format!("the broker group {} has no leader, or there is no such group", quoted(group))
            }
            None => "no broker group has a leader that the name server knows".to_owned(),
        };
        let failure =
            Self::new(UNAVAILABLE, &NO_LEADER, message, "`ferrymq cluster status` shows who is there.");
        Self { passes: true, ..failure }
    }

    pub fn no_name_server(addresses: &[String], error: Option<&CallError>) -> Self {
        let list = addresses.join(", ");
        let message = match error {
            Some(error) => format!("no name server can be reached at {list}: {error}"),
            None => "no name server was named".to_owned(),
        };
        let help =
            "start one with `ferrymq namesrv` or `ferrymq dev`, or name one: -n HOST:PORT, or NAMESRV_ADDR.";
        Self::new(UNAVAILABLE, &NOT_REACHED, message, help)
    }

    /// What a call came to that did not succeed.
    pub fn answer(address: &str, error: CallError) -> Self {
        match error {
            CallError::Refused { code, remark } => {
                let exit = match code {
                    ResponseCode::TOPIC_NOT_EXIST | ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST => NOT_FOUND,
                    _ => 1,
                };
                let message = format!("{address} refused with {code}: {}", crate::config::shown(&remark));
                let help = "the sentence is the server's own; its log may say more.";
                let passes = code == ResponseCode::SERVICE_NOT_AVAILABLE;
                Self { code: Some(code), passes, ..Self::new(exit, &REQUEST_REFUSED, message, help) }
            }
            error @ CallError::BadAnswer(_) => Self::operation(format!("{address}: {error}")),
            error => {
                let passes = matches!(error, CallError::Connect { .. });
                let help = "check that it runs, and that this machine can reach the address it registered (brokerIP1).";
                Self { passes, ..Self::new(UNAVAILABLE, &NOT_REACHED, error.to_string(), help) }
            }
        }
    }

    /// Whether nothing has happened yet, and it may go well in a moment.
    pub fn passes(&self) -> bool {
        self.passes
    }

    /// Whether the server answered so.
    pub fn is(&self, code: ResponseCode) -> bool {
        self.code == Some(code)
    }

    /// Whether the server answered at all.
    pub fn is_answer(&self) -> bool {
        self.code.is_some()
    }

    pub fn tell(&self) -> ExitCode {
        crate::cli::complain(&self.text);
        ExitCode::from(self.exit)
    }
}
