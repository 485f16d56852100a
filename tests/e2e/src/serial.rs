// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the line say, and when? Bytes from a reader, kept in a log with the seconds since the
//! start before each line, and searched in order by whoever waits for something.

use anyhow::{Context as _, Result, bail, ensure};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Lines shown when what was waited for does not come.
const TAIL_LINES: usize = 25;

/// One line in both directions.
pub struct Serial {
    log: PathBuf,
    shared: Arc<Shared>,
    writer: Box<dyn Write + Send>,
    /// What was found already ends here.
    at: usize,
}

#[derive(Default)]
struct Shared {
    heard: Mutex<Heard>,
    more: Condvar,
}

#[derive(Default)]
struct Heard {
    text: String,
    lines: Vec<Line>,
    ended: bool,
}

/// One line as it was heard.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Seconds since the start when its first byte came.
    pub secs: f64,
    /// Without its end.
    pub text: String,
    /// What the listener knew at its end.
    pub note: Option<String>,
    /// Where it ends in everything heard.
    end: usize,
}

/// Asked at the end of each line: what is worth keeping beside it?
pub type Annotate = Box<dyn FnMut(&str) -> Option<String> + Send>;

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        // A reader that died has left whole lines.
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts what comes into lines and keeps them in the log.
struct Listener {
    file: File,
    annotate: Annotate,
    /// The line whose end has not come.
    open: Option<Line>,
    /// How much was heard.
    heard: usize,
}

impl Listener {
    /// The lines that end in `text`.
    fn hear(&mut self, text: &str, secs: f64) -> Vec<Line> {
        let mut ended = Vec::new();
        for piece in text.split_inclusive('\n') {
            // What cannot be logged can still be waited for.
            let _ = match &self.open {
                None => write!(self.file, "[{secs:8.3}] {piece}"),
                Some(_) => write!(self.file, "{piece}"),
            };
            let fresh = || Line { secs, text: String::new(), note: None, end: 0 };
            let line = self.open.get_or_insert_with(fresh);
            line.text.push_str(piece.trim_end_matches('\n'));
            self.heard += piece.len();
            line.end = self.heard;
            if piece.ends_with('\n')
                && let Some(mut line) = self.open.take()
            {
                line.note = (self.annotate)(&line.text);
                ended.push(line);
            }
        }
        ended
    }
}

impl Serial {
    /// Listens to `reader` from now on; `start` is second 0 of the log.
    ///
    /// # Errors
    /// When the log cannot be made.
    pub fn new(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        log: &Path,
        start: Instant,
    ) -> Result<Self> {
        Self::annotated(reader, writer, log, start, Box::new(|_| None))
    }

