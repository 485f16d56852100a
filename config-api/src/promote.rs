// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a new configuration take the place of the old one, whole or not at all, wherever the
//! power goes?
//!
//! A configuration is a *generation*: a complete directory below `config/generations` that is
//! never changed again by us. The *promotion record* alone says which one counts, and it names none
//! that is not on the medium; the link `config/current` and the names that other programs read
//! follow from it. What we do not own in `/data/config` is never touched.
//!
//! [`Record`] and [`step`] decide; [`Store`] does, in an order that `docs/commit-protocol.md` and
//! the power-cut harness hold.

mod candidate;
mod error;
mod layout;
mod migrate;
mod record;
mod rendered;
mod seed;
mod state;
mod store;

#[cfg(test)]
mod state_tests;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests look at the real file system")]
mod store_tests;

pub use candidate::{Content, Item, Owner, Owners, Source};
pub use error::PromoteError;
pub(crate) use layout::RECORD;
pub use layout::{CONFIG, Generation, OWNED_NAMES};
pub use migrate::{Completeness, OldTrees, Origin, choose};
pub use record::Record;
pub(crate) use rendered::NoMembers;
pub use rendered::{Members, Rendered};
pub use seed::{Seed, SeedOutcome, Seeds};
pub use state::{BootId, Command, Moment, Next, Phase, Rollback, State, step};
pub use store::{Recovered, Store};
