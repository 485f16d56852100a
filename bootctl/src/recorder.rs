// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flight recorder: a ring of records in a region of its own, outside both slots (I7).
//!
//! The region is divided into blocks (erase blocks on NOR flash). Records are appended to one
//! block, the *head*; when it is full the next block in the ring, which is the oldest, is erased
//! and becomes the head. The region needs at least two blocks, so the erased one never holds the
//! newest records. Each new head begins with the latest snapshot of the boot state and with the
//! marks of the dead boots' words that were told, so that both outlive any number of recycled blocks.
//!
//! | cut during | found at the next open |
//! |---|---|
//! | a record | a torn record: skipped and counted; all before it are there |
//! | the erase of the oldest block | its remaining records, or none; the head is still the old one |
//! | the snapshot of a new head | as a torn record; the old head still begins with one |
//!
//! A block that cannot be read is passed over and counted; only when none can be read there is no
//! recorder. Where the newest block may be the one that is lost, the numbers go on behind all that
//! it can have held, so that no number is given twice.
//!
//! A record never shares a sector with another one on a disk, so that a torn sector cannot take
//! an older record with it. Nothing is rewritten in place.
//!
//! Two programs may have the recorder open: an install keeps it for minutes, and the health
//! service writes its verdict meanwhile. So the place of the next record is looked at before it is
//! written, and the head is searched anew when somebody has been there.

use crate::reconcile::RecorderFacts;
use crate::record::{Entry, Record, Sequence, Timestamp};
use crate::record_codec::{Found, MAGIC, RECORD_MAX, RECORD_MIN, decode, encode};
use storage::{ByteLen, PartUuid, Storage, StorageError, chain};

/// Largest region that is read: a wrong length must not fill the memory.
const REGION_MAX_BYTES: u64 = 4 * 1024 * 1024;

/// Records that fit a block at least; fewer would leave no room beside the snapshot.
const RECORDS_PER_BLOCK_MIN: u64 = 4;

/// Bytes that programming a NOR flash works on.
const NOR_ALIGN_BYTES: u64 = 4;

const BLANK: u8 = 0xff;

/// A failed act on the flight recorder.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The region is not at least two whole blocks, or too large, or the blocks are too small.
    #[error("region of {region} in blocks of {block_bytes} bytes cannot hold a flight recorder")]
    Region {
        /// Size of the region.
        region: ByteLen,
        /// Size of a block.
        block_bytes: u32,
    },
    /// The blocks are not whole erase blocks of the flash.
    #[error("blocks of {block_bytes} bytes are not whole erase blocks of {erase_bytes} bytes")]
    Blocks {
        /// Size of a block.
        block_bytes: u32,
        /// Size of an erase block.
        erase_bytes: u32,
    },
    /// What was read back is not what was written.
    #[error("flight record at offset {offset:#x} of {label} reads back differently")]
    ReadBack {
        /// Device.
        label: String,
        /// Offset of the record.
        offset: u64,
    },
    /// The device failed.
    #[error("cannot access the flight recorder")]
    Storage {
        /// Cause.
        #[from]
        source: StorageError,
    },
}

impl RecorderError {
    /// The way out, where there is one.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Region { .. } | Self::Blocks { .. } => {
                Some("give the recorder at least two erase blocks of its own, 4 MiB at most")
            }
            Self::ReadBack { .. } => Some("the flash may be worn out; plan to replace it"),
            Self::Storage { .. } => None,
        }
    }
}

/// What opening found in one block.
#[derive(Default)]
struct Scan {
    records: Vec<Record>,
    newest: Option<Sequence>,
    /// First byte from which on the block is blank, aligned.
    free: u64,
    torn: u64,
    /// Places that are neither blank nor the begin of a record, whole or torn.
    foreign: u64,
}

