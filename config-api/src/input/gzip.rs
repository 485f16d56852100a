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
    /// `None` behind the last member.
    member: Option<GzDecoder<BufReader<R>>>,
}

impl<R: Read> GzipReader<R> {
    pub(super) fn new(input: R) -> Self {
        Self { begun: 1, member: Some(GzDecoder::new(BufReader::new(input))) }
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(mut member) = self.member.take() {
            let count = member.read(buffer)?;
            if count > 0 {
                self.member = Some(member);
                return Ok(count);
            }
            let mut input = member.into_inner();
            match input.fill_buf()?.first() {
                None => {}
                Some(0) => skip_zeros(&mut input)?,
                Some(_) if self.begun == MAX_MEMBERS => {
                    let problem = "the stream has too many members";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
                }
                Some(_) => {
                    self.begun += 1;
                    self.member = Some(GzDecoder::new(input));
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
