// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite: each step with its name and its time, stopping at the first that fails.

use crate::cargo::{built, cargo, debug_program, debug_run, released_atomix, test_programs};
use crate::e2e::E2eArgs;
use crate::error::TaskError;
use crate::program::Program;
use crate::{book, crates, e2e, judges, linux_only, model, workspace};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

type Step = (&'static str, fn(&mut dyn Write) -> Result<(), TaskError>);

const STEPS: [Step; 24] = [
    ("judges are installed", |_| judges::require()),
    ("workspace rules", |_| {
        workspace::check()?;
        crates::check()
    }),
    ("linux-only calls are gated", |_| linux_only::check()),
    ("book", |_| book::check()),
    ("format", |_| format()),
    ("lints", |_| lints()),
    ("tests", |_| tests()),
    ("documents", |_| {
        Program::new("cargo", &["doc", "--workspace", "--no-deps", "--quiet"])
            .env("RUSTDOCFLAGS", "-Dwarnings")
            .run()
    }),
    ("fuzz targets", |_| fuzz()),
    ("main job", |_| cargo(&["run", "--release", "--quiet", "--package", "atomix", "--", "demo"])),
    ("reference of commands", |_| book::check_reference(&released_atomix()?)),
    ("commands of pages", |out| {
        book::check_commands(&released_atomix()?, Path::new(&built("page-commands")?), out)
    }),
    // Debian's RAUC of two versions, its client and gooseBit come by name, once.
    ("RAUC's own tests", |_| judged_by("conformance", &[])),
    ("RAUC's peers", |_| judged_by("roundtrip", &[])),
    // It wants root, for a nix whose builds see nothing of the machine.
    ("Nix", |_| judged_by("nix-checks", &[])),
    ("podman's generator", |_| debug_run("quadlet", &[])?.run()),
    // Ignored elsewhere, since it wants a browser; axe-core comes by name, once.
    ("boot pages in a browser", |_| {
        let test = ["test", "--workspace", "--test", "browser", "--quiet"];
        cargo(&[&test[..], &["--", "--ignored", "--test-threads=2"]].concat())
    }),
    // They want root, for hosts and for networks in which nobody else is asked.
    ("network of a gateway", |_| gateway(&["--judge=network".to_owned()])),
    ("boots of a gateway", |_| gateway(&["--judge=boots".to_owned()])),
    ("strangers at the API", |_| gateway(&["--judge=strangers".to_owned()])),
    ("every state", |_| model::run(&model::ModelArgs::default())),
    // Ten thousand devices, and then the mistakes that have to be seen.
    ("fleet", |_| {
        fleet(&[])?;
        fleet(&["--teeth".to_owned()])
    }),
    // Fewer distinct images mean that something is wrong with the harness, whatever it says.
    ("power cuts", |_| powercut(&["--at-least".to_owned(), "200000".to_owned()])),
    ("real chain", |mut out| e2e::run(&E2eArgs::default(), &mut out)),
];

/// Runs all steps, or those with one of `wanted` in their name.
pub fn run(wanted: &[String], out: &mut impl Write) -> Result<(), TaskError> {
    let is_wanted = |name: &str| wanted.iter().any(|part| name.contains(part.as_str()));
    if let Some(part) =
        wanted.iter().find(|part| STEPS.iter().all(|(name, _)| !name.contains(part.as_str())))
    {
        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
        return Err(TaskError::NoStep { part: part.clone(), names: names.join(", ") });
    }
    for (number, (name, step)) in STEPS.iter().enumerate() {
        if !wanted.is_empty() && !is_wanted(name) {
            continue;
        }
        writeln!(out, "== {}/{} {name}", number + 1, STEPS.len())?;
        out.flush()?;
        let begun = Instant::now();
        step(out)?;
        writeln!(out, "   {name}: {:.1} s", begun.elapsed().as_secs_f64())?;
    }
    Ok(())
}

/// Runs the power-cut harness.
pub fn powercut(arguments: &[String]) -> Result<(), TaskError> {
    let run = ["run", "--release", "--quiet", "--package", "powercut", "--"];
    let arguments = arguments.iter().map(String::as_str);
    let arguments: Vec<&str> = run.into_iter().chain(arguments).collect();
    cargo(&arguments)
}

/// Runs the fleet simulator.
pub fn fleet(arguments: &[String]) -> Result<(), TaskError> {
    debug_run("fleet", arguments)?.run()
}

/// Runs a package of judges: over the released program, unless the arguments name what they want.
pub fn judged_by(package: &str, arguments: &[String]) -> Result<(), TaskError> {
    if arguments.is_empty() {
        return debug_run(package, &[released_atomix()?])?.run();
    }
    debug_run(package, arguments)?.run()
}

/// Judges a gateway that the config API makes, as the arguments say.
pub fn gateway(arguments: &[String]) -> Result<(), TaskError> {
    let program = debug_program("atomix-config-api")?;
    debug_run("gateway", &[&[program], arguments].concat())?.run()
}

/// Runs the benchmark binary.
pub fn bench() -> Result<(), TaskError> {
    cargo(&["bench", "--package", "atomix", "--bench", "install"])
}

/// All tests but the scenarios of the real chain, which come last, with a rule of their own for what
/// is played.
fn tests() -> Result<(), TaskError> {
    cargo(&["test", "--workspace", "--exclude", "e2e", "--quiet"])?;
    // Ignored elsewhere, since it wants root and a loop device, as RAUC's own tests do.
    run_lib_tests(Path::new("updater"), &["--ignored", "loop_device"])?;
    run_lib_tests(Path::new("tests/e2e"), &[])
}

fn run_lib_tests(dir: &Path, arguments: &[&str]) -> Result<(), TaskError> {
    let programs = test_programs(&dir.join("src"), &["--lib"])?;
    let path = programs.first().map(|(_, path)| path.as_str());
    let path = path.ok_or_else(|| TaskError::NoTests { dir: dir.to_owned() })?;
    Program::new(path, &[&["--quiet"], arguments].concat()).at(dir).run()
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

/// Builds every fuzz target and runs each over its seeds and over mutations of them for ten seconds
/// (three, where no stranger's bytes are read), and measures what the worst inputs cost. Exploring
/// by coverage is by hand, see docs/decisions/0025.
fn fuzz() -> Result<(), TaskError> {
    let test = [&["test"], &FUZZ[..], &["--quiet"]].concat();
    Program::new("cargo", &test).env("ATOMIX_FUZZ_SECS", "10").run()
}
