// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the server answer? The head of an HTTP response, as far as fetching files needs it.
//!
//! Strict and bounded: a header that decides where bytes belong must be there once and mean one
//! thing. libcurl frames the messages; what is believed about ranges and identities is decided
//! here and nowhere else.

/// Most bytes of a head; what is longer is no answer to our requests.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Most headers.
const MAX_HEADERS: usize = 256;
/// Longest entity tag or date kept to compare.
const MAX_VALIDATOR_BYTES: usize = 1024;

/// Why a head cannot be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Longer than allowed, or with more headers.
    #[error("response has a head of more than {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers")]
    TooLarge,
    /// The first line is no status line.
    #[error("response begins with no HTTP status")]
    Status,
    /// A line is no header.
    #[error("response has a malformed header")]
    Header,
    /// Twice, with different values, or longer than any.
    #[error("response has an ambiguous {name} header")]
    Ambiguous {
        /// The header's name.
        name: &'static str,
    },
    /// Not of the form `bytes 0-3/100`.
    #[error("invalid content-range value")]
    ContentRange,
    /// Not the parts that `multipart/byteranges` has.
    #[error("invalid multipart/byteranges content")]
    Multipart,
    /// Not a number.
    #[error("invalid content-length value")]
    ContentLength,
    /// The body is packed although nobody asked for that: its bytes are not the file's.
    #[error("response has the content encoding {found:?}")]
    Encoded {
        /// The encoding.
        found: String,
    },
}

/// `Content-Range: bytes first-last/total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// Position of the first byte.
    pub first: u64,
    /// Position of the last byte.
    pub last: u64,
    /// Length of the whole file.
    pub total: u64,
}

/// The parts of a head that are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 599.
    pub status: u16,
    /// Which bytes follow.
    pub content_range: Option<ContentRange>,
    /// What follows, if several ranges do.
    pub content_type: Option<String>,
    /// Length of the body.
    pub content_length: Option<u64>,
    /// The entity tag with its quotes.
    pub etag: Option<String>,
    /// The date of the last change, as the server wrote it.
    pub last_modified: Option<String>,
    /// Where a redirect leads, as the server wrote it.
    pub location: Option<String>,
    /// Seconds until the server wants to be asked again.
    pub retry_after_secs: Option<u64>,
    /// Whether the server says that it serves ranges.
    pub accepts_ranges: bool,
}

