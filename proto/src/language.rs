//! The language a peer says it is written in. JSON headers carry its name, binary ones its number.

macro_rules! languages {
    ($($number:literal $variant:ident $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Language {
            $($variant = $number,)*
        }

        impl Language {
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Unknown names and numbers are `Other`: nothing depends on them.
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)*
                    _ => Self::Other,
                }
            }

            pub fn number(self) -> u8 {
                self as u8
            }

            pub fn from_number(number: u8) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    _ => Self::Other,
                }
            }
        }
    };
}

languages! {
    0 Java "JAVA",
    1 Cpp "CPP",
    2 Dotnet "DOTNET",
    3 Python "PYTHON",
    4 Delphi "DELPHI",
    5 Erlang "ERLANG",
    6 Ruby "RUBY",
    7 Other "OTHER",
    8 Http "HTTP",
    9 Go "GO",
    10 Php "PHP",
    11 Oms "OMS",
    12 Rust "RUST",
    13 NodeJs "NODE_JS",
}
