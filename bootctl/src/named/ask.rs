// SPDX-License-Identifier: MIT OR Apache-2.0
//! Asks and tells a boot loader's program, with RAUC's words for what goes wrong.

use super::warnings::Warnings;
use super::{NamedError, NamedFailure, NamedHost, NamedSlot};
use crate::boot_programs::{ProgramEnd, ProgramOutput};
use std::ffi::OsStr;

/// Most characters of a program's words or of an odd value that a message repeats.
const SHOWN_MAX: usize = 200;

/// A backend's hands: its machine, its slots and its name in messages.
pub(super) struct Asker {
    backend: &'static str,
    pub(super) host: Box<dyn NamedHost>,
    pub(super) slots: Vec<NamedSlot>,
    warnings: Warnings,
}

impl Asker {
    pub(super) fn new(
        backend: &'static str,
        host: Box<dyn NamedHost>,
        slots: Vec<NamedSlot>,
    ) -> Self {
        Self { backend, host, slots, warnings: Warnings::default() }
    }

    pub(super) const fn backend(&self) -> &'static str {
        self.backend
    }

    pub(super) const fn failed(&self, failure: NamedFailure) -> NamedError {
        NamedError::new(self.backend, failure)
    }

    pub(super) const fn odd(&self, what: String) -> NamedError {
        self.failed(NamedFailure::Parse { what })
    }

    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.add(warning);
    }

    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        self.warnings.take()
    }

    /// The configured slot of that name.
    pub(super) fn slot(&self, bootname: &str) -> Option<&NamedSlot> {
        self.slots.iter().find(|slot| slot.bootname == bootname)
    }

    fn ran(&mut self, program: &OsStr, arguments: &[&str]) -> Result<ProgramOutput, NamedError> {
        let ran = self.host.run(program, arguments).map_err(|source| {
            let program = program.to_string_lossy().into_owned();
            self.failed(NamedFailure::Start { program, source })
        })?;
        // What it says without failing is for people too: that an environment is not intact.
        if ran.end == ProgramEnd::Exited(0) && !ran.stderr.is_empty() {
            let said = format!("{}: {}", program.display(), shown(&ran.stderr));
            self.warnings.add_lasting(said);
        }
        Ok(ran)
    }

    /// What a program answers.
    pub(super) fn get(
        &mut self,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
    ) -> Result<String, NamedError> {
        let program = program.as_ref();
        let ran = self.ran(program, arguments)?;
        let name = program.display();
        let what = match ran.end {
            ProgramEnd::Exited(0) => {
                return Ok(String::from_utf8_lossy(&ran.stdout).into_owned());
            }
            ProgramEnd::Exited(code) => format!("{name} failed with exit code: {code}"),
            ProgramEnd::Signalled(_) => format!("{name} did not exit normally"),
            ProgramEnd::Late(secs) => {
                let what = format!("Failed to run {name}: no end after {secs} seconds");
                return Err(self.failed(NamedFailure::Late { what }));
            }
        };
        Err(self.failed(NamedFailure::Failed { what: with_words(what, &ran.stderr) }))
    }

    /// Has a program do something.
    pub(super) fn tell(
        &mut self,
        program: impl AsRef<OsStr>,
        arguments: &[&str],
    ) -> Result<(), NamedError> {
        let program = program.as_ref();
        let ran = self.ran(program, arguments)?;
        let how = match ran.end {
            ProgramEnd::Exited(0) => return Ok(()),
            ProgramEnd::Exited(code) => format!("Child process exited with code {code}"),
            ProgramEnd::Signalled(signal) => format!("Child process killed by signal {signal}"),
            ProgramEnd::Late(secs) => {
                let program = program.display();
                let what = format!("Failed to run {program}: no end after {secs} seconds");
                return Err(self.failed(NamedFailure::Late { what }));
            }
        };
        let what = format!("Failed to run {}: {how}", program.display());
        Err(self.failed(NamedFailure::Failed { what: with_words(what, &ran.stderr) }))
    }
}

fn with_words(what: String, stderr: &str) -> String {
    if stderr.is_empty() { what } else { format!("{what} ({})", shown(stderr)) }
}

/// Text from outside as a message may repeat it: short, and without what moves a cursor.
pub(super) fn shown(text: &str) -> String {
    let plain = text.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    plain.take(SHOWN_MAX).collect()
}
