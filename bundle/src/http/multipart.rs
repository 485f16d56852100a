// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes are in an answer to a request for several ranges?
//!
//! `multipart/byteranges` (RFC 9110, 14.6): each part names its range. Lengths come from there and
//! never from a search through the content. A server may join and reorder what was asked for, so
//! parts are believed by what they say they are, and what is missing is asked for again.
//!
//! ```text
//! [CRLF] --BOUNDARY CRLF  headers CRLF CRLF  bytes CRLF  --BOUNDARY CRLF … --BOUNDARY--
//! ```

use super::head::{HeadError, parse_content_range, split_header};

/// RFC 2046 allows no more.
const MAX_BOUNDARY_BYTES: usize = 70;
/// Most bytes of one part's headers.
const MAX_PART_HEAD_BYTES: usize = 4096;
/// Most parts; more than are ever asked for.
const MAX_PARTS: usize = 256;

/// A part: where its bytes belong, and where they lie in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Position in the file.
    pub first: u64,
    /// Place of the first byte in the body.
    pub start: usize,
    /// Place behind the last.
    pub end: usize,
}

/// The boundary that a content type names; `None` if it is no `multipart/byteranges`.
pub(super) fn boundary_of(content_type: &str) -> Option<&str> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/byteranges") {
        return None;
    }
    let value = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.trim().split_once('=')?;
        name.eq_ignore_ascii_case("boundary").then_some(value)
    })?;
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&b);
    let fits = !value.is_empty() && value.len() <= MAX_BOUNDARY_BYTES;
    (fits && value.bytes().all(plain)).then_some(value)
}

/// The parts of `body`, of a file of `total` bytes.
///
/// # Errors
/// [`HeadError`]; [`HeadError::ContentRange`] where a part does not say where it belongs.
pub fn parse_parts(content_type: &str, body: &[u8], total: u64) -> Result<Vec<Part>, HeadError> {
    let boundary = boundary_of(content_type).ok_or(HeadError::Multipart)?;
    let delimiter = format!("--{boundary}");
    let mut at = if body.starts_with(b"\r\n") { 2 } else { 0 };
    let mut parts = Vec::new();
    loop {
        at = skip(body, at, delimiter.as_bytes())?;
        if skip(body, at, b"--").is_ok() {
            return Ok(parts);
        }
        at = skip(body, at, b"\r\n")?;
        if parts.len() >= MAX_PARTS {
            return Err(HeadError::TooLarge);
        }
        let (range, start) = parse_part_head(body, at)?;
        if range.total != total {
            return Err(HeadError::ContentRange);
        }
        let len = usize::try_from(range.last - range.first).map_err(|_| HeadError::Multipart)?;
        let end = start.checked_add(len).and_then(|last| last.checked_add(1));
        let end = end.filter(|end| *end <= body.len()).ok_or(HeadError::Multipart)?;
        parts.push(Part { first: range.first, start, end });
        at = skip(body, end, b"\r\n")?;
    }
}

/// The range that a part's headers name, and where its content begins.
fn parse_part_head(
    body: &[u8],
    from: usize,
) -> Result<(super::head::ContentRange, usize), HeadError> {
    let mut at = from;
    let mut found = None;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let window = rest.get(..MAX_PART_HEAD_BYTES.min(rest.len())).unwrap_or_default();
        let len = window.iter().position(|byte| *byte == b'\n').ok_or(HeadError::Multipart)?;
        let line = window.get(..len).unwrap_or_default().trim_ascii_end();
        at = at.saturating_add(len + 1);
        if line.is_empty() {
            return found.map(|range| (range, at)).ok_or(HeadError::ContentRange);
        }
        if at - from > MAX_PART_HEAD_BYTES {
            return Err(HeadError::TooLarge);
        }
        let (name, value) = split_header(line)?;
        if name == "content-range" {
            let range = parse_content_range(value)?;
            if found.is_some_and(|known| known != range) {
                return Err(HeadError::Ambiguous { name: "Content-Range" });
            }
            found = Some(range);
        }
    }
}

fn skip(body: &[u8], at: usize, expected: &[u8]) -> Result<usize, HeadError> {
    let rest = body.get(at..).unwrap_or_default();
    if rest.starts_with(expected) { Ok(at + expected.len()) } else { Err(HeadError::Multipart) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/byteranges; boundary=THIS_SEP";

    fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
        let mut body = b"\r\n".to_vec();
        for (range, bytes) in parts {
            let head = format!("--THIS_SEP\r\nContent-Type: x/y\r\nContent-Range: {range}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--THIS_SEP--\r\n");
        body
    }

    #[test]
    fn parts_are_found_by_their_lengths_whatever_they_hold() {
        let evil = b"\r\n--THIS_SEP--\r\n";
        let bytes = body(&[("bytes 10-12/100", b"abc"), ("bytes 20-35/100", evil)]);
        let parts = parse_parts(TYPE, &bytes, 100).unwrap();
        let content: Vec<_> = parts.iter().map(|p| (p.first, &bytes[p.start..p.end])).collect();
        assert_eq!(content, [(10, &b"abc"[..]), (20, &evil[..])]);
    }

    #[test]
    fn boundaries_are_taken_bare_or_quoted_and_nothing_else() {
        assert_eq!(boundary_of(TYPE), Some("THIS_SEP"));
        assert_eq!(boundary_of("Multipart/Byteranges;x=y; Boundary=\"a b\""), None);
        assert_eq!(boundary_of("multipart/byteranges;boundary=\"00(1)\""), Some("00(1)"));
        for other in
            ["multipart/mixed; boundary=a", "multipart/byteranges", "", "text/plain;boundary=a"]
        {
            assert_eq!(boundary_of(other), None, "{other}");
        }
        let long = format!("multipart/byteranges; boundary={}", "a".repeat(71));
        assert_eq!(boundary_of(&long), None);
    }

    #[test]
    fn parts_that_lie_are_refused() {
        for (range, bytes) in [
            ("bytes 10-12/101", &b"abc"[..]),
            ("bytes 10-13/100", b"abc"),
            ("bytes 10-11/100", b"abc"),
            ("bytes 10-12/*", b"abc"),
            ("bytes 12-10/100", b"abc"),
            ("bytes 0-99/100", b"abc"),
        ] {
            assert!(parse_parts(TYPE, &body(&[(range, bytes)]), 100).is_err(), "{range}");
        }
        for text in ["", "--THIS_SEP", "--THIS_SEP\r\n", "--THIS_SEP\r\nX: y\r\n\r\nabc", "junk"] {
            assert!(parse_parts(TYPE, text.as_bytes(), 100).is_err(), "{text}");
        }
        let many: Vec<_> = (0..300).map(|_| ("bytes 1-1/100", &b"a"[..])).collect();
        assert_eq!(parse_parts(TYPE, &body(&many), 100), Err(HeadError::TooLarge));
        let long = "y".repeat(5000);
        let head = format!("--THIS_SEP\r\nX: {long}\r\nContent-Range: bytes 1-1/100\r\n\r\na\r\n");
        assert!(parse_parts(TYPE, head.as_bytes(), 100).is_err());
    }
}
