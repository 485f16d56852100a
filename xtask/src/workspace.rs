// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rules that the workspace holds itself to, checked over `cargo metadata`, offline: rooms use
//! only rooms below them, every package has a licence that we may ship, nothing comes from
//! anywhere but the registry.

use crate::error::TaskError;
use crate::program::Program;
use serde_json::Value;

/// The rooms, lowest first: a room may use only rooms that stand before it.
const ROOMS: [&str; 9] = [
    "storage",
    "uboot",
    "bundle",
    "bootctl",
    "repart",
    "verifier",
    "updater",
    "board-rock64",
    "atomix",
];

/// Licences of which one must be on offer for every package that we build from.
const LICENCES: [&str; 10] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "Unicode-3.0",
    "Zlib",
];

/// Checks all rules.
pub fn check() -> Result<(), TaskError> {
    let printed = Program::new("cargo", &["metadata", "--format-version", "1"]).output()?;
    let metadata: Value = serde_json::from_slice(&printed)?;
    let mut violations = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        check_package(package, &mut violations);
    }
    if violations.is_empty() { Ok(()) } else { Err(TaskError::Rules { violations }) }
}

fn check_package(package: &Value, violations: &mut Vec<String>) {
    let name = package["name"].as_str().unwrap_or_default();
    let licence = package["license"].as_str().unwrap_or_default();
    if !licence_allowed(licence) {
        violations.push(format!("{name}: licence {licence:?} is not on the list"));
    }
    match package["source"].as_str() {
        None => check_room(name, package, violations),
        Some(source) if source.starts_with("registry+") => {}
        Some(source) => violations.push(format!("{name}: comes from {source}")),
    }
}

fn check_room(name: &str, package: &Value, violations: &mut Vec<String>) {
    let Some(own) = ROOMS.iter().position(|room| *room == name) else { return };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let used = dependency["name"].as_str().unwrap_or_default();
        if dependency["req"].as_str() == Some("*") && dependency["path"].is_null() {
            violations.push(format!("{name}: {used} has no version"));
        }
        if dependency["kind"].as_str() == Some("dev") {
            continue;
        }
        if ROOMS.iter().position(|room| *room == used).is_some_and(|other| other >= own) {
            violations.push(format!("{name} uses {used}, which is not below it"));
        }
    }
}

/// Whether an SPDX expression can be satisfied from the list: every part joined by AND must offer
/// one listed alternative.
fn licence_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    plain
        .split(" AND ")
        .all(|part| part.split(" OR ").any(|alternative| LICENCES.contains(&alternative.trim())))
}

#[cfg(test)]
mod tests {
    use super::licence_allowed;

    #[test]
    fn one_listed_alternative_is_enough_and_every_joined_part_is_needed() {
        assert!(licence_allowed("MIT OR GPL-3.0"));
        assert!(licence_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(licence_allowed("Unlicense/MIT"));
        assert!(!licence_allowed("MIT AND GPL-3.0"));
        assert!(!licence_allowed(""));
    }
}
