// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loop over all of it: ask, judge, look, judge again, install, restart, tell.

mod course;
mod hands;
mod hawkbit;
#[cfg(test)]
mod played;
mod poll;
mod refused;
mod report;
mod round;
mod run;

pub use course::{Acting, Considered, Course, Ending, RoundEnd};
pub use hands::{
    HandError, Hands, InstallDone, InstallEnding, LookDone, LookError, Stop, StoreDone, Watch,
};
pub use hawkbit::{
    HawkbitEnd, HawkbitEnding, HawkbitPreview, HawkbitTerms, OperatorsWord, hawkbit_once,
    preview_hawkbit, run_hawkbit,
};
pub use poll::{AskError, Fetch, HttpFetch, Offered, PolledServer, Question, Server, Speaks};
pub use report::Reporter;
pub use run::{OnceEnd, PollTerms, Polled, once, run};
