// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature that travels by itself: the headers of a request that was signed on another machine
//! than the one that sends it. The text has a header in each line, as `curl -H @FILE` reads them.

use super::Call;
use crate::auth::{
    DIGEST_HEADER, FILE_NAME_HEADER, MAX_FIELD_BYTES, NONCE_HEADER, Nonce, SIGNATURE_HEADER,
    signature_header,
};
use std::fmt;

/// The headers that belong to a signed request, in the order they are written.
const NAMES: [&str; 6] =
    ["content-type", FILE_NAME_HEADER, "if-match", NONCE_HEADER, DIGEST_HEADER, SIGNATURE_HEADER];

/// Longest text; the longest signature takes 11 KiB of it.
pub(super) const MAX_TEXT_BYTES: usize = 32 * 1024;

/// Why a text is not the headers of a signed request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignedHeadersError {
    /// Longer than any.
    #[error("longer than {MAX_TEXT_BYTES} bytes")]
    TooLong,
    /// Not `name: value`.
    #[error("line {line} is no header")]
    NoHeader {
        /// Its number.
        line: usize,
    },
    /// A header that no signed request has, or one that is there already.
    #[error("line {line} has the header {name}, which does not belong there")]
    Other {
        /// Its number.
        line: usize,
        /// Its name.
        name: String,
    },
    /// One that has to be there.
    #[error("the header {name} is missing")]
    Missing {
        /// Its name.
        name: &'static str,
    },
    /// A nonce that nobody issued.
    #[error("the header {NONCE_HEADER} has no nonce")]
    Nonce,
}

/// The headers of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHeaders {
    headers: Vec<(String, String)>,
}

impl SignedHeaders {
    pub(super) fn new(call: &Call, nonce: &str, armored: &str) -> Self {
        let mut headers = call.headers();
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        add(NONCE_HEADER, nonce.to_owned());
        add(DIGEST_HEADER, call.body_sha256());
        add(SIGNATURE_HEADER, signature_header(armored));
        Self { headers }
    }

    /// Reads the text of [`fmt::Display`].
    ///
    /// # Errors
    /// [`SignedHeadersError`].
    pub fn parse(text: &str) -> Result<Self, SignedHeadersError> {
        let headers = parse_lines(text, &NAMES)?;
        let found = Self { headers };
        for name in [NONCE_HEADER, DIGEST_HEADER, SIGNATURE_HEADER] {
            if found.get(name).is_none() {
                return Err(SignedHeadersError::Missing { name });
            }
        }
        let is_nonce = found.get(NONCE_HEADER).is_some_and(|text| Nonce::parse(text).is_some());
        if is_nonce { Ok(found) } else { Err(SignedHeadersError::Nonce) }
    }

    /// A header's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Names and values.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// Whether this body is the one that was signed.
    #[must_use]
    pub fn are_for(&self, call: &Call) -> bool {
        self.get(DIGEST_HEADER) == Some(&call.body_sha256())
    }
}

impl fmt::Display for SignedHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.headers.iter().try_for_each(|(name, value)| writeln!(f, "{name}: {value}"))
    }
}

/// Reads lines of names and values, each name once and one of `known`.
pub(super) fn parse_lines(
    text: &str,
    known: &[&str],
) -> Result<Vec<(String, String)>, SignedHeadersError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(SignedHeadersError::TooLong);
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line_number = number + 1;
        let no_header = || SignedHeadersError::NoHeader { line: line_number };
        let (name, value) = line.split_once(':').ok_or_else(no_header)?;
        let (name, value) = (name.to_ascii_lowercase(), value.trim_ascii());
        let plain = |byte: u8| (0x20..0x7f).contains(&byte);
        let limit = if name == SIGNATURE_HEADER { MAX_TEXT_BYTES } else { MAX_FIELD_BYTES };
        if !value.bytes().all(plain) || value.is_empty() || value.len() > limit {
            return Err(no_header());
        }
        if !known.contains(&name.as_str()) || found.iter().any(|(there, _)| *there == name) {
            let name = name.chars().take(40).collect();
            return Err(SignedHeadersError::Other { line: line_number, name });
        }
        found.push((name, value.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (Call, SignedHeaders) {
        let call = Call::submit("config.toml", b"version = 1\n".to_vec(), None);
        let nonce = Nonce::new([7; 32]).to_string();
        let headers = call.signed(&nonce, "-----BEGIN SSH SIGNATURE-----\nAA==\n");
        (call, headers)
    }

    #[test]
    fn what_is_written_is_read_back_and_knows_its_body() {
        let (mut call, headers) = signed();
        let text = headers.to_string();
        assert_eq!(SignedHeaders::parse(&text), Ok(headers.clone()));
        assert_eq!(SignedHeaders::parse(&text.replace('\n', "\r\n")), Ok(headers.clone()));
        assert!(headers.are_for(&call));
        call.body.push(b' ');
        assert!(!headers.are_for(&call));
    }

    #[test]
    fn other_headers_doubled_ones_and_missing_ones_are_refused() {
        let (_, headers) = signed();
        let text = headers.to_string();
        let read = |text: &str| SignedHeaders::parse(text).unwrap_err();
        let other = SignedHeadersError::Other { line: 6, name: "host".to_owned() };
        assert_eq!(read(&format!("{text}Host: a\n")), other);
        let twice = format!("{text}x-atomixos-nonce: 1\n");
        assert!(matches!(read(&twice), SignedHeadersError::Other { line: 6, .. }));
        let first = text.lines().next().unwrap();
        assert_eq!(read(first), SignedHeadersError::Missing { name: NONCE_HEADER });
        assert_eq!(read("nothing"), SignedHeadersError::NoHeader { line: 1 });
        assert_eq!(read(&"a".repeat(40_000)), SignedHeadersError::TooLong);
        let nonce = headers.get(NONCE_HEADER).unwrap();
        assert_eq!(read(&text.replace(nonce, "07")), SignedHeadersError::Nonce);
    }
}
