// SPDX-License-Identifier: MIT OR Apache-2.0
//! From arguments to a command on a context.

use crate::cli::{Cli, Command, ConfigCommand, Global};
use crate::commands::{
    agent, boot, bundle, config, config_audit, config_device, doctor, flash, health, image,
    install, manual, release, repart, report, rescue, serial, slot, status, uenv, why,
};
use crate::context::{Context, Now};
use crate::demo;
use crate::failure::{Class, Failure};
use crate::output::{Output, Style};
use crate::signals;
use crate::terminal::Tame;
use crate::virtual_board::VirtualBoard;
use bootctl::Force;
use clap::error::ErrorKind;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Runs one command line on the machine or board that it names; failures are printed once, here.
pub fn run(cli: &Cli, now: Now, data: &mut dyn Write, people: &mut dyn Write) -> ExitCode {
    conclude(cli, data, people, |out| dispatch(cli, now, out))
}

/// Runs one command line on `context`, whatever `--root` or `--board` say: for devices that the
/// command line cannot name.
pub fn run_on(
    context: &Context,
    cli: &Cli,
    data: &mut dyn Write,
    people: &mut dyn Write,
) -> ExitCode {
    conclude(cli, data, people, |out| match without_device(&cli.command, context.now, out) {
        Some(ended) => ended,
        None => on_context(context, &cli.command, out),
    })
}

/// Ends a command line that could not be parsed, or that asked for help.
pub fn refuse(usage: &clap::Error, style: Style, data: &mut dyn Write) -> ExitCode {
    // When the stream is gone there is nobody left to tell.
    let _ = usage.print();
    if style == Style::Json && usage.use_stderr() {
        let text = usage.to_string();
        let first = text.split("\n\n").next().unwrap_or_default();
        let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
        let what = if usage.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            "a command is missing"
        } else {
            first.trim_start_matches("error: ")
        };
        let failure = Failure::Usage { what: what.to_owned(), hint: "`--help` shows the usage" };
        let _ = writeln!(Tame::new(data), "{}", failure.to_json());
    }
    ExitCode::from(u8::try_from(usage.exit_code()).unwrap_or(Class::Usage.exit_code()))
}

fn conclude(
    cli: &Cli,
    data: &mut dyn Write,
    people: &mut dyn Write,
    act: impl FnOnce(&mut Output) -> Result<(), Failure>,
) -> ExitCode {
    let style = if cli.global.json { Style::Json } else { Style::Lines };
    let (mut data, mut people) = (Tame::new(data), Tame::new(people));
    let mut data = Noting { inner: &mut data, wrote: false };
    let mut people = Noting { inner: &mut people, wrote: false };
    match act(&mut Output { style, data: &mut data, people: &mut people }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report(&failure, style, &mut data, &mut people);
            if let Some(signal) = failure.stopped_by() {
                signals::end_by(signal);
            }
            ExitCode::from(failure.class().exit_code())
        }
    }
}

/// A stream of the caller's, which remembers whether it was used. Nobody has to read it: an
/// install whose output goes to `head` is an install all the same, and ends with its own code.
struct Noting<'a> {
    inner: &'a mut dyn Write,
    wrote: bool,
}

impl Write for Noting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.wrote = true;
        match self.inner.write(bytes) {
            Err(failed) if failed.kind() == io::ErrorKind::BrokenPipe => Ok(bytes.len()),
            written => written,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.inner.flush() {
            Err(failed) if failed.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            flushed => flushed,
        }
    }
}

/// Once for people, and once for programs where they asked for JSON and have no answer yet: a
/// query that says no in its answer must not print a second object. When a stream is gone there
/// is nobody left to tell.
fn report(failure: &Failure, style: Style, data: &mut Noting<'_>, people: &mut dyn Write) {
    let _ = writeln!(people, "atomix: {}", failure.chain());
    if let Some(hint) = failure.hint() {
        let _ = writeln!(people, "hint: {hint}");
    }
    let answers =
        matches!(failure, Failure::No { .. } | Failure::Unhealthy { .. } | Failure::Content { .. });
    if style == Style::Json && !(answers && data.wrote) {
        let _ = writeln!(data, "{}", failure.to_json());
    }
}

fn dispatch(cli: &Cli, now: Now, out: &mut Output) -> Result<(), Failure> {
    demand_one_place(cli)?;
    if let Some(ended) = without_device(&cli.command, now, out) {
        return ended;
    }
    let context = match &cli.global.board {
        Some(dir) => VirtualBoard::open(dir)?.context(now)?,
        None => Context::host(cli.global.root.as_deref().unwrap_or(Path::new("/")), now),
    };
    on_context(&context, &cli.command, out)
}

