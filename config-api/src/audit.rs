// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who tried to get in, and who changed what? A log that only grows, up to a bound, and is told
//! afterwards from one that was changed (EN 18031).
//!
//! Lines of JSON in segments of two families, below `atomix/audit` on `/data`: `access` for
//! refused logins, `changes` for everything that succeeded or failed in changing the device, so that
//! a flood of the first does not push out the second. Each line names the one before it by its hash
//! and carries its own: a line that is changed, missing or put in between shows. A segment that is
//! full is followed by another one, and of more than [`SEGMENTS`] the oldest goes.
//!
//! ```text
//! {"version":1,"seq":7,"time":1800000000,"boot":"…","event":{"kind":"…",…},"prev":"…","chain":"…"}
//! ```
//!
//! The hash has no key: it shows accidents and cuts in the middle, not a root who writes the whole
//! log anew, nor a missing end. What is written holds no secret, and nothing that a stranger sends
//! can end a line.

mod event;
mod line;
mod log;
mod reader;

#[cfg(test)]
mod tests;

pub use event::{AuditEvent, ConfigChange, Family, Text};
pub use line::{AuditLine, UnixTime};
pub use log::{AuditError, AuditLog, MAX_SEGMENT_BYTES, SEGMENTS};
pub use reader::{AuditReport, Fault, read_audit};
