// SPDX-License-Identifier: MIT OR Apache-2.0
//! Would the check notice? Faults that somebody could make, planted one at a time in the copy; each
//! must be found by the stage that is there for it, in the words that name it.

mod agreement;
mod others;

use crate::stages::{Checker, Stage};
use anyhow::{Context as _, Result, bail, ensure};

/// Something wrong with the flake.
struct Fault {
    name: &'static str,
    file: &'static str,
    from: &'static str,
    to: &'static str,
    stage: Stage,
    /// What the answer must have in it.
    says: &'static str,
}

const SYSTEM: &str = "nix/configurations.nix";
const HOST: &str = "networking.hostName = \"gateway\";";
const BUILT: &str = "tests/nix/built.nix";

/// Plants every fault and fails when one is not found.
///
/// # Errors
/// When a fault cannot be planted, or stays unnoticed.
pub fn check(checker: &Checker) -> Result<usize> {
    let all = agreement::FAULTS.iter().chain(&others::FAULTS);
    for fault in all.clone() {
        let planted = checker.project.with_change(fault.file, (fault.from, fault.to), || {
            let Err(found) = checker.ask(fault.stage) else {
                bail!("{:?} does not find it", fault.stage);
            };
            let words = format!("{found:#}");
            ensure!(words.contains(fault.says), "{:?} says something else: {words}", fault.stage);
            Ok(())
        });
        planted.with_context(|| format!("planted: {}", fault.name))?;
    }
    Ok(all.count())
}
