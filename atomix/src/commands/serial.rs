// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix serial`: what does the board say, and when? For hours, unattended: an adapter that goes
//! away is waited for, and every byte is written down before the next one is read. `shell` is the
//! same with a person at the keyboard.

use crate::cli::SerialCommand;
use crate::failure::Failure;
use crate::line_cli::{CaptureArgs, ShellArgs};
use crate::output::{Output, Style};
use crate::serial_line::{
    Baud, Clock, Heard, LineError, LineLog, Piece, Port, Recorder, Stamp, Wait, Waiting, as_text,
    bridge,
};
use serde::Serialize;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::thread;
use std::time::Duration;
use storage::ByteLen;

/// How often an adapter is looked for that is not there.
const RETRY: Duration = Duration::from_millis(200);

/// After so long without a byte a program is told the line so far, which may be a prompt.
const PAUSE: Duration = Duration::from_secs(1);

/// A log of a session; one that is longer is `capture`'s work.
const SHELL_LOG_MAX: ByteLen = ByteLen::mib(64);

/// Runs a verb of `atomix serial`.
///
/// # Errors
/// [`Failure::Line`] when the device is none of ours or the log cannot be written, and
/// [`Failure::Print`] when nobody takes the output any more.
pub fn run(command: &SerialCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        SerialCommand::Capture(args) => capture(args, out),
        SerialCommand::Shell(args) => shell(args, out),
    }
}

/// One line as JSON, version 1.
#[derive(Serialize)]
struct LineEvent<'a> {
    version: u32,
    event: &'static str,
    unix_millis: u64,
    seconds: f64,
    text: &'a str,
}

fn capture(args: &CaptureArgs, out: &mut Output) -> Result<(), Failure> {
    let max = ByteLen::mib(u64::from(args.max_size));
    let log = args.log.as_deref().map(|path| LineLog::open(path, max)).transpose()?;
    let clock = Clock::start();
    let mut shown =
        Shown { log, recorder: Recorder::default(), line: None, clock, has_heard: false };
    let mut waiting = Waiting::default();
    loop {
        let begun = shown.clock;
        let line = (args.tty.as_path(), args.baud);
        let mut port = wait_for(line, &mut waiting, begun, |text| shown.note(text, out))?;
        shown.has_heard = false;
        match listen(&mut port, &mut shown, out) {
            Err(Failure::Line(lost)) => match waiting.lost(lost, shown.has_heard) {
                Wait::GiveUp(lost) => return Err(lost.into()),
                Wait::Told(text) => shown.note(&text, out)?,
                Wait::Silent => {}
            },
            ended => return ended,
        }
        // A line that comes and goes at once must not fill the log with that.
        thread::sleep(RETRY);
    }
}

