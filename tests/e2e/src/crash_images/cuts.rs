// SPDX-License-Identifier: MIT OR Apache-2.0
//! When does the power go, and what of the unflushed is left? Seeded choices: the same seed gives
//! the same images, and an image is known by its [`Cut`].

use super::extents::{Extent, Extents, From};
use super::image::CrashImage;
use super::write_log::{Act, SECTOR, WriteLog};
use std::fmt;
use std::sync::Arc;

/// A moment and what is left then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cut {
    /// So many acts were completed; the next one was in work.
    pub at: usize,
    /// Chooses what of the unflushed is left; `None`: all of it, and nothing of the act in work.
    pub seed: Option<u64>,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seed {
            None => write!(f, "after act {}", self.at),
            Some(seed) => write!(f, "in act {} with seed {seed:#x}", self.at),
        }
    }
}

/// How many cuts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// In each stretch between two flushes, or of one device's writes, beside its begin.
    pub between: usize,
    /// Most of all; when there are more, they are thinned out evenly.
    pub most: usize,
}

/// What may have become of a write that was not flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Whole,
    /// So many sectors from the start are there.
    Begun(u64),
    /// All sectors but so many at the start are there.
    Ended(u64),
}

/// Chooses cuts: after each flush, and seeded ones in each stretch of writes. A stretch ends at a
/// flush and where the writes go over from disk to card or back.
#[must_use]
pub fn plan_cuts(log: &WriteLog, disk_bytes: u64, seed: u64, effort: Effort) -> Vec<Cut> {
    let mut numbers = Numbers(seed);
    let mut cuts = Vec::new();
    let mut begin = 0;
    for (index, act) in log.acts.iter().enumerate() {
        let next = log.acts.get(index + 1);
        if *act == Act::Flush {
            cuts.push(Cut { at: index + 1, seed: None });
        }
        if next.is_some_and(|next| place(next, disk_bytes) == place(act, disk_bytes)) {
            continue;
        }
        cuts.push(Cut { at: begin, seed: Some(numbers.next()) });
        for _ in 0..effort.between {
            let at = begin + numbers.below(index - begin + 1);
            cuts.push(Cut { at, seed: Some(numbers.next()) });
        }
        begin = index + 1;
    }
    cuts.sort_unstable();
    let count = cuts.len();
    let kept = effort.most.min(count);
    (0..kept).filter_map(|number| cuts.get(number * count / kept).copied()).collect()
}

/// Which device an act is done to; a flush is neither, as it ends what was written.
fn place(act: &Act, disk_bytes: u64) -> Option<bool> {
    match act {
        Act::Write { start, .. } | Act::Discard { start, .. } => Some(*start < disk_bytes),
        Act::Flush => None,
    }
}

/// Makes images of cuts, in the order of the log.
pub struct CrashImages<'a, B, L> {
    base: &'a B,
    data: &'a L,
    log: &'a WriteLog,
    disk_bytes: u64,
    /// What no cut can lose any more.
    durable: Extents,
    /// Written to the disk and not flushed.
    pending: Vec<Act>,
    next_act: usize,
}

impl<'a, B, L> CrashImages<'a, B, L> {
    /// Over a base, which is the medium before the log began, and the file of the log.
    pub fn new(base: &'a B, data: &'a L, log: &'a WriteLog, disk_bytes: u64) -> Self {
        let (durable, pending) = (Extents::default(), Vec::new());
        Self { base, data, log, disk_bytes, durable, pending, next_act: 0 }
    }

    /// What a cut may have left. Cuts must be asked for in order: what was flushed is not undone.
    pub fn image(&mut self, cut: Cut) -> CrashImage<'a, B, L> {
        debug_assert!(cut.at >= self.next_act, "cuts are asked for in order");
        let done = self.log.acts.get(self.next_act..cut.at).unwrap_or_default();
        for act in done {
            match place(act, self.disk_bytes) {
                Some(true) => self.pending.push(*act),
                Some(false) => apply(&mut self.durable, act, Fate::Whole),
                None => {
                    for act in self.pending.drain(..) {
                        apply(&mut self.durable, &act, Fate::Whole);
                    }
                }
            }
        }
        self.next_act = self.next_act.max(cut.at);
        let mut extents = self.durable.clone();
        match cut.seed {
            None => {
                for act in &self.pending {
                    apply(&mut extents, act, Fate::Whole);
                }
            }
            Some(seed) => {
                let mut numbers = Numbers(seed);
                let in_work = self.log.acts.get(cut.at);
                for act in self.pending.iter().chain(in_work) {
                    let fate = numbers.fate(act);
                    apply(&mut extents, act, fate);
                }
            }
        }
        let (base, log) = (self.base, self.data);
        CrashImage { base, log, disk_bytes: self.disk_bytes, extents: Arc::new(extents) }
    }
}

