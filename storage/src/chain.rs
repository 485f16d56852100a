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
    text.replace('\n', "\n  ")
}
