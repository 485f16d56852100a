// SPDX-License-Identifier: MIT OR Apache-2.0
//! When is a server asked for a newer bundle, and what follows from its answer?
//!
//! RAUC's built-in polling, as values: [`Poller`] is told the time and what happened, and says what
//! is to be done next ([`PollAct`]). It reads no clock, opens no bundle, runs nothing; the service
//! does, and holds the D-Bus properties that come from [`PollStatus`] and [`Poller::next_poll`].
//!
//! | waiting for | event | then |
//! |---|---|---|
//! | its time | [`Poller::tick`] | a fetch, a reboot, or a short delay where something speaks against it |
//! | a fetch | [`Poller::fetched`] | an install, or the next time |
//! | an install | [`Poller::installed`] | a short delay; then perhaps the reboot |
//! | a reboot | [`Poller::rebooted`] | nothing more, or a short delay where it failed |
//!
//! Two rules are ours. Being busy is no failure: an install that could not begin is tried again.
//! And a bundle that was installed here and did not prove itself is not installed again by
//! anything that acts on its own; RAUC forgets what it tried when its service ends.

mod poller;
mod rules;
mod status;
mod time;

pub use poller::{PollAct, PollQuestions, Poller, PollerSetupError};
pub use rules::{
    CandidateRule, InstallRule, PollCheckError, PollingRules, RebootRule, UnknownCriterion,
};
pub use status::{Fetched, PollInstall, PollStatus, PolledBundle, ServedBundle};
pub use time::{BootTime, SPEEDUP_MAX, Speedup};
