// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config validate` and `render`: what a configuration says, judged on this machine alone.

use crate::commands::config_lan;
use crate::config_cli::ConfigCommand;
use crate::failure::Failure;
use crate::output::{Output, Style};
use config_api::input::{
    Discard, Input, InputError, Limits, Origin, PayloadSink, Spool, read_input,
};
use config_api::model::{Checked, Fault, Faults, faults_text, input_fault_text, validate};
use config_api::quadlet::HostAccess;
use config_api::render::render;
use config_api::tree::Content;
use config_api::{CONFIG_DIR, WriteTreeError, write_new_directory};
use serde::Serialize;
use std::fs::File;
use std::io;
use std::path::Path;
use storage::chain;

/// The answer of `config validate`, version 1.
#[derive(Serialize)]
struct Verdict<'v> {
    version: u8,
    valid: bool,
    /// Everything that is wrong, in the order of the file.
    faults: &'v [Fault],
    /// Faults beyond those that are told.
    untold: usize,
    warnings: &'v [String],
    /// What will fail on a device although it is valid.
    notes: &'v [String],
    /// What containers may do to the host.
    host_access: &'v [HostAccess],
}

/// Runs a verb of `atomix config`.
///
/// # Errors
/// [`Failure::No`] where a file is not valid, [`Failure::Usage`] where one that is not valid was to
/// be rendered, and whatever reading and writing end with.
pub fn run(command: &ConfigCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        ConfigCommand::Validate { file } => answer(file, out),
        ConfigCommand::Render { file, out: dir } => write(file, dir, out),
        ConfigCommand::LanRange(args) => config_lan::run(args, out),
        // The log is a device's: `config_audit`. The others speak with one: `config_device`.
        ConfigCommand::Audit
        | ConfigCommand::Export { .. }
        | ConfigCommand::RequestNonce { .. }
        | ConfigCommand::Sign(_)
        | ConfigCommand::Diff { .. }
        | ConfigCommand::Apply(_)
        | ConfigCommand::Job { .. }
        | ConfigCommand::Confirm { .. } => Ok(()),
    }
}

/// Stands for what comes in; a file of this name is `./-`. There is no name to go by, so what is no
/// bundle is a configuration.
const STDIN: &str = "-";

/// What came of reading a file.
pub(crate) enum Read {
    Good(Input, Box<Checked>),
    /// Its `config.toml` has faults.
    Faulty(Input, Faults),
    /// It is no input at all.
    NoInput(InputError),
}

fn read(file: &Path, sink: &mut dyn PayloadSink) -> Result<Read, Failure> {
    let failed = |source| Failure::Io { act: "read", path: file.to_owned(), source };
    if file == Path::new(STDIN) {
        return judged(
            file,
            read_input(Origin::Upload(STDIN), io::stdin().lock(), &Limits::default(), sink),
        );
    }
    judge(file, File::open(file).map_err(failed)?, sink)
}

/// Judges what a file holds.
pub(crate) fn judge(
    file: &Path,
    content: impl io::Read,
    sink: &mut dyn PayloadSink,
) -> Result<Read, Failure> {
    let name = file.to_string_lossy();
    judged(file, read_input(Origin::File(&name), content, &Limits::default(), sink))
}

fn judged(file: &Path, input: Result<Input, InputError>) -> Result<Read, Failure> {
    match input {
        Ok(input) => Ok(match validate(&input.config_toml) {
            Ok(checked) => Read::Good(input, Box::new(checked)),
            Err(faults) => Read::Faulty(input, faults),
        }),
        Err(InputError::Read(source)) => {
            Err(Failure::Io { act: "read", path: file.to_owned(), source })
        }
        Err(InputError::Spool(source)) => {
            Err(Failure::Io { act: "use", path: std::env::temp_dir(), source })
        }
        Err(error) => Ok(Read::NoInput(error)),
    }
}

