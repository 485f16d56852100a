// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image of a verified bundle, at any place: what does a part of it cost, and what does it say?
//!
//! A file of a squashfs is cut into blocks (mostly 128 KiB), each compressed on its own. Whoever
//! needs single places reads the blocks that hold them and nothing else. Bytes of the bundle are
//! compared with its hash tree in pages of 4096, so that is what a part costs.

use crate::payload::Payload;
use crate::squashfs_limits::BLOCK_CODEC;
use crate::{BundleError, SquashfsError};
use backhand::compression::{CompressionAction, Compressor};
use std::sync::Arc;
use storage::ByteLen;

const PAGE: u64 = 4096;

/// Read from the bundle at once.
const RUN_BYTES: u64 = 1024 * 1024;

/// Where a part lies in the file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartPlace {
    /// A hole: zeros that are nowhere.
    Hole,
    /// A block of its own.
    Block { at: u64, stored: u32, compressed: bool },
    /// A piece of a block that several files share.
    Fragment { at: u64, stored: u32, compressed: bool, offset: u32 },
}

/// The parts of one image.
pub struct ImageParts {
    payload: Arc<Payload>,
    places: Vec<PartPlace>,
    compressor: Compressor,
    part_bytes: u64,
    len: u64,
}

impl std::fmt::Debug for ImageParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageParts")
            .field("parts", &self.places.len())
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl ImageParts {
    /// The parts of a file of this length in these places; `None` when they do not fit.
    pub(crate) fn new(
        payload: Arc<Payload>,
        places: Vec<PartPlace>,
        compressor: Compressor,
        part_bytes: u64,
        len: u64,
    ) -> Option<Self> {
        let fits = part_bytes > 0 && places.len() as u64 == len.div_ceil(part_bytes);
        fits.then_some(Self { payload, places, compressor, part_bytes, len })
    }

    /// The length of the image.
    #[must_use]
    pub fn len(&self) -> ByteLen {
        ByteLen::new(self.len)
    }

    /// Whether the image has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Number of the part that holds a byte of the image.
    #[must_use]
    pub fn part_of(&self, offset: u64) -> u64 {
        offset / self.part_bytes
    }

    /// First byte of a part, and the byte behind its last.
    #[must_use]
    pub fn span_of(&self, part: u64) -> (u64, u64) {
        let start = part.saturating_mul(self.part_bytes).min(self.len);
        (start, start.saturating_add(self.part_bytes).min(self.len))
    }

    fn place(&self, part: u64) -> Option<PartPlace> {
        self.places.get(usize::try_from(part).ok()?).copied()
    }

    /// How many parts there are.
    pub(crate) const fn count(&self) -> u64 {
        self.places.len() as u64
    }

    /// How many parts have so many bytes together; at least one.
    pub(crate) const fn parts_in(&self, bytes: u64) -> u64 {
        let parts = bytes / self.part_bytes;
        if parts == 0 { 1 } else { parts }
    }

    /// How long the file system is that they lie in.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.payload.data_bytes()
    }

    /// Bytes of the bundle that a part lies in, first and behind the last.
    pub(crate) fn stored_span(&self, part: u64) -> Option<(u64, u64)> {
        match self.place(part)? {
            PartPlace::Hole => None,
            PartPlace::Block { at, stored, .. } | PartPlace::Fragment { at, stored, .. } => {
                Some((at, at.saturating_add(u64::from(stored))))
            }
        }
    }

    /// What reading these parts, in ascending order, costs: bytes of whole pages, and how many
    /// stretches they make.
    #[must_use]
    pub fn cost_of(&self, parts: &[u64]) -> (ByteLen, u64) {
        let ranges = self.ranges_of(parts);
        let bytes = ranges.iter().map(|(start, end)| end - start).sum();
        (ByteLen::new(bytes), ranges.len() as u64)
    }

    /// What reading the whole image costs.
    #[must_use]
    pub fn cost_of_all(&self) -> ByteLen {
        self.cost_from(0)
    }

    /// What reading the image from this byte on costs.
    #[must_use]
    pub fn cost_from(&self, start: u64) -> ByteLen {
        if start >= self.len {
            return ByteLen::default();
        }
        let rest: Vec<u64> = (self.part_of(start)..self.count()).collect();
        self.cost_of(&rest).0
    }

    /// The pages that hold these parts, as stretches that do not touch.
    fn ranges_of(&self, parts: &[u64]) -> Vec<(u64, u64)> {
        let mut ranges: Vec<(u64, u64)> = Vec::new();
        for (start, end) in parts.iter().filter_map(|part| self.stored_span(*part)) {
            let (start, end) = (start / PAGE * PAGE, end.div_ceil(PAGE).saturating_mul(PAGE));
            match ranges.last_mut().filter(|last| start <= last.1 && start >= last.0) {
                Some(last) => last.1 = last.1.max(end),
                None => ranges.push((start, end)),
            }
        }
        ranges
    }

    /// Tells the bundle's source which parts will be read, in ascending order, each once.
    pub(crate) fn announce(&self, parts: &[u64]) {
        self.payload.announce(&self.ranges_of(parts));
    }

    /// Groups parts, in ascending order, into runs that are read in one go.
    pub(crate) fn runs_of(&self, parts: &[u64]) -> Vec<Vec<u64>> {
        let mut runs: Vec<Vec<u64>> = Vec::new();
        let (mut run_start, mut run_end) = (0, 0);
        for part in parts {
            let (start, end) = self.stored_span(*part).unwrap_or((run_end, run_end));
            let adjoins = start == run_end && end.saturating_sub(run_start) <= RUN_BYTES;
            match runs.last_mut().filter(|_| adjoins) {
                Some(run) => run.push(*part),
                None => {
                    run_start = start;
                    runs.push(vec![*part]);
                }
            }
            run_end = end;
        }
        runs
    }

    /// Reads the parts of one run; the content of each, in order.
    ///
    /// # Errors
    /// [`BundleError`].
    pub(crate) fn read_run(&self, run: &[u64]) -> Result<Vec<Vec<u8>>, BundleError> {
        let spans: Vec<_> = run.iter().filter_map(|part| self.stored_span(*part)).collect();
        let start = spans.iter().map(|span| span.0).min().unwrap_or(0) / PAGE * PAGE;
        let end = spans.iter().map(|span| span.1).max().unwrap_or(0);
        let data = self.payload.data_bytes();
        if end > data {
            return Err(corrupt("a block lies behind its end"));
        }
        let end = end.div_ceil(PAGE).saturating_mul(PAGE).min(data);
        let len = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut stored = vec![0; len];
        self.payload.read_at(start, &mut stored)?;
        run.iter().map(|part| self.expand(*part, start, &stored)).collect()
    }

    /// Reads one part.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn read_part(&self, part: u64) -> Result<Vec<u8>, BundleError> {
        self.read_run(&[part])?.pop().ok_or_else(|| corrupt("a block is missing"))
    }

    fn expand(&self, part: u64, base: u64, stored: &[u8]) -> Result<Vec<u8>, BundleError> {
        let (start, end) = self.stored_span(part).unwrap_or((base, base));
        let from = usize::try_from(start.saturating_sub(base)).unwrap_or(usize::MAX);
        let to = usize::try_from(end.saturating_sub(base)).unwrap_or(usize::MAX);
        let bytes = stored.get(from..to).ok_or_else(|| corrupt("a block is missing"))?;
        let mut content = Vec::new();
        self.expand_into(part, bytes, &mut content)?;
        Ok(content)
    }

    /// Puts the content of a part into `out`, a used buffer; `stored` is what the bundle has of it.
    pub(crate) fn expand_into(
        &self,
        part: u64,
        stored: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BundleError> {
        let (start, end) = self.span_of(part);
        let len = usize::try_from(end - start).unwrap_or(0);
        out.clear();
        let (compressed, skip) = match self.place(part) {
            None => return Err(corrupt("a block is missing")),
            Some(PartPlace::Hole) => {
                out.resize(len, 0);
                return Ok(());
            }
            Some(PartPlace::Block { compressed, .. }) => (compressed, None),
            Some(PartPlace::Fragment { compressed, offset, .. }) => {
                (compressed, Some(usize::try_from(offset).unwrap_or(usize::MAX)))
            }
        };
        if compressed {
            // The room is the limit of what a block may expand to.
            let room = usize::try_from(self.part_bytes).unwrap_or(0);
            let mut limited = match out.capacity() == room {
                true => std::mem::take(out),
                false => Vec::with_capacity(room),
            };
            BLOCK_CODEC
                .decompress(stored, &mut limited, self.compressor)
                .map_err(|_| corrupt("a block cannot be expanded"))?;
            *out = limited;
        } else {
            out.extend_from_slice(stored);
        }
        match skip {
            // A block of its own holds the part and nothing else.
            None if out.len() == len => Ok(()),
            None => Err(corrupt("a block has another length than its file says")),
            Some(skip) => {
                let content = out.get(skip..skip.saturating_add(len)).map(<[u8]>::to_vec);
                *out = content
                    .ok_or_else(|| corrupt("a block has another length than its file says"))?;
                Ok(())
            }
        }
    }
}

fn corrupt(what: &'static str) -> BundleError {
    BundleError::Squashfs(SquashfsError::Corrupt { what })
}
