//! Numbers that say where something lies. Many of them are called offset; only their types keep them apart.

use std::fmt;

/// Declares newtypes over the signed integers of the wire.
macro_rules! positions {
    ($($(#[$doc:meta])* $name:ident($integer:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $integer);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

positions! {
    /// Which queue of a topic, from 0.
    QueueId(i32);
    /// A position in one queue of one topic; dense, from 0.
    QueueOffset(i64);
    /// A byte position in the log of a group (RocketMQ: physical offset).
    LogOffset(i64);
    /// Milliseconds since 1970, as the wire carries every time.
    Timestamp(i64);
}
