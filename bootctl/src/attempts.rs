// SPDX-License-Identifier: MIT OR Apache-2.0
//! How many boots a slot has left, and the one text form of that number.
//!
//! RAUC writes `BOOT_<name>_LEFT` in hexadecimal, U-Boot's `test` compares decimal, people type
//! either. The value is therefore one digit, 0 to 9, where all readers agree; this type alone
//! knows that.

use std::fmt;
use std::str::FromStr;

/// Boots left for a slot, 0 to 9.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptsLeft(u8);

/// The number or text is not one decimal digit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not a number of attempts (one digit, 0 to 9)")]
pub struct AttemptsError {
    /// What was found.
    pub text: String,
}

impl AttemptsLeft {
    /// No boots left.
    pub const ZERO: Self = Self(0);
    /// One boot left.
    pub const ONE: Self = Self(1);
    /// What a new or confirmed slot gets.
    pub const DEFAULT: Self = Self(3);
    /// The largest value that hexadecimal and decimal readers agree on.
    pub const MAX: Self = Self(9);

    /// A number of boots.
    ///
    /// # Errors
    /// [`AttemptsError`] above 9.
    pub fn new(left: u8) -> Result<Self, AttemptsError> {
        if left > Self::MAX.0 {
            return Err(AttemptsError { text: left.to_string() });
        }
        Ok(Self(left))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    /// What is left after one boot, or `None` when there is none to spend.
    #[must_use]
    pub fn spend(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }
}

impl fmt::Display for AttemptsLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for AttemptsLeft {
    type Err = AttemptsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.as_bytes() {
            [digit @ b'0'..=b'9'] => Ok(Self(digit - b'0')),
            _ => Err(AttemptsError { text: text.chars().take(16).collect() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_and_decimal_readers_agree_on_every_value() {
        for left in 0..=9 {
            let text = AttemptsLeft::new(left).unwrap().to_string();
            assert_eq!(u8::from_str_radix(&text, 16), Ok(left));
            assert_eq!(text.parse(), Ok(left));
            assert_eq!(text.parse::<AttemptsLeft>().unwrap().get(), left);
        }
        assert!(AttemptsLeft::new(10).is_err());
    }

    #[test]
    fn text_that_readers_disagree_about_is_refused() {
        for text in ["", "10", "a", "0x3", "03", "+3", " 3", "-1"] {
            assert!(text.parse::<AttemptsLeft>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn the_last_attempt_can_be_spent_and_none_after_it() {
        assert_eq!(AttemptsLeft::ONE.spend(), Some(AttemptsLeft::ZERO));
        assert_eq!(AttemptsLeft::ZERO.spend(), None);
    }
}