/// Does to the image what is left of an act.
fn apply(extents: &mut Extents, act: &Act, fate: Fate) {
    let (start, len, from) = match act {
        Act::Write { start, len, data } => (*start, *len, Some(*data)),
        Act::Discard { start, len } => (*start, *len, None),
        Act::Flush => return,
    };
    let (skipped, end) = match fate {
        Fate::Lost => return,
        Fate::Whole => (0, start + len),
        Fate::Begun(sectors) => (0, start + len.min(sectors * SECTOR)),
        Fate::Ended(sectors) => (len.min(sectors * SECTOR), start + len),
    };
    let from = from.map_or(From::Zeros, |data| From::Log(data + skipped));
    extents.put(Extent { start: start + skipped, end, from });
}

/// Numbers that look random and are the same for the same seed (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }

    fn fate(&mut self, act: &Act) -> Fate {
        let len = match act {
            Act::Write { len, .. } | Act::Discard { len, .. } => *len,
            Act::Flush => 0,
        };
        let sectors = self.next() % (len / SECTOR).max(1);
        match self.below(6) {
            0 | 1 => Fate::Lost,
            2 | 3 => Fate::Whole,
            4 => Fate::Begun(sectors),
            _ => Fate::Ended(sectors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_log::tests::{Did, log_of};
    use super::*;
    use std::collections::BTreeSet;
    use storage::{MemoryStorage, Storage as _};

    const DISK: u64 = 4 * SECTOR;

    /// First bytes of the sectors of every image of these acts: disk, then card.
    fn images(acts: &[Did]) -> BTreeSet<[u8; 6]> {
        let base = MemoryStorage::disk("base", vec![0; 6 * 512]);
        let data = log_of(acts);
        let log = WriteLog::parse(&data).unwrap();
        let cuts = plan_cuts(&log, DISK, 1, Effort { between: 300, most: usize::MAX });
        let mut images = CrashImages::new(&base, &data, &log, DISK);
        let look = |cut: &Cut| {
            let image = images.image(*cut);
            [0, 1, 2, 3, 4, 5].map(|sector| {
                let mut byte = [0];
                image.read_at(sector * SECTOR, &mut byte).unwrap();
                byte[0]
            })
        };
        cuts.iter().map(look).collect()
    }

    #[test]
    fn the_disk_may_lose_what_was_not_flushed_in_any_combination_and_nothing_else() {
        let (one, two, three) = ([1; 512], [2; 512], [3; 1024]);
        let found = images(&[
            Did::Write(0, one.to_vec()),
            Did::Flush,
            Did::Write(512, two.to_vec()),
            Did::Write(1024, three.to_vec()),
        ]);
        let mut expected = BTreeSet::from([[0; 6]]);
        for second in [0, 2] {
            for (third, fourth) in [(0, 0), (3, 0), (0, 3), (3, 3)] {
                expected.insert([1, second, third, fourth, 0, 0]);
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn the_card_keeps_its_order_and_needs_no_flush() {
        let (one, two, three) = ([1; 512], [2; 512], [3; 512]);
        let found = images(&[
            Did::Write(DISK, one.to_vec()),
            Did::Write(DISK + 512, two.to_vec()),
            Did::Write(0, three.to_vec()),
            Did::Write(DISK, two.to_vec()),
        ]);
        let cards: BTreeSet<[u8; 2]> = found.iter().map(|image| [image[4], image[5]]).collect();
        assert_eq!(cards, BTreeSet::from([[0, 0], [1, 0], [1, 2], [2, 2]]));
        // The last write of the card was made while the disk's could still be lost.
        assert!(found.contains(&[0, 0, 0, 0, 2, 2]) && found.contains(&[3, 0, 0, 0, 2, 2]));
    }

    #[test]
    fn a_discarded_range_is_there_or_zero() {
        let one = [1; 1024];
        let found = images(&[Did::Write(0, one.to_vec()), Did::Flush, Did::Discard(512, 512)]);
        let expected = [[0; 6], [1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]];
        assert!(expected[1..].iter().all(|image| found.contains(image)), "{found:?}");
    }

    #[test]
    fn every_flush_has_its_cut_and_too_many_are_thinned_out() {
        let one = [1; 512];
        let data = log_of(&[
            Did::Write(0, one.to_vec()),
            Did::Flush,
            Did::Write(512, one.to_vec()),
            Did::Flush,
        ]);
        let log = WriteLog::parse(&data).unwrap();
        let cuts = |most| plan_cuts(&log, DISK, 1, Effort { between: 10, most });
        let all = cuts(usize::MAX);
        for at in [2, 4] {
            assert!(all.contains(&Cut { at, seed: None }), "{all:?}");
        }
        assert_eq!(cuts(7).len(), 7);
        assert_eq!(cuts(usize::MAX), all);
    }
}
