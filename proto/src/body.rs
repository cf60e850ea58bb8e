//! Typed JSON bodies: one row per member.
//!
//! ```
//! ferrymq_proto::body! {
//!     /// How a topic's queues lie on one broker.
//!     pub struct Queues {
//!         broker: String = "brokerName",
//!         count: i32 = "readQueueNums" or 16,
//!         zone: Option<String> = "zoneName",
//!         /// The first name is written, either is read.
//!         flags: i32 = "topicSysFlag" | "topicSynFlag",
//!     }
//! }
//! ```
//!
//! Members are written in declared order, which is Java's: names ascending. A missing or null member takes the default of its
//! row, or of its type; an unknown member is skipped; of two with one name the last counts.

/// Declares a JSON body; see the module.
#[macro_export]
macro_rules! body {
    ($(
        $(#[$doc:meta])*
        $visibility:vis struct $name:ident {
            $($(#[$member_doc:meta])* $member:ident: $type:ty = $key:literal $(| $alias:literal)* $(or $default:expr)?,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        $visibility struct $name {
            $($(#[$member_doc])* pub $member: $type,)*
        }

        impl $name {
            /// Keys in written order.
            pub const KEYS: &'static [&'static str] = &[$($key,)*];
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($member: $crate::body!(@default $type $(, $default)?),)* }
            }
        }

        impl $crate::json::FromJson for $name {
            fn read(reader: &mut $crate::json::Reader<'_>) -> Result<Self, $crate::json::JsonError> {
                #[allow(unused_mut)]
                let mut body = Self::default();
                reader.object(|reader, key| {
                    if reader.null()? {
                        return Ok::<(), $crate::json::JsonError>(());
                    }
                    match key.as_str() {
                        $($key $(| $alias)* => body.$member = $crate::json::FromJson::read(reader)?,)*
                        _ => reader.skip()?,
                    }
                    Ok(())
                })?;
                Ok(body)
            }
        }

        impl $crate::json::ToJson for $name {
            fn write(&self, writer: &mut $crate::json::Writer) {
                writer.object(|_writer| {
                    $(if !$crate::json::ToJson::is_absent(&self.$member) {
                        _writer.key($key);
                        $crate::json::ToJson::write(&self.$member, _writer);
                    })*
                });
            }
        }
    )*};
    (@default $type:ty) => { <$type as Default>::default() };
    (@default $type:ty, $default:expr) => { $default };
}
