// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite: each step with its name and its time, stopping at the first that fails.

use crate::error::TaskError;
use crate::program::Program;
use crate::{book, judges, workspace};
use std::io::Write;
use std::time::Instant;

type Step = (&'static str, fn() -> Result<(), TaskError>);

const STEPS: [Step; 9] = [
    ("judges are installed", judges::require),
    ("workspace rules", workspace::check),
    ("book", book::check),
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-Dwarnings"])),
    ("tests", || cargo(&["test", "--workspace", "--quiet"])),
    ("documents", || {
        Program::new("cargo", &["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-Dwarnings")
            .run()
    }),
    ("fuzz targets", fuzz),
    ("main job", || cargo(&["run", "--release", "--quiet", "--package", "atomix", "--", "demo"])),
];

/// Runs all steps.
pub fn run(out: &mut impl Write) -> Result<(), TaskError> {
    for (number, (name, step)) in STEPS.iter().enumerate() {
        writeln!(out, "== {}/{} {name}", number + 1, STEPS.len())?;
        out.flush()?;
        let begun = Instant::now();
        step()?;
        writeln!(out, "   {name}: {:.1} s", begun.elapsed().as_secs_f64())?;
    }
    Ok(())
}

/// Runs the benchmark binary.
pub fn bench() -> Result<(), TaskError> {
    cargo(&["bench", "--package", "atomix", "--bench", "install"])
}

fn cargo(arguments: &[&str]) -> Result<(), TaskError> {
    Program::new("cargo", arguments).run()
}

/// Builds every fuzz target and runs each over its seeds once, so that a seed that once crashed a
/// parser can never do so again unnoticed. Exploring is `cargo fuzz run`, by hand.
fn fuzz() -> Result<(), TaskError> {
    cargo(&["test", "--manifest-path", "fuzz/Cargo.toml", "--quiet"])
}
