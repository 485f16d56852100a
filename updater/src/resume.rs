// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an interrupted install of a streamed bundle go on without fetching again what a slot
//! holds already? By a note of how far it came, which nobody trusts.
//!
//! ```text
//! atomix-resume 1
//! manifest SHA-256
//! slot NAME SHA-256-of-the-image BYTES SHA-256-of-the-first-BYTES
//! ```
//!
//! A line says that the first `BYTES` of an image were durable on a slot once. The next install of the
//! same manifest reads them back and hashes them on; only if they have the digest of the note, the
//! rest is fetched from there. What decides is the digest of the whole image, as ever: it covers
//! what was read back as it covers what was fetched, and every byte is read back once more before
//! the seal. A note that is lost, old, torn or a lie costs bytes and nothing else (decision 0052).

use crate::read_ahead::CHUNK_BYTES;
use crate::{InstallPlan, PlannedImage, SlotName};
use bundle::{BundleError, VerifiedBundle};
use std::collections::BTreeMap;
use std::path::Path;
use storage::{ByteLen, Digest, Files, chain};

/// Where the note is kept, and where it goes when that place cannot be written: it is lost with the
/// power then, and serves until there.
const NOTE_PATHS: [&str; 2] = ["/data/atomix/install.resume", "/run/atomix/install.resume"];

/// A note is a few lines; more is none of ours.
const MAX_NOTE: ByteLen = ByteLen::kib(64);
/// Slots that an install writes.
const MAX_SLOTS: usize = 64;

const HEAD: &str = "atomix-resume 1";

/// Whether an interrupted install of a bundle that is streamed goes on where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeRule {
    /// It does. Each time so many bytes more are on the slot they are made durable and noted: what is
    /// fetched again after a cut is less than that, and what was on its way.
    Every(ByteLen),
    /// It begins anew.
    Never,
}

impl Default for ResumeRule {
    /// A flush for every 16 MiB is not felt beside the transfer of 16 MiB.
    fn default() -> Self {
        Self::Every(ByteLen::mib(16))
    }
}

/// How far one slot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// SHA-256 of the whole image.
    pub image: Digest,
    /// So many bytes of it are durable.
    pub bytes: u64,
    /// SHA-256 of these.
    pub prefix: Digest,
}

/// How far an install came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResumeNote {
    manifest: Digest,
    slots: BTreeMap<SlotName, Reached>,
}

impl ResumeNote {
    fn new(manifest: Digest) -> Self {
        Self { manifest, slots: BTreeMap::new() }
    }

    /// None if it is not exactly what [`Self::encode`] makes.
    fn decode(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        if lines.next()? != HEAD {
            return None;
        }
        let manifest = lines.next()?.strip_prefix("manifest ")?.parse().ok()?;
        let mut note = Self::new(manifest);
        for line in lines {
            let mut words = line.strip_prefix("slot ")?.split(' ');
            let name = words.next()?.parse().ok()?;
            let image = words.next()?.parse().ok()?;
            let bytes = words.next()?.parse().ok()?;
            let reached = Reached { image, bytes, prefix: words.next()?.parse().ok()? };
            let is_known = note.slots.insert(name, reached).is_some();
            if is_known || words.next().is_some() || note.slots.len() > MAX_SLOTS {
                return None;
            }
        }
        Some(note)
    }

    fn encode(&self) -> String {
        let mut text = format!("{HEAD}\nmanifest {}\n", self.manifest);
        for (name, reached) in &self.slots {
            let Reached { image, bytes, prefix } = reached;
            text.push_str(&format!("slot {name} {image} {bytes} {prefix}\n"));
        }
        text
    }
}

/// What was reached before by an install of this manifest, as far as anything can be read.
pub(crate) fn load_note(files: &dyn Files, manifest: Digest) -> Option<ResumeNote> {
    let read = |path: &str| {
        let bytes = files.read(Path::new(path), MAX_NOTE).ok()??;
        let note = ResumeNote::decode(std::str::from_utf8(&bytes).ok()?)?;
        (note.manifest == manifest).then_some(note)
    };
    // The one that came further; they differ when the first place could not be written for a while.
    let bytes = |note: &ResumeNote| -> u64 { note.slots.values().map(|slot| slot.bytes).sum() };
    NOTE_PATHS.into_iter().filter_map(read).max_by_key(bytes)
}

impl ResumeNote {
    /// How much of this image the note claims for its slot.
    pub fn claim(&self, planned: &PlannedImage) -> Option<Reached> {
        let claim = *self.slots.get(&planned.slot.name)?;
        let size = planned.size.get();
        // In other places the chunks of the writer would not begin.
        let fits = claim.bytes.is_multiple_of(CHUNK_BYTES as u64) || claim.bytes == size;
        (claim.image == planned.digest && fits && (1..=size).contains(&claim.bytes))
            .then_some(claim)
    }
}

/// Keeps the note of the install that runs.
pub(crate) struct ResumeKeeper<'a> {
    files: &'a mut dyn Files,
    every: Option<u64>,
    note: ResumeNote,
    /// Whether the slot in work began with what it held.
    went_on: bool,
    /// Places where it can be written; none left: the install goes on without.
    places: &'static [&'static str],
}

impl<'a> ResumeKeeper<'a> {
    /// For an install of this manifest; `rule` is that of a bundle whose bytes are fetched.
    pub fn new(files: &'a mut dyn Files, manifest: Digest, rule: ResumeRule) -> Self {
        let chunk = CHUNK_BYTES as u64;
        let every = match rule {
            ResumeRule::Every(bytes) => Some(bytes.get().max(1).next_multiple_of(chunk)),
            ResumeRule::Never => None,
        };
        let known = every.and_then(|_| load_note(&*files, manifest));
        let note = known.unwrap_or_else(|| ResumeNote::new(manifest));
        Self { files, every, note, went_on: false, places: &NOTE_PATHS }
    }

