// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are the initrd's services closed, and do they still do their work? systemd's own score of each is that
//! of the page of units; and a systemd of their own starts them, as they are, in namespaces.

use crate::stages::{Checker, FLAGS};
use anyhow::{Result, ensure};
use std::fs;

/// Starts them.
const LIVE: &str = include_str!("initrd.sh");

/// How a row of the page begins.
const ROW: &str = "| initrd `";

/// Asks systemd.
///
/// # Errors
/// When a score is not the page's, or a service does not do its work.
pub fn check(checker: &Checker) -> Result<()> {
    let page = fs::read_to_string(checker.project.path().join("docs/units.md"))?;
    let mut rows: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix(ROW)?.split_once("` | "))
        .map(|(unit, rest)| format!("{unit} {}", rest.split(' ').next().unwrap_or_default()))
        .collect();
    rows.sort();
    let said = checker.nix.run(checker.project.path(), &scores())?;
    let scores: Vec<&str> = said.lines().collect();
    ensure!(!scores.is_empty(), "the initrd has no services");
    ensure!(rows == scores, "docs/units.md says of the initrd {rows:?}, systemd {scores:?}");
    checker.nix.run(checker.project.path(), &format!("FLAGS='{FLAGS}'\n{LIVE}")).map(drop)
}

/// A line for each service: its name and its score.
fn scores() -> String {
    format!(
        "mount -t tmpfs tmpfs /run
         nix eval {FLAGS} path:/src#lib.units --write-to /run/units
         cd /run/units/initrd
         for unit in *.service; do
           SYSTEMD_UNIT_PATH=$PWD: systemd-analyze security --offline=true --no-pager $unit >/run/said
           sed -n 's/.*exposure level for \\([^:]*\\): \\([0-9.]*\\) .*/\\1 \\2/p' /run/said
         done"
    )
}
