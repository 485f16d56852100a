// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole run: what is fetched outside, what is judged inside the namespaces.

use crate::cli::{Cli, Judge};
use crate::hawkbit::{self, Streams};
use crate::matrix::{self, Extent, Installs, Party};
use crate::{peers, space, stores};
use anyhow::{Context as _, Result};
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Instant;

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
    let scratch = tempfile::Builder::new().prefix("roundtrip-").tempdir()?;
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
    let program = match &cli.program {
        Some(program) => Some(peers::as_rauc(program, &scratch.path().join("ours"))?),
        None => None,
    };
    let entered = space::enter(cli, program.as_deref(), scratch.path());
    if let Some(keep) = &cli.keep {
        let kept = scratch.keep();
        fs::rename(&kept, keep).with_context(|| format!("the files are in {}", kept.display()))?;
    }
    entered
}

/// All that comes from elsewhere, so that inside the network is not missed.
fn fetch(cli: &Cli) -> Result<()> {
    peers::REAL.real_rauc()?;
    peers::rauc_tests()?;
    if cli.judge.contains(&Judge::Hawkbit) {
        peers::hawkbit_updater()?;
        peers::goosebit_python()?;
    }
    Ok(())
}

fn judge(cli: &Cli, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    let real = peers::REAL.real_rauc()?;
    let rauc = cli.program.clone().unwrap_or_else(|| real.clone());
    let streams = if cli.program.is_some() { Streams::Yes } else { Streams::No };
    for judge in &cli.judge {
        let begun = Instant::now();
        writeln!(out, "{}:", judge.name())?;
        match judge {
            Judge::Hawkbit => {
                let peers = hawkbit::Peers {
                    real: real.clone(),
                    rauc: rauc.clone(),
                    streams,
                    updater: peers::hawkbit_updater()?,
                    python: peers::goosebit_python()?,
                };
                hawkbit::judge(&peers, scratch, out)?;
            }
            Judge::Stores => stores::judge(&real, &rauc, scratch, out)?,
            Judge::Matrix => {
                let installs = if cli.program.is_some() { Installs::All } else { Installs::Plain };
                let ours = Party { name: "ours", rauc: rauc.clone(), installs };
                let theirs =
                    Party { name: "theirs", rauc: real.clone(), installs: Installs::Plain };
                let extent = if cli.exhaustive { Extent::Exhaustive } else { Extent::Pairs };
                matrix::judge(&[ours, theirs], extent, scratch, out)?;
            }
        }
        writeln!(out, "  {:.0} s", begun.elapsed().as_secs_f64())?;
    }
    Ok(())
}
