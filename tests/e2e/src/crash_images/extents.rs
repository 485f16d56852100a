// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does each byte of an image come from? Ranges over a base that was never written, each
//! from a place of the log or zero; later ones hide earlier ones.

use std::collections::BTreeMap;

/// What a range holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// Bytes of the log from this offset on.
    Log(u64),
    /// Zeros.
    Zeros,
}

impl From {
    fn skip(self, bytes: u64) -> Self {
        match self {
            Self::Log(offset) => Self::Log(offset + bytes),
            Self::Zeros => Self::Zeros,
        }
    }
}

/// A range that differs from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub start: u64,
    pub end: u64,
    pub from: From,
}

/// Ranges that do not overlap, by their start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extents(BTreeMap<u64, (u64, From)>);

impl Extents {
    /// Hides what was in the range before.
    pub fn put(&mut self, extent: Extent) {
        let Extent { start, end, from } = extent;
        if start >= end {
            return;
        }
        // Of what overlaps, the parts outside stay.
        let hidden: Vec<Extent> = self.overlapping(start, end).collect();
        for old in hidden {
            self.0.remove(&old.start);
            if old.start < start {
                self.0.insert(old.start, (start, old.from));
            }
            if old.end > end {
                self.0.insert(end, (old.end, old.from.skip(end - old.start)));
            }
        }
        self.0.insert(start, (end, from));
    }

    /// The ranges that have bytes in `start .. end`, whole, in order.
    pub fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = Extent> {
        let before = self.0.range(..start).next_back().filter(|(_, (to, _))| *to > start);
        let inside = self.0.range(start..end.max(start));
        before.into_iter().chain(inside).map(|(start, (end, from))| Extent {
            start: *start,
            end: *end,
            from: *from,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against an array of bytes, for every pair of ranges in a small space.
    #[test]
    fn later_ranges_hide_earlier_ones_and_nothing_else() {
        let ranges: Vec<(u64, u64)> =
            (0..6).flat_map(|start| (start..7).map(move |end| (start, end))).collect();
        for first in &ranges {
            for second in &ranges {
                let mut extents = Extents::default();
                let mut bytes = [None; 8];
                let puts = [((2, 5), 100), (*first, 200), (*second, 300)];
                for ((start, end), log) in puts {
                    extents.put(Extent { start, end, from: From::Log(log) });
                    for at in start..end {
                        bytes[usize::try_from(at).unwrap()] = Some(log + at - start);
                    }
                }
                let mut found = [None; 8];
                for extent in extents.overlapping(0, 8) {
                    for at in extent.start..extent.end {
                        let From::Log(log) = extent.from.skip(at - extent.start) else { panic!() };
                        let place = &mut found[usize::try_from(at).unwrap()];
                        assert_eq!(*place, None, "ranges overlap");
                        *place = Some(log);
                    }
                }
                assert_eq!(found, bytes, "{first:?} {second:?}");
                let at_3: Vec<Extent> = extents.overlapping(3, 4).collect();
                assert_eq!(at_3.len(), usize::from(bytes[3].is_some()));
            }
        }
    }
}
