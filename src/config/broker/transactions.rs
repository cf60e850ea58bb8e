//! Messages whose producer decides later.

use super::rows::{DAY_MS, Row, fixed, live, milliseconds, switch};
use crate::config::field::Field;
use std::time::Duration;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transactions {
    pub are_refused: bool,
    /// An undecided message is asked for after this.
    pub timeout: Duration,
    pub check_interval: Duration,
    /// After so many questions it is given up.
    pub checks_max: usize,
    /// Decisions are written down together, up to so many bytes or so long.
    pub decisions_bytes_max: usize,
    pub decisions_interval: Duration,
}

pub(super) static KEYS: &[Row] = &[
    live(
        "rejectTransactionMessage",
        "false",
        switch(|config| &mut config.transactions.are_refused),
        "Refuse messages whose producer decides later.",
    )
    .important(),
    live(
        "transactionTimeOut",
        "6000",
        milliseconds(1..=DAY_MS, |config| &mut config.transactions.timeout),
        "A producer that has not decided by then is asked.",
    )
    .important(),
    live(
        "transactionCheckInterval",
        "30000",
        milliseconds(10..=DAY_MS, |config| &mut config.transactions.check_interval),
        "How often it is looked which producers are to be asked.",
    )
    .important(),
    live(
        "transactionCheckMax",
        "15",
        Field::Number(1..=100_000, |config| &mut config.transactions.checks_max),
        "After so many questions the message is given up: it goes to TRANS_CHECK_MAX_TIME_TOPIC.",
    )
    .important(),
    fixed(
        "transactionOpMsgMaxSize",
        "4096",
        Field::Size(1..=1_048_576, |config| &mut config.transactions.decisions_bytes_max),
        "Decisions are written down together, up to so many bytes.",
    ),
    fixed(
        "transactionOpBatchInterval",
        "3000",
        milliseconds(1..=600_000, |config| &mut config.transactions.decisions_interval),
        "They wait for each other so long.",
    ),
];
