// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is a failure told with its causes? In one way, for every program and every warning.

use std::error::Error;
use std::fmt::Write as _;

/// An error and its causes, joined by `: `. A cause whose text ends its parent's is not repeated.
/// Further lines of a cause are indented: a foreign text in it must not pass for a line of ours.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {said}");
        }
        cause = inner.source();
    }
    text.trim_end().replace('\n', "\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Said>>);

    #[test]
    fn causes_are_joined_and_a_repeated_one_is_said_once() {
        let cause = Said("no space left", Some(Box::new(Said("no space left", None))));
        assert_eq!(
            chain(&Said("cannot write", Some(Box::new(cause)))),
            "cannot write: no space left"
        );
    }

    #[test]
    fn foreign_text_makes_no_line_of_ours() {
        assert_eq!(chain(&Said("one\nERROR: two\n", None)), "one\n  ERROR: two");
    }
}
