// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this boot healthy?
//!
//! [`HealthConfig`] says what must hold, a [`System`] is asked, [`judge`] decides from the answers
//! and the clock alone, and [`run_health`] is the thin loop around it. [`decide_after`] says what a
//! verdict means for the slot that runs. Nothing here marks a slot, reboots or prints: the program
//! composes that with `bootctl`, so that a probe can never write to the boot state.

mod after;
mod command;
mod config;
mod content;
mod fragment;
mod judge;
mod live;
mod manifest;
mod probe;
mod round;
mod run;
mod system;
mod systemd;
mod verdict;

pub use after::{AfterVerdict, decide_after};
pub use config::{ConfigProblem, HealthConfig, HealthConfigError, Reaction, Timing};
pub use content::{ContentCheck, ContentFinding, confirm_content};
pub use judge::{Next, Phase, judge};
pub use live::{LiveClock, LiveSystem};
pub use probe::{AddressSource, FileFormat, Level, Probe, ProbeKind, UnitCondition};
pub use round::{Outcome, ProbeResult, Round, Trouble, run_round};
pub use run::{Clock, HealthEvent, run_health};
pub use system::{ActiveState, CommandEnd, ProbeError, System, UnitStatus};
pub use systemd::{Systemd, UnitJob};
pub use verdict::{Finding, Verdict};
