// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the board boot and go on, wherever the power goes?
//!
//! Every durable operation of the project is recorded once ([`record`]); for each of its acts
//! [`explore`] makes the images that its devices may legally hold when the power goes there, and
//! judges each: the firmware's model boots it, our own recovery runs, the operation is done again
//! and ends where the undisturbed one ends, also when the power goes a second time on the way.
//! The operations are those of [`catalogue`], and that of `artifacts`, which boots nothing. What devices may do is the `storage` crate's matter.

mod artifacts;
mod believing;
mod board;
mod catalogue;
pub mod cli;
mod config_explore;
mod config_scenario;
mod config_view;
mod cut;
mod disk_scenario;
mod engine;
mod explore;
mod firmware;
mod forgetful;
mod judge;
mod linux;
mod loader;
mod medium;
mod mutations;
mod paper;
mod plan;
mod rauc_scenario;
mod recorded;
mod report;
pub mod run;
mod scenario;
mod second;
mod shared_files;
mod slot_scenario;
mod story;
mod systems;
mod tally;
pub mod teeth;
mod tree_disk;
mod violation;

pub use catalogue::catalogue;
pub use config_explore::{SyncsLeftOut, explore_config, without_each_sync};
pub use config_scenario::{ConfigAct, ConfigRecord, ConfigScenario};
pub use explore::explore;
pub use firmware::Selector;
pub use mutations::{Harm, Mutation, mutations};
pub use plan::{Depth, Place, Plan, Thoroughness};
pub use recorded::{Order, Recorded, record};
pub use scenario::{Cost, End, Scenario, Seen};
pub use systems::SlotSizes;
pub use tally::{Covered, Failure, Tally};
pub use violation::{Invariant, Violation};
