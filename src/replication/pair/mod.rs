//! A master and its slaves: Apache's classic pair, on Apache's wire, so that either side may be Apache's broker.
//!
//! The master sends its log as it is, byte for byte, to whoever connects and says how far he has come ([`sender`]); the slave puts
//! it into its own ([`receiver`]) and says again and again how far that reaches. [`followers`] knows who has what, and keeps
//! senders waiting where the settings demand copies. The tables do not lie in the log: a slave asks for them every few seconds
//! ([`tables`]), so what was committed or created in the last seconds before a master is lost may be missing at its slave.
//!
//! What is promised: only what is final at the master is sent, unless its senders wait for slaves: then disk and slaves are waited
//! for at the same time, and a power failure may leave a slave with more than its master has. A slave never follows a log that is another one than its own,
//! and cuts nothing off to be able to; it is believed to have no more than it was sent.
//!
//! Left out: nobody is elected. Which node is the master is said by its settings, and changed by a restart.

pub mod asking;
pub mod followers;
pub mod intake;
pub mod receiver;
pub mod rhythm;
pub mod sender;
pub mod slave;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod wire;

use ferrymq_proto::code::ResponseCode;

pub use followers::Followers;
pub use slave::Following;

/// Which side of a pair a node is.
#[derive(Debug)]
pub enum Pair<'a> {
    /// It belongs to none.
    None,
    Master(&'a Followers),
    Slave(&'a Following),
}

/// Whether as many nodes have a message as the settings demand. It is stored in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Copied {
    #[default]
    Enough,
    /// Not in the time for which a sender waits.
    Late,
    /// So few slaves are near that there was no use in waiting.
    TooFew,
}

impl Copied {
    /// For clients all three are a message that was stored.
    pub fn code(self) -> ResponseCode {
        match self {
            Self::Enough => ResponseCode::SUCCESS,
            Self::Late => ResponseCode::FLUSH_SLAVE_TIMEOUT,
            Self::TooFew => ResponseCode::SLAVE_NOT_AVAILABLE,
        }
    }
}
