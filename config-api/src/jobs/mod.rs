// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of a change? A change runs as a job: one at a time, told step by step, and known
//! afterwards, also to a service that was started anew in the meantime.
//!
//! [`Job::change`] decides and does nothing; [`JobStore`] keeps jobs durably through
//! [`storage::Files`]. A job that was under way when its service ended is never reported as
//! succeeded: nobody saw it succeed.

mod change;
mod id;
mod job;
mod store;

pub use change::{JobChange, OutOfTurn};
pub use id::JobId;
pub use job::{
    Job, JobEvent, JobResult, JobState, MAX_EVENTS, ReportedFault, RollbackStatus, seconds,
};
pub use store::{JobError, JobStore, MAX_JOBS};
