// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which bytes were fetched a moment ago? A bounded store of pieces, the least recently used
//! dropped first. Hash blocks, tables and the first segment of a bundle are asked for again.

use std::collections::BTreeMap;

/// Bytes kept.
pub(super) const KEPT_BYTES: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub(super) struct Pieces {
    /// By their position.
    map: BTreeMap<u64, (u64, Vec<u8>)>,
    held: usize,
    clock: u64,
}

impl Pieces {
    /// Keeps `bytes` of position `start`; a piece that is larger than all room is not kept.
    pub fn put(&mut self, start: u64, bytes: Vec<u8>) {
        if bytes.len() > KEPT_BYTES || bytes.is_empty() {
            return;
        }
        self.clock += 1;
        self.held += bytes.len();
        if let Some((_, old)) = self.map.insert(start, (self.clock, bytes)) {
            self.held -= old.len();
        }
        while self.held > KEPT_BYTES {
            let oldest = self.map.iter().min_by_key(|(_, (used, _))| *used).map(|(at, _)| *at);
            match oldest.and_then(|at| self.map.remove(&at)) {
                Some((_, old)) => self.held -= old.len(),
                None => return,
            }
        }
    }

    /// Fills `buf` from `offset` if every byte of it is here, in one piece or in neighbours.
    pub fn copy(&mut self, offset: u64, buf: &mut [u8]) -> bool {
        self.clock += 1;
        let clock = self.clock;
        let (mut at, mut rest) = (offset, buf);
        while !rest.is_empty() {
            let Some((start, (used, bytes))) = self.map.range_mut(..=at).next_back() else {
                return false;
            };
            let skip = usize::try_from(at - start).unwrap_or(usize::MAX);
            let Some(here) = bytes.get(skip..).filter(|here| !here.is_empty()) else {
                return false;
            };
            *used = clock;
            let taken = here.len().min(rest.len());
            let (now, later) = rest.split_at_mut(taken);
            now.copy_from_slice(here.get(..taken).unwrap_or_default());
            rest = later;
            at = at.saturating_add(taken as u64);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_answer_together_and_gaps_do_not() {
        let mut pieces = Pieces::default();
        pieces.put(10, vec![1, 2, 3]);
        pieces.put(13, vec![4, 5]);
        pieces.put(20, vec![9]);
        let mut buf = [0; 4];
        assert!(pieces.copy(11, &mut buf));
        assert_eq!(buf, [2, 3, 4, 5]);
        for offset in [9, 12, 18, 20, 21] {
            assert!(!pieces.copy(offset, &mut [0; 4]), "{offset}");
        }
    }

    #[test]
    fn room_is_bounded_and_used_pieces_stay() {
        let mut pieces = Pieces::default();
        for at in 0..100 {
            pieces.put(at * 1_000_000, vec![7; 100_000]);
            assert!(pieces.held <= KEPT_BYTES);
            assert!(pieces.copy(0, &mut [0; 10]), "{at}");
        }
        pieces.put(0, vec![1; KEPT_BYTES + 1]);
        let held: usize = pieces.map.values().map(|(_, bytes)| bytes.len()).sum();
        assert_eq!(held, pieces.held);
    }
}
