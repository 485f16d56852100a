// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the kernel take the packet filters of the systems? nft reads each one and has the kernel of this
//! machine check it, in a network of its own, where nothing is changed.

use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use std::collections::BTreeMap;
use std::fs;

/// Fewer mean that a system has none.
const LEAST_FILTERS: usize = 5;

/// Checks each of the filters, by name, of this JSON.
///
/// # Errors
/// When nft refuses one.
pub fn check(said: &str) -> Result<()> {
    let filters: BTreeMap<String, String> = serde_json::from_str(said)?;
    ensure!(filters.len() >= LEAST_FILTERS, "only {} packet filters", filters.len());
    let scratch = tempfile::tempdir()?;
    for (name, text) in &filters {
        ensure!(text.contains("policy drop;"), "the packet filter {name} drops nothing: {text}");
        let file = scratch.path().join(name);
        fs::write(&file, text)?;
        Program::new("unshare")
            .args(["--net", "nft", "--check", "--file"])
            .arg(&file)
            .run()
            .with_context(|| format!("the packet filter {name}"))?;
    }
    Ok(())
}