/// What is valid; else all that is wrong is told, and `nothing` (a sentence's end) was done.
pub(crate) fn demand_valid(
    file: &Path,
    read: Read,
    nothing: &str,
    out: &mut Output,
) -> Result<(Input, Box<Checked>), Failure> {
    match read {
        Read::Good(input, checked) => Ok((input, checked)),
        Read::Faulty(input, faults) => {
            write!(
                out.people,
                "{}",
                faults_text(&faults, name_of(file, &input), &input.config_toml)
            )?;
            Err(Failure::Usage {
                what: format!("{} is not valid; {nothing}", shown(file)),
                hint: "correct it; `atomix config validate --json` lists the faults for programs",
            })
        }
        Read::NoInput(error) => Err(Failure::Usage {
            what: format!("{}: {}", shown(file), chain(&error)),
            hint: error.hint(),
        }),
    }
}

fn answer(file: &Path, out: &mut Output) -> Result<(), Failure> {
    let shown = shown(file);
    let (faults, untold, text) = match read(file, &mut Discard::default())? {
        Read::Good(_, checked) => {
            let verdict = Verdict {
                version: 1,
                valid: true,
                faults: &[],
                untold: 0,
                warnings: &checked.warnings,
                notes: &checked.notes,
                host_access: &checked.config.host_access,
            };
            if out.style == Style::Lines {
                out.warn_in_columns(&checked.warnings)?;
                out.warn_in_columns(&checked.notes)?;
            }
            return out.answer(&verdict, |lines, _| writeln!(lines, "{shown} is valid"));
        }
        Read::Faulty(input, faults) => {
            let text = faults_text(&faults, name_of(file, &input), &input.config_toml);
            (faults.list().to_vec(), faults.untold(), text)
        }
        Read::NoInput(error) => {
            let fault = Fault::of_input(chain(&error), error.hint());
            let text = input_fault_text(&fault, &shown);
            (vec![fault], 0, text)
        }
    };
    let count = faults.len() + untold;
    let verdict = Verdict {
        version: 1,
        valid: false,
        faults: &faults,
        untold,
        warnings: &[],
        notes: &[],
        host_access: &[],
    };
    out.answer(&verdict, |lines, _| write!(lines, "{text}"))?;
    let noun = if count == 1 { "fault" } else { "faults" };
    Err(Failure::No { what: format!("{shown} is not valid: {count} {noun}") })
}

/// The input's name for people.
fn shown(file: &Path) -> String {
    if file == Path::new(STDIN) {
        return "standard input".to_owned();
    }
    file.display().to_string()
}

/// Faults in a bundle are faults of the file in it.
fn name_of<'n>(file: &'n Path, input: &Input) -> &'n str {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("config.toml");
    if input.payload.is_empty() && name.ends_with(".toml") { name } else { "config.toml" }
}

fn write(file: &Path, dir: &Path, out: &mut Output) -> Result<(), Failure> {
    let mut spool = spool()?;
    let read = read(file, &mut spool)?;
    let (input, checked) = demand_valid(file, read, "nothing was written", out)?;
    let tree = render(&checked.config, &input.config_toml, &input.payload, CONFIG_DIR);
    write_new_directory(&tree, &mut spool, dir).map_err(tree_failure)?;
    out.warn_in_columns(&checked.warnings)?;
    let files = tree.iter().filter(|(_, entry)| entry.content != Content::Directory).count();
    out.done(&format!("{files} files written to {}", dir.display()))
}

/// A place for what a bundle brings in `files/`.
pub(crate) fn spool() -> Result<Spool, Failure> {
    let failed = |source| Failure::Io { act: "use", path: std::env::temp_dir(), source };
    Ok(Spool::new(tempfile::tempfile().map_err(failed)?))
}

pub(crate) fn tree_failure(error: WriteTreeError) -> Failure {
    match error {
        WriteTreeError::Occupied { .. } => Failure::Refused {
            what: error.to_string(),
            hint: "name a directory that does not exist; nothing was written",
        },
        WriteTreeError::Foreign { .. } => Failure::Refused {
            what: error.to_string(),
            hint: "name a directory that does not exist, or let its owner do this; nothing was \
                   written",
        },
        WriteTreeError::Write { path, source } => Failure::Io { act: "write", path, source },
    }
}