/// The flight recorder on its region.
pub struct Recorder<S> {
    storage: S,
    block_bytes: u64,
    blocks: u64,
    align: u64,
    /// Block appended to; `None` before the first record.
    head: Option<u64>,
    free: u64,
    /// Block that holds the newest record read back; never erased while it does.
    holds: Option<u64>,
    /// The newest record read back.
    last: Sequence,
    next: Sequence,
    torn: u64,
    foreign: u64,
    /// Blocks that cannot be read, and why the first of them.
    unreadable: Vec<u64>,
    unreadable_cause: Option<String>,
    /// Whether no block that cannot be read may hold newer records than those that were read.
    is_newest_known: bool,
    facts: RecorderFacts,
    /// The disk that is there, once somebody said.
    front: Option<Option<PartUuid>>,
}

impl<S: Storage> Recorder<S> {
    /// Opens the recorder in the whole of `storage` and finds its head. Writes nothing.
    ///
    /// # Errors
    /// [`RecorderError::Region`], [`RecorderError::Blocks`] or [`RecorderError::Storage`].
    pub fn open(storage: S, block_bytes: u32) -> Result<Self, RecorderError> {
        let geometry = storage.geometry();
        let region = storage.len();
        if let Some(erase_bytes) = geometry.erase_bytes
            && (erase_bytes == 0 || !block_bytes.is_multiple_of(erase_bytes))
        {
            return Err(RecorderError::Blocks { block_bytes, erase_bytes });
        }
        let block = u64::from(block_bytes);
        let align = u64::from(geometry.sector_bytes).max(NOR_ALIGN_BYTES);
        let record_max = (RECORD_MAX as u64).next_multiple_of(align);
        let whole = block > 0 && region.get().is_multiple_of(block) && block.is_multiple_of(align);
        if !whole
            || region.get() / block < 2
            || region.get() > REGION_MAX_BYTES
            || block < record_max.saturating_mul(RECORDS_PER_BLOCK_MIN)
        {
            return Err(RecorderError::Region { region, block_bytes });
        }
        let mut recorder = Self {
            storage,
            block_bytes: block,
            blocks: region.get() / block,
            align,
            head: None,
            free: 0,
            holds: None,
            last: Sequence(0),
            next: Sequence(1),
            torn: 0,
            foreign: 0,
            unreadable: Vec::new(),
            unreadable_cause: None,
            is_newest_known: true,
            facts: RecorderFacts::default(),
            front: None,
        };
        recorder.find_head()?;
        Ok(recorder)
    }

    fn find_head(&mut self) -> Result<(), RecorderError> {
        let mut newest = Sequence(0);
        (self.head, self.holds, self.free, self.torn) = (None, None, 0, 0);
        self.foreign = 0;
        self.unreadable.clear();
        self.facts = RecorderFacts::default();
        self.unreadable_cause = None;
        let mut without_records = Vec::new();
        for index in 0..self.blocks {
            let scan = match self.scan(index) {
                Ok(scan) => scan,
                Err(cause) => {
                    self.unreadable.push(index);
                    if self.unreadable() == self.blocks {
                        return Err(cause.into());
                    }
                    self.unreadable_cause.get_or_insert_with(|| chain(&cause));
                    Scan::default()
                }
            };
            self.torn += scan.torn;
            self.foreign += scan.foreign;
            if scan.newest.is_none() {
                without_records.push(index);
            }
            if let Some(sequence) = scan.newest.filter(|sequence| *sequence > newest) {
                newest = sequence;
                self.head = Some(index);
                self.holds = Some(index);
                self.free = scan.free;
            }
        }
        self.last = newest;
        let records = self.entries()?;
        let lost = self.may_be_lost(&without_records, &records);
        self.next = Sequence(newest.0.saturating_add(1).saturating_add(lost));
        self.is_newest_known = lost == 0 || self.unreadable.is_empty();
        for record in records {
            self.facts.apply(&record.entry);
        }
        if let Some(front) = self.front {
            self.facts.keep_of(front);
        }
        Ok(())
    }

    /// How many records a lost block may have held that were newer than all that is there. The
    /// ring is full from its first round on; then the block behind the head has records, or it was
    /// the head itself, or its erase was cut.
    fn may_be_lost(&self, without_records: &[u64], records: &[Record]) -> u64 {
        let following = self.head.map_or(0, |head| (head + 1) % self.blocks);
        let came_round = records.first().is_some_and(|oldest| oldest.sequence > Sequence(1));
        let suspect =
            without_records.contains(&following) && (came_round || !self.unreadable.is_empty());
        if suspect { self.block_bytes / self.align.max(RECORD_MIN as u64) } else { 0 }
    }

