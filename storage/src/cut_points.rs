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
use crate::tears::{Tear, keeps, put_torn, tears, units};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Ways to tear an unflushed write that a sample chooses from.
const SAMPLED_TEARS: u64 = 64;

/// Most changes of which every combination is tried.
const MOST_SUBSETS: u32 = 20;

/// How many of the legal images of a cut are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// A cut that has no more images than this has every one made: each set of sectors of each
    /// unflushed change, with each of those of all others.
    pub all: u64,
    /// Elsewhere up to this many unflushed changes every combination is tried; at most 20.
    pub subsets_of: u32,
    /// Seeded samples of combinations with torn changes, and of those beyond `subsets_of`.
    pub samples: u64,
    /// Ways to tear the act in work, evenly chosen when there are more.
    pub tears: u64,
}

/// Which of a cut's legal images are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Every one.
    Every,
    /// Every one but for the mixtures of bits that a flash may leave: there is no end of those.
    AllButMixtures,
    /// Some, chosen by the seed.
    Sampled,
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
    numbering: Numbering,
    effort: Effort,
    seed: u64,
}

/// What an image's number stands for.
#[derive(Clone, Copy, Debug)]
enum Numbering {
    /// Its lowest bits choose the sectors of every unflushed change; what is left of it is the
    /// tear of the flash in work, if one is.
    Every {
        /// How many sectors there are to choose.
        sectors: u32,
    },
    /// Tears of the act in work come first, each with so many combinations of the others; then
    /// combinations of whole acts, then samples.
    Chosen {
        /// How many combinations.
        others: Others,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// There are none.
    None,
    /// All kept, and all lost.
    Ends,
    /// Every combination.
    Every,
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
        let numbering = numbering(&unsettled, tears.len() as u64, self.effort);
        CutPoint { unsettled, tears, numbering, effort: self.effort, seed }
    }

    fn uncertain<'a>(&'a self, op: &'a Op) -> Option<Uncertain<'a>> {
        let plain = Geometry { sector_bytes: 512, erase_bytes: None };
        let geometry = self.geometries.get(&op.device).copied().unwrap_or(plain);
        Some(Uncertain { device: &op.device, geometry, change: op.kind.change()? })
    }
}

impl Uncertain<'_> {
    fn is_flash(&self) -> bool {
        self.geometry.erase_bytes.is_some()
    }

    /// How many sectors of it a cut may keep or lose; of a flash there are none.
    fn sectors(&self) -> u64 {
        if self.is_flash() { 0 } else { units(&self.change, self.geometry) }
    }
}

