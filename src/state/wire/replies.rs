//! What came of a command, from where it is applied to who proposed it: on one node, and never stored.

use prost::Message;

use super::{DecodeError, messages};
use crate::state::Reply;

const UNCHANGED: u32 = 0;
const CHANGED: u32 = 1;
const GRANTED: u32 = 2;
const EACH: u32 = 3;

impl Reply {
    pub fn encode(&self) -> Vec<u8> {
        messages::Reply::from(self).encode_to_vec()
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::try_from(messages::Reply::decode(bytes)?)
    }
}

impl From<&Reply> for messages::Reply {
    fn from(reply: &Reply) -> Self {
        let of = |kind| Self { kind, ..Self::default() };
        match reply {
            Reply::Unchanged => of(UNCHANGED),
            Reply::Changed => of(CHANGED),
            Reply::Granted(queues) => {
                Self { granted: queues.iter().map(Into::into).collect(), ..of(GRANTED) }
            }
            Reply::Each(replies) => Self { each: replies.iter().map(Self::from).collect(), ..of(EACH) },
        }
    }
}

impl TryFrom<messages::Reply> for Reply {
    type Error = DecodeError;

    fn try_from(message: messages::Reply) -> Result<Self, DecodeError> {
        Ok(match message.kind {
            UNCHANGED => Self::Unchanged,
            CHANGED => Self::Changed,
            GRANTED => {
                Self::Granted(message.granted.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?)
            }
            EACH => Self::Each(message.each.into_iter().map(Self::try_from).collect::<Result<_, _>>()?),
            other => return Err(DecodeError::UnknownCommand(other)),
        })
    }
}
