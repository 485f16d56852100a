// SPDX-License-Identifier: MIT OR Apache-2.0
//! The row of lengths and bytes that SSH's keys and signatures are made of (RFC 4251, section 5).

use super::SignatureError;

/// Reads from the front of some bytes; never beyond them.
pub(super) struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    pub(super) const fn new(bytes: &'b [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], SignatureError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(SignatureError::Short)?;
        self.rest = rest;
        Ok(*array)
    }

    pub(super) fn number(&mut self) -> Result<u32, SignatureError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn byte(&mut self) -> Result<u8, SignatureError> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    pub(super) fn string(&mut self) -> Result<&'b [u8], SignatureError> {
        let length = usize::try_from(self.number()?).map_err(|_| SignatureError::Short)?;
        let (string, rest) = self.rest.split_at_checked(length).ok_or(SignatureError::Short)?;
        self.rest = rest;
        Ok(string)
    }

    /// Nothing may follow.
    pub(super) const fn end(&self) -> Result<(), SignatureError> {
        if self.rest.is_empty() { Ok(()) } else { Err(SignatureError::Trailing) }
    }
}

/// Appends a string with its length.
pub(super) fn put_string(into: &mut Vec<u8>, string: &[u8]) {
    // What is written here are digests, names and keys, all far below 4 GiB.
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(string);
}
