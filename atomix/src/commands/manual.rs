// SPDX-License-Identifier: MIT OR Apache-2.0
//! Completion scripts and manual pages, generated from the argument types.

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::Output;
use clap::CommandFactory;
use std::path::Path;
use storage::{Files, HostFiles};

/// Prints the completion script of `shell`.
///
/// # Errors
/// [`Failure::Print`].
pub fn completions(shell: clap_complete::Shell, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "atomix", &mut script);
    out.data.write_all(&script)?;
    Ok(())
}

/// Writes one page per command into `dir`: `atomix.1`, `atomix-boot.1`, `atomix-boot-state.1`…
///
/// # Errors
/// [`Failure::Files`].
pub fn pages(dir: &Path, out: &mut Output) -> Result<(), Failure> {
    let mut root = Cli::command();
    root.build();
    let written = write_pages(&mut HostFiles::new(dir), &root, "atomix")?;
    out.done(&format!("{written} pages written to {}", dir.display()))
}

fn write_pages(
    files: &mut HostFiles,
    command: &clap::Command,
    name: &str,
) -> Result<usize, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name.to_owned()).render(&mut page)?;
    files.replace(Path::new(&format!("{name}.1")), &page)?;
    let mut written = 1;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        written += write_pages(files, verb, &format!("{name}-{}", verb.get_name()))?;
    }
    Ok(written)
}