    fn scan(&self, index: u64) -> Result<Scan, StorageError> {
        let mut block = vec![0; usize::try_from(self.block_bytes).unwrap_or(0)];
        let offset = index * self.block_bytes;
        // One bad transfer is not a lost block.
        if self.storage.read_at(offset, &mut block).is_err() {
            self.storage.read_at(offset, &mut block)?;
        }
        let used = block.iter().rposition(|byte| *byte != BLANK).map_or(0, |last| last + 1);
        let mut scan = Scan {
            records: Vec::new(),
            newest: None,
            free: (used as u64).next_multiple_of(self.align),
            torn: 0,
            foreign: 0,
        };
        let step = usize::try_from(self.align).unwrap_or(usize::MAX);
        let mut at = 0;
        while at < used {
            let rest = block.get(at..).unwrap_or_default();
            match decode(rest) {
                Some(found) => {
                    scan.newest = scan.newest.max(Some(found.sequence));
                    let Found { len, sequence, at: time, entry } = found;
                    if let Some(entry) = entry {
                        scan.records.push(Record { sequence, at: time, entry });
                    }
                    at += len.next_multiple_of(step);
                }
                None => {
                    // Garbage of other owners is not a torn record of ours.
                    if rest.first() == MAGIC.first() {
                        scan.torn += 1;
                    } else if rest.iter().take(step).any(|byte| *byte != BLANK) {
                        scan.foreign += 1;
                    }
                    at += step;
                }
            }
        }
        Ok(scan)
    }

    /// Appends `entry` durably: when this returns, the record was read back from the medium.
    ///
    /// # Errors
    /// [`RecorderError::Storage`] or [`RecorderError::ReadBack`]; earlier records are untouched.
    pub fn append(&mut self, at: Timestamp, entry: &Entry) -> Result<Sequence, RecorderError> {
        let len = self.padded(&self.encode_next(at, entry)).len() as u64;
        if !self.is_free(len)? && self.newest()? > self.last {
            self.find_head()?;
        }
        if self.head.is_none() || self.free + len > self.block_bytes {
            self.start_block(at)?;
        }
        let sequence = self.write_next(at, entry)?;
        self.facts.apply(entry);
        Ok(sequence)
    }

