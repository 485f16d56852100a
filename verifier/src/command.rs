// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a probe's program end, in its time and with what last words?

use crate::system::{CommandEnd, ProbeError};
use programs::{ProgramCall, ProgramError};
use std::time::Duration;

/// Runs a probe's program without input; what it prints is dropped.
pub(crate) fn run_command(argv: &[String], timeout: Duration) -> Result<CommandEnd, ProbeError> {
    let program = argv.first().cloned().unwrap_or_default();
    let arguments = argv.get(1..).unwrap_or_default();
    let call = ProgramCall::new(&program).args(arguments).timeout(timeout);
    let end = match programs::run(call, &|| None) {
        Ok(end) => end,
        Err(ProgramError::TimedOut { .. }) => return Ok(CommandEnd::TimedOut),
        Err(
            ProgramError::Start { source, .. }
            | ProgramError::Talk { source, .. }
            | ProgramError::Input { source, .. },
        ) => return Err(ProbeError::Run { program, source }),
        Err(other @ (ProgramError::Stopped { .. } | ProgramError::Failed { .. })) => {
            return Err(ProbeError::Run { program, source: std::io::Error::other(other) });
        }
    };
    Ok(match (end.code, end.signal) {
        (Some(code), _) => CommandEnd::Exited { code, stderr: end.stderr },
        (None, signal) => CommandEnd::Signalled { signal: signal.unwrap_or_default() },
    })
}
