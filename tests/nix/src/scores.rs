// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is every service as closed as the page of units says? systemd scores each with its drop-ins, of the
//! system and of the initrd; a service without a row is found, and so is a row without a service.

use crate::stages::{Checker, FLAGS};
use anyhow::{Result, ensure};
use std::fs;

/// Compares the scores of a manager's services with the page's rows, which begin with `word`.
///
/// # Errors
/// When a score is not the page's.
pub fn check(checker: &Checker, manager: &str, word: &str) -> Result<()> {
    let page = fs::read_to_string(checker.project.path().join("docs/units.md"))?;
    let row = format!("| {word} `");
    let mut rows: Vec<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix(&row)?.split_once("` | "))
        .map(|(unit, rest)| format!("{unit} {}", rest.split(' ').next().unwrap_or_default()))
        .collect();
    rows.sort();
    let said = checker.nix.run(checker.project.path(), &scores(manager))?;
    let mut scores: Vec<&str> = said.lines().collect();
    scores.sort_unstable();
    ensure!(!scores.is_empty(), "the {manager} has no services");
    ensure!(rows == scores, "docs/units.md says of the {manager} {rows:?}, systemd {scores:?}");
    Ok(())
}

/// A line for each service: its name and its score. systemd tries a template with an instance.
fn scores(manager: &str) -> String {
    format!(
        "mount -t tmpfs tmpfs /run
         nix eval {FLAGS} path:/src#lib.units --write-to /run/units
         cd /run/units/{manager}
         for unit in *.service; do
           SYSTEMD_UNIT_PATH=$PWD: systemd-analyze security --offline=true --no-pager $unit >/run/said
           sed -n 's/.*exposure level for \\([^:]*\\): \\([0-9.]*\\) .*/\\1 \\2/p' /run/said |
             sed 's/@test_instance/@/'
         done"
    )
}
