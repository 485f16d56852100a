// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an install tell while it runs, and what at its end? Values only; printing them is
//! the program's business.

use crate::{SlotName, WriteCount};
use bootctl::{BundleId, SlotId};
use storage::ByteLen;

/// One durable step of an install, in the order of `docs/commit-protocol.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallStep {
    /// Deciding what goes where.
    Plan,
    /// Reading all of the bundle once before anything is written (`perform-pre-check`).
    PreCheck,
    /// Taking the target out of the boot order.
    Begin,
    /// Zeroing the seal.
    BreakSeal,
    /// Writing an image.
    Write(SlotName),
    /// Flushing, reading back past the cache and comparing.
    ReadBack(SlotName),
    /// Writing the seal.
    Seal(SlotName),
    /// Recording status and history.
    Record,
    /// Making the target bootable.
    Finish,
}

/// Progress of an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEvent {
    /// A step begins.
    Step(InstallStep),
    /// Work done, in bytes; written and read back bytes both count.
    Bytes {
        /// So far.
        done: ByteLen,
        /// At the end.
        total: ByteLen,
    },
    /// A line for the log.
    Note(String),
    /// Something that does not stop the install but that a person should know.
    Warning(String),
}

/// What an install did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallReport {
    /// The group that was written.
    pub target: SlotId,
    /// The bundle's identity.
    pub bundle: BundleId,
    /// The bundle's version text.
    pub version: Option<String>,
    /// Per slot, in order of writing.
    pub slots: Vec<SlotReport>,
}

/// What an install did to one slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotReport {
    /// The slot.
    pub slot: SlotName,
    /// Bytes written and bytes found equal.
    pub count: WriteCount,
}
