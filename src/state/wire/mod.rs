//! Commands and checkpoints as protobuf: what the log holds and what one node gives another.
//!
//! Equal values give equal bytes. Whatever this version does not know is an error, even a single member of a message: a node
//! that left it out would go on with other tables than its peers.

use ferrymq_proto::name::NameError;
use prost::Message;

use super::{Command, Tables};

mod checkpoint;
mod commands;
mod configs;
mod messages;
mod replies;

#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("{0}")]
    Malformed(#[from] prost::DecodeError),
    #[error("it holds nothing")]
    Empty,
    #[error("it is a command of kind {0}, which this version does not know")]
    UnknownCommand(u32),
    #[error("it has a member that this version does not know")]
    UnknownMember,
    #[error("it is a checkpoint of format {0}, and this version reads {FORMAT}", FORMAT = messages::CHECKPOINT_FORMAT)]
    UnknownFormat(u32),
    #[error("{0}")]
    Name(#[from] NameError),
    #[error("its {0} has the value {1}, which this version does not know")]
    UnknownValue(&'static str, i32),
    #[error("it has {queues} queues and {offsets} offsets of them")]
    Uneven { queues: usize, offsets: usize },
    #[error("it is a group of commands within another")]
    Nested,
}

impl Command {
    pub fn encode(&self) -> Vec<u8> {
        messages::Command::from(self).encode_to_vec()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        commands::read(bytes, commands::Place::Alone)
    }
}

pub(super) fn write_tables(tables: &Tables) -> Vec<u8> {
    messages::Checkpoint::from(tables).encode_to_vec()
}

pub(super) fn read_tables(bytes: &[u8]) -> Result<Tables, DecodeError> {
    let stored = messages::Checkpoint::decode(bytes)?;
    if stored.format != messages::CHECKPOINT_FORMAT {
        return Err(DecodeError::UnknownFormat(stored.format));
    }
    Tables::try_from(whole(stored, bytes)?)
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, DecodeError> {
    whole(M::decode(bytes)?, bytes)
}

/// Whether `bytes` hold nothing but the message. What we write has one form, so what is longer has something unknown in it.
fn whole<M: Message>(message: M, bytes: &[u8]) -> Result<M, DecodeError> {
    if message.encoded_len() == bytes.len() { Ok(message) } else { Err(DecodeError::UnknownMember) }
}
