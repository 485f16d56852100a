// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does an image of any type get into a slot of any type? RAUC's table of handlers, each with
//! RAUC's programs and arguments, behind one function: [`write_slot`].
//!
//! Stricter than RAUC in one point everywhere: what was written is read back past every cache and
//! must have the SHA-256 of the manifest, before anything is switched to it. What is switched (a
//! partition entry, a boot partition of an eMMC, a header) is switched last and durably.
//!
//! Nothing here chooses a slot, marks one, or writes a status: the install engine does.

mod boot_emmc;
mod boot_switch;
mod error;
mod filesystem;
mod flash;
mod host_machine;
mod job;
mod lines;
mod machine;
mod raw_fallback;
mod region;
mod source;
mod table;
mod work;
mod write;

pub use error::SlotHandlerError;
pub use host_machine::HostMachine;
pub use job::{
    BoxedError, ContentDigest, HookStep, ImageContent, NoHooks, OldHead, SlotEvent, SlotHooks,
    SlotImage, SlotJob, SlotPlace, SlotProof, SlotWritten, TreeContent,
};
pub use lines::Lines;
pub use machine::{BootHalf, Machine, MachineError, Protection, Spooled};
pub use programs::{OutputSink, OutputStream, ProgramCall, ProgramEnd, ProgramError};
pub use region::{BootRecord, Region};
pub use table::is_index;
pub(crate) use table::{HandlerKind, InstallHook, handler_for, is_mountable};
pub use write::write_slot;

#[cfg(test)]
mod tests;
