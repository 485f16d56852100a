// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in this gzip stream? Its members one after the other, and zeros behind the last: tapes
//! and block devices pad with them, and gzip itself ignores them. Anything else behind a member is
//! refused, since another program may read it.

use flate2::bufread::GzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// The most members: each takes the memory of a decoder anew, and empty ones have 20 bytes. Programs
/// that compress in parallel make one of 64 KiB or more.
const MAX_MEMBERS: u32 = 1 << 16;

/// Reads the members of a gzip stream.
pub(super) struct GzipReader<R> {
    /// Members that were begun.
    begun: u32,
    /// Whether zeros were found behind a member: nothing but zeros may follow.
    padded: bool,
    /// `None` behind the last member. It stays where it is when a read fails, since that may be
    /// an interruption, after which the caller reads on.
    member: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> GzipReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { begun: 1, padded: false, member: Some(GzDecoder::new(BufReader::new(input))) }
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let input = member.get_mut();
            match input.fill_buf()?.first() {
                None => self.member = None,
                Some(byte) if *byte == 0 || self.padded => {
                    self.padded = true;
                    skip_zeros(input)?;
                    self.member = None;
                }
                Some(_) if self.begun == MAX_MEMBERS => {
                    let problem = "the stream has too many members";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
                }
                Some(_) => {
                    self.begun += 1;
                    let ended = self.member.take();
                    self.member = ended.map(|member| GzDecoder::new(member.into_inner()));
                }
            }
        }
        Ok(0)
    }
}

/// Reads to the end, which is zeros.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        if bytes.iter().any(|byte| *byte != 0) {
            let problem = "something follows the padding";
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        let count = bytes.len();
        input.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    /// Gives a byte at a time, and fails once at one of them.
    struct Interrupted<'b> {
        bytes: &'b [u8],
        kind: io::ErrorKind,
        good: Option<usize>,
    }

    impl Read for Interrupted<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.good {
                Some(0) => {
                    self.good = None;
                    return Err(self.kind.into());
                }
                Some(good) => self.good = Some(good - 1),
                None => {}
            }
            let count = buffer.len().min(1);
            self.bytes.read(&mut buffer[..count])
        }
    }

    fn stream() -> (Vec<u8>, Vec<u8>) {
        let (mut stream, mut content) = (Vec::new(), Vec::new());
        for text in ["the first member\n".repeat(9), "and the second".to_owned()] {
            let mut encoder = GzEncoder::new(&mut stream, Compression::default());
            encoder.write_all(text.as_bytes()).unwrap();
            encoder.finish().unwrap();
            content.extend(text.into_bytes());
        }
        stream.extend([0; 9]);
        (stream, content)
    }

    #[test]
    fn an_interruption_ends_nothing() {
        let (bytes, content) = stream();
        for good in 0..=bytes.len() {
            let kind = io::ErrorKind::Interrupted;
            let mut found = Vec::new();
            let input = Interrupted { bytes: &bytes, kind, good: Some(good) };
            GzipReader::new(input).read_to_end(&mut found).unwrap();
            assert_eq!(found, content, "interrupted at byte {good}");
        }
    }

    #[test]
    fn a_failure_is_no_end_for_who_reads_on() {
        let (mut bytes, _) = stream();
        bytes.push(b'x');
        let mut reader = GzipReader::new(&*bytes);
        let mut found = Vec::new();
        for _ in 0..3 {
            let error = reader.read_to_end(&mut found).unwrap_err();
            assert_eq!(error.to_string(), "something follows the padding");
        }
        // The padding goes on where it was, and what follows is no member.
        for good in bytes.len() - 10..bytes.len() {
            let kind = io::ErrorKind::WouldBlock;
            let mut reader = GzipReader::new(Interrupted { bytes: &bytes, kind, good: Some(good) });
            assert_eq!(reader.read_to_end(&mut Vec::new()).unwrap_err().kind(), kind);
            let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(error.to_string(), "something follows the padding", "{good}");
        }
    }
}