/// The board at the other end of a line is not below a directory of this machine. The parser cannot
/// tell: it judges the options of a command apart from those before it.
fn demand_one_place(cli: &Cli) -> Result<(), Failure> {
    let is_over_line = matches!(&cli.command, Command::Serial { .. })
        || matches!(&cli.command, Command::Rescue(args) if args.tty.is_some());
    let asks = matches!(&cli.command, Command::Config { command } if command.names_device());
    let other = match (is_over_line, asks) {
        (true, _) => "--tty",
        (false, true) => "--device",
        (false, false) => return Ok(()),
    };
    let option = match &cli.global {
        Global { root: Some(_), .. } => "--root",
        Global { board: Some(_), .. } => "--board",
        Global { root: None, board: None, .. } => return Ok(()),
    };
    Err(Failure::Usage {
        what: format!("{option} and {other} name two different boards"),
        hint: "give one of the two",
    })
}

/// The commands that need no device; nothing for the others.
fn without_device(command: &Command, now: Now, out: &mut Output) -> Option<Result<(), Failure>> {
    match command {
        Command::Demo(args) => Some(demo::run(args, now, out)),
        Command::Completions { shell } => Some(manual::completions(*shell, out)),
        Command::Man { dir } => Some(manual::pages(dir, out)),
        // The program reads `atomix rauc` before this grammar; only options of ours lead here.
        Command::Rauc { .. } => Some(Err(Failure::Usage {
            what: "no option of atomix can stand before `rauc`".to_owned(),
            hint: "`atomix rauc --help` shows what it takes",
        })),
        Command::Image { command } => Some(image::run(command, out)),
        Command::Config { command } => match command {
            ConfigCommand::Validate { .. }
            | ConfigCommand::Render { .. }
            | ConfigCommand::LanRange(_) => Some(config::run(command, out)),
            ConfigCommand::Audit => None,
            ConfigCommand::Export { .. }
            | ConfigCommand::RequestNonce { .. }
            | ConfigCommand::Sign(_)
            | ConfigCommand::Diff { .. }
            | ConfigCommand::Apply(_)
            | ConfigCommand::Job { .. }
            | ConfigCommand::Confirm { .. } => config_device::run(command, out),
        },
        Command::Serial { command } => Some(serial::run(command, out)),
        Command::Rescue(args) => {
            args.tty.as_deref().map(|tty| rescue::laptop::run(tty, &args.line, out))
        }
        Command::Status
        | Command::Why(_)
        | Command::Doctor
        | Command::Install(_)
        | Command::Rollback { .. }
        | Command::Boot { .. }
        | Command::Slot { .. }
        | Command::Bundle { .. }
        | Command::Release { .. }
        | Command::Uenv { .. }
        | Command::Repart(_)
        | Command::Agent { .. }
        | Command::Report { .. }
        | Command::Health { .. }
        | Command::Flash { .. } => None,
    }
}

/// Runs one command on what it works on.
pub(crate) fn on_context(
    context: &Context,
    command: &Command,
    out: &mut Output,
) -> Result<(), Failure> {
    match command {
        Command::Status => status::run(context, out),
        Command::Why(args) => why::run(context, args, out),
        Command::Doctor => doctor::run(context, out),
        Command::Install(args) => install::run(context, args, out),
        Command::Rollback { mark_bad, force } => {
            let force = if *force { Force::Yes } else { Force::No };
            boot::rollback(context, force, *mark_bad, out)
        }
        Command::Boot { command } => boot::run(context, command, out),
        Command::Slot { command } => slot::run(context, command, out),
        Command::Bundle { command } => bundle::run(context, command, out),
        Command::Release { command } => release::run(context, command, out),
        Command::Uenv { command } => uenv::run(context, command, out),
        Command::Repart(args) => repart::run(context, args, out),
        Command::Config { command: ConfigCommand::Audit } => config_audit::run(context, out),
        Command::Config { command } => config_device::run_here(context, command, out),
        Command::Agent { command } => agent::run(context, command, out),
        Command::Report { command } => report::run(context, command, out),
        Command::Health { command } => health::run(context, command, out),
        Command::Rescue(args) => rescue::run(context, args, out),
        Command::Flash { image, device, without_boot_loader } => {
            let loader = if *without_boot_loader {
                flash::BootLoader::Elsewhere
            } else {
                flash::BootLoader::InImage
            };
            flash::run(context, image, device, loader, out)
        }
        Command::Demo(_)
        | Command::Serial { .. }
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Rauc { .. }
        | Command::Image { .. } => Ok(()),
    }
}