impl ResponseHead {
    /// Reads one head: status line and headers, up to the empty line or the end.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HeadError> {
        if bytes.len() > MAX_HEAD_BYTES {
            return Err(HeadError::TooLarge);
        }
        let mut lines = bytes.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end());
        let mut head =
            Self { status: parse_status(lines.next().unwrap_or_default())?, ..Self::default() };
        let mut encoding = None;
        for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
            if count >= MAX_HEADERS {
                return Err(HeadError::TooLarge);
            }
            let (name, value) = split_header(line)?;
            head.take(&name, value, &mut encoding)?;
        }
        match encoding {
            Some(found) if !found.eq_ignore_ascii_case("identity") => {
                Err(HeadError::Encoded { found })
            }
            _ => Ok(head),
        }
    }

    /// By what the server tells this version of a file from another: its entity tag, else the date
    /// of its last change.
    #[must_use]
    pub fn mark(&self) -> Option<String> {
        self.etag.as_ref().or(self.last_modified.as_ref()).cloned()
    }

    fn take(
        &mut self,
        name: &str,
        value: &[u8],
        encoding: &mut Option<String>,
    ) -> Result<(), HeadError> {
        match name {
            "content-range" if self.status == 206 => {
                let range = parse_content_range(value)?;
                set(&mut self.content_range, range, "Content-Range")
            }
            "content-type" if self.status == 206 => {
                set(&mut self.content_type, text(value, "Content-Type")?, "Content-Type")
            }
            "content-length" => {
                let length = parse_number(value).ok_or(HeadError::ContentLength)?;
                set(&mut self.content_length, length, "Content-Length")
            }
            "etag" => set(&mut self.etag, text(value, "ETag")?, "ETag"),
            "last-modified" => {
                set(&mut self.last_modified, text(value, "Last-Modified")?, "Last-Modified")
            }
            "location" => {
                let place = std::str::from_utf8(value);
                let place = place.map_err(|_| HeadError::Ambiguous { name: "Location" })?;
                set(&mut self.location, place.to_owned(), "Location")
            }
            "content-encoding" => {
                set(encoding, text(value, "Content-Encoding")?, "Content-Encoding")
            }
            "retry-after" => {
                // A date instead of seconds: our own pauses do.
                self.retry_after_secs = parse_number(value).or(self.retry_after_secs);
                Ok(())
            }
            "accept-ranges" => {
                self.accepts_ranges = value.eq_ignore_ascii_case(b"bytes");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn set<T: PartialEq>(place: &mut Option<T>, value: T, name: &'static str) -> Result<(), HeadError> {
    match place {
        Some(known) if *known != value => Err(HeadError::Ambiguous { name }),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

fn text(value: &[u8], name: &'static str) -> Result<String, HeadError> {
    let printable = |byte: &u8| *byte >= b' ' && *byte != 0x7f;
    if value.len() > MAX_VALIDATOR_BYTES || !value.iter().all(printable) {
        return Err(HeadError::Ambiguous { name });
    }
    Ok(String::from_utf8_lossy(value).into_owned())
}

pub(super) fn parse_status(line: &[u8]) -> Result<u16, HeadError> {
    let rest = line.strip_prefix(b"HTTP/").ok_or(HeadError::Status)?;
    let at = rest.iter().position(|byte| *byte == b' ').ok_or(HeadError::Status)?;
    let code = rest.get(at + 1..at + 4).ok_or(HeadError::Status)?;
    if rest.get(at + 4).is_some_and(|byte| *byte != b' ') {
        return Err(HeadError::Status);
    }
    match parse_number(code).and_then(|code| u16::try_from(code).ok()) {
        Some(code @ 100..=599) => Ok(code),
        _ => Err(HeadError::Status),
    }
}

pub(super) fn split_header(line: &[u8]) -> Result<(String, &[u8]), HeadError> {
    let at = line.iter().position(|byte| *byte == b':').ok_or(HeadError::Header)?;
    let (name, value) = line.split_at(at);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let value = value.get(1..).unwrap_or_default().trim_ascii();
    if name.is_empty() || !name.iter().all(token) || value.contains(&0) {
        return Err(HeadError::Header);
    }
    Ok((String::from_utf8_lossy(name).to_ascii_lowercase(), value))
}

/// Digits only: no sign, no space, no overflow.
fn parse_number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// `bytes 0-3/100`; the total must be known, since it is the bundle's length.
pub(super) fn parse_content_range(value: &[u8]) -> Result<ContentRange, HeadError> {
    let parse = || {
        let (unit, rest) = value.split_at_checked(6)?;
        if !unit.eq_ignore_ascii_case(b"bytes ") {
            return None;
        }
        let slash = rest.iter().position(|byte| *byte == b'/')?;
        let dash = rest.iter().position(|byte| *byte == b'-')?;
        let first = parse_number(rest.get(..dash)?)?;
        let last = parse_number(rest.get(dash + 1..slash)?)?;
        let total = parse_number(rest.get(slash + 1..)?)?;
        (first <= last && last < total).then_some(ContentRange { first, last, total })
    };
    parse().ok_or(HeadError::ContentRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(lines: &str) -> Result<ResponseHead, HeadError> {
        ResponseHead::parse(
            format!("HTTP/1.1 206 Partial Content\r\n{lines}\r\n\r\nbody").as_bytes(),
        )
    }

    #[test]
    fn usual_answer_is_understood() {
        let found = head(
            "Content-Range: bytes 0-3/26506\r\ncontent-length: 4\r\nETag: \"a-b\"\r\n\
             Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nAccept-Ranges: bytes\r\nX: y:z",
        )
        .unwrap();
        let range = ContentRange { first: 0, last: 3, total: 26506 };
        assert_eq!((found.status, found.content_range), (206, Some(range)));
        assert_eq!((found.content_length, found.etag.as_deref()), (Some(4), Some("\"a-b\"")));
        assert!(found.accepts_ranges && found.last_modified.is_some());
        assert_eq!(found.mark(), found.etag);
        let dated = ResponseHead { etag: None, ..found };
        assert_eq!(dated.mark(), dated.last_modified);
        assert_eq!(ResponseHead::parse(b"HTTP/2 404\r\n").unwrap().status, 404);
    }

    #[test]
    fn ranges_that_lie_are_refused() {
        for range in [
            "bytes 0-3/*",
            "bytes */100",
            "bytes 3-0/100",
            "bytes 0-100/100",
            "bytes 0-3/3",
            "0-3/100",
            "bytes 0-3",
            "bytes -1-3/100",
            "bytes 0x0-3/100",
            "bytes 0-3/99999999999999999999",
            "bytes 0-+3/100",
            "items 0-3/100",
            "bytes 0-3/100, 5-6/100",
            "bytes  0-3/100",
            "",
        ] {
            let found = head(&format!("Content-Range: {range}"));
            assert_eq!(found, Err(HeadError::ContentRange), "{range}");
        }
        let twice = head("Content-Range: bytes 0-3/100\r\nContent-Range: bytes 0-3/101");
        assert_eq!(twice, Err(HeadError::Ambiguous { name: "Content-Range" }));
    }

    #[test]
    fn ambiguous_and_packed_answers_are_refused() {
        for (lines, expected) in [
            (
                "Content-Length: 4\r\nContent-Length: 5",
                HeadError::Ambiguous { name: "Content-Length" },
            ),
            ("Content-Length: four", HeadError::ContentLength),
            ("Location: /a\r\nLocation: /b", HeadError::Ambiguous { name: "Location" }),
            ("Content-Encoding: gzip", HeadError::Encoded { found: "gzip".into() }),
            ("no header", HeadError::Header),
            ("Bad Name: x", HeadError::Header),
            ("ETag: a\x01b", HeadError::Ambiguous { name: "ETag" }),
        ] {
            assert_eq!(head(lines), Err(expected), "{lines}");
        }
        assert_eq!(head(&"A: b\r\n".repeat(300)), Err(HeadError::TooLarge));
        assert_eq!(head(&"A: bbbbbbbbbbbbbbbbbbb\r\n".repeat(4000)), Err(HeadError::TooLarge));
        for status in ["HTTP/1.1 20", "HTTP/1.1 2066", "ICY 200 OK", "", "HTTP/1.1 999 x"] {
            assert_eq!(ResponseHead::parse(status.as_bytes()), Err(HeadError::Status), "{status}");
        }
    }
}
