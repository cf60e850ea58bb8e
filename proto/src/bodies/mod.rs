//! The typed body of every request and answer that has one, one file per family.
//!
//! Members and their defaults are Java's (5.5.0), in the order it writes them. What Java writes always is a plain member, and
//! what it leaves out when null is an `Option`. Containers are always written: tools trip over a missing one.
//!
//! Every struct declared in a family is known to [`for_each`], and with it to [`decode_any`] and the tests.

use crate::json::{self, FromJson, ToJson};

/// Declares the bodies of one file and lists them for [`for_each`].
macro_rules! family {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident { $($members:tt)* }
    )*) => {
        $crate::body! {$(
            $(#[$doc])*
            pub struct $name { $($members)* }
        )*}

        pub(super) fn for_each(visitor: &mut impl super::Visitor) {
            $(visitor.visit::<$name>($name::KEYS);)*
        }
    };
}

/// Lists the files. A file that is not listed here has a `for_each` that nobody calls, which the compiler reports.
macro_rules! families {
    ($($family:ident)*) => {
        $(mod $family;)*
        $(pub use $family::*;)*

        /// Shows `visitor` every JSON body there is.
        pub fn for_each(visitor: &mut impl Visitor) {
            $($family::for_each(visitor);)*
        }
    };
}

families! {
    acks assignment auth clients groups kv mapping offsets queue raft registration replication route running stats timer topics
}

mod word;

pub(crate) use word::words;

/// Something that is done with every JSON body.
pub trait Visitor {
    /// `keys` are the members of `B`, in written order.
    fn visit<B>(&mut self, keys: &'static [&'static str])
    where
        B: FromJson + ToJson + Default + Clone + PartialEq + std::fmt::Debug;
}

/// Reads `bytes` as every kind of body, JSON or not, and counts those they are.
pub fn decode_any(bytes: &[u8]) -> usize {
    struct Decode<'b>(&'b [u8], usize);

    impl Visitor for Decode<'_> {
        fn visit<B: FromJson>(&mut self, _keys: &'static [&'static str]) {
            self.1 += usize::from(json::from_slice::<B>(self.0).is_ok());
        }
    }

    let mut decode = Decode(bytes, 0);
    for_each(&mut decode);
    let inflates = Registration::inflate(bytes, crate::version::OURS).is_ok();
    decode.1 + usize::from(inflates) + usize::from(TimerCheckpoint::decode(bytes).is_some())
}

#[cfg(test)]
mod tests;
