// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the line say, as lines of text that steer nothing? Pure: bytes and moments in, pieces
//! of text out, each byte's piece at once, so whoever writes the pieces down loses nothing when
//! he is killed.
//!
//! Control characters are shown (`\x1b`), a carriage return before a line end is dropped, bytes
//! that are no UTF-8 are shown one by one. A line without an end is cut at [`LINE_MAX_CHARS`].

use super::stamp::Stamp;
use crate::terminal::one_line;

/// Longest line; a board that never ends its line must not fill memory, here or in an editor.
const LINE_MAX_CHARS: usize = 4096;

/// A piece of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// A line begins.
    Begin {
        /// With the moment of its first byte.
        at: Stamp,
        /// It goes on with a line that was cut.
        goes_on: bool,
    },
    /// More of the line.
    Text(String),
    /// It ended.
    End,
}

/// Makes lines of bytes.
#[derive(Debug, Default)]
pub struct Recorder {
    /// Characters in the line so far; `None` between lines.
    chars: Option<usize>,
    /// The line before was cut.
    was_cut: bool,
    /// A carriage return that may belong to a line end.
    returned: bool,
    /// The begin of a character of several bytes; four at most.
    begun: Vec<u8>,
}

impl Recorder {
    /// What `bytes`, heard at `at`, add to the record.
    pub fn hear(&mut self, at: Stamp, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for byte in bytes {
            self.take(at, *byte, &mut pieces);
        }
        pieces
    }

    /// Ends the line that is open, if one is: what comes next is something else.
    pub fn break_line(&mut self, at: Stamp) -> Vec<Piece> {
        let mut pieces = Vec::new();
        self.give_up_character(at, &mut pieces);
        self.show_return(at, &mut pieces);
        if self.chars.take().is_some() {
            pieces.push(Piece::End);
        }
        self.was_cut = false;
        pieces
    }

    fn take(&mut self, at: Stamp, byte: u8, pieces: &mut Vec<Piece>) {
        if byte.is_ascii() {
            self.give_up_character(at, pieces);
        }
        match byte {
            b'\n' => {
                self.returned = false;
                self.begin(at, pieces);
                self.chars = None;
                self.was_cut = false;
                pieces.push(Piece::End);
            }
            // Some consoles send two of them.
            b'\r' => self.returned = true,
            b'\t' | b' '..=b'~' => {
                self.show_return(at, pieces);
                self.show(at, char::from(byte).to_string(), pieces);
            }
            0..=0x1f | 0x7f => {
                self.show_return(at, pieces);
                self.show(at, format!("\\x{byte:02x}"), pieces);
            }
            0x80..=0xff => {
                self.show_return(at, pieces);
                self.take_part(at, byte, pieces);
            }
        }
    }

    /// A byte of a character of several bytes.
    fn take_part(&mut self, at: Stamp, byte: u8, pieces: &mut Vec<Piece>) {
        let begins = byte >= 0xc0;
        if begins {
            self.give_up_character(at, pieces);
        }
        self.begun.push(byte);
        match std::str::from_utf8(&self.begun) {
            Ok(character) => {
                let shown = one_line(character);
                self.begun.clear();
                self.show(at, shown, pieces);
            }
            // It may still become one.
            Err(cause) if cause.error_len().is_none() => {}
            Err(_) => self.give_up_character(at, pieces),
        }
    }

    fn give_up_character(&mut self, at: Stamp, pieces: &mut Vec<Piece>) {
        for byte in std::mem::take(&mut self.begun) {
            self.show(at, format!("\\x{byte:02x}"), pieces);
        }
    }

    fn show_return(&mut self, at: Stamp, pieces: &mut Vec<Piece>) {
        if std::mem::take(&mut self.returned) {
            self.show(at, "\\x0d".to_owned(), pieces);
        }
    }

    fn show(&mut self, at: Stamp, text: String, pieces: &mut Vec<Piece>) {
        if self.chars.is_some_and(|chars| chars >= LINE_MAX_CHARS) {
            pieces.push(Piece::End);
            self.chars = None;
            self.was_cut = true;
        }
        self.begin(at, pieces);
        self.chars = Some(self.chars.unwrap_or_default() + text.chars().count());
        match pieces.last_mut() {
            Some(Piece::Text(before)) => before.push_str(&text),
            Some(Piece::Begin { .. } | Piece::End) | None => pieces.push(Piece::Text(text)),
        }
    }

    fn begin(&mut self, at: Stamp, pieces: &mut Vec<Piece>) {
        if self.chars.is_none() {
            let goes_on = std::mem::take(&mut self.was_cut);
            pieces.push(Piece::Begin { at, goes_on });
            self.chars = Some(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(millis: u64) -> Stamp {
        Stamp { unix_millis: millis, since_start: Duration::from_millis(millis) }
    }

    /// The text of the record, each line with the millisecond of its first byte.
    fn shown(pieces: &[Piece]) -> String {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Begin { at, goes_on } => {
                    format!("{}{}", at.unix_millis, if *goes_on { "+" } else { " " })
                }
                Piece::Text(text) => text.clone(),
                Piece::End => "\n".to_owned(),
            })
            .collect()
    }

    fn recorded(bytes: &[u8]) -> String {
        shown(&Recorder::default().hear(at(7), bytes))
    }

    #[test]
    fn what_steers_a_terminal_is_shown_and_text_stays_text() {
        let hostile = b"a\x1b[2J\x07b\x7f \xff\xe2\x82\xac \xc3( \xe2\x80\xae\tz\r\n";
        let wanted = "7 a\\x1b[2J\\x07b\\x7f \\xff\u{20ac} \\xc3( \\u202e\tz\n";
        assert_eq!(recorded(hostile), wanted);
    }

    #[test]
    fn only_a_carriage_return_before_a_line_end_is_dropped() {
        assert_eq!(recorded(b"1 %\r2 %\r\r\n\n"), "7 1 %\\x0d2 %\n7 \n");
    }

    /// The pieces of one read are there before the next read: nothing waits for a line's end.
    #[test]
    fn each_line_has_the_moment_of_its_first_byte_and_no_byte_waits() {
        let mut recorder = Recorder::default();
        assert_eq!(shown(&recorder.hear(at(1), b"=> ")), "1 => ");
        assert_eq!(shown(&recorder.hear(at(2), b"boot\r\nStarting")), "boot\n2 Starting");
        assert_eq!(shown(&recorder.break_line(at(3))), "\n");
        assert_eq!(shown(&recorder.break_line(at(3))), "");
        assert_eq!(shown(&recorder.hear(at(4), b" kernel")), "4  kernel");
    }

    #[test]
    fn a_character_in_two_reads_is_one_character() {
        let mut recorder = Recorder::default();
        let first = shown(&recorder.hear(at(1), b"\xe2\x82"));
        assert_eq!(first + &shown(&recorder.hear(at(2), b"\xac")), "2 \u{20ac}");
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_nothing_of_it_is_kept() {
        let mut recorder = Recorder::default();
        let mut lines = 1;
        for _ in 0..1000 {
            let pieces = recorder.hear(at(1), &[b'x'; 1000]);
            lines += pieces.iter().filter(|piece| **piece == Piece::End).count();
        }
        assert_eq!(lines, 1_000_000 / LINE_MAX_CHARS + 1);
        assert!(recorder.begun.capacity() < 64);
    }
}