    /// After how many bytes each time something is to be noted.
    pub const fn every(&self) -> Option<u64> {
        self.every
    }

    /// Another slot begins.
    pub const fn begins(&mut self) {
        self.went_on = false;
    }

    /// It begins with what it holds.
    pub const fn goes_on(&mut self) {
        self.went_on = true;
    }

    /// Whether the slot in work began with what it held.
    pub const fn went_on(&self) -> bool {
        self.went_on
    }

    /// What is claimed for an image.
    pub fn claim(&self, planned: &PlannedImage) -> Option<Reached> {
        self.every.and_then(|_| self.note.claim(planned))
    }

    /// So much of an image is durable.
    pub fn reached(&mut self, slot: &SlotName, reached: Reached, tell: &mut dyn FnMut(String)) {
        if self.every.is_none() {
            return;
        }
        self.note.slots.insert(slot.clone(), reached);
        self.store(tell);
    }

    /// What is claimed for a slot is not so.
    pub fn forget(&mut self, slot: &SlotName, tell: &mut dyn FnMut(String)) {
        if self.note.slots.remove(slot).is_some() {
            self.store(tell);
        }
    }

    fn store(&mut self, tell: &mut dyn FnMut(String)) {
        let text = self.note.encode();
        while let Some((path, others)) = self.places.split_first() {
            match self.files.replace(Path::new(path), text.as_bytes()) {
                Ok(()) => return,
                // An update must not depend on this.
                Err(failure) => tell(format!(
                    "what is fetched may have to be fetched again after a power cut: {}",
                    chain(&failure)
                )),
            }
            self.places = others;
        }
    }
}

/// The install is done.
pub(crate) fn clear_note(files: &mut dyn Files, tell: &mut dyn FnMut(String)) {
    for path in NOTE_PATHS {
        // One that stays would be read again by an install of the same manifest only, and proven.
        if let Err(failure) = files.remove(Path::new(path)) {
            tell(chain(&failure));
        }
    }
}

/// How many bytes an install of this plan would fetch, asked before any of them is: the blocks of the
/// images as they are stored, and their hashes; less what an interrupted install of the same
/// manifest has left. Nothing for a bundle that is not streamed. Deltas, which read the slots, may
/// need fewer.
///
/// # Errors
/// Why the bundle's tables cannot be read.
pub fn predict_transfer(
    bundle: &VerifiedBundle,
    plan: &InstallPlan,
    resume: ResumeRule,
    files: &dyn Files,
) -> Result<ByteLen, BundleError> {
    if !bundle.is_streamed() {
        return Ok(ByteLen::default());
    }
    let known = (resume != ResumeRule::Never).then(|| load_note(files, bundle.manifest_digest()));
    let note = known.flatten();
    let mut total = 0_u64;
    for planned in &plan.images {
        let claim = note.as_ref().and_then(|note| note.claim(planned));
        let start = ByteLen::new(claim.map_or(0, |claim| claim.bytes));
        total = total.saturating_add(bundle.cost_from(&planned.image, start)?.get());
    }
    Ok(ByteLen::new(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryFiles;

    fn digest(byte: u8) -> Digest {
        Digest::from_bytes([byte; 32])
    }

    fn note() -> ResumeNote {
        let reached = |byte, bytes| Reached { image: digest(byte), bytes, prefix: digest(9) };
        let mut note = ResumeNote::new(digest(1));
        note.slots.insert("rootfs.1".parse().unwrap(), reached(2, 3 << 20));
        note.slots.insert("boot.1".parse().unwrap(), reached(3, 77));
        note
    }

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let text = note().encode();
        assert_eq!(ResumeNote::decode(&text), Some(note()));
        assert_eq!(
            ResumeNote::decode(&ResumeNote::new(digest(1)).encode()),
            Some(ResumeNote::new(digest(1)))
        );
        for cut in 0..text.len() {
            let read = ResumeNote::decode(&text[..cut]);
            // A whole line may be missing: less is claimed then.
            assert!(read.is_none_or(|read| read.slots.len() < 2), "{cut}");
        }
        for (from, to) in
            [("1\n", "2\n"), ("slot ", "slots "), (" 77 ", " -77 "), (" 77 ", "  77 ")]
        {
            assert_eq!(ResumeNote::decode(&text.replacen(from, to, 1)), None, "{to}");
        }
        let twice = text.clone() + text.lines().last().unwrap() + "\n";
        assert_eq!(ResumeNote::decode(&twice), None);
    }

    #[test]
    fn note_that_came_further_counts_and_one_of_another_manifest_does_not() {
        let mut files = MemoryFiles::new();
        assert_eq!(load_note(&files, digest(1)), None);
        files.replace(Path::new(NOTE_PATHS[1]), note().encode().as_bytes()).unwrap();
        let mut less = note();
        less.slots.remove(&"rootfs.1".parse().unwrap());
        files.replace(Path::new(NOTE_PATHS[0]), less.encode().as_bytes()).unwrap();
        assert_eq!(load_note(&files, digest(1)), Some(note()));
        assert_eq!(load_note(&files, digest(2)), None);
        files.replace(Path::new(NOTE_PATHS[1]), b"\xff\xfe").unwrap();
        assert_eq!(load_note(&files, digest(1)), Some(less));
    }
}
