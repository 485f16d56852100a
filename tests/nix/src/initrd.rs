// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are the initrd's services closed, and do they still do their work? systemd's own score of each is that
//! of the page of units; and a systemd of their own starts them, as they are, in namespaces.

use crate::scores;
use crate::stages::{Checker, FLAGS};
use anyhow::Result;

/// Starts them.
const LIVE: &str = include_str!("initrd.sh");

/// Asks systemd.
///
/// # Errors
/// When a score is not the page's, or a service does not do its work.
pub fn check(checker: &Checker) -> Result<()> {
    scores::check(checker, "initrd", "initrd")?;
    checker.nix.run(checker.project.path(), &format!("FLAGS='{FLAGS}'\n{LIVE}")).map(drop)
}
