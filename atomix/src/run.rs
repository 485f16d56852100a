// SPDX-License-Identifier: MIT OR Apache-2.0
//! From arguments to a command on a context.

use crate::cli::{Cli, Command};
use crate::commands::{
    boot, bundle, doctor, flash, health, image, install, manual, repart, slot, status, uenv, why,
};
use crate::context::{Context, Now};
use crate::demo;
use crate::failure::Failure;
use crate::output::{Output, Style};
use crate::terminal::Tame;
use crate::virtual_board::VirtualBoard;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Runs one command line on the machine or board that it names; failures are printed once, here.
pub fn run(cli: &Cli, now: Now, data: &mut dyn Write, people: &mut dyn Write) -> ExitCode {
    let (mut data, mut people) = (Tame::new(data), Tame::new(people));
    let mut out = output(cli, &mut data, &mut people);
    let ended = dispatch(cli, now, &mut out);
    conclude(ended, &mut out)
}

/// Runs one command line on `context`, whatever `--root` or `--board` say: for devices that the
/// command line cannot name.
pub fn run_on(
    context: &Context,
    cli: &Cli,
    data: &mut dyn Write,
    people: &mut dyn Write,
) -> ExitCode {
    let (mut data, mut people) = (Tame::new(data), Tame::new(people));
    let mut out = output(cli, &mut data, &mut people);
    let ended = on_context(context, &cli.command, &mut out);
    conclude(ended, &mut out)
}

fn output<'a>(cli: &Cli, data: &'a mut dyn Write, people: &'a mut dyn Write) -> Output<'a> {
    let style = if cli.global.json { Style::Json } else { Style::Lines };
    Output { style, data, people }
}

fn conclude(ended: Result<(), Failure>, out: &mut Output) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, out);
            ExitCode::from(failure.class().exit_code())
        }
    }
}

/// Once for people, and once for programs where they asked for JSON. When a stream is gone there
/// is nobody left to tell.
fn report(failure: &Failure, out: &mut Output) {
    let _ = writeln!(out.people, "atomix: {}", failure.chain());
    if let Some(hint) = failure.hint() {
        let _ = writeln!(out.people, "hint: {hint}");
    }
    if out.style == Style::Json {
        let _ = writeln!(out.data, "{}", failure.to_json());
    }
}

fn dispatch(cli: &Cli, now: Now, out: &mut Output) -> Result<(), Failure> {
    match &cli.command {
        // These three need no device.
        Command::Demo(args) => return demo::run(args, now, out),
        Command::Completions { shell } => return manual::completions(*shell, out),
        Command::Man { dir } => return manual::pages(dir, out),
        Command::Image { command } => return image::run(command, out),
        _ => {}
    }
    let context = match &cli.global.board {
        Some(dir) => VirtualBoard::open(dir)?.context(now)?,
        None => Context::host(cli.global.root.as_deref().unwrap_or(Path::new("/")), now),
    };
    on_context(&context, &cli.command, out)
}

fn on_context(context: &Context, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Status => status::run(context, out),
        Command::Why => why::run(context, out),
        Command::Doctor => doctor::run(context, out),
        Command::Install(args) => install::run(context, args, out),
        Command::Rollback { mark_bad } => boot::rollback(context, *mark_bad, out),
        Command::Boot { command } => boot::run(context, command, out),
        Command::Slot { command } => slot::run(context, command, out),
        Command::Bundle { command } => bundle::run(context, command, out),
        Command::Uenv { command } => uenv::run(context, command, out),
        Command::Repart(args) => repart::run(context, args, out),
        Command::Health { command } => health::run(context, command, out),
        Command::Flash { image, device } => flash::run(context, image, device, out),
        Command::Demo(_)
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Image { .. } => Ok(()),
    }
}
