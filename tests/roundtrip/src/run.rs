// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole run: what is fetched outside, what is judged inside the namespaces.

use crate::cli::{Cli, Judge};
use crate::keys::Keys;
use crate::matrix::{self, Extent, Installs, Party};
use crate::measures::{self, Bench};
use crate::{agent, deltas, hawkbit, hostile};
use crate::{peers, space, stores};
use anyhow::{Context as _, Result, ensure};
use conformance::cli::Kernel;
use conformance::suite::Suite;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

/// Of those who sign what is measured.
const BENCH_KEYS: &str = "bench-keys";

/// Runs what the arguments ask for.
///
/// # Errors
/// When a peer cannot be fetched, or a judge is not content.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    if let Some(scratch) = &cli.inside {
        space::furnish()?;
        return judge(cli, scratch, out);
    }
    fetch(cli)?;
    let outer = tempfile::Builder::new().prefix("rt-").tempdir()?;
    fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o755))?;
    // What a guest's kernel needs comes beside it. Short names: a socket's path has 108 bytes at most.
    let scratch = outer.path().join("f");
    fs::create_dir(&scratch)?;
    let program = match &cli.program {
        Some(program) => Some(peers::as_rauc(program, &scratch.join("ours"))?),
        None => None,
    };
    if cli.judge.contains(&Judge::Deltas) {
        let real =
            Party { name: "theirs", rauc: peers::REAL.real_rauc()?, installs: Installs::Plain };
        let keys = Keys::make(&scratch.join(BENCH_KEYS))?;
        let parties = [&real, &real];
        deltas::prepare(&Bench { parties, scratch: &scratch, bytes: cli.size << 20, keys })?;
    }
    let entered = match cli.kernel {
        Kernel::Host => space::enter(cli, program.as_deref(), &scratch),
        Kernel::Uml => space::enter_kernel(cli, program.as_deref(), &scratch, out),
    };
    if let Some(keep) = &cli.keep {
        let kept = outer.keep().join("f");
        fs::rename(&kept, keep).with_context(|| format!("the files are in {}", kept.display()))?;
    }
    entered
}

/// All that comes from elsewhere, so that inside the network is not missed.
fn fetch(cli: &Cli) -> Result<()> {
    peers::REAL.real_rauc()?;
    peers::rauc_tests()?;
    if cli.judge.contains(&Judge::Stores) {
        Suite::desync()?;
    }
    if cli.judge.contains(&Judge::Hawkbit) {
        peers::hawkbit_updater()?;
    }
    if cli.judge.iter().any(|judge| matches!(judge, Judge::Agent | Judge::Hawkbit)) {
        peers::goosebit_python()?;
    }
    if cli.kernel == Kernel::Uml {
        Suite::user_mode_linux()?;
    }
    Ok(())
}

fn judge(cli: &Cli, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let real = peers::REAL.real_rauc()?;
    let rauc = cli.program.clone().unwrap_or_else(|| real.clone());
    // What the real one can do depends on the kernel.
    let theirs = match cli.kernel {
        Kernel::Host => Installs::Plain,
        Kernel::Uml => Installs::All,
    };
    let ours = if cli.program.is_some() { Installs::All } else { theirs };
    let ours = Party { name: "ours", rauc: rauc.clone(), installs: ours };
    let theirs = Party { name: "theirs", rauc: real.clone(), installs: theirs };
    let extent = if cli.exhaustive { Extent::Exhaustive } else { Extent::Pairs };
    for judge in &cli.judge {
        let begun = Instant::now();
        writeln!(out, "{}:", judge.name())?;
        match judge {
            Judge::Agent => agent::judge(&real, cli.program.as_deref(), scratch, out)?,
            Judge::Hawkbit => {
                let peers = hawkbit::Peers {
                    real: real.clone(),
                    rauc: rauc.clone(),
                    installs: ours.installs,
                    updater: peers::hawkbit_updater()?,
                    python: peers::goosebit_python()?,
                };
                hawkbit::judge(&peers, scratch, out)?;
            }
            Judge::Stores => stores::judge(&real, &rauc, scratch, out)?,
            Judge::Hostile => hostile::judge(&real, &rauc, extent, scratch, out)?,
            Judge::Matrix => {
                matrix::judge(&[ours.clone(), theirs.clone()], extent, scratch, out)?;
            }
            Judge::Measures | Judge::Streamed | Judge::Deltas => {
                measure(*judge, cli, scratch, [&theirs, &ours], out)?;
            }
        }
        writeln!(out, "  {:.0} s", begun.elapsed().as_secs_f64())?;
    }
    Ok(())
}

/// Measures the real one, without what its package puts in front of it, and this one.
fn measure(
    judge: Judge,
    cli: &Cli,
    scratch: &Path,
    [theirs, ours]: [&Party; 2],
    out: &mut dyn Write,
) -> Result<()> {
    let alone = peers::real_alone(&scratch.join("real"))?;
    let rauc = if cli.program.is_some() { ours.rauc.clone() } else { alone.clone() };
    let theirs = Party { rauc: alone, ..theirs.clone() };
    let ours = Party { rauc, ..ours.clone() };
    let keys = scratch.join(BENCH_KEYS);
    let deltas = judge == Judge::Deltas;
    let keys = if deltas { Keys::made(&keys) } else { Keys::make(&keys)? };
    let bench = Bench { parties: [&theirs, &ours], scratch, bytes: cli.size << 20, keys };
    if deltas {
        deltas::judge(&bench, cli.kernel, out)
    } else if judge == Judge::Streamed {
        ensure!(cli.kernel == Kernel::Uml, "the real one streams in user-mode Linux");
        measures::judge_streamed(&bench, out)
    } else {
        measures::judge(&bench, cli.kernel, out)
    }
}
