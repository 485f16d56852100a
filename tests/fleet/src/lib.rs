// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a release do to ten thousand devices, and what do they do to a server?
//!
//! Virtual devices on virtual time. What they decide is decided by the code that devices have:
//! `agents`' judgements, schedule, record, rollout and conversation with hawkBit over `bootctl`'s slots
//! and flight recorder; what they read was signed and is verified as on devices. Links, transfers,
//! power, boots and the operator are modelled. `docs/agents-fleet.md` says what is measured and why
//! it is to be believed.

mod agent;
mod board;
mod catalog;
pub mod cli;
mod device;
mod fleet;
mod hawkbit;
mod judge;
mod meter;
mod outcome;
mod picture;
mod queue;
mod random;
pub mod run;
mod scenario;
mod server;
mod telling;
mod time;
mod transfer;
mod turn;
mod vendor;

pub use judge::judge;
pub use outcome::Outcome;
pub use scenario::{SCENARIOS, Scenario, Wanted, play};
pub use turn::Mistake;