    /// As [`Serial::new`]; `annotate` is asked at the end of each line, while its speaker goes on.
    ///
    /// # Errors
    /// As [`Serial::new`].
    pub fn annotated(
        mut reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        log: &Path,
        start: Instant,
        annotate: Annotate,
    ) -> Result<Self> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let mut listener = Listener { file, annotate, open: None, heard: 0 };
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let bytes = buffer.get(..count).unwrap_or_default();
                let text = String::from_utf8_lossy(bytes).replace('\r', "");
                let lines = listener.hear(&text, start.elapsed().as_secs_f64());
                let mut heard = theirs.heard();
                heard.text.push_str(&text);
                heard.lines.extend(lines);
                drop(heard);
                theirs.more.notify_all();
            }
            let mut heard = theirs.heard();
            heard.lines.extend(listener.open.take());
            heard.ended = true;
            drop(heard);
            theirs.more.notify_all();
        });
        Ok(Self { log: log.to_owned(), shared, writer: Box::new(writer), at: 0 })
    }

    /// Waits until `wanted` comes, and returns what came before it since the last find.
    ///
    /// # Errors
    /// When it does not come in time or the line ends; with the last lines heard.
    pub fn expect(&mut self, wanted: &str, within: Duration) -> Result<String> {
        let (_, before) = self.expect_any(&[wanted], within)?;
        Ok(before)
    }

    /// Waits until one of `wanted` comes: which one, and what came before it.
    ///
    /// # Errors
    /// As [`Serial::expect`].
    pub fn expect_any(&mut self, wanted: &[&str], within: Duration) -> Result<(usize, String)> {
        let end = Instant::now() + within;
        let mut heard = self.shared.heard();
        loop {
            let new = heard.text.get(self.at..).unwrap_or_default();
            let hits = wanted
                .iter()
                .enumerate()
                .filter_map(|(index, one)| new.find(one).map(|place| (place, index, one.len())));
            if let Some((place, index, len)) = hits.min() {
                let before = new.get(..place).unwrap_or_default().to_owned();
                self.at += place + len;
                return Ok((index, before));
            }
            let left = end.saturating_duration_since(Instant::now());
            if heard.ended || left.is_zero() {
                let why = if heard.ended { "the line ended" } else { "time is up" };
                let lines: Vec<&str> = new.lines().collect();
                let tail = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
                bail!(
                    "{wanted:?} did not come within {within:?}, {why}; {}:\n{}",
                    self.log.display(),
                    tail.join("\n")
                );
            }
            heard = self
                .shared
                .more
                .wait_timeout(heard, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(heard, _)| heard);
        }
    }

    /// Everything heard so far.
    #[must_use]
    pub fn text(&self) -> String {
        self.shared.heard().text.clone()
    }

    /// The whole lines heard so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.shared.heard().lines.clone()
    }

    /// When the line came with which the last find ended.
    #[must_use]
    pub fn found_at(&self) -> f64 {
        let heard = self.shared.heard();
        let line = heard.lines.iter().find(|line| line.end >= self.at);
        // One that has not ended yet is younger than the last that has.
        line.or(heard.lines.last()).map_or(0.0, |line| line.secs)
    }

    /// Waits for a whole line that begins so and came at second `since` or later; earlier ones
    /// are passed over.
    ///
    /// # Errors
    /// When none comes in time or the line ends.
    pub fn expect_line(&mut self, begin: &str, since: f64, within: Duration) -> Result<()> {
        let end = Instant::now() + within;
        let mut heard = self.shared.heard();
        loop {
            let wanted = |line: &&Line| {
                line.secs >= since && line.end > self.at && line.text.starts_with(begin)
            };
            if let Some(line) = heard.lines.iter().find(wanted) {
                self.at = line.end;
                return Ok(());
            }
            let left = end.saturating_duration_since(Instant::now());
            ensure!(
                !heard.ended && !left.is_zero(),
                "no line {begin:?} came within {within:?} after second {since:.1}; {}",
                self.log.display()
            );
            let waited = self.shared.more.wait_timeout(heard, left);
            heard = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(heard, _)| heard);
        }
    }

    /// Waits until the other end is gone.
    ///
    /// # Errors
    /// When it does not go in time.
    pub fn await_end(&self, within: Duration) -> Result<()> {
        let wait =
            self.shared.more.wait_timeout_while(self.shared.heard(), within, |heard| !heard.ended);
        let (heard, _) = wait.unwrap_or_else(PoisonError::into_inner);
        ensure!(heard.ended, "{}: the line has not ended within {within:?}", self.log.display());
        Ok(())
    }

    /// Says something.
    ///
    /// # Errors
    /// When the other end is gone.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.writer.write_all(text.as_bytes())?;
        self.writer.flush()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hearing(text: &'static str) -> Serial {
        let log =
            std::env::temp_dir().join(format!("e2e-serial-{}-{}", std::process::id(), text.len()));
        let serial = Serial::new(text.as_bytes(), std::io::sink(), &log, Instant::now()).unwrap();
        std::fs::remove_file(log).unwrap();
        serial
    }

    #[test]
    fn what_was_found_is_not_found_again() {
        let mut serial = hearing("boot\r\nslot A\r\nslot B\r\n");
        let minute = Duration::from_secs(60);
        assert_eq!(serial.expect("slot ", minute).unwrap(), "boot\n");
        assert_eq!(serial.expect_any(&["C", "B", "A"], minute).unwrap(), (2, String::new()));
        assert_eq!(serial.expect("slot ", minute).unwrap(), "\n");
        let missed = serial.expect("slot ", minute).unwrap_err().to_string();
        assert!(missed.contains("the line ended"), "{missed}");
    }

    #[test]
    fn each_line_is_kept_with_what_was_known_at_its_end() {
        let log = std::env::temp_dir().join(format!("e2e-lines-{}", std::process::id()));
        let annotate: Annotate = Box::new(|line| line.strip_prefix("slot ").map(str::to_owned));
        let text: &[u8] = b"boot\r\nslot A\r\nhalf";
        let serial =
            Serial::annotated(text, std::io::sink(), &log, Instant::now(), annotate).unwrap();
        serial.await_end(Duration::from_secs(60)).unwrap();
        std::fs::remove_file(log).unwrap();
        let lines: Vec<_> = serial.lines().into_iter().map(|line| (line.text, line.note)).collect();
        let known = |text: &str, note: Option<&str>| (text.to_owned(), note.map(str::to_owned));
        assert_eq!(lines, [known("boot", None), known("slot A", Some("A")), known("half", None)]);
    }

    #[test]
    fn a_line_of_an_earlier_boot_is_not_taken_for_one_of_this() {
        let (mut theirs, ours) = std::os::unix::net::UnixStream::pair().unwrap();
        let log = std::env::temp_dir().join(format!("e2e-since-{}", std::process::id()));
        let mut serial = Serial::new(ours, std::io::sink(), &log, Instant::now()).unwrap();
        std::fs::remove_file(log).unwrap();
        let minute = Duration::from_secs(60);
        theirs.write_all(b"READY 1\nslot B\n").unwrap();
        serial.expect("slot B\n", minute).unwrap();
        let since = serial.found_at();
        assert!(since > 0.0);
        theirs.write_all(b"READY 2\nrest\n").unwrap();
        serial.expect_line("READY", since, minute).unwrap();
        assert_eq!(serial.expect("rest", minute).unwrap(), "");
        drop(theirs);
        assert!(serial.expect_line("READY", since, minute).is_err());
    }
}
