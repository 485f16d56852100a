// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is the record of a line kept? In a file that is only added to, piece by piece and without
//! a buffer, so that it is whole whatever ends this program.
//!
//! A board that talks for weeks does not fill the disk: a file that has reached its size becomes
//! `FILE.1`, in the place of the one before, and a new one begins.

use super::error::LineError;
use super::record::{Piece, Recorder};
use super::stamp::Stamp;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use storage::ByteLen;

/// The record of a line.
#[derive(Debug)]
pub struct LineLog {
    path: PathBuf,
    file: File,
    len: u64,
    max: ByteLen,
    recorder: Recorder,
}

impl LineLog {
    /// Adds to `path`, which is made if it is not there; at most `max` in it, and as much in the
    /// file before it.
    ///
    /// # Errors
    /// [`LineError::Log`].
    pub fn open(path: &Path, max: ByteLen) -> Result<Self, LineError> {
        let (file, len) = open(path)?;
        let recorder = Recorder::default();
        let mut log = Self { path: path.to_owned(), file, len, max, recorder };
        if log.ends_within_a_line()? {
            log.write(&[Piece::End])?;
        }
        Ok(log)
    }

    /// Writes down what was heard.
    ///
    /// # Errors
    /// [`LineError::Log`], when the disk is full for example.
    pub fn hear(&mut self, at: Stamp, bytes: &[u8]) -> Result<(), LineError> {
        let pieces = self.recorder.hear(at, bytes);
        self.write(&pieces)
    }

    /// Writes down a line of ours, marked so that it is not taken for the board's.
    ///
    /// # Errors
    /// [`LineError::Log`].
    pub fn note(&mut self, at: Stamp, text: &str) -> Result<(), LineError> {
        let open = self.recorder.break_line(at);
        self.write(&open)?;
        let text = crate::terminal::one_line(text);
        self.write(&[Piece::Text(format!("{at} # {text}")), Piece::End])
    }

    /// As one does whose writer was killed.
    fn ends_within_a_line(&self) -> Result<bool, LineError> {
        let Some(last) = self.len.checked_sub(1) else { return Ok(false) };
        let mut byte = [0];
        let read = self.file.read_exact_at(&mut byte, last);
        read.map_err(|source| self.failed("read", source))?;
        Ok(byte != [b'\n'])
    }

    fn write(&mut self, pieces: &[Piece]) -> Result<(), LineError> {
        for piece in pieces {
            if matches!(piece, Piece::Begin { .. }) && self.len >= self.max.get() {
                self.rotate()?;
            }
            let text = as_text(piece);
            self.len = self.len.saturating_add(text.len() as u64);
            self.file.write_all(text.as_bytes()).map_err(|source| self.failed("write", source))?;
        }
        Ok(())
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a log: what a power cut costs is its last lines"
    )]
    fn rotate(&mut self) -> Result<(), LineError> {
        let mut before = self.path.clone().into_os_string();
        before.push(".1");
        std::fs::rename(&self.path, &before).map_err(|source| self.failed("rename", source))?;
        (self.file, self.len) = open(&self.path)?;
        Ok(())
    }

    fn failed(&self, act: &'static str, source: std::io::Error) -> LineError {
        LineError::Log { act, path: self.path.clone(), source }
    }
}

/// A piece as it stands in the file and on the screen.
#[must_use]
pub fn as_text(piece: &Piece) -> String {
    match piece {
        Piece::Begin { at, goes_on } => format!("{at} {} ", if *goes_on { '+' } else { '|' }),
        Piece::Text(text) => text.clone(),
        Piece::End => "\n".to_owned(),
    }
}

fn open(path: &Path) -> Result<(File, u64), LineError> {
    let failed = |source| LineError::Log { act: "open", path: path.to_owned(), source };
    let file =
        OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    Ok((file, len))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;
    use std::time::Duration;

    const AT: Stamp = Stamp { unix_millis: 0, since_start: Duration::ZERO };

    #[test]
    fn a_full_log_becomes_the_one_before_and_no_line_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("line.log");
        let mut log = LineLog::open(&path, ByteLen::new(1000)).unwrap();
        for number in 0..100 {
            log.hear(AT, format!("line {number}\r\n").as_bytes()).unwrap();
        }
        let now = std::fs::read_to_string(&path).unwrap();
        let before = std::fs::read_to_string(dir.path().join("line.log.1")).unwrap();
        assert!(now.ends_with("line 99\n") && now.len() < 1100, "{}", now.len());
        assert!((1000..1100).contains(&before.len()), "{}", before.len());
        let kept = before + &now;
        assert!(kept.lines().all(|line| line.contains(" | line ")), "{kept}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_log_is_added_to_and_a_note_stands_in_a_line_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("line.log");
        for _ in 0..2 {
            let mut log = LineLog::open(&path, ByteLen::mib(1)).unwrap();
            log.hear(AT, b"=> ").unwrap();
            log.note(AT, "sent reset\n").unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let once = "1970-01-01T00:00:00.000Z     0.000 | => \n\
                    1970-01-01T00:00:00.000Z     0.000 # sent reset\\u000a\n";
        assert_eq!(text, once.repeat(2));
    }

    #[test]
    fn a_log_whose_writer_was_killed_goes_on_in_a_line_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("line.log");
        for _ in 0..2 {
            LineLog::open(&path, ByteLen::mib(1)).unwrap().hear(AT, b"=> ").unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let line = "1970-01-01T00:00:00.000Z     0.000 | => ";
        assert_eq!(text, format!("{line}\n{line}"));
    }
}