    /// All records, oldest first.
    ///
    /// # Errors
    /// [`RecorderError::Storage`].
    pub fn entries(&self) -> Result<Vec<Record>, RecorderError> {
        let mut records = Vec::new();
        for index in 0..self.blocks {
            match self.scan(index) {
                Ok(scan) => records.extend(scan.records),
                // Opening passed it over as well, and counted it.
                Err(_) if !self.unreadable.is_empty() => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        records.sort_by_key(|record| record.sequence);
        Ok(records)
    }

    /// How many torn records were found when the recorder was opened: cuts while recording.
    #[must_use]
    pub const fn torn(&self) -> u64 {
        self.torn
    }

    /// How many places held something else than a record when the recorder was opened. The rest of
    /// a torn record counts too; where no record is read, it is what somebody else wrote.
    #[must_use]
    pub const fn foreign(&self) -> u64 {
        self.foreign
    }

    /// The device that the recorder lies on, as the user knows it.
    #[must_use]
    pub fn label(&self) -> &str {
        self.storage.label()
    }

    /// How many blocks could not be read when the recorder was opened: their records are missing.
    #[must_use]
    pub const fn unreadable(&self) -> u64 {
        self.unreadable.len() as u64
    }

    /// What is missing because blocks cannot be read, for people.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let cause = self.unreadable_cause.as_ref()?;
        let (lost, blocks) = (self.unreadable(), self.blocks);
        Some(format!("{lost} of the flight recorder's {blocks} blocks cannot be read: {cause}"))
    }

    /// What the records say about the slots.
    #[must_use]
    pub const fn facts(&self) -> &RecorderFacts {
        &self.facts
    }

    /// Says which disk is in front of the board, `None` for one that has no identity yet: what is
    /// remembered of another one's slots says nothing about its.
    pub fn of_disk(&mut self, front: Option<PartUuid>) {
        self.front = Some(front);
        self.facts.keep_of(front);
    }

    /// Whether the next `len` bytes of the head are there and blank. A full head is searched anew
    /// too: what follows it may have been begun by another program.
    fn is_free(&self, len: u64) -> Result<bool, RecorderError> {
        let Some(head) = self.head.filter(|_| self.free + len <= self.block_bytes) else {
            return Ok(false);
        };
        // At most RECORD_MAX, rounded up to the alignment.
        let mut found = vec![0; usize::try_from(len).unwrap_or(RECORD_MAX)];
        self.storage.read_at(head * self.block_bytes + self.free, &mut found)?;
        Ok(found.iter().all(|byte| *byte == BLANK))
    }

    /// The newest record on the medium, whoever wrote it.
    fn newest(&self) -> Result<Sequence, RecorderError> {
        let mut newest = Sequence(0);
        for index in 0..self.blocks {
            match self.scan(index) {
                Ok(scan) => newest = newest.max(scan.newest.unwrap_or(Sequence(0))),
                Err(_) if !self.unreadable.is_empty() => {}
                Err(cause) => return Err(cause.into()),
            }
        }
        Ok(newest)
    }

    fn encode_next(&self, at: Timestamp, entry: &Entry) -> Vec<u8> {
        encode(&Record { sequence: self.next, at, entry: entry.clone() })
    }

    fn padded(&self, record: &[u8]) -> Vec<u8> {
        let mut padded = record.to_vec();
        let len = (record.len() as u64).next_multiple_of(self.align);
        padded.resize(usize::try_from(len).unwrap_or(record.len()), BLANK);
        padded
    }

    /// Makes the block after the head the head; one that cannot be read now is passed over, because
    /// it may be read again later and hold what is newest. It is erased even when it reads blank: after an
    /// erase that was cut, flash may read blank and not hold what is written to it.
    fn start_block(&mut self, at: Timestamp) -> Result<(), RecorderError> {
        let after = self.head.map_or(0, |head| head + 1);
        let mut ring = (after..after + self.blocks).map(|block| block % self.blocks);
        // Opening fails where none can be read, so there is one; at last the head itself.
        let following = ring.find(|block| !self.unreadable.contains(block)).unwrap_or(after);
        // After a block in which no write succeeded the ring would come round to the newest
        // records; such a block is taken again instead.
        let index = match self.head {
            Some(head) if self.holds == Some(following) && self.holds != self.head => head,
            Some(_) | None => following,
        };
        let offset = index * self.block_bytes;
        // A cut in here costs records of the oldest block only; the head keeps the newest.
        self.storage.erase(offset, self.block_bytes)?;
        self.storage.flush()?;
        self.head = Some(index);
        self.free = 0;
        // With a number higher than all others an old snapshot would count for the newest one.
        if let Some(snapshot) = self.facts.snapshot().filter(|_| self.is_newest_known).cloned() {
            self.write_next(at, &Entry::States(snapshot))?;
        }
        if let Some(known) = self.facts.known_deaths() {
            self.write_next(at, &known)?;
        }
        Ok(())
    }

    fn write_next(&mut self, at: Timestamp, entry: &Entry) -> Result<Sequence, RecorderError> {
        let sequence = self.next;
        let record = self.encode_next(at, entry);
        let padded = self.padded(&record);
        let len = padded.len() as u64;
        let offset = self.head.unwrap_or(0) * self.block_bytes + self.free;
        // Counted as used before the write: after a failure this place is not written again.
        self.free += len;
        self.next = Sequence(sequence.0.saturating_add(1));
        self.storage.write_at(offset, &padded)?;
        self.storage.flush()?;
        self.storage.forget_cached(offset, len)?;
        let mut found = vec![0; padded.len()];
        self.storage.read_at(offset, &mut found)?;
        if found != padded {
            let label = self.storage.label().to_owned();
            return Err(RecorderError::ReadBack { label, offset });
        }
        self.holds = self.head;
        self.last = sequence;
        Ok(sequence)
    }
}
