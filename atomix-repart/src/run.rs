// SPDX-License-Identifier: MIT OR Apache-2.0
//! From arguments to an exit code: opens the board below the root, asks for randomness, prints.

use crate::cli::Cli;
use crate::{Board, DataHome, Failure, Request, Tame, UbootBoot, perform};
use serde_json::json;
use std::io::{Error, Write};
use std::path::Path;
use std::process::ExitCode;
use storage::{HostDevices, HostFiles, chain};

/// Runs one command line; a failure is printed once, here.
pub fn run(cli: &Cli, unix_time: i64, data: &mut dyn Write, people: &mut dyn Write) -> ExitCode {
    let (mut data, mut people) = (Tame::new(data), Tame::new(people));
    let Err(failure) = act(cli, unix_time, &mut data, &mut people) else {
        return ExitCode::SUCCESS;
    };
    let code = failure.class().exit_code();
    let (message, hint) = (chain(&failure), failure.hint());
    // When a stream is gone there is nobody left to tell.
    let _ = writeln!(people, "atomix-repart: {message}");
    if let Some(hint) = hint {
        let _ = writeln!(people, "hint: {hint}");
    }
    if cli.json {
        let error = json!({ "code": code, "message": message, "hint": hint });
        let _ = writeln!(data, "{}", json!({ "version": 1, "error": error }));
    }
    ExitCode::from(code)
}

fn act(
    cli: &Cli,
    unix_time: i64,
    data: &mut dyn Write,
    people: &mut dyn Write,
) -> Result<(), Failure> {
    let files = HostFiles::new(&cli.root);
    let devices = HostDevices::new(&cli.root);
    let board = Board { files: &files, devices: &devices, data: DataHome::Partition, unix_time };
    let answer =
        perform(&board, &UbootBoot(board), &Request::from(&cli.repart), seed()?, &mut |text| {
            // What cannot be told does not stop the work.
            let _ = writeln!(people, "{text}");
        })?;
    if cli.json {
        serde_json::to_writer_pretty(&mut *data, &answer)?;
        writeln!(data)?;
    } else {
        answer.render(data)?;
    }
    Ok(())
}

/// What new identities are derived from.
///
/// # Errors
/// [`Failure::Io`] when the system has no randomness.
pub fn seed() -> Result<[u8; 16], Failure> {
    let mut seed = [0; 16];
    getrandom::fill(&mut seed).map_err(|source| Failure::Io {
        act: "draw random identities from",
        path: Path::new("/dev/urandom").to_owned(),
        source: Error::other(source.to_string()),
    })?;
    Ok(seed)
}
