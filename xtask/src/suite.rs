// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite: each step with its name and its time, stopping at the first that fails.

use crate::error::TaskError;
use crate::program::Program;
use crate::{book, judges, linux_only, workspace};
use std::io::Write;
use std::time::Instant;

type Step = (&'static str, fn() -> Result<(), TaskError>);

const STEPS: [Step; 10] = [
    ("judges are installed", judges::require),
    ("workspace rules", workspace::check),
    ("linux-only calls are gated", linux_only::check),
    ("book", book::check),
    ("format", format),
    ("lints", lints),
    // The real chain has a command of its own: what it boots takes minutes to build.
    ("tests", || cargo(&["test", "--workspace", "--exclude", "e2e", "--quiet"])),
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

/// The manifest of the fuzz targets, a workspace of its own.
const FUZZ: [&str; 2] = ["--manifest-path", "fuzz/Cargo.toml"];

fn format() -> Result<(), TaskError> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[&["fmt"], &FUZZ[..], &["--check"]].concat())
}

fn lints() -> Result<(), TaskError> {
    let what = ["--all-targets", "--quiet", "--", "-Dwarnings"];
    cargo(&[&["clippy", "--workspace"], &what[..]].concat())?;
    cargo(&[&["clippy"], &FUZZ[..], &what].concat())
}

/// Builds every fuzz target and runs each over its seeds and over some thousands of mutations of
/// them, the same in every run, so that an input that once crashed a parser can never do so again
/// unnoticed. Exploring is `cargo fuzz run`, by hand.
fn fuzz() -> Result<(), TaskError> {
    cargo(&[&["test"], &FUZZ[..], &["--quiet"]].concat())
}
