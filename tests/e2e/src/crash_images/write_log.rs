// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was done to the medium, in which order? Reads the log of QEMU's `blklogwrites`; never the
//! data in it.
//!
//! Layout (source: Linux `drivers/md/dm-log-writes.c`, which QEMU's `block/blklogwrites.c`
//! follows), little-endian, everything at multiples of the log's sector size:
//!
//! ```text
//! 0        magic 0x6a736677736872: 8 bytes, version 1: 8, number of entries: 8, sector size: 4
//! 1 ..     entry: 0 first sector, 8 number of sectors, 16 flags (1 flush, 2 FUA, 4 discard,
//!          8 mark), 24 length of a mark; the rest of its sector is not used
//! + 1 ..   the data, as many sectors as the entry says; none after a discard
//! ```
//!
//! An entry is logged when its act was completed.

use anyhow::{Context as _, Result, bail, ensure};
use storage::Storage;

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// Sectors in which any medium tears, and the smallest that a log has.
pub(super) const SECTOR: u64 = 512;

/// One act on the medium; offsets and lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Bytes were written.
    Write {
        /// Where.
        start: u64,
        /// How many.
        len: u64,
        /// Where they stand in the log.
        data: u64,
    },
    /// The content of a range is not needed any more.
    Discard {
        /// Where.
        start: u64,
        /// How long.
        len: u64,
    },
    /// The disk has made durable what was written before.
    Flush,
}

/// How much was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogCounts {
    /// Writes and discards.
    pub writes: usize,
    /// Flushes.
    pub flushes: usize,
}

/// Everything that was done to the medium, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteLog {
    /// The acts.
    pub acts: Vec<Act>,
}

impl WriteLog {
    /// Reads what a log says was done.
    ///
    /// # Errors
    /// When it is no such log, or holds what nobody here understands.
    pub fn parse(log: &dyn Storage) -> Result<Self> {
        let mut head = [0; 28];
        log.read_at(0, &mut head).context("no superblock")?;
        let (magic, version, entries) = (number(&head, 0)?, number(&head, 8)?, number(&head, 16)?);
        let sector = number(&head, 20)? >> 32;
        ensure!(magic == MAGIC, "not a log of writes: it begins with {magic:#x}");
        ensure!(version == VERSION, "a log of version {version}");
        let whole = sector.is_power_of_two() && sector >= SECTOR;
        ensure!(whole, "a log with sectors of {sector} bytes");
        let mut acts = Vec::new();
        let mut at = sector;
        for index in 0..entries {
            let mut entry = [0; 32];
            log.read_at(at, &mut entry).with_context(|| format!("entry {index} of {entries}"))?;
            let bytes = |place| -> Result<u64> {
                number(&entry, place)?.checked_mul(sector).context("beyond every disk")
            };
            let (start, len, flags) = (bytes(0)?, bytes(8)?, number(&entry, 16)?);
            at += sector;
            match flags {
                0 => {
                    acts.push(Act::Write { start, len, data: at });
                    at = at.checked_add(len).context("beyond every log")?;
                }
                DISCARD => acts.push(Act::Discard { start, len }),
                FLUSH if len == 0 => acts.push(Act::Flush),
                _ => bail!("entry {index} has flags {flags:#x} and {len} bytes"),
            }
        }
        Ok(Self { acts })
    }

    /// How much was done.
    #[must_use]
    pub fn counts(&self) -> LogCounts {
        let flushes = self.acts.iter().filter(|act| **act == Act::Flush).count();
        LogCounts { writes: self.acts.len() - flushes, flushes }
    }

    /// What was written into a range, by the number of the act.
    pub fn touching(&self, start: u64, end: u64) -> impl Iterator<Item = (usize, &Act)> {
        self.acts.iter().enumerate().filter(move |(_, act)| match act {
            Act::Write { start: from, len, .. } | Act::Discard { start: from, len } => {
                *from < end && from.saturating_add(*len) > start
            }
            Act::Flush => false,
        })
    }
}

fn number(bytes: &[u8], at: usize) -> Result<u64> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk()).context("a cut-off field")?;
    Ok(u64::from_le_bytes(*field))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use storage::MemoryStorage;

    /// What a test does to the medium.
    pub enum Did {
        Write(u64, Vec<u8>),
        Discard(u64, u64),
        Flush,
    }

    /// The log that the emulator would have written of it.
    pub fn log_of(acts: &[Did]) -> MemoryStorage {
        let mut bytes = Vec::new();
        for field in [MAGIC, VERSION, acts.len() as u64, SECTOR] {
            bytes.extend(field.to_le_bytes());
        }
        bytes.resize(512, 0);
        for act in acts {
            let (start, len, flags, data) = match act {
                Did::Write(start, data) => (*start, data.len() as u64, 0, data.as_slice()),
                Did::Discard(start, len) => (*start, *len, DISCARD, &[][..]),
                Did::Flush => (0, 0, FLUSH, &[][..]),
            };
            assert!(start % SECTOR == 0 && len % SECTOR == 0);
            for field in [start / SECTOR, len / SECTOR, flags, 0] {
                bytes.extend(field.to_le_bytes());
            }
            bytes.resize(bytes.len() + 480, 0);
            bytes.extend(data);
        }
        MemoryStorage::disk("log", bytes)
    }

    #[test]
    fn a_log_is_read_as_it_was_done() {
        let data = [7; 1024];
        let log = log_of(&[Did::Write(4096, data.to_vec()), Did::Flush, Did::Discard(512, 1024)]);
        let read = WriteLog::parse(&log).unwrap();
        let write = Act::Write { start: 4096, len: 1024, data: 1024 };
        assert_eq!(read.acts, [write, Act::Flush, Act::Discard { start: 512, len: 1024 }]);
        assert_eq!(read.counts(), LogCounts { writes: 2, flushes: 1 });
        let touching = |start, end| read.touching(start, end).map(|(n, _)| n).collect::<Vec<_>>();
        assert_eq!(touching(5119, 6000), [0]);
        assert!(touching(5120, 6000).is_empty());
        assert_eq!(touching(0, 513), [2]);
    }

    #[test]
    fn what_is_no_log_or_not_understood_is_refused() {
        let refused = |at: usize, byte: u8| {
            let mut log = log_of(&[Did::Flush]);
            log.bytes_mut()[at] = byte;
            WriteLog::parse(&log).unwrap_err().to_string()
        };
        assert!(refused(0, 0).contains("not a log"));
        assert!(refused(8, 2).contains("version 2"));
        assert!(refused(16, 2).contains("entry 1 of 2"));
        assert!(refused(24, 1).contains("sectors"));
        for flags in [2, 3, 8, 16] {
            assert!(refused(512 + 16, flags).contains("flags"), "{flags}");
        }
    }
}
