// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which slot boots next?
//!
//! The boot state machine of the project, whole: [`transition`] is the Linux half, [`select`] is
//! the firmware's half as a model, and the two share one [`BootState`]. Backends keep that state
//! where a boot loader finds it. The flight recorder ([`Recorder`]) keeps, outside both slots, why
//! a slot was left. Deciding is pure; only backends and the recorder touch anything.

mod attempts;
mod backend;
mod boot_programs;
mod cmdline;
mod command;
mod control;
mod custom;
mod data_reset;
mod death;
mod env_lock;
mod fallback;
mod leave;
pub mod named;
mod noop;

mod reason;
mod reconcile;
mod record;
mod record_codec;
mod recorder;
mod select;
mod slot;
mod state;
mod trail;
mod transition;
mod uboot_backend;
mod variables;
mod why;

pub use attempts::{AttemptsError, AttemptsLeft};
pub use backend::{BackendError, BootBackend};
pub use cmdline::{BootedFrom, KernelCmdline};
pub use command::{Activation, Command, Force, Refused};
pub use control::{BootControl, ControlError, ControlParts, LateFallback};
pub use custom::CustomBackend;
pub use data_reset::DataReset;
pub use death::{DEATH_TEXT_MAX, Death};
pub use env_lock::EnvLock;
pub use fallback::{Fallback, RecordsLeft, Try, TryEnd};
pub use leave::is_left_when_unhealthy;
pub use named::{
    AtomixBoard, AtomixNamed, BoardCause, BoardKind, EfiActivation, EfiEntries, EfiEntry, EnvRead,
    NamedAttempts, NamedBoot, NamedError, NamedFailure, NamedHost, NamedLoader, NamedMark,
    NamedSlot, PartitionDevice, ProgramEnd, ProgramOutput, RealHost, UbootChoice, choose_uboot,
    named_backend, parse_barebox_state, parse_fw_printenv, parse_grub_list,
};
pub use noop::NoopBackend;
pub use reason::{Reason, UnknownReason};
pub use reconcile::{Reconciled, RecorderFacts, recall, reconcile};
pub use record::{
    DEATHS_MAX, DeathMark, Entry, HealthVerdict, KnownSlot, Mark, Record, Sequence, Snapshot,
    TEXT_MAX, Timestamp,
};
pub use recorder::{Recorder, RecorderError};
pub use select::{FirmwareFacts, SelectStep, Selection, select};
pub use slot::{PerSlot, SlotId, UnknownSlot};
pub use state::{
    BootState, BundleId, FAILED_MAX, ParseBundleIdError, PauseStep, SlotRecord, SlotState,
    UnknownState,
};
pub use trail::{Decision, Load, Numbered, ParseDecisionError, TRAIL_MAX, read_trail};
pub use transition::transition;
pub use uboot_backend::UbootBackend;
pub use variables::{ReadStateError, StateWarning};
pub use why::{Explanation, NextBoot, describe_next, explain};
