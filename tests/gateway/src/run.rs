// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole run: what is fetched outside, what is judged inside the namespaces.

use crate::cli::{Cli, Judge};
use crate::{boots, load, network, parts, press, space, strangers};
use anyhow::Result;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// Runs what the arguments ask for.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    if let (Some(scratch), Some(to)) = (&cli.inside, cli.press) {
        return press::clients(to, scratch, cli.signers, out);
    }
    if let Some(scratch) = &cli.inside {
        space::furnish(scratch)?;
        return judge(cli, scratch, out);
    }
    if cli.judge.iter().any(|judge| [Judge::Network, Judge::Boots].contains(judge)) {
        parts::debian()?;
    }
    if cli.judge.contains(&Judge::Strangers) {
        parts::strangers_python()?;
    }
    let scratch = tempfile::Builder::new().prefix("gw-").tempdir()?;
    space::enter(cli, scratch.path())
}

fn judge(cli: &Cli, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    for judge in &cli.judge {
        let begun = Instant::now();
        match judge {
            Judge::Network => network::judge(&cli.program, scratch, out)?,
            Judge::Boots => boots::judge(&cli.program, scratch, out)?,
            Judge::Strangers => strangers::judge(scratch, out)?,
            Judge::Load => load::judge(scratch, out)?,
        }
        writeln!(out, "{}: {:.0} s", judge.name(), begun.elapsed().as_secs_f64())?;
    }
    Ok(())
}
