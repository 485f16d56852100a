// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the unprivileged HTTP process ask its privileged helper? A few typed requests over a
//! Unix socket, one for each connection; nothing in them is believed because of where it comes
//! from.
//!
//! ```text
//! frame    = length (4 bytes, big-endian, 1 to 1 MiB) ‖ JSON
//! request  = frame of {"version": 1, "request": …}
//! answer   = frames of Reply; the last one is none of Event and Alive
//! ```
//!
//! After [`Reply::Exported`] its `length` bytes follow as they are. A body never travels here: it
//! lies in the spool, and is named, measured and hashed again by the helper. Nor does anybody's name:
//! what an administrator signed does, and the helper verifies it again ([`Grounds`]).

mod change;
mod frame;
mod proof;
mod request;
mod section;

pub use change::{
    Change, ContainerBody, FirewallPatch, InboundPorts, InboundScopes, ItemName, NetworkBody,
    NetworkPatch, UserBody, VolumeBody,
};
pub use frame::{FrameError, MAX_FRAME_BYTES, decode_length, encode_frame, parse_frame};
pub use proof::{CONFIRM_SECS, Grounds, Proof, WrongQuery, parse_confirm_within};
pub use request::MAX_UPLOAD_BYTES;
pub use request::{
    AuditEntry, Current, FailureCode, FileName, HostAddress, Origin, Outcome, PROTOCOL_VERSION,
    Reply, Request, RequestFrame, Source, SpoolName, Upload,
};
pub use section::{Section, SectionScalar, SectionValue};
