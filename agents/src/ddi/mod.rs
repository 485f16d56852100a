// SPDX-License-Identifier: MIT OR Apache-2.0
//! hawkBit's interface for devices (DDI, version 1): what is asked, what is told, and when.
//!
//! [`step`] is the whole course of an action as a function: a kept [`DdiState`] and an [`Event`] make
//! the next state and [`Effect`]s. [`converse`] does those that are requests. Whether an update is
//! installed is not decided here. `docs/agents-hawkbit.md` has the tables.

mod answers;
mod base;
mod boot;
mod converse;
mod course;
#[cfg(test)]
mod course_tests;
mod deployment;
#[cfg(test)]
mod deployment_tests;
mod endings;
mod error;
mod events;
mod feedback;
mod hashes;
mod http;
mod kept;
mod limits;
#[cfg(test)]
mod played;
mod request;
mod server;
mod state;
mod trouble;

pub use base::{Base, Cancel, Wanted, parse_base, parse_cancel};
pub use boot::{BootOutcome, boot_outcome};
pub use converse::{Keeper, converse};
pub use course::step;
pub use deployment::{Artifact, Deployment, Handling, Permission, Window, parse_deployment};
pub use error::DdiError;
pub use events::{Consent, Context, Effect, Event, InstallEnd, Judged};
pub use feedback::{AttributeMode, Confirmed, Execution, Feedback, Finished};
pub use hashes::{FileHasher, FileHashes, Hashes};
pub use http::{HttpExchange, HttpWay};
pub use limits::{MAX_ANSWER_BYTES, MAX_END_LINES, MAX_ENTRIES, MAX_SLEEP_SECS, MIN_SLEEP_SECS};
pub use request::{Asked, Credentials, DdiAnswer, DdiMethod, DdiRequest, Exchange, NoAnswer};
pub use server::{ActionId, ActionLink, Home, Resource, Server};
pub use state::{Action, DdiState, MAX_STATE_BYTES, Stage, Wish};
pub use trouble::DdiTrouble;
