// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which text stops U-Boot? It is a password: no message shows it, not even one about a text that
//! cannot be it, which may be the right one but for a letter.

use crate::failure::Failure;
use std::ffi::OsStr;
use std::fmt;

/// Where a person keeps it.
pub const VARIABLE: &str = "ATOMIX_STOP_STRING";

const OPTION: &str = "--stop-string";

/// Longest text that U-Boot takes.
const MAX_CHARS: usize = 64;

/// The text that stops U-Boot.
#[derive(Clone, PartialEq, Eq)]
pub struct StopText(String);

impl StopText {
    /// The text of the option, or else of the variable, of which an empty one is none.
    ///
    /// # Errors
    /// [`Failure::Usage`] with the name of what holds a text that U-Boot cannot be stopped by.
    pub fn given(
        option: Option<&OsStr>,
        variable: Option<&OsStr>,
    ) -> Result<Option<Self>, Failure> {
        let variable = variable.filter(|text| !text.is_empty());
        let (text, from) = match (option, variable) {
            (Some(text), _) => (text, OPTION),
            (None, Some(text)) => (text, VARIABLE),
            (None, None) => return Ok(None),
        };
        let is_typable = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        match text.to_str() {
            Some(text) if (1..=MAX_CHARS).contains(&text.len()) && text.bytes().all(is_typable) => {
                Ok(Some(Self(text.to_owned())))
            }
            _ => Err(Failure::Usage {
                what: format!("the stop text in {from} is none that U-Boot can be stopped by"),
                hint: "it has 1 to 64 printable characters of ASCII; it is not shown here",
            }),
        }
    }

    /// What is typed.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for StopText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopText(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(option: Option<&str>, variable: Option<&str>) -> Result<Option<StopText>, Failure> {
        StopText::given(option.map(OsStr::new), variable.map(OsStr::new))
    }

    #[test]
    fn the_option_comes_first_and_an_empty_variable_is_none() {
        let text = |text: &str| Some(StopText(text.to_owned()));
        assert_eq!(given(Some("one"), Some("two")).unwrap(), text("one"));
        assert_eq!(given(None, Some("two words")).unwrap(), text("two words"));
        assert_eq!(given(None, Some("")).unwrap(), None);
        assert_eq!(given(Some("one"), Some("ä")).unwrap(), text("one"));
        assert!(given(None, Some(&"x".repeat(64))).unwrap().is_some());
    }

    #[test]
    fn an_unfit_text_is_not_shown_and_what_holds_it_is_named() {
        let long = "x".repeat(65);
        for unfit in ["hällo", long.as_str(), "tab\there", "nul\0"] {
            for (refused, from) in
                [(given(Some(unfit), None), OPTION), (given(None, Some(unfit)), VARIABLE)]
            {
                let failure = refused.unwrap_err();
                let shown = format!("{failure:?} {} {}", failure.chain(), failure.to_json());
                assert!(shown.contains(from) && !shown.contains(unfit), "{shown}");
            }
        }
        assert!(given(Some(""), None).is_err());
    }
}
