//! The typed header of every request and of its answer, one file per family.
//!
//! Names, kinds and which fields must be present are Java's (5.5.0). Its 5.x clients may add `ns`, `nsd`, `bname`, `oway`
//! and `lo` to any request; nothing here depends on them, so they have rows only where a document names them, and are
//! skipped elsewhere. A request without fields has an empty header, so that it can be called by name.
//!
//! Every struct declared in a family is known to [`for_each`], and with it to [`decode_any`] and the tests.

use crate::code::RequestCode;
use crate::fields::Fields;
use crate::header::{Header, HeaderError};

/// Declares the headers of one file and lists them for [`for_each`].
macro_rules! family {
    ($(
        $(#[$doc:meta])*
        pub struct $name:ident $(: $code:literal $(or $also:literal)* => $reply:ty)? { $($fields:tt)* }
    )*) => {
        $crate::header! {$(
            $(#[$doc])*
            pub struct $name $(: $code $(or $also)* => $reply)? { $($fields)* }
        )*}

        pub(super) fn for_each(visitor: &mut impl super::Visitor) {
            $(visitor.visit::<$name>(family!(@codes $name $($code)?));)*
        }
    };
    (@codes $name:ident) => { &[] };
    (@codes $name:ident $code:literal) => { <$name as $crate::header::Request>::CODES };
}

/// Lists the files. A file that is not listed here has a `for_each` that nobody calls, which the compiler reports.
macro_rules! families {
    ($($family:ident)*) => {
        $(mod $family;)*
        $(pub use $family::*;)*

        /// Shows `visitor` every header there is.
        pub fn for_each(visitor: &mut impl Visitor) {
            $($family::for_each(visitor);)*
        }
    };
}

families! {
    assignment auth clients config controller groups kv namesrv offsets pop pull pushed query raft replication send stats storage
    topics transactions
}

/// Something that is done with every header.
pub trait Visitor {
    /// `codes` are the requests that carry `H`; an answer has none.
    fn visit<H: Header + Default + Clone + PartialEq + std::fmt::Debug>(
        &mut self,
        codes: &'static [RequestCode],
    );
}

/// Decodes `fields` as the header of `code`; `None` when no header is known for it.
pub fn decode_any(code: RequestCode, fields: &Fields) -> Option<Result<(), HeaderError>> {
    struct Decode<'f>(RequestCode, &'f Fields, Option<Result<(), HeaderError>>);

    impl Visitor for Decode<'_> {
        fn visit<H: Header>(&mut self, codes: &'static [RequestCode]) {
            if codes.contains(&self.0) {
                self.2 = Some(H::decode(self.1).map(drop));
            }
        }
    }

    let mut decode = Decode(code, fields, None);
    for_each(&mut decode);
    decode.2
}

#[cfg(test)]
mod tests;
