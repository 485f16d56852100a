// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the rig doing, and how long does it take? Lines for people, on standard error.

use std::io::Write as _;
use std::time::Instant;

/// Prints a line.
pub fn say(text: &str) {
    // A lost line is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Does `work` and says how long it took.
///
/// # Errors
/// Those of `work`.
pub fn timed<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say(&format!("{what} …"));
    let begin = Instant::now();
    let result = work();
    let secs = begin.elapsed().as_secs_f64();
    let end = if result.is_ok() { "done" } else { "failed" };
    say(&format!("{what}: {end} after {secs:.1} s"));
    result
}
