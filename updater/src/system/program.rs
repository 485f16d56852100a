// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is a handler or hook run, and what does its end mean? Through [`Machine`], with GLib's
//! words for a failure, because RAUC's clients know those.

use super::ProgramFailure;
use crate::StopQuestion;
use crate::slot_handlers::{Lines, Machine, OutputStream, ProgramCall, ProgramEnd, ProgramError};
use std::path::PathBuf;

/// Runs a handler; `line` is told each line of both outputs.
pub(super) fn run_handler(
    machine: &mut dyn Machine,
    call: ProgramCall<'_>,
    stop: StopQuestion<'_>,
    line: &mut dyn FnMut(&str),
) -> Result<(), ProgramFailure> {
    run_lines(machine, call, stop, &mut |_, text| line(text))
}

/// As [`run_handler`]; `line` is also told which output it was.
pub(super) fn run_lines(
    machine: &mut dyn Machine,
    call: ProgramCall<'_>,
    stop: StopQuestion<'_>,
    line: &mut dyn FnMut(OutputStream, &str),
) -> Result<(), ProgramFailure> {
    let program = PathBuf::from(&call.program);
    let mut lines = Lines::new(line);
    let mut take = |stream: OutputStream, bytes: &[u8]| lines.take(stream, bytes);
    let ended = machine.run(call.told_to(&mut take), stop);
    lines.finish();
    judge(program, ended)
}

fn judge(program: PathBuf, ended: Result<ProgramEnd, ProgramError>) -> Result<(), ProgramFailure> {
    let end = match ended {
        Ok(end) => end,
        Err(ProgramError::Stopped { by }) => return Err(ProgramFailure::Stopped { by }),
        Err(source) => return Err(ProgramFailure::Start { program, source: Box::new(source) }),
    };
    match (end.code, end.signal) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(ProgramFailure::Exit { code }),
        (None, signal) => Err(ProgramFailure::Signal { signal: signal.unwrap_or(0) }),
    }
}

/// What the end of a program means, in the name of `program`; what it said is told.
pub(super) fn judge_program(
    program: &str,
    ended: Result<ProgramEnd, ProgramError>,
) -> Result<(), ProgramError> {
    ended?.check(program).map(drop)
}

/// The words of an argument list, quoted as for a shell.
pub(super) fn words(text: Option<&str>) -> Result<Vec<String>, ProgramFailure> {
    let Some(text) = text else { return Ok(Vec::new()) };
    crate::split_shell_words(text).map_err(|_| ProgramFailure::Arguments)
}
