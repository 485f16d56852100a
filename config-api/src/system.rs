// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device itself: what an activation decided is done here, by programs, files and systemd.

mod accounts;
mod addresses;
mod facts;
mod live;
mod network;
mod tools;
mod units;
mod updates;

#[cfg(test)]
mod tests;

pub use addresses::own_addresses;
pub use facts::{BootFacts, read_boot_facts};
pub use live::{LiveServices, SystemParts};
pub use tools::{HostPrograms, Programs};
