// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is another program run, and when does it end?
//!
//! Every room that runs one does it through here, so that a promise is made once and for all of
//! them: argument lists and no shell, no secret of ours in its variables, the default signal mask,
//! a process group that ends when the caller or the clock wants it to, output that is bounded and
//! drained, and nobody who waits for a background child that kept a pipe open.

mod attend;
mod call;
mod error;
mod run;
mod secrets;
mod spawn;

pub use attend::attend;
pub use call::{Group, OutputSink, OutputStream, ProgramCall, ProgramEnd, StandardOutput};
pub use error::ProgramError;
pub use run::{StopQuestion, capture, run};
pub use secrets::SECRET_VARIABLES;
