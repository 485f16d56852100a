// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may all devices of a board hold together after one cut?
//!
//! A flush of one device promises nothing of another, so what one lost is combined with what every
//! other lost. Images are not copies of the devices: each is a list of changes to the *settled*
//! content, which no cut can take back and which only grows from one cut to the next. So whoever
//! goes through the cuts in order pays for what differs and for nothing else.
//!
//! The numbering is that of [`Journal::crash_images`]: a cut *at* `n` means acts `0 .. n` were
//! completed and act `n`, if there is one, was in work.

use crate::Geometry;
use crate::journal::{Journal, Op, OpKind};
use crate::medium::{Change, overwrite};
use crate::seed::Choices;
use crate::tears::{Tear, put_torn, tears};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Ways to tear an unflushed write that a sample chooses from.
const SAMPLED_TEARS: u64 = 64;

/// How many of the legal images of a cut are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Up to this many unflushed changes every combination is tried; at most 20.
    pub subsets_of: u32,
    /// Seeded samples of combinations with torn changes, and of those beyond `subsets_of`.
    pub samples: u64,
    /// Ways to tear the act in work, evenly chosen when there are more.
    pub tears: u64,
}

/// The cuts of a journal, over all its devices. Small files are [`Journal::crash_files`]' business.
#[derive(Clone, Debug)]
pub struct CutPoints {
    ops: Vec<Op>,
    geometries: BTreeMap<Arc<str>, Geometry>,
    /// For each act the first cut that cannot take it back any more.
    settles: Vec<usize>,
    effort: Effort,
    seed: u64,
}

/// One cut, with everything that is uncertain at it.
#[derive(Clone, Debug)]
pub struct CutPoint<'a> {
    /// What the cut may lose, the act in work last.
    unsettled: Vec<Uncertain<'a>>,
    /// The ways the act in work may be torn, with "nothing" and "all"; none when none is.
    tears: Vec<Tear>,
    effort: Effort,
    seed: u64,
}

#[derive(Clone, Debug)]
struct Uncertain<'a> {
    device: &'a str,
    geometry: Geometry,
    change: Change<'a>,
}

/// What is left of one change to one device.
#[derive(Clone, Debug)]
pub struct Remains<'a> {
    device: &'a str,
    geometry: Geometry,
    change: Change<'a>,
    tear: Option<Tear>,
}

impl Journal {
    /// Every cut of this journal.
    #[must_use]
    pub fn cut_points(&self, effort: Effort, seed: u64) -> CutPoints {
        let ops = self.ops();
        let geometries: BTreeMap<Arc<str>, Geometry> = self
            .devices()
            .into_iter()
            .map(|device| (Arc::clone(&device), self.geometry(&device)))
            .collect();
        let mut settles = vec![usize::MAX; ops.len()];
        let mut flushed: BTreeMap<&str, usize> = BTreeMap::new();
        for (number, (op, settles)) in ops.iter().zip(&mut settles).enumerate().rev() {
            match &op.kind {
                OpKind::Flush => {
                    flushed.insert(&op.device, number + 1);
                }
                OpKind::File(_) => {}
                OpKind::Write { .. } | OpKind::Erase { .. } => {
                    let flash = self.geometry(&op.device).erase_bytes.is_some();
                    let flush = flushed.get(&*op.device).copied().unwrap_or(usize::MAX);
                    *settles = if flash { number + 1 } else { flush };
                }
            }
        }
        CutPoints { ops, geometries, settles, effort, seed }
    }
}

impl CutPoints {
    /// The cut after everything: there is one more cut than acts.
    #[must_use]
    pub fn last(&self) -> usize {
        self.ops.len()
    }

