//! Options that are one of a few words: word ↔ value, once.

use std::fmt;
use std::str::FromStr;

use crate::config::model::{Capture, FunctionFailure, OnFailure};
use crate::config::value::Fault;

macro_rules! choice {
    ($choice:ident: $($variant:ident $word:literal),*) => {
        impl $choice {
            /// Its words in UCI.
            pub const WORDS: &'static [&'static str] = &[$($word),*];
        }

        impl FromStr for $choice {
            type Err = Fault;

            fn from_str(text: &str) -> Result<Self, Fault> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(Fault::Form),
                }
            }
        }

        /// The word in UCI.
        impl fmt::Display for $choice {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word),*
                })
            }
        }
    };
}

choice!(Capture: Auto "auto", SavedSyn "saved_syn", Nfqueue "nfqueue");
choice!(OnFailure: Refuse "refuse", Bypass "bypass");
choice!(FunctionFailure: Reset "reset", Pass "pass");
