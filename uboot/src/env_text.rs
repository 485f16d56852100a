// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which variables does the text of a default environment set?
//!
//! U-Boot's build leaves it as `u-boot-initial-env`: one `name=value` per line. Blank lines and
//! lines that start with `#` are passed over, as by `mkenvimage`; everything else must be a
//! variable, since a default environment with a piece missing would start a board differently and
//! nobody would notice. A value that spans lines cannot be told from a broken line and is refused.

use crate::Env;

/// A line of the text that is no variable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is no variable: {reason}")]
pub struct EnvTextError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Env {
    /// Reads a default environment; an empty value removes what an earlier line set.
    ///
    /// # Errors
    /// [`EnvTextError`] for the first line that is no variable.
    pub fn parse_text(text: &str) -> Result<Self, EnvTextError> {
        let mut env = Self::new();
        for (number, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let refused = |reason: String| EnvTextError { line: number + 1, reason };
            // Also of a last line without its line feed: a value must not depend on what ends it.
            let line = line.trim_end_matches('\r');
            let (name, value) =
                line.split_once('=').ok_or_else(|| refused("it has no =".to_owned()))?;
            env.set(name, value).map_err(|cause| refused(cause.to_string()))?;
        }
        Ok(env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_read_and_blanks_and_comments_passed_over() {
        let env = Env::parse_text("# made\na=1\n\nb=x=y\nc=\n").unwrap();
        assert_eq!(env.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "x=y")]);
    }

    /// The fuzzer found a last line whose carriage return became part of the value.
    #[test]
    fn carriage_returns_before_the_end_of_a_line_are_none_of_the_value() {
        for text in ["a=1\r", "a=1\r\n", "a=1\r\r\n"] {
            assert_eq!(Env::parse_text(text).unwrap().get("a"), Some("1"), "{text:?}");
        }
    }

    /// Such a line was passed over once: the rest of a value over two lines got lost in silence.
    #[test]
    fn a_line_that_is_no_variable_is_refused_by_its_number() {
        for (text, line) in
            [("a=1\nrest of a\n", 2), ("=1\n", 1), ("a=1\n\n b=1\n", 3), ("a=\0\n", 1)]
        {
            let refused = Env::parse_text(text).unwrap_err();
            assert_eq!(refused.line, line, "{refused}");
        }
        let shown = Env::parse_text("a\n").unwrap_err().to_string();
        assert_eq!(shown, "line 1 is no variable: it has no =");
    }
}
