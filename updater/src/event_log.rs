// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happened on this system, for people and collectors: RAUC's event log.
//!
//! Each event goes to the journal, or where there is none to the program's standard error output,
//! and to every file of a `[log.NAME]` section that wants its kind. A log that cannot be written
//! never stops an act: a file that fails is switched off for this process, and that is told once.

mod event;
mod file;
mod format;
mod journal;

pub use event::{Event, EventKind, InstallEnd};
use format::format_event;
pub use journal::JOURNAL_SOCKET;

use crate::{EventLogSection, LogFormat};
use bootctl::Timestamp;
use file::LogFile;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

/// Where events go.
pub struct EventLog {
    journal: Option<PathBuf>,
    fallback: Box<dyn Write + Send>,
    files: Vec<LogFile>,
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventLog")
            .field("journal", &self.journal)
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

impl EventLog {
    /// Opens the files of `sections`; `journal` is the socket of the journal ([`JOURNAL_SOCKET`]),
    /// `fallback` gets a line per event while there is none. Gives back what cannot be used.
    pub fn open(
        sections: &BTreeMap<String, EventLogSection>,
        journal: Option<PathBuf>,
        fallback: Box<dyn Write + Send>,
    ) -> (Self, Vec<String>) {
        let mut files = Vec::new();
        let mut troubles = Vec::new();
        for (name, section) in sections {
            match LogFile::open(name, section) {
                Ok(file) => files.push(file),
                Err(source) => troubles.push(format!(
                    "Failed to open log file '{}' for appending: {source}; deactivating broken logger '{name}'",
                    section.filename.display()
                )),
            }
        }
        (Self { journal, fallback, files }, troubles)
    }

    /// A log that keeps nothing.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { journal: None, fallback: Box::new(std::io::sink()), files: Vec::new() }
    }

    /// Writes an event everywhere it belongs. Gives back what was switched off for it.
    pub fn write(&mut self, event: &Event, at: Timestamp) -> Vec<String> {
        let sent = self.journal.as_deref().is_some_and(|socket| journal::send(socket, event));
        if !sent {
            let line = format_event(event, at, LogFormat::Short);
            // Nobody is left to be told that nobody can be told.
            let _ = writeln!(self.fallback, "rauc-event: {line}");
        }
        let mut troubles = Vec::new();
        self.files.retain_mut(|file| match file.write(event, at) {
            Ok(()) => true,
            Err(source) => {
                troubles.push(format!(
                    "Failed to write log file '{}': {source}; deactivating broken logger '{}'",
                    file.path().display(),
                    file.name()
                ));
                false
            }
        });
        troubles
    }
}
