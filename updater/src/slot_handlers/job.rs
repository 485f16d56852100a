// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a slot handler is given and what it gives back.

use super::machine::Machine;
use crate::{Slot, StopQuestion, WriteCount};
use bundle::ImageType;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use storage::{ByteLen, Digest};

/// A failure of somebody else's code that a handler calls.
pub type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// The SHA-256 that a slot must have when it is read back.
#[derive(Clone, Debug)]
pub enum ContentDigest {
    /// The manifest names it.
    Known(Digest),
    /// Nobody names it: every part of the content was compared with a verified index on its way,
    /// and the reader puts down here, when it is at its end, what the whole had.
    Learned(Arc<OnceLock<Digest>>),
}

impl ContentDigest {
    /// The digest; `None` before the content was read to its end.
    #[must_use]
    pub fn get(&self) -> Option<Digest> {
        match self {
            Self::Known(digest) => Some(*digest),
            Self::Learned(learned) => learned.get().copied(),
        }
    }

    /// The digest to compare with: of content that was not read to its end one that nothing has.
    #[must_use]
    pub fn expected(&self) -> Digest {
        self.get().unwrap_or(Digest::from_bytes([0; 32]))
    }
}

impl From<Digest> for ContentDigest {
    fn from(digest: Digest) -> Self {
        Self::Known(digest)
    }
}

/// The image of a job.
#[derive(Clone, Debug)]
pub struct SlotImage {
    /// Its type.
    pub image_type: ImageType,
    /// Its file name in the bundle, for messages; empty without a file.
    pub filename: String,
    /// Bytes of the *content*: for a casync index of an image, of the image it describes. Not
    /// looked at where there is none or it is a tree.
    pub size: ByteLen,
    /// SHA-256 of the content, in the same sense.
    pub digest: ContentDigest,
}

/// One slot to be written.
pub struct SlotJob<'a> {
    /// The slot.
    pub slot: &'a Slot,
    /// What comes into it.
    pub image: SlotImage,
    /// Slots are mounted at `<mount_prefix>/<slot name>`, as RAUC does.
    pub mount_prefix: &'a Path,
    /// Asked all the time.
    pub stop: StopQuestion<'a>,
}

/// Where an image's content comes from.
pub enum ImageContent<'a> {
    /// There is none: `emptyfs`, and images that only an install hook knows.
    None,
    /// Exactly the bytes of the image.
    Stream(&'a mut (dyn Read + Send)),
    /// A directory tree (`catar`, `caidx`).
    Tree(&'a mut dyn TreeContent),
}

/// A directory tree that can be unpacked.
pub trait TreeContent {
    /// Unpacks everything below `dir`, which exists and is empty but for what a fresh file system
    /// has (`lost+found`).
    ///
    /// # Errors
    /// Whatever went wrong; also that somebody wanted it to end.
    fn extract_into(&mut self, dir: &Path, stop: StopQuestion<'_>) -> Result<(), BoxedError>;
}

/// When a handler calls the engine back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookStep {
    /// `slot-pre-install`.
    PreInstall,
    /// `slot-install`: in place of writing.
    Install,
    /// `slot-post-install`.
    PostInstall,
    /// The slot is complete and mounted: the moment to write `slot.raucs` into it. Only asked for
    /// mountable slots; nothing is written into the slot after it.
    Status,
}

/// What a hook is told on top of what the engine knows.
#[derive(Clone, Debug)]
pub struct SlotPlace<'a> {
    /// Where the slot is mounted, if it is.
    pub mount_point: Option<&'a Path>,
    /// The device, where it is another one than the slot's (`RAUC_SLOT_DEVICE`).
    pub device: &'a Path,
    /// `RAUC_BOOT_*` of the boot slot types.
    pub variables: Vec<(&'static str, String)>,
}

/// What becomes of the start of a slot before its first byte is written, behind the hook that may
/// still look into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldHead {
    /// It is overwritten in its turn.
    Stays,
    /// It is zeroed: the file system has a status that is about to be untrue, and that nobody must
    /// read before the slot is whole again.
    Goes,
}

/// The engine's side of hooks.
pub trait SlotHooks {
    /// Whether there is something to do then; a slot is mounted only if so.
    fn wants(&self, step: HookStep) -> bool;

    /// What becomes of the old content's start.
    fn old_head(&self) -> OldHead {
        OldHead::Stays
    }

    /// Does it.
    ///
    /// # Errors
    /// Whatever went wrong: it fails the slot.
    fn run(
        &mut self,
        step: HookStep,
        place: &SlotPlace<'_>,
        machine: &mut dyn Machine,
    ) -> Result<(), BoxedError>;
}

/// No hooks and no status in the slot.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHooks;

impl SlotHooks for NoHooks {
    fn wants(&self, _step: HookStep) -> bool {
        false
    }

    fn run(
        &mut self,
        _step: HookStep,
        _place: &SlotPlace<'_>,
        _machine: &mut dyn Machine,
    ) -> Result<(), BoxedError> {
        Ok(())
    }
}

/// What happens while a slot is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotEvent {
    /// Work done of all work; counted in bytes, written and read back.
    Bytes {
        /// So far.
        done: ByteLen,
        /// In all.
        total: ByteLen,
    },
    /// Something worth a line in the log.
    Note(String),
}

/// A slot that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotWritten {
    /// How much was really written; zero where a program wrote.
    pub count: WriteCount,
    /// How sure it is that the slot holds the image.
    pub proof: SlotProof,
}

/// How sure it is that a slot holds its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotProof {
    /// It was read back past every cache and has the SHA-256 of the manifest.
    ReadBack,
    /// The image was unpacked: its bytes had the SHA-256 of the manifest on their way in, and the
    /// file system was unmounted and flushed.
    Unpacked,
    /// Nothing could be compared, and why.
    Unproven(&'static str),
}