/// Opens the line as soon as it can be had, and says what is waited for.
fn wait_for(
    (tty, baud): (&Path, Baud),
    waiting: &mut Waiting,
    clock: Clock,
    mut tell: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<Port, Failure> {
    loop {
        match Port::open(tty, baud) {
            Ok(port) => {
                if waiting.is_news() {
                    tell(&format!("listening to {} at {baud} baud", tty.display()))?;
                }
                return Ok(port);
            }
            Err(refused) => match waiting.refused(refused, clock.elapsed()) {
                Wait::GiveUp(refused) => return Err(refused.into()),
                Wait::Told(text) => tell(&text)?,
                Wait::Silent => {}
            },
        }
        thread::sleep(RETRY);
    }
}

fn shell(args: &ShellArgs, out: &mut Output) -> Result<(), Failure> {
    if out.style == Style::Json || !io::stdin().is_terminal() {
        return Err(Failure::Usage {
            what: "the board's console needs a terminal".to_owned(),
            hint: "`atomix serial capture` only listens, and needs none",
        });
    }
    let mut log = args.log.as_deref().map(|path| LineLog::open(path, SHELL_LOG_MAX)).transpose()?;
    let clock = Clock::start();
    let mut waiting = Waiting::default();
    loop {
        let tell = |text: &str| tell_person(text, log.as_mut(), clock, out);
        let mut port = wait_for((&args.tty, args.baud), &mut waiting, clock, tell)?;
        tell_person(
            "this terminal is the board's console now; Ctrl-] ends it",
            log.as_mut(),
            clock,
            out,
        )?;
        let mut has_heard = false;
        let ended = bridge(&mut port, &mut |bytes| {
            has_heard = true;
            log.as_mut().map_or(Ok(()), |log| log.hear(clock.now(), bytes))
        });
        match ended {
            Ok(_) => {
                let text = "the console is closed; the board goes on as it is";
                return tell_person(text, log.as_mut(), clock, out);
            }
            // Only the adapter comes back; what is wrong with this terminal or the log stays.
            Err(gone @ LineError::Gone { .. }) => match waiting.lost(gone, has_heard) {
                Wait::GiveUp(gone) => return Err(gone.into()),
                Wait::Told(text) => tell_person(&text, log.as_mut(), clock, out)?,
                Wait::Silent => {}
            },
            Err(failed) => return Err(failed.into()),
        }
        thread::sleep(RETRY);
    }
}

fn tell_person(
    text: &str,
    log: Option<&mut LineLog>,
    clock: Clock,
    out: &mut Output,
) -> Result<(), Failure> {
    if let Some(log) = log {
        log.note(clock.now(), text)?;
    }
    writeln!(out.people, "{text}")?;
    Ok(out.people.flush()?)
}

fn listen(port: &mut Port, shown: &mut Shown, out: &mut Output) -> Result<(), Failure> {
    let mut buffer = [0; 4096];
    loop {
        match port.hear(&mut buffer, PAUSE)? {
            Heard::Bytes(count) => {
                shown.hear(buffer.get(..count).unwrap_or_default(), out)?;
            }
            Heard::Nothing => shown.pause(out)?,
        }
    }
}

/// What goes to the log and to the screen.
struct Shown {
    log: Option<LineLog>,
    recorder: Recorder,
    /// For JSON.
    line: Option<OpenLine>,
    clock: Clock,
    /// Since the line was opened last.
    has_heard: bool,
}

/// The line so far; the recorder bounds it.
struct OpenLine {
    at: Stamp,
    text: String,
    /// Nothing of it came since a program was told.
    is_told: bool,
}

impl Shown {
    /// The log first: a screen that is gone costs nothing of it.
    fn hear(&mut self, bytes: &[u8], out: &mut Output) -> Result<(), Failure> {
        self.has_heard = true;
        let at = self.clock.now();
        if let Some(log) = &mut self.log {
            log.hear(at, bytes)?;
        }
        let pieces = self.recorder.hear(at, bytes);
        self.show(pieces, out)
    }

    fn note(&mut self, text: &str, out: &mut Output) -> Result<(), Failure> {
        let at = self.clock.now();
        if let Some(log) = &mut self.log {
            log.note(at, text)?;
        }
        let open = self.recorder.break_line(at);
        self.show(open, out)?;
        match out.style {
            Style::Json => event(out, "note", at, text),
            Style::Lines => {
                writeln!(out.data, "{at} # {text}")?;
                Ok(out.data.flush()?)
            }
        }
    }

    /// A board that asks for something does not end its line.
    fn pause(&mut self, out: &mut Output) -> Result<(), Failure> {
        if let Some(line) = self.line.as_mut().filter(|line| !line.is_told) {
            line.is_told = true;
            event(out, "open", line.at, &line.text)?;
        }
        Ok(())
    }

    fn show(&mut self, pieces: Vec<Piece>, out: &mut Output) -> Result<(), Failure> {
        if out.style == Style::Lines {
            for piece in &pieces {
                out.data.write_all(as_text(piece).as_bytes())?;
            }
            return Ok(out.data.flush()?);
        }
        for piece in pieces {
            match piece {
                Piece::Begin { at, .. } => {
                    self.line = Some(OpenLine { at, text: String::new(), is_told: false });
                }
                Piece::Text(more) => {
                    if let Some(line) = &mut self.line {
                        line.text.push_str(&more);
                        line.is_told = false;
                    }
                }
                Piece::End => {
                    if let Some(line) = self.line.take() {
                        event(out, "line", line.at, &line.text)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn event(out: &mut Output, event: &'static str, at: Stamp, text: &str) -> Result<(), Failure> {
    let (unix_millis, seconds) = (at.unix_millis, at.since_start.as_secs_f64());
    out.event(&LineEvent { version: 1, event, unix_millis, seconds, text })
}
