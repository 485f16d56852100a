// SPDX-License-Identifier: MIT OR Apache-2.0
//! In how many ways can one change be half done, and what does each leave?
//!
//! A disk takes a change in sectors of 512 bytes, each whole or not at all, and in any order,
//! because caches and request queues cut a write up: beside each prefix there are each suffix, each
//! hole, each lone sector, and scattered ones. A flash programs pages of 256 bytes and erases whole
//! blocks, in order, and what is in work when the power goes is left in between: single bits have
//! changed and others have not.

use crate::Geometry;
use crate::medium::{Change, overwrite};
use crate::seed::Choices;

/// What a flash programs at once.
const PAGE_BYTES: u64 = 256;

/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// Scattered sectors tried per change.
const SCATTERED: u64 = 8;

/// More ways to tear one change of a flash are not listed.
const MOST_TEARS: u64 = 16_384;

/// Mixtures of bits at least tried per page or block of a flash, and over the whole change.
const MIXTURES_MIN: u64 = 2;

/// What is left of a change that was in work, in units of the medium or, of a flash, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tear {
    /// The first so many.
    Prefix(u64),
    /// All but the first so many.
    Suffix(u64),
    /// All but this one.
    Without(u64),
    /// This one.
    Only(u64),
    /// Any, by this seed.
    Scattered(u64),
    /// Those whose bits are set, the first one lowest.
    Set(u64),
    /// Bytes before `from` are done, those before `to` in between, by density and seed.
    Mixed { from: u64, to: u64, seed: u64 },
}

/// At most `most` ways to tear `change`, the first "not begun" and the second "finished".
pub(crate) fn tears(change: &Change<'_>, geometry: Geometry, most: u64, seed: u64) -> Vec<Tear> {
    let units = units(change, geometry);
    let mut all = Vec::new();
    match geometry.erase_bytes {
        None => {
            all.extend((1..units).map(Tear::Prefix));
            all.extend((1..units).map(Tear::Suffix));
            all.extend((1..units.saturating_sub(1)).map(Tear::Without));
            all.extend((1..units.saturating_sub(1)).map(Tear::Only));
            if units > 3 {
                all.extend((0..SCATTERED).map(|n| Tear::Scattered(seed.wrapping_add(n))));
            }
        }
        Some(_) => {
            let mut choices = Choices::new(seed);
            // As many as are wanted: there is no end of mixtures.
            let most = most.min(MOST_TEARS);
            let every_byte = change.len() <= most / 2;
            let prefixes = if every_byte { change.len() } else { units };
            let mixtures = (most.saturating_sub(prefixes) / (units + 1)).max(MIXTURES_MIN);
            if every_byte {
                // Without anything in between.
                all.extend((1..change.len()).map(|at| Tear::Mixed { from: at, to: at, seed }));
            } else {
                all.extend((1..units).map(Tear::Prefix));
            }
            for unit in 0..units {
                let (from, to) = (edge(change, geometry, unit), edge(change, geometry, unit + 1));
                for _ in 0..mixtures {
                    all.push(Tear::Mixed { from, to, seed: choices.next() });
                }
                // A prefix that ends inside the unit, with one byte in between.
                let byte = from + choices.below(to - from);
                all.push(Tear::Mixed { from: byte, to: byte + 1, seed: choices.next() });
            }
            for _ in 0..mixtures {
                all.push(Tear::Mixed { from: 0, to: change.len(), seed: choices.next() });
            }
        }
    }
    let count = all.len() as u64;
    let kept = count.min(most.saturating_sub(2));
    let thinned = (0..kept).filter_map(|number| {
        all.get(usize::try_from(number * count / kept.max(1)).unwrap_or(usize::MAX)).copied()
    });
    [Tear::Prefix(0), Tear::Prefix(units)].into_iter().chain(thinned).collect()
}

/// Does what is left of `change` to the bytes of its own range.
pub(crate) fn put_torn(bytes: &mut [u8], change: &Change<'_>, geometry: Geometry, tear: Tear) {
    let old = bytes.to_vec();
    overwrite(geometry, bytes, change);
    if let Tear::Mixed { from, to, seed } = tear {
        let mut choices = Choices::new(seed);
        let density = choices.below(5);
        for (at, (new, old)) in
            (0_u64..).zip(bytes.iter_mut().zip(&old)).skip_while(|(at, _)| *at < from)
        {
            let changed = if at < to { bits(&mut choices, density) } else { 0 };
            *new = (*new & changed) | (*old & !changed);
        }
        return;
    }
    let mut start = 0_usize;
    for unit in 0..units(change, geometry) {
        let end = usize::try_from(edge(change, geometry, unit + 1)).unwrap_or(usize::MAX);
        if !keeps(tear, unit)
            && let (Some(new), Some(old)) = (bytes.get_mut(start..end), old.get(start..end))
        {
            new.copy_from_slice(old);
        }
        start = end;
    }
}

/// Whether a unit of the medium is done.
pub(crate) fn keeps(tear: Tear, unit: u64) -> bool {
    match tear {
        Tear::Prefix(count) => unit < count,
        Tear::Suffix(lost) => unit >= lost,
        Tear::Without(lost) => unit != lost,
        Tear::Only(kept) => unit == kept,
        Tear::Set(kept) => {
            kept.checked_shr(u32::try_from(unit).unwrap_or(64)).unwrap_or(0) & 1 == 1
        }
        Tear::Scattered(seed) => Choices::new(seed ^ (unit << 8)).below(2) == 1,
        Tear::Mixed { .. } => true,
    }
}

/// Bits that have changed: from one in eight to seven in eight.
fn bits(choices: &mut Choices, density: u64) -> u8 {
    let [a, b, c, ..] = choices.next().to_le_bytes();
    match density {
        0 => a & b & c,
        1 => a & b,
        2 => a,
        3 => a | b,
        _ => a | b | c,
    }
}

fn unit_bytes(change: &Change<'_>, geometry: Geometry) -> u64 {
    match (change, geometry.erase_bytes) {
        (Change::Erase { .. }, Some(block)) => u64::from(block.max(1)),
        (Change::Write { .. }, Some(_)) => PAGE_BYTES,
        (Change::Erase { .. } | Change::Write { .. }, None) => SECTOR_BYTES,
    }
}

/// How many units of the medium the change reaches.
pub(crate) fn units(change: &Change<'_>, geometry: Geometry) -> u64 {
    let unit = unit_bytes(change, geometry);
    let end = change.offset().saturating_add(change.len()).div_ceil(unit);
    end.saturating_sub(change.offset() / unit)
}

/// Where the unit begins, in bytes of the change.
fn edge(change: &Change<'_>, geometry: Geometry, unit: u64) -> u64 {
    let bytes = unit_bytes(change, geometry);
    let at = (change.offset() / bytes).saturating_add(unit).saturating_mul(bytes);
    at.saturating_sub(change.offset()).min(change.len())
}
