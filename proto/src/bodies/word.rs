//! Values that are one of a few words.

/// Declares an enumeration by its words, in the order of Java's constants.
///
/// Read from the word in any case, and from the constant's number as the C++ client writes it. A word that is unknown reads
/// as the default, since Java reads null there.
macro_rules! words {
    ($(
        $(#[$doc:meta])*
        pub enum $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }
    )*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str().eq_ignore_ascii_case(word))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::json::FromJson for $name {
            fn read(reader: &mut $crate::json::Reader<'_>) -> Result<Self, $crate::json::JsonError> {
                let found = match reader.kind()? {
                    $crate::json::Kind::Number => {
                        let number = i32::read(reader)?;
                        usize::try_from(number).ok().and_then(|number| Self::ALL.get(number).copied())
                    }
                    _ => Self::from_word(&String::read(reader)?),
                };
                Ok(found.unwrap_or_default())
            }
        }

        impl $crate::json::ToJson for $name {
            fn write(&self, writer: &mut $crate::json::Writer) {
                writer.string(self.as_str());
            }
        }
    )*};
}
pub(crate) use words;
