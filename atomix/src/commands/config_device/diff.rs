// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config diff`: what would another configuration change, and what would it restart?

use super::export::{fetch, here, tree_of};
use super::files::read_upload;
use super::remote::{Credential, Remote};
use crate::commands::config::{demand_valid, judge, spool};
use crate::config_cli::SomeDeviceArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, fold};
use config_api::CONFIG_DIR;
use config_api::client::{
    Difference, FileAct, PayloadDigests, ServiceAct, Side, compare, payload_digests,
};
use config_api::render::render;
use config_api::tree::Tree;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// The answer, version 1.
#[derive(Serialize)]
struct View<'v> {
    version: u8,
    same: bool,
    #[serde(flatten)]
    difference: &'v Difference,
}

/// A configuration with what it brings along.
struct Rendered {
    tree: Tree,
    payload: Option<PayloadDigests>,
}

impl Rendered {
    const fn side(&self) -> Side<'_> {
        Side { tree: &self.tree, payload: self.payload.as_ref() }
    }
}

pub(super) fn of_files(before: &Path, after: &Path, out: &mut Output) -> Result<(), Failure> {
    let (before, after) = (of_file(before, out)?, of_file(after, out)?);
    answer(&before, &after, out)
}

pub(super) fn with_device(
    file: &Path,
    address: &str,
    args: &SomeDeviceArgs,
    out: &mut Output,
) -> Result<(), Failure> {
    // What is wrong here is told before anybody is asked for a passphrase.
    let after = of_file(file, out)?;
    let credential = Credential::of(&args.who)?;
    let remote = Remote::new(address, args.device_id.as_deref(), credential)?;
    let before = of_text(&fetch(&remote, out)?.text)?;
    answer(&before, &after, out)
}

pub(super) fn with_here(file: &Path, context: &Context, out: &mut Output) -> Result<(), Failure> {
    let after = of_file(file, out)?;
    let before = of_text(&here(context)?)?;
    answer(&before, &after, out)
}

fn of_file(file: &Path, out: &mut Output) -> Result<Rendered, Failure> {
    let bytes = read_upload(file)?;
    let mut spool = spool()?;
    let read = judge(file, &*bytes, &mut spool)?;
    let (input, checked) = demand_valid(file, read, "nothing was compared", out)?;
    let tree = render(&checked.config, &input.config_toml, &input.payload, CONFIG_DIR);
    let failed = |source| Failure::Io { act: "use", path: std::env::temp_dir(), source };
    let payload = payload_digests(&tree, &mut spool).map_err(failed)?;
    Ok(Rendered { tree, payload: Some(payload) })
}

/// What a device has in force.
fn of_text(text: &[u8]) -> Result<Rendered, Failure> {
    Ok(Rendered { tree: tree_of(text)?, payload: None })
}

fn answer(before: &Rendered, after: &Rendered, out: &mut Output) -> Result<(), Failure> {
    let difference = compare(before.side(), after.side());
    let same = difference.is_empty();
    let view = View { version: 1, same, difference: &difference };
    out.answer(&view, |lines, view| show(lines, view.difference))?;
    if same {
        return Ok(());
    }
    Err(Failure::No { what: "the configurations differ".to_owned() })
}

fn show(to: &mut dyn Write, difference: &Difference) -> io::Result<()> {
    if difference.is_empty() {
        return writeln!(to, "nothing changes");
    }
    for file in &difference.files {
        let act = match file.act {
            FileAct::Added => "  added    ",
            FileAct::Removed => "  removed  ",
            FileAct::Changed => "  changed  ",
        };
        fold(to, act, &file.path)?;
    }
    if difference.payload_unknown {
        fold(to, "  unknown  ", "files/: no device gives them out; what reads them is restarted")?;
    }
    for part in &difference.parts {
        fold(to, "  applied  ", part)?;
    }
    for service in &difference.services {
        let act = match service.act {
            ServiceAct::Starts => "  starts   ",
            ServiceAct::Restarts => "  restarts ",
            ServiceAct::Stops => "  stops    ",
        };
        let causes = service.causes.join(", ");
        let why = if causes.is_empty() { String::new() } else { format!(": {causes}") };
        fold(to, act, &format!("{} ({}){why}", service.service, service.mode))?;
    }
    if let Some((old, new)) = &difference.told_by {
        fold(to, "  updates  ", &format!("told by {new} instead of {old}"))?;
    }
    if let Some((old, new)) = &difference.moves {
        fold(to, "  moves    ", &format!("from {old} to {new}: use --confirm-within"))?;
    }
    Ok(())
}
