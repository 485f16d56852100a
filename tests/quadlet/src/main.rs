// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does podman's generator make the services of our units that we restart and watch?
//!
//! Every fixture of the configuration is rendered and its units are laid out as they are applied,
//! for the system and for the account without privileges; the generator of Debian 13's podman reads
//! each directory. It comes by name over the machine's mirror, with its C library, and is kept.
#![allow(
    clippy::disallowed_methods,
    reason = "test rig: its files are scratch, and its programs are the judges"
)]

use anyhow::{Context as _, Result, bail, ensure};
use config_api::appliers::{QuadletTargets, RuntimeUnits, UnitMode, plan_quadlets, read_settings};
use config_api::input::Payload;
use config_api::model::validate;
use config_api::render::render;
use e2e::apt::{Apt, Packages};
use e2e::cache::{Inputs, part};
use e2e::program::Program;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use storage::tree::{HostTrees, Meta, Trees};

/// The number of the account without privileges; any will do.
const UID: u32 = 970;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config-api/tests/fixtures");

/// The least that says something; fewer mean that the fixtures are gone.
const LEAST_UNITS: usize = 30;

fn main() -> ExitCode {
    match judge(&mut stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing is left to be told where stderr itself is gone.
            let _ = writeln!(stderr(), "quadlet: {failure:#}");
            ExitCode::FAILURE
        }
    }
}

/// The generator with its C library: the unpacked root.
fn generator() -> Result<PathBuf> {
    let inputs = Inputs::new("generator 1").text("trixie");
    part("quadlet-trixie", inputs, |dir| {
        let root = dir.join("root");
        fs::create_dir(&root)?;
        let apt = Apt::of(Packages { suite: "trixie", architecture: "amd64" })?;
        for package in ["podman", "libc6"] {
            apt.unpack(package, &root)?;
        }
        Ok(())
    })
}

fn judge(out: &mut dyn Write) -> Result<()> {
    let root = generator()?.join("root");
    let (mut configurations, mut units) = (0, 0);
    for entry in fs::read_dir(FIXTURES)? {
        let input = entry?.path().join("input.toml");
        let Ok(bytes) = fs::read(&input) else { continue };
        let Ok(checked) = validate(&bytes) else { continue };
        let payload = Payload::default();
        let tree = render(&checked.config, &bytes, &payload, config_api::CONFIG_DIR);
        configurations += 1;
        units += judge_units(&root, &tree)
            .with_context(|| format!("{} is not content", input.display()))?;
    }
    ensure!(units >= LEAST_UNITS, "only {units} units in {configurations} configurations");
    writeln!(out, "quadlet: {units} services of {configurations} configurations, as we name them")?;
    Ok(())
}

/// Lays the units of a configuration out, and counts the services that the generator makes.
fn judge_units(root: &Path, tree: &config_api::tree::Tree) -> Result<usize> {
    let runtime = tree.bytes("quadlet-runtime.json").context("no units")?;
    let units: RuntimeUnits = read_settings("quadlet-runtime.json", runtime)?;
    let mut contents = BTreeMap::new();
    for unit in &units.units {
        let bytes = tree.bytes(&format!("quadlet/{}", unit.filename)).context("no such unit")?;
        contents.insert(unit.filename.clone(), bytes.to_vec());
    }
    let plan = plan_quadlets(&units, &contents, &BTreeSet::new(), &BTreeSet::new())?;
    let targets = QuadletTargets::of_user(UID);
    let dir = tempfile::tempdir()?;
    let mut made = 0;
    for (mode, target) in
        [(UnitMode::Rootful, &targets.rootful), (UnitMode::Rootless, &targets.rootless)]
    {
        let place = dir.path().join(format!("{mode:?}"));
        fs::create_dir(&place)?;
        let mut trees = HostTrees::open(&place)?;
        let mut wanted = Vec::new();
        for (unit, content) in plan.wanted.iter().filter(|(unit, _)| unit.mode == mode) {
            if lacks_its_source(content) {
                continue;
            }
            let path = targets.path(unit);
            let name = path.strip_prefix(target).context("it lies elsewhere")?.to_owned();
            let meta = Meta { mode: 0o600, uid: owner(&place)?.0, gid: owner(&place)?.1 };
            trees.write(&name, &mut &**content, meta)?;
            wanted.push(unit.service());
        }
        let said = generate(root, &place, mode)?;
        for service in &wanted {
            if !said.contains(&format!("---{service}---")) {
                bail!("{service} is not made: {said}");
            }
        }
        made += wanted.len();
    }
    Ok(made)
}

/// A build that says neither where its files are nor which file it is made of: the contract takes
/// it, the generator does not.
fn lacks_its_source(content: &[u8]) -> bool {
    let text = String::from_utf8_lossy(content);
    let says = |key: &str| text.lines().any(|line| line.starts_with(key));
    text.starts_with("[Build]") && !says("SetWorkingDirectory=") && !says("File=")
}

fn owner(path: &Path) -> Result<(u32, u32)> {
    use std::os::unix::fs::MetadataExt as _;
    let facts = fs::metadata(path)?;
    Ok((facts.uid(), facts.gid()))
}

/// What the generator would write; a complaint of it is a failure.
fn generate(root: &Path, units: &Path, mode: UnitMode) -> Result<String> {
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let loader = root.join("usr/lib64/ld-linux-x86-64.so.2");
    let mut program = Program::new(&loader.to_string_lossy())
        .arg("--library-path")
        .arg(libraries)
        .arg(root.join("usr/libexec/podman/quadlet"))
        .arg("-dryrun")
        .env("QUADLET_UNIT_DIRS", units);
    if mode == UnitMode::Rootless {
        program = program.arg("-user");
    }
    program.output()
}
