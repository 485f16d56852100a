// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is an install as fast as the machine allows, as small as a board needs, and is it still so?
//!
//! Everything is measured in one run on one file system and printed as ratios, because seconds of
//! one machine mean nothing on another. What is timed is the release binary itself, installing
//! from a file into files that stand for slots, against the least that any correct installer must
//! do with the same number of bytes: write and sync them (`dd`), read them back past the cache and
//! compare, and hash the bundle once on all cores (`openssl`). Never asserts a time: a busy machine
//! is no bug. Fails only when something that is measured does not work.
//!
//! `cargo xtask bench`; `cargo bench --package atomix --bench install -- --quick` uses 64 MiB.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a maintainer's program: it reads the clock, starts programs and prints"
)]

mod arena;
mod content;
mod machine;
mod programs;
mod report;

use arena::{Arena, BundleKind};
use programs::Watch;
use report::{Report, Target};
use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error>>;

const MIB: u64 = 1024 * 1024;

/// The image that is judged, and the smaller one that shows whether memory grows with it.
const FULL_MIB: u64 = 512;
const SMALL_MIB: u64 = 64;

/// Repetitions of install and reference, alternating, so that both meet the same other load.
const ROUNDS: usize = 5;
const STATUS_ROUNDS: usize = 20;

/// Targets, from the issue that asked for the measures.
const INSTALL_RATIO: f64 = 1.1;
const MEMORY_MIB: f64 = 24.0;
const STATUS_MILLIS: f64 = 20.0;
const BINARY_MIB: f64 = 12.0;

/// Memory may not depend on the size of the bundle; this much is noise of the allocator.
const FLAT_RATIO: f64 = 1.1;

fn main() -> ExitCode {
    let quick = std::env::args().any(|argument| argument == "--quick");
    match run(if quick { SMALL_MIB } else { FULL_MIB }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(image_mib: u64) -> Outcome<()> {
    let mut report = Report::default();
    machine::describe(&mut report)?;
    report.line(&format!("image     {image_mib} MiB incompressible, {ROUNDS} rounds"));
    let mut arena = Arena::create(image_mib * MIB)?;
    install_time(&mut arena, &mut report)?;
    other_installs(&mut arena, &mut report)?;
    status_time(&arena, &mut report)?;
    let full = peak_memory(&mut arena)?;
    drop(arena);
    let small = peak_memory(&mut Arena::create(SMALL_MIB.min(image_mib / 2) * MIB)?)?;
    report.judge("peak memory of an install, MiB", full, Target::Below(MEMORY_MIB));
    report.judge("peak memory, large / small image", full / small, Target::AtMost(FLAT_RATIO));
    report.judge("stripped binary, MiB", binary_mib()?, Target::Below(BINARY_MIB));
    report.print();
    Ok(())
}

/// The judged case: the slot holds something else, nothing is in the page cache.
fn install_time(arena: &mut Arena, report: &mut Report) -> Outcome<()> {
    arena.make_bundle(BundleKind::Verity)?;
    let (mut installs, mut writes, mut compares, mut hashes) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        arena.forget_caches()?;
        writes.push(arena.dd_other_into_slot()?);
        compares.push(arena.compare_slot_with_other()?);
        arena.forget_caches()?;
        hashes.push(arena.openssl_digest()?);
        arena.soil_boot_slot()?;
        arena.forget_caches()?;
        installs.push(arena.install(Watch::Time)?.wall);
    }
    let copies: Vec<Duration> = writes.iter().zip(&compares).map(|(a, b)| *a + *b).collect();
    let cores = u32::try_from(machine::cores())?;
    let shares: Vec<Duration> = hashes.iter().map(|hash| *hash / cores).collect();
    report.times("install of a verity bundle", &installs);
    report.times("dd conv=fsync of as many bytes", &writes);
    report.times("uncached compare", &compares);
    report.times("dd and compare", &copies);
    report.times("openssl dgst / cores", &shares);
    let reference = report::median(&copies).max(report::median(&shares));
    let ratio = report::median(&installs).as_secs_f64() / reference.as_secs_f64();
    report.judge("install / slower reference", ratio, Target::AtMost(INSTALL_RATIO));
    report.reference = reference;
    Ok(())
}

/// For information: what changes when the slot, the format or the content is another.
fn other_installs(arena: &mut Arena, report: &mut Report) -> Outcome<()> {
    let mut case = |arena: &mut Arena, name: &str, fresh: bool| -> Outcome<()> {
        let mut walls = Vec::new();
        for _ in 0..ROUNDS.div_ceil(2) {
            if fresh {
                arena.dd_other_into_slot()?;
                arena.soil_boot_slot()?;
            }
            arena.forget_caches()?;
            walls.push(arena.install(Watch::Time)?.wall);
        }
        report.times(name, &walls);
        let ratio = report::median(&walls).as_secs_f64() / report.reference.as_secs_f64();
        report.judge(&format!("{name} / reference"), ratio, Target::None);
        Ok(())
    };
    case(arena, "install again, slot equal", false)?;
    arena.make_bundle(BundleKind::Plain)?;
    case(arena, "install of a plain bundle", true)?;
    arena.make_bundle(BundleKind::Compressible)?;
    case(arena, "install of a compressible image", true)?;
    Ok(())
}

fn status_time(arena: &Arena, report: &mut Report) -> Outcome<()> {
    let mut walls = Vec::new();
    for _ in 0..STATUS_ROUNDS {
        walls.push(arena.status()?);
    }
    report.times("atomix status", &walls);
    let millis = report::median(&walls).as_secs_f64() * 1000.0;
    report.judge("atomix status, ms", millis, Target::Below(STATUS_MILLIS));
    Ok(())
}

/// Peak resident memory in MiB. Not timed: looking at it costs time.
fn peak_memory(arena: &mut Arena) -> Outcome<f64> {
    arena.make_bundle(BundleKind::Verity)?;
    arena.dd_other_into_slot()?;
    arena.soil_boot_slot()?;
    let kib = arena.install(Watch::Memory)?.peak_kib;
    Ok(f64::from(u32::try_from(kib)?) / 1024.0)
}

fn binary_mib() -> Outcome<f64> {
    let bytes = std::fs::metadata(programs::ATOMIX)?.len();
    Ok(f64::from(u32::try_from(bytes / 1024)?) / 1024.0)
}
