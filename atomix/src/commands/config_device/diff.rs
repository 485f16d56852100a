// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config diff`: what would another configuration change, and what would it restart?

use super::export::{fetch, here, tree_of};
use super::files::read_upload;
use super::remote::{Credential, Remote};
use crate::commands::config::{demand_valid, judge, spool};
use crate::config_cli::SomeDeviceArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, wrap};
use config_api::CONFIG_DIR;
use config_api::client::{
    Difference, FileAct, PayloadDigests, ServiceAct, Side, compare, payload_digests,
};
use config_api::render::render;
use config_api::tree::Tree;
use serde::Serialize;
use std::io::{self, Write};
use std::path::Path;

/// What a serial console shows of a line.
const COLUMNS: usize = 80;

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
    let mut difference = compare(before.side(), after.side());
    // A device that has no `files/` and gets none is told by nobody; most have none.
    let reads = |tree: &Tree| tree.iter().any(|(path, _)| path.starts_with("files/"));
    if difference.payload_unknown && !reads(&after.tree) && !names_files(&before.tree) {
        difference.payload_unknown = false;
    }
    let same = difference.is_empty();
    let view = View { version: 1, same, difference: &difference };
    out.answer(&view, |lines, view| show(lines, view.difference))?;
    if same {
        return Ok(());
    }
    Err(Failure::No { what: "the configurations differ".to_owned() })
}

/// Whether a unit reads the configuration's own files.
fn names_files(tree: &Tree) -> bool {
    let place = format!("{CONFIG_DIR}/files");
    tree.iter().any(|(path, _)| {
        path.starts_with("quadlet/")
            && tree.bytes(path).is_some_and(|bytes| String::from_utf8_lossy(bytes).contains(&place))
    })
}

fn show(to: &mut dyn Write, difference: &Difference) -> io::Result<()> {
    if difference.files.is_empty() && !difference.payload_unknown {
        writeln!(to, "no file changes")?;
    }
    for file in &difference.files {
        let act = match file.act {
            FileAct::Added => "  added    ",
            FileAct::Removed => "  removed  ",
            FileAct::Changed => "  changed  ",
        };
        line(to, act, &file.path)?;
    }
    if difference.payload_unknown {
        line(to, "  unknown  ", "files/: no device gives them out; what reads them is restarted")?;
    }
    for part in &difference.parts {
        line(to, "  applied  ", part)?;
    }
    for service in &difference.services {
        let act = match service.act {
            ServiceAct::Starts => "  starts   ",
            ServiceAct::Restarts => "  restarts ",
            ServiceAct::Stops => "  stops    ",
        };
        let causes = service.causes.join(", ");
        let why = if causes.is_empty() { String::new() } else { format!(": {causes}") };
        line(to, act, &format!("{} ({}){why}", service.service, service.mode))?;
    }
    if let Some((old, new)) = &difference.moves {
        line(to, "  moves    ", &format!("from {old} to {new}: use --confirm-within"))?;
    }
    Ok(())
}

/// One act in lines of 80 columns; a name may be longer than one of them.
fn line(to: &mut dyn Write, act: &str, text: &str) -> io::Result<()> {
    let room = COLUMNS - act.len();
    let mut folded = String::new();
    for word in text.split(' ') {
        for (count, letter) in word.chars().enumerate() {
            if count > 0 && count % room == 0 {
                folded.push(' ');
            }
            folded.push(letter);
        }
        folded.push(' ');
    }
    wrap(to, act, folded.trim_end())
}
