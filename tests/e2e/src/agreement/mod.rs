// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do a firmware and the model of it agree? Environments, what the model says to each, and where
//! the two differ.
//!
//! Pure: a [`Case`] is what stands before the power comes, [`expected`] is the word of
//! [`bootctl::select`] on it in a firmware's terms, [`Seen`] is what a firmware did, and
//! [`differences`] compares them by name and value. Who runs the firmware is the tests' business.
//! [`boundary_cases`] is the list of all edges that the selector has; [`seeded_case`] mixes them.

mod boundary;
mod case;
mod expect;
mod mutations;
mod seeded;
mod seen;

pub use boundary::{DISK, OTHER_DISK, boundary_cases};
pub use case::{Around, Case, Content, Saving, Table, known};
pub use expect::{Expected, expected, is_modelled, read_by_uboot, saved_by_uboot};
pub use mutations::{MUTATIONS, Mutation, runnable};
pub use seeded::seeded_case;
pub use seen::{RETURNING_SCRIPT, START_END, STARTING_SCRIPT, Seen, Start, differences, heard};
