// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file of the event log: which events it takes, and when it is rotated.
//!
//! `FILE` becomes `FILE.1`, `FILE.1` becomes `FILE.2`, and so on; `max-files` counts the live one.
//! A log is appended to and not replaced whole as the small files of [`storage::Files`] are: a cut
//! may cost its last event, which is what a log may lose.

use super::{Event, format_event};
use crate::{EventLogSection, LogFormat};
use bootctl::Timestamp;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use storage::ByteLen;

#[derive(Debug)]
pub(super) struct LogFile {
    name: String,
    path: PathBuf,
    format: LogFormat,
    events: Vec<String>,
    max_size: ByteLen,
    max_files: u64,
    file: File,
    size: u64,
}

impl LogFile {
    pub fn open(name: &str, section: &EventLogSection) -> io::Result<Self> {
        let file = append_to(&section.filename)?;
        let size = file.metadata()?.len();
        Ok(Self {
            name: name.to_owned(),
            path: section.filename.clone(),
            format: section.format,
            events: section.events.clone(),
            max_size: section.max_size,
            max_files: section.max_files,
            file,
            size,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn takes(&self, event: &Event) -> bool {
        let all = self.events.iter().any(|kind| kind == "all");
        all || self.events.iter().any(|kind| kind == event.kind.name())
    }

    pub fn write(&mut self, event: &Event, at: Timestamp) -> io::Result<()> {
        if !self.takes(event) {
            return Ok(());
        }
        let mut text = format_event(event, at, self.format);
        text.push('\n');
        let len = text.len() as u64;
        // An event larger than the limit is written all the same, into a file of its own.
        if self.max_size > ByteLen::ZERO && self.size > 0 && self.size + len > self.max_size.get() {
            self.rotate()?;
        }
        self.file.write_all(text.as_bytes())?;
        self.size += len;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.max_files).rev() {
            let from = if number == 1 { self.path.clone() } else { self.numbered(number - 1) };
            match rename(&from, &self.numbered(number)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        if self.max_files <= 1 {
            self.file.set_len(0)?;
        }
        self.file = append_to(&self.path)?;
        self.size = 0;
        Ok(())
    }

    fn numbered(&self, number: u64) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[expect(clippy::disallowed_methods, reason = "old log files need not survive a cut")]
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::{EventKind, EventLog};
    use std::collections::BTreeMap;

    fn section(path: PathBuf, max_size: u64, max_files: u64) -> EventLogSection {
        EventLogSection {
            filename: path,
            format: LogFormat::Short,
            events: vec!["all".to_owned()],
            max_size: ByteLen::new(max_size),
            max_files,
        }
    }

    fn text(path: &Path) -> Option<String> {
        #[expect(clippy::disallowed_methods, reason = "a small file of the test")]
        std::fs::read_to_string(path).ok()
    }

    fn event(message: &str) -> Event {
        Event::plain(EventKind::Mark, message)
    }

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let numbered = |n: u8| text(&dir.path().join(format!("log.{n}")));
        // Each line is 24 bytes; two do not fit.
        let mut file = LogFile::open("x", &section(path.clone(), 30, 3)).unwrap();
        for message in ["1", "2", "3", "4"] {
            file.write(&event(message), Timestamp::UNKNOWN).unwrap();
        }
        let line = |message: &str| Some(format!("1970-01-01T00:00:00Z: {message}\n"));
        assert_eq!((text(&path), numbered(1), numbered(2)), (line("4"), line("3"), line("2")));
        assert_eq!(numbered(3), None);
        // What is there counts when the file is opened again.
        let mut file = LogFile::open("x", &section(path.clone(), 30, 1)).unwrap();
        file.write(&event("5"), Timestamp::UNKNOWN).unwrap();
        assert_eq!((text(&path), numbered(1)), (line("5"), line("3")));
    }

    #[test]
    fn files_take_only_their_kinds_and_a_failing_one_is_switched_off_once() {
        let dir = tempfile::tempdir().unwrap();
        let marks = dir.path().join("marks");
        let mut sections = BTreeMap::from([
            ("boots".to_owned(), section(dir.path().join("boots"), 0, 1)),
            ("full".to_owned(), section("/dev/full".into(), 0, 1)),
            ("marks".to_owned(), section(marks.clone(), 0, 1)),
            ("nowhere".to_owned(), section(dir.path().join("no/such"), 0, 1)),
        ]);
        sections.get_mut("boots").unwrap().events = vec!["boot".to_owned()];
        let (mut log, troubles) = EventLog::open(&sections, None, Box::new(io::sink()));
        assert_eq!(troubles.len(), 1);
        assert!(troubles[0].contains("'nowhere'"), "{troubles:?}");
        let first = log.write(&event("one"), Timestamp::UNKNOWN);
        assert!(first.len() == 1 && first[0].contains("/dev/full"), "{first:?}");
        assert!(log.write(&event("two"), Timestamp::UNKNOWN).is_empty());
        assert_eq!(text(&dir.path().join("boots")).unwrap(), "");
        assert_eq!(text(&marks).unwrap().lines().count(), 2);
    }
}