    /// What no cut from `cut` on can take back and a cut at `before` could; in order. `None`
    /// stands for the very beginning.
    pub fn settled(&self, before: Option<usize>, cut: usize) -> impl Iterator<Item = Remains<'_>> {
        let numbers = self.ops.iter().zip(&self.settles);
        let news = numbers.filter(move |(_, settles)| {
            **settles <= cut && before.is_none_or(|before| **settles > before)
        });
        news.filter_map(|(op, _)| {
            let Uncertain { device, geometry, change } = self.uncertain(op)?;
            Some(Remains { device, geometry, change, tear: None })
        })
    }

    /// What is uncertain at a cut.
    #[must_use]
    pub fn at(&self, cut: usize) -> CutPoint<'_> {
        let begun = self.ops.iter().zip(&self.settles).take(cut.saturating_add(1));
        let open = begun.filter(|(_, settles)| **settles > cut);
        let unsettled: Vec<Uncertain<'_>> = open.filter_map(|(op, _)| self.uncertain(op)).collect();
        let seed = self.seed ^ (cut as u64) << 40;
        let in_work = self.ops.get(cut).and_then(|op| self.uncertain(op));
        let tears = in_work
            .map_or_else(Vec::new, |act| tears(&act.change, act.geometry, self.effort.tears, seed));
        CutPoint { unsettled, tears, effort: self.effort, seed }
    }

    fn uncertain<'a>(&'a self, op: &'a Op) -> Option<Uncertain<'a>> {
        let plain = Geometry { sector_bytes: 512, erase_bytes: None };
        let geometry = self.geometries.get(&op.device).copied().unwrap_or(plain);
        Some(Uncertain { device: &op.device, geometry, change: op.kind.change()? })
    }
}

impl<'a> CutPoint<'a> {
    /// How many images there are. They may repeat.
    #[must_use]
    pub fn images(&self) -> u64 {
        self.torn_images() + self.combinations() + self.samples()
    }

    /// Image `number`, as changes to the settled content, to be done in order; a change of which
    /// nothing is left is not among them.
    #[must_use]
    pub fn image(&self, number: u64) -> Vec<Remains<'a>> {
        let mut choices = Choices::new(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9)));
        let last = self.unsettled.len().saturating_sub(1);
        let unsettled = self.unsettled.iter().enumerate();
        unsettled
            .filter_map(|(index, act)| {
                let tear = self.fate(number, index, index == last, act, &mut choices)?;
                let Uncertain { device, geometry, change } = act.clone();
                Some(Remains { device, geometry, change, tear })
            })
            .collect()
    }

    /// Each tear of the act in work, with all others kept and with all others lost.
    fn torn_images(&self) -> u64 {
        let tears = self.tears.len() as u64;
        if self.unsettled.len() > 1 { tears * 2 } else { tears }
    }

    /// Whole or lost; an act in work that is alone was counted among its tears.
    fn combinations(&self) -> u64 {
        match (self.unsettled.len(), self.is_exhaustive()) {
            (1, _) if !self.tears.is_empty() => 0,
            (open, true) => 1 << open,
            (_, false) => self.effort.samples,
        }
    }

    /// Whole, torn or lost.
    fn samples(&self) -> u64 {
        if self.unsettled.len() > 1 || (self.unsettled.len() == 1 && self.tears.is_empty()) {
            self.effort.samples
        } else {
            0
        }
    }

    fn is_exhaustive(&self) -> bool {
        self.unsettled.len() <= self.effort.subsets_of.min(20) as usize
    }

    /// `None` when it is lost, otherwise how it is torn.
    fn fate(
        &self,
        number: u64,
        index: usize,
        is_last: bool,
        act: &Uncertain<'_>,
        choices: &mut Choices,
    ) -> Option<Option<Tear>> {
        let torn_images = self.torn_images();
        if number < torn_images {
            let tears = self.tears.len() as u64;
            let tear = self.tears.get(usize::try_from(number % tears).unwrap_or(0)).copied();
            return match (is_last, number < tears) {
                (true, _) => Some(tear).filter(|tear| *tear != Some(Tear::Prefix(0))),
                (false, kept) => kept.then_some(None),
            };
        }
        let combination = number - torn_images;
        if combination < self.combinations() {
            let kept = match self.is_exhaustive() {
                true => combination >> index & 1,
                false => choices.below(2),
            };
            return (kept == 1).then_some(None);
        }
        match choices.below(3) {
            0 => None,
            1 => {
                let seed = choices.next();
                let ways = tears(&act.change, act.geometry, SAMPLED_TEARS, seed);
                let way = usize::try_from(choices.below(ways.len() as u64)).unwrap_or(0);
                Some(ways.get(way).copied())
            }
            _ => Some(None),
        }
    }
}

impl Remains<'_> {
    /// The device.
    #[must_use]
    pub fn device(&self) -> &str {
        self.device
    }

    /// The bytes that the change was to reach.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.change.offset()..self.change.offset().saturating_add(self.change.len())
    }

    /// Does to the bytes of [`Remains::range`] what is left of the change.
    pub fn put(&self, bytes: &mut [u8]) {
        match self.tear {
            None => overwrite(self.geometry, bytes, &self.change),
            Some(tear) => put_torn(bytes, &self.change, self.geometry, tear),
        }
    }
}