/// How the images of a cut are numbered, by how many there are.
fn numbering(unsettled: &[Uncertain<'_>], tears: u64, effort: Effort) -> Numbering {
    let sectors = unsettled.iter().fold(0_u64, |sum, act| sum.saturating_add(act.sectors()));
    let mixtures = if unsettled.last().is_some_and(Uncertain::is_flash) { tears } else { 1 };
    let sets = u32::try_from(sectors).ok().filter(|sectors| *sectors < 63);
    let all = sets.and_then(|sectors| (1_u64 << sectors).checked_mul(mixtures));
    if let (Some(sectors), true) = (sets, all.is_some_and(|all| all <= effort.all)) {
        return Numbering::Every { sectors };
    }
    let others = u32::try_from(unsettled.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let few = others <= effort.subsets_of.min(MOST_SUBSETS)
        && tears.checked_shl(others).is_some_and(|all| all <= effort.all);
    let others = match (others, few) {
        (0, _) => Others::None,
        (_, true) => Others::Every,
        (_, false) => Others::Ends,
    };
    Numbering::Chosen { others }
}

impl<'a> CutPoint<'a> {
    /// How many images there are. They may repeat.
    #[must_use]
    pub fn images(&self) -> u64 {
        match self.numbering {
            Numbering::Every { sectors } => (1 << sectors) * self.mixtures(),
            Numbering::Chosen { others } => {
                self.torn_images(others) + self.combinations(others) + self.samples(others)
            }
        }
    }

    /// Which of the legal images these are.
    #[must_use]
    pub fn coverage(&self) -> Coverage {
        let flash = self.unsettled.last().is_some_and(Uncertain::is_flash);
        match (self.numbering, flash) {
            (Numbering::Every { .. }, false) => Coverage::Every,
            (Numbering::Every { .. } | Numbering::Chosen { others: Others::None }, true) => {
                Coverage::AllButMixtures
            }
            (Numbering::Chosen { .. }, _) => Coverage::Sampled,
        }
    }

    /// Image `number`, as changes to the settled content, to be done in order; a change of which
    /// nothing is left is not among them.
    #[must_use]
    pub fn image(&self, number: u64) -> Vec<Remains<'a>> {
        let mut choices = Choices::new(self.seed.wrapping_add(number.wrapping_mul(0x9e37_79b9)));
        let mut sets = number;
        let unsettled = self.unsettled.iter().enumerate();
        unsettled
            .filter_map(|(index, act)| {
                let tear = match self.numbering {
                    Numbering::Every { sectors } => {
                        self.chosen_sectors(number >> sectors, &mut sets, act)?
                    }
                    Numbering::Chosen { others } => {
                        self.fate(number, index, others, act, &mut choices)?
                    }
                };
                let Uncertain { device, geometry, change } = act.clone();
                Some(Remains { device, geometry, change, tear })
            })
            .collect()
    }

    /// What becomes of each uncertain change on image `number`, in words, in their order.
    #[must_use]
    pub fn describe(&self, number: u64) -> Vec<String> {
        let left = self.image(number);
        let act = |act: &Uncertain<'_>| {
            let remains = left.iter().find(|one| one.change.is_same(&act.change));
            let what = remains.map_or_else(|| "lost".to_owned(), Remains::describe);
            let done = match act.change {
                Change::Write { .. } if act.is_flash() => "program",
                Change::Write { .. } => "write",
                Change::Erase { .. } => "erase",
            };
            let (len, at) = (act.change.len(), act.change.offset());
            format!("{done} of {len} bytes at {at} of {}: {what}", act.device)
        };
        self.unsettled.iter().map(act).collect()
    }

    /// The tears of a flash in work, or one way for everything else.
    fn mixtures(&self) -> u64 {
        match self.unsettled.last() {
            Some(act) if act.is_flash() => self.tears.len() as u64,
            Some(_) | None => 1,
        }
    }

    /// `None` when nothing of it is left, otherwise how it is torn. Takes from `sets` the bits that
    /// choose its sectors.
    fn chosen_sectors(
        &self,
        mixture: u64,
        sets: &mut u64,
        act: &Uncertain<'_>,
    ) -> Option<Option<Tear>> {
        if act.is_flash() {
            let tear = self.tears.get(usize::try_from(mixture).unwrap_or(0)).copied();
            return Some(tear).filter(|tear| *tear != Some(Tear::Prefix(0)));
        }
        let sectors = act.sectors();
        let every = (1 << sectors) - 1;
        let set = *sets & every;
        *sets >>= sectors;
        match set {
            0 => None,
            set if set == every => Some(None),
            set => Some(Some(Tear::Set(set))),
        }
    }

    /// Each tear of the act in work, with combinations of all others.
    fn torn_images(&self, others: Others) -> u64 {
        let tears = self.tears.len() as u64;
        match others {
            Others::None => tears,
            Others::Ends => tears * 2,
            Others::Every => tears << (self.unsettled.len() - 1),
        }
    }

    /// Whole or lost; where the act in work was tried with every combination they were counted.
    fn combinations(&self, others: Others) -> u64 {
        match (others, self.has_few_subsets()) {
            (Others::None | Others::Every, _) if !self.tears.is_empty() => 0,
            (_, true) => 1 << self.unsettled.len(),
            (_, false) => self.effort.samples,
        }
    }

    /// Whole, torn or lost.
    fn samples(&self, others: Others) -> u64 {
        if others == Others::None && !self.tears.is_empty() { 0 } else { self.effort.samples }
    }

    fn has_few_subsets(&self) -> bool {
        self.unsettled.len() <= self.effort.subsets_of.min(MOST_SUBSETS) as usize
    }

    /// `None` when it is lost, otherwise how it is torn.
    fn fate(
        &self,
        number: u64,
        index: usize,
        others: Others,
        act: &Uncertain<'_>,
        choices: &mut Choices,
    ) -> Option<Option<Tear>> {
        let torn_images = self.torn_images(others);
        if number < torn_images {
            let tears = self.tears.len() as u64;
            let combination = number / tears;
            if index + 1 == self.unsettled.len() {
                let tear = self.tears.get(usize::try_from(number % tears).unwrap_or(0)).copied();
                return Some(tear).filter(|tear| *tear != Some(Tear::Prefix(0)));
            }
            let kept = match others {
                Others::None | Others::Ends => combination == 0,
                Others::Every => combination >> index & 1 == 1,
            };
            return kept.then_some(None);
        }
        let combination = number - torn_images;
        if combination < self.combinations(others) {
            let kept = match self.has_few_subsets() {
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

    /// What is left, in words.
    fn describe(&self) -> String {
        let Some(tear) = self.tear else { return "there".to_owned() };
        let all = units(&self.change, self.geometry);
        if let Tear::Mixed { from, to, .. } = tear {
            return match to - from {
                0 => format!("its first {from} bytes"),
                _ => format!("its first {from} bytes, then old and new bits up to byte {to}"),
            };
        }
        let kept: Vec<String> =
            (0..all).filter(|unit| keeps(tear, *unit)).map(|unit| unit.to_string()).collect();
        let unit = if self.geometry.erase_bytes.is_some() { "units" } else { "sectors" };
        format!("of {all} {unit} {}", kept.join(" "))
    }

    /// Does to the bytes of [`Remains::range`] what is left of the change.
    pub fn put(&self, bytes: &mut [u8]) {
        match self.tear {
            None => overwrite(self.geometry, bytes, &self.change),
            Some(tear) => put_torn(bytes, &self.change, self.geometry, tear),
        }
    }
}
