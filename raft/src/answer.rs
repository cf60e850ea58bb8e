//! Who is told of the end of a proposal: a closure, called where the entry is applied, so that nobody else has to wake up.

use openraft::OptionalSend;
use openraft::raft::responder::Responder;

use crate::types::Types;

pub struct Answer<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Answer<T> {
    pub fn new(answer: impl FnOnce(T) + Send + 'static) -> Self {
        Self(Box::new(answer))
    }
}

impl<T: OptionalSend + 'static> Responder<Types, T> for Answer<T> {
    fn on_complete(self, result: T) {
        (self.0)(result);
    }
}
