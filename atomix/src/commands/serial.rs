// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix serial capture`: what does the board say, and when? For hours, unattended: an adapter
//! that goes away is waited for, and every byte is written down before the next one is read.

use crate::cli::SerialCommand;
use crate::failure::Failure;
use crate::line_cli::CaptureArgs;
use crate::output::{Output, Style};
use crate::serial_line::{Clock, Heard, LineError, LineLog, Piece, Port, Recorder, Stamp, as_text};
use serde::Serialize;
use std::thread;
use std::time::Duration;
use storage::ByteLen;

/// How often an adapter is looked for that is not there.
const RETRY: Duration = Duration::from_millis(200);

/// How long one wait for bytes lasts; nothing depends on it.
const LISTEN: Duration = Duration::from_secs(3600);

/// Runs a verb of `atomix serial`.
///
/// # Errors
/// [`Failure::Line`] when the device is none of ours or the log cannot be written, and
/// [`Failure::Print`] when nobody takes the output any more.
pub fn run(command: &SerialCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        SerialCommand::Capture(args) => capture(args, out),
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
    let mut shown = Shown { log, recorder: Recorder::default(), line: None, clock };
    let mut is_awaited = false;
    loop {
        let mut port = match Port::open(&args.tty, args.baud) {
            Ok(port) => port,
            // Between its coming and its settings it may go again.
            Err(LineError::Absent { .. } | LineError::Gone { .. }) => {
                if !is_awaited {
                    shown.note(&format!("waiting for {}", args.tty.display()), out)?;
                    is_awaited = true;
                }
                thread::sleep(RETRY);
                continue;
            }
            // The system gives the device to its group a moment after it came.
            Err(LineError::Denied { .. }) if is_awaited => {
                thread::sleep(RETRY);
                continue;
            }
            Err(other) => return Err(other.into()),
        };
        is_awaited = true;
        shown.note(&format!("listening to {} at {} baud", args.tty.display(), args.baud), out)?;
        match listen(&mut port, &mut shown, out) {
            Err(Failure::Line(LineError::Gone { .. })) => {
                shown.note(&format!("{} went away; waiting for it", args.tty.display()), out)?;
            }
            ended => return ended,
        }
    }
}

fn listen(port: &mut Port, shown: &mut Shown, out: &mut Output) -> Result<(), Failure> {
    let mut buffer = [0; 4096];
    loop {
        if let Heard::Bytes(count) = port.hear(&mut buffer, LISTEN)? {
            shown.hear(buffer.get(..count).unwrap_or_default(), out)?;
        }
    }
}

/// What goes to the log and to the screen.
struct Shown {
    log: Option<LineLog>,
    recorder: Recorder,
    /// The line so far, for JSON, which has whole lines only; the recorder bounds it.
    line: Option<(Stamp, String)>,
    clock: Clock,
}

impl Shown {
    /// The log first: a screen that is gone costs nothing of it.
    fn hear(&mut self, bytes: &[u8], out: &mut Output) -> Result<(), Failure> {
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

    fn show(&mut self, pieces: Vec<Piece>, out: &mut Output) -> Result<(), Failure> {
        if out.style == Style::Lines {
            for piece in &pieces {
                out.data.write_all(as_text(piece).as_bytes())?;
            }
            return Ok(out.data.flush()?);
        }
        for piece in pieces {
            match piece {
                Piece::Begin { at, .. } => self.line = Some((at, String::new())),
                Piece::Text(text) => {
                    if let Some((_, line)) = &mut self.line {
                        line.push_str(&text);
                    }
                }
                Piece::End => {
                    if let Some((at, line)) = self.line.take() {
                        event(out, "line", at, &line)?;
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
