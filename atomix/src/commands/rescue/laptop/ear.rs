// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which lines did the board say, and what stands in the one that it has not ended? Pure, and
//! bounded whatever comes: of a line only its beginning is kept.
//!
//! Escape sequences are dropped: U-Boot sends one in front of its first prompt.

/// Longest line that is looked at; a variable's value is at most a few hundred characters.
const LINE_MAX_BYTES: usize = 4096;

/// Makes lines of bytes.
#[derive(Debug, Default)]
pub struct Ear {
    line: Vec<u8>,
    escape: Escape,
}

/// Where in an escape sequence the board is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    #[default]
    Outside,
    /// After the escape itself.
    Begun,
    /// In one that is ended by a letter.
    Inside,
}

impl Ear {
    /// Takes a byte; the line that it ends, if it does.
    pub fn hear(&mut self, byte: u8) -> Option<String> {
        match (self.escape, byte) {
            (_, 0x1b) => self.escape = Escape::Begun,
            (Escape::Begun, b'[') => self.escape = Escape::Inside,
            (Escape::Begun, _) | (Escape::Inside, 0x40..=0x7e) => self.escape = Escape::Outside,
            (Escape::Inside, 0x20..=0x3f) => {}
            // No sequence goes on like this.
            (Escape::Inside | Escape::Outside, _) => {
                self.escape = Escape::Outside;
                return self.keep(byte);
            }
        }
        None
    }

    fn keep(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\n' => {
                let line = self.open();
                self.line.clear();
                return Some(line);
            }
            b'\r' => {}
            // As a terminal shows it: U-Boot counts down over the same digits.
            0x08 => {
                self.line.pop();
            }
            _ if self.line.len() < LINE_MAX_BYTES => self.line.push(byte),
            _ => {}
        }
        None
    }

    /// The line so far.
    #[must_use]
    pub fn open(&self) -> String {
        String::from_utf8_lossy(&self.line).into_owned()
    }

    /// Whether the open line is U-Boot's prompt and nothing else.
    #[must_use]
    pub fn is_at_prompt(&self) -> bool {
        self.line == PROMPT.as_bytes()
    }
}

/// U-Boot's prompt.
pub const PROMPT: &str = "=> ";

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8]) -> (Vec<String>, String) {
        let mut ear = Ear::default();
        let lines = bytes.iter().filter_map(|byte| ear.hear(*byte)).collect();
        (lines, ear.open())
    }

    #[test]
    fn escape_sequences_are_dropped_and_a_torn_one_hides_nothing_behind_it() {
        let (said, open) = lines(b"\x1b[?25h\r\n\x1b[31mred\x1b[0m\r\n\x1bcx\n\x1b[12\ny\n=> ");
        assert_eq!(said, ["", "red", "x", "", "y"]);
        assert_eq!(open, "=> ");
    }

    #[test]
    fn of_a_line_without_an_end_only_the_beginning_is_kept() {
        let mut ear = Ear::default();
        for _ in 0..10_000_000 {
            assert_eq!(ear.hear(b'x'), None);
        }
        assert_eq!(ear.open().len(), LINE_MAX_BYTES);
        assert!(ear.line.capacity() <= 2 * LINE_MAX_BYTES);
    }
}
