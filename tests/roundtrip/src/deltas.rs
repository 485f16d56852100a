// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a small change cost: how many bytes are fetched, and how many written to the slot,
//! beside the real RAUC? One install of each: bytes do not depend on what else the machine does.

use crate::measures::{Bench, Change, Install, Seeds, Way, bytes};
use anyhow::Result;
use conformance::cli::Kernel;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

/// Together 1 MiB, as of some files.
const CHANGE: Change = Change { places: 16, bytes: 64 << 10, shift: 0 };

/// Makes three versions in a row, and bundle and store of the last. Where it is measured that may
/// take long: a guest has one processor.
///
/// # Errors
/// When one of them cannot be made.
pub fn prepare(bench: &Bench<'_>) -> Result<()> {
    bench.write_image()?;
    let running = version(bench, "running");
    CHANGE.make(&bench.image(), &running)?;
    // Two slots take turns: the target has what is older still, changed in other places.
    Change { shift: CHANGE.bytes, ..CHANGE }.make(&running, &version(bench, "target"))?;
    let [real, _] = bench.parties;
    for kind in ["adaptive", "casync"] {
        fs::create_dir_all(files(bench, kind))?;
    }
    bench.bundle(real, "adaptive", &files(bench, "adaptive").join("update.raucb"))?;
    let casync = files(bench, "casync");
    bench.store(&casync, &casync.join("update.raucb"))
}

/// Installs from a store, and by block hashes where the real one can.
///
/// # Errors
/// When an install does not work.
pub fn judge(bench: &Bench<'_>, kernel: Kernel, out: &mut dyn Write) -> Result<()> {
    let (mib, changed) = (bench.bytes >> 20, (CHANGE.places * CHANGE.bytes) >> 20);
    writeln!(out, "  image: {mib} MiB, {changed} MiB of it changed; one run")?;
    writeln!(out, "  | measure | real | this | this/real | |")?;
    writeln!(out, "  |---|---|---|---|---|")?;
    let (running, target) = (version(bench, "running"), version(bench, "target"));
    let seeds = Seeds { running: &running, target: Some(&target) };
    both(bench, "casync", &Way::Store(seeds), out)?;
    match kernel {
        Kernel::Host => Ok(()),
        Kernel::Uml => both(bench, "adaptive", &Way::Delta(seeds), out),
    }
}

fn both(bench: &Bench<'_>, kind: &str, way: &Way<'_>, out: &mut dyn Write) -> Result<()> {
    let [real, this] = bench.parties;
    let install =
        |party| -> Result<Install> { bench.install_once(party, way, &files(bench, kind)) };
    let (real, this) = (install(real)?, install(this)?);
    let (real_wall, wall) = (real.usage.wall, this.usage.wall);
    let ratio = wall / real_wall;
    writeln!(out, "  | {kind}, seconds | {real_wall:.2} | {wall:.2} | {ratio:.2} | |")?;
    bytes(&format!("{kind}, bytes fetched"), real.sent.bytes, this.sent.bytes, out)?;
    bytes(&format!("{kind}, requests"), real.sent.answers, this.sent.answers, out)?;
    bytes(&format!("{kind}, written to the slot, bytes"), real.written, this.written, out)
}

fn version(bench: &Bench<'_>, slot: &str) -> PathBuf {
    bench.scratch.join(format!("{slot}.img"))
}

fn files(bench: &Bench<'_>, kind: &str) -> PathBuf {
    bench.scratch.join(kind)
}
