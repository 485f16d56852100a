// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may be typed at U-Boot's prompt? These commands and nothing else. Values come from our own
//! encoder, and one with a character that means something to U-Boot's shell cannot be made: what
//! is stored on a board never becomes a part of a command.

use std::fmt;

/// A word or several, of which the shell takes every character as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Literal(String);

/// A text that the shell would read as something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} cannot be typed at U-Boot's prompt")]
pub struct NotLiteral {
    /// The text.
    pub text: String,
}

impl Literal {
    /// Takes letters, digits, and `_.:-` and single blanks between them.
    ///
    /// # Errors
    /// [`NotLiteral`].
    pub fn new(text: &str) -> Result<Self, NotLiteral> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
        let is_word = |word: &str| !word.is_empty() && word.chars().all(is_plain);
        if text.split(' ').all(is_word) {
            return Ok(Self(text.to_owned()));
        }
        Err(NotLiteral { text: text.to_owned() })
    }
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Show a variable.
    Print(&'static str),
    /// Take variables from the defaults that are built in.
    Default(&'static [&'static str]),
    /// Take all variables from the defaults.
    DefaultAll,
    /// Set a variable.
    Set(&'static str, Literal),
    /// Remove a variable.
    Unset(&'static str),
    /// Store the environment.
    Save,
    /// Read it back from where it is stored.
    Load,
    /// Run a variable that was taken from the defaults before.
    Run(&'static str),
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Print(name) => write!(f, "printenv {name}"),
            Self::Default(names) => write!(f, "env default -f {}", names.join(" ")),
            Self::DefaultAll => write!(f, "env default -f -a"),
            Self::Set(name, Literal(value)) => write!(f, "setenv {name} {value}"),
            Self::Unset(name) => write!(f, "setenv {name}"),
            Self::Save => write!(f, "saveenv"),
            Self::Load => write!(f, "env load"),
            Self::Run(name) => write!(f, "run {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_the_shell_would_obey_can_be_typed() {
        for odd in [
            "", " ", "A  B", "A;reset", "$(x)", "${x}", "a\rreset", "a\nb", "'", "\"", "a\\",
            "a&b", "a|b", "#a", "a=b", "\x03", "ä", "a\u{1b}",
        ] {
            assert!(Literal::new(odd).is_err(), "{odd:?}");
        }
        for plain in ["A B", "1", "load-failed", "11111111-2222-3333-4444-555555555555"] {
            let typed = Command::Set("BOOT_ORDER", Literal::new(plain).unwrap()).to_string();
            assert_eq!(typed, format!("setenv BOOT_ORDER {plain}"));
        }
    }
}
