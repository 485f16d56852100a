// SPDX-License-Identifier: MIT OR Apache-2.0
//! Turns the many small, nearly sequential reads of a squashfs parser into few large aligned
//! ones, because each read below may cost a hash over a 4096-byte block.
//!
//! Unlike [`std::io::BufReader`], a seek does not throw the buffer away.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

/// Bytes fetched at once by who reads on: two default squashfs blocks.
const BUFFER_BYTES: usize = 256 * 1024;

/// Bytes fetched after a jump: most lead to a table of a few KiB, and each may come from a server.
const JUMP_BYTES: usize = 32 * 1024;

/// Reads of this much go past an empty buffer: the contents of files come in blocks, and copying
/// each of them twice would be for nothing.
const DIRECT_BYTES: usize = 64 * 1024;

/// Fetches begin at multiples of this, so that tables which are neighbours come together; it is one
/// of the block size of the verity tree.
const ALIGNMENT: u64 = JUMP_BYTES as u64;

/// A buffered reader whose buffer survives seeks.
#[derive(Debug)]
pub(crate) struct ReadAhead<R> {
    inner: R,
    /// Offset of the next byte handed out.
    position: u64,
    /// Offset of the first buffered byte.
    buffer_start: u64,
    buffer: Vec<u8>,
}

impl<R: Read + Seek> ReadAhead<R> {
    /// A reader over `inner`, positioned at its start.
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, position: 0, buffer_start: 0, buffer: Vec::new() }
    }

    fn buffered(&self) -> &[u8] {
        self.position
            .checked_sub(self.buffer_start)
            .and_then(|skip| usize::try_from(skip).ok())
            .and_then(|skip| self.buffer.get(skip..))
            .unwrap_or_default()
    }

    fn refill(&mut self) -> io::Result<()> {
        let start = self.position - self.position % ALIGNMENT;
        let end = self.buffer_start.saturating_add(self.buffer.len() as u64);
        let goes_on = !self.buffer.is_empty() && start == end;
        // Emptied first, so that a failed read leaves no half-filled buffer behind.
        self.buffer.clear();
        self.buffer_start = start;
        self.inner.seek(SeekFrom::Start(start))?;
        self.buffer.resize(if goes_on { BUFFER_BYTES } else { JUMP_BYTES }, 0);
        let mut filled = 0;
        while let Some(free) = self.buffer.get_mut(filled..).filter(|free| !free.is_empty()) {
            match self.inner.read(free) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.buffer.clear();
                    return Err(error);
                }
            }
        }
        self.buffer.truncate(filled);
        Ok(())
    }
}

impl<R: Read + Seek> BufRead for ReadAhead<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.buffered().is_empty() {
            self.refill()?;
        }
        Ok(self.buffered())
    }

    fn consume(&mut self, amount: usize) {
        self.position = self.position.saturating_add(amount as u64);
    }
}

impl<R: Read + Seek> Read for ReadAhead<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.len() >= DIRECT_BYTES && self.buffered().is_empty() {
            self.inner.seek(SeekFrom::Start(self.position))?;
            let count = self.inner.read(buf)?;
            self.consume(count);
            return Ok(count);
        }
        let mut available = self.fill_buf()?;
        let count = available.read(buf)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read + Seek> Seek for ReadAhead<R> {
    fn seek(&mut self, target: SeekFrom) -> io::Result<u64> {
        let wanted = match target {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(delta) => self.position.checked_add_signed(delta),
            SeekFrom::End(delta) => self.inner.seek(SeekFrom::End(0))?.checked_add_signed(delta),
        };
        self.position = wanted.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn any_pattern_of_seeks_reads_what_the_source_holds() {
        let bytes: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
        let mut reader = ReadAhead::new(Cursor::new(bytes.clone()));
        for (offset, len) in [
            (0, 10),
            (5, 300_000),
            (699_990, 10),
            (4097, 1),
            (262_143, 2),
            (300_001, 399_999),
            (9, 9),
        ] {
            reader.seek(SeekFrom::Start(offset as u64)).unwrap();
            let mut got = vec![0; len];
            reader.read_exact(&mut got).unwrap();
            assert_eq!(got, bytes[offset..offset + len], "at {offset}");
        }
        assert_eq!(reader.seek(SeekFrom::End(-4)).unwrap(), 699_996);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, bytes[699_996..]);
        assert!(reader.seek(SeekFrom::Current(-700_001)).is_err());
    }
}
