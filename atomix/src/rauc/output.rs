// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does the text of `rauc` go? Data to the standard output, notes and errors to the other,
//! as GLib marks them.

use crate::terminal::Tame;
use std::io::{self, IsTerminal, Write};

/// The two streams of a command.
pub struct Streams<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Whether the standard output is a terminal.
    pub is_terminal: bool,
}

impl<'a> Streams<'a> {
    /// Writes to `out` and `err`.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        Self { out, err, is_terminal: io::stdout().is_terminal() }
    }

    // When a stream is gone there is nobody left to tell, and the work goes on all the same.

    /// A line of data, with its colours.
    pub fn print(&mut self, line: &str) {
        let _ = writeln!(self.out, "{line}").and_then(|()| self.out.flush());
    }

    /// Text as it is.
    pub fn print_raw(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }

    /// A line for people; what steers a terminal is shown in it.
    pub fn complain(&mut self, line: &str) {
        let _ = writeln!(Tame::new(self.err), "{line}");
    }

    /// A line of the log.
    pub fn note(&mut self, line: &str) {
        self.complain(&format!("rauc-Message: {}", indented(line)));
    }

    /// A warning of the log.
    pub fn warn(&mut self, line: &str) {
        self.complain(&format!("rauc-WARNING **: {}", indented(line)));
    }
}

/// Words of a program or a bundle in it must not pass for a line of the log.
fn indented(line: &str) -> String {
    line.replace('\n', "\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_make_no_line_of_the_log_and_steer_no_terminal() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        Streams::new(&mut out, &mut err).warn("one\nrauc-Message: two\x1b[2J");
        let told = String::from_utf8(err).unwrap();
        assert_eq!(told, "rauc-WARNING **: one\n  rauc-Message: two\\u001b[2J\n");
        assert!(out.is_empty());
    }
}
