// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes as the text that parsers of text are given.

use std::borrow::Cow;

/// The bytes as text; what is no UTF-8 becomes replacement characters.
pub(crate) fn lossy(data: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(data)
}
