// SPDX-License-Identifier: MIT OR Apache-2.0
//! The privileged half: root, narrow, and asked by a process that may be taken over any day.
//!
//! It believes nothing that it is told: who asks is what the kernel says of the socket's other
//! end, a spooled body is opened beneath a directory handle without following links and hashed
//! into a place of its own, an administrator's signature is verified again, with a nonce that the
//! helper handed out, and a change is validated again. One change runs at a time, and one that
//! has begun is finished even when nobody listens any more.

#[cfg(target_os = "linux")]
mod access;
#[cfg(target_os = "linux")]
mod carried;
mod desk;
#[cfg(target_os = "linux")]
mod device;
mod edit;
#[cfg(target_os = "linux")]
mod files_told;
mod gate;
#[cfg(target_os = "linux")]
mod in_force;
#[cfg(target_os = "linux")]
mod listen;
#[cfg(target_os = "linux")]
mod peer;
mod pipeline;
#[cfg(target_os = "linux")]
mod progress;
#[cfg(target_os = "linux")]
mod received;
mod serve;
#[cfg(target_os = "linux")]
mod spool;

pub use desk::{Desk, JobFate};
#[cfg(target_os = "linux")]
pub use device::{Device, DeviceParts};
pub use edit::{EditError, apply_change};
#[cfg(target_os = "linux")]
pub use listen::{HelperListenError, bind_helper, serve_helper};
#[cfg(target_os = "linux")]
pub use peer::{AllowedPeers, PeerError};
pub use pipeline::{ApplyOrder, Exported, Input, Pipeline, PipelineError};
pub use serve::{Asker, Helper, ServeError, Uploads};
#[cfg(target_os = "linux")]
pub use spool::{Spool, SpoolError};
