// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may a device hold after its power was cut?
//!
//! Numbering: a cut *at* `n` means acts `0 .. n` of the journal were completed and act `n`, if
//! there is one, was in work. A disk may keep or lose each write since its last completed flush,
//! in any combination, and may have torn any of them. NOR flash has no cache: only the act in
//! work is uncertain.

use crate::journal::{Journal, OpKind};
use crate::medium::{Change, apply, apply_torn};
use crate::seed::Choices;
use crate::{Geometry, StorageError};

/// Up to this many unflushed writes every combination is tried, above it as many seeded samples
/// as this number of writes has combinations.
const EXHAUSTIVE_WRITES: u32 = 6;

impl Journal {
    /// Every image that `device` may hold after a cut at act `cut`, when it began as `initial`:
    /// first each torn state of the act in work with all before it kept (from none of it to all
    /// of it), then the combinations of unflushed writes. Images may repeat.
    ///
    /// # Errors
    /// [`StorageError::OutOfBounds`] when `initial` is smaller than the device was.
    pub fn crash_images(
        &self,
        device: &str,
        initial: &[u8],
        cut: usize,
        seed: u64,
    ) -> Result<CrashImages, StorageError> {
        let (geometry, ops) = self.of_device(device);
        let cached = geometry.erase_bytes.is_none();
        let mut base = initial.to_owned();
        let mut unflushed: Vec<OpKind> = Vec::new();
        let mut running = None;
        for (number, kind) in ops {
            match kind {
                _ if number > cut => break,
                // A flush in work has promised nothing yet.
                OpKind::Flush if number < cut => {
                    for kind in unflushed.drain(..) {
                        replay(device, geometry, &mut base, &kind)?;
                    }
                }
                OpKind::Flush | OpKind::File(_) => {}
                OpKind::Write { .. } | OpKind::Erase { .. } if number == cut => {
                    running = Some(kind)
                }
                OpKind::Write { .. } | OpKind::Erase { .. } if cached => unflushed.push(kind),
                OpKind::Write { .. } | OpKind::Erase { .. } => {
                    replay(device, geometry, &mut base, &kind)?;
                }
            }
        }
        let change = running.as_ref().and_then(OpKind::change);
        let torn = change.map_or(0, |change| change.units(geometry).saturating_add(1));
        unflushed.extend(running);
        // A range that is refused is refused now, so that the iterator cannot fail.
        let mut whole = base.clone();
        for kind in &unflushed {
            replay(device, geometry, &mut whole, kind)?;
        }
        let label = device.to_owned();
        Ok(CrashImages { label, geometry, base, unflushed, torn, seed, next: 0 })
    }
}

/// The images of [`Journal::crash_images`]; each is made when it is asked for.
#[derive(Clone, Debug)]
pub struct CrashImages {
    label: String,
    geometry: Geometry,
    base: Vec<u8>,
    /// Everything that a cut may lose, the act in work last.
    unflushed: Vec<OpKind>,
    /// How many torn states the act in work has, with "nothing" and "all"; 0 when none is in work.
    torn: u64,
    seed: u64,
    next: u64,
}

/// What became of one unflushed write.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Whole,
    Torn(u64),
}

impl CrashImages {
    fn combinations(&self) -> u64 {
        let writes = u32::try_from(self.unflushed.len()).unwrap_or(u32::MAX);
        1 << writes.min(EXHAUSTIVE_WRITES)
    }

    fn is_exhaustive(&self) -> bool {
        self.unflushed.len() <= EXHAUSTIVE_WRITES as usize
    }

    fn image(&self, number: u64) -> Vec<u8> {
        let mut image = self.base.clone();
        let mut choices = Choices::new(self.seed.wrapping_add(number << 32));
        for (index, kind) in self.unflushed.iter().enumerate() {
            let Some(change) = kind.change() else { continue };
            let fate = self.fate(number, index, &change, &mut choices);
            let (label, geometry) = (&self.label, self.geometry);
            // The ranges were checked when the iterator was made.
            let _checked = match fate {
                Fate::Lost => Ok(()),
                Fate::Whole => apply(label, geometry, &mut image, &change),
                Fate::Torn(units) => {
                    apply_torn(label, geometry, &mut image, &change, units, &mut choices)
                }
            };
        }
        image
    }

    fn fate(&self, number: u64, index: usize, change: &Change<'_>, choices: &mut Choices) -> Fate {
        let Some(combination) = number.checked_sub(self.torn) else {
            let in_work = index + 1 == self.unflushed.len();
            let all = number + 1 == self.torn;
            return match (in_work, all, number) {
                (false, _, _) | (true, true, _) => Fate::Whole,
                (true, false, units) => Fate::Torn(units),
            };
        };
        if self.is_exhaustive() {
            return if combination >> index & 1 == 1 { Fate::Whole } else { Fate::Lost };
        }
        match choices.below(3) {
            0 => Fate::Lost,
            1 => Fate::Torn(choices.below(change.units(self.geometry))),
            _ => Fate::Whole,
        }
    }
}

impl Iterator for CrashImages {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        if self.next >= self.torn.saturating_add(self.combinations()) {
            return None;
        }
        let image = self.image(self.next);
        self.next += 1;
        Some(image)
    }
}

fn replay(
    device: &str,
    geometry: Geometry,
    image: &mut [u8],
    kind: &OpKind,
) -> Result<(), StorageError> {
    match kind.change() {
        Some(change) => apply(device, geometry, image, &change),
        None => Ok(()),
    }
}
