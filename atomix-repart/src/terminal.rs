// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may a foreign text do to the terminal that shows it?
//!
//! Versions, descriptions and causes come from bundles, from the environment and from the flight
//! recorder; whoever wrote them may have put escape sequences, a carriage return or a change of
//! the reading direction into them. [`Tame`] stands before both streams of the program, so that
//! nothing printed can steer a terminal, whichever command prints it. [`one_line`] is for values:
//! only where a value is put into a line is it known that its line ends are not ours.
//!
//! What is dangerous, or what nobody would see, is shown as `\u001b`, in UTF-16 as JSON has it: there
//! it is the very character again.

use std::fmt::Write as _;
use std::io::{self, Write};
use storage::is_unseen;

/// Columns of a serial console.
const COLUMNS: usize = 80;

/// Passes text on; control characters other than line end and tab are shown, not sent.
pub struct Tame<'a>(&'a mut dyn Write);

impl<'a> Tame<'a> {
    /// Stands before `to`.
    pub fn new(to: &'a mut dyn Write) -> Self {
        Self(to)
    }
}

impl Write for Tame<'_> {
    /// Formatting and JSON hand over whole characters, so none is cut at the ends of `buf`.
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(buf);
        self.0.write_all(tamed(&text, |c| c != '\n' && c != '\t').as_bytes())?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Folds lines for people at 80 columns between words where a terminal shows them: a serial
/// console would cut words apart, or the whole end off. A pipe or a log gets whole lines.
pub struct Folded<W: Write> {
    inner: W,
    is_terminal: bool,
    line: Vec<u8>,
}

impl<W: Write> Folded<W> {
    /// Stands before `inner`.
    pub const fn new(inner: W, is_terminal: bool) -> Self {
        Self { inner, is_terminal, line: Vec::new() }
    }
}

impl<W: Write> Write for Folded<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if !self.is_terminal {
            return self.inner.write(buf);
        }
        for piece in buf.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                self.line.clear();
                fold(&mut self.inner, line.trim_end_matches('\n'))?;
            }
        }
        Ok(buf.len())
    }

    /// What waits for the end of its line is sent as it is.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.write_all(&self.line)?;
        self.line.clear();
        self.inner.flush()
    }
}

/// Continues below the text when a short word such as `hint: ` begins the line.
fn fold(to: &mut dyn Write, line: &str) -> io::Result<()> {
    const LONGEST_TITLE: usize = 10;
    let end = line.find(": ").map_or(0, |at| at + 2);
    let (title, text) = line.split_at(if end <= LONGEST_TITLE { end } else { 0 });
    wrap(to, title, text)
}

/// Prints `text` in lines of 80 columns, the first begun by `title`, the others indented as far.
///
/// # Errors
/// The writer's.
pub fn wrap(to: &mut dyn Write, title: &str, text: &str) -> std::io::Result<()> {
    let indent = title.len();
    let mut line = title.to_owned();
    for word in text.split(' ') {
        let columns = line.chars().count() + word.chars().count();
        if columns > COLUMNS && line.len() > indent {
            writeln!(to, "{}", line.trim_end())?;
            line = " ".repeat(indent);
        }
        line.push_str(word);
        line.push(' ');
    }
    writeln!(to, "{}", line.trim_end())
}

/// A value that stays inside its line: line ends and tabs are shown too.
#[must_use]
pub fn one_line(text: &str) -> String {
    tamed(text, |_| true)
}

/// The beginning of a value that is longer than its place, which shows that something follows.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns.saturating_sub(1)).collect();
    kept + "…"
}

fn tamed(text: &str, also: impl Fn(char) -> bool) -> String {
    let mut tame = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unseen(c) && also(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(tame, "\\u{unit:04x}");
            }
        } else {
            tame.push(c);
        }
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let mut sent = Vec::new();
        let hostile = "a\u{1b}[2Jb\rc\u{9b}1md\u{202e}e\u{7f}\u{8}\tf ä✓\n";
        write!(Tame::new(&mut sent), "{hostile}").unwrap();
        let sent = String::from_utf8(sent).unwrap();
        let shown = "a\\u001b[2Jb\\u000dc\\u009b1md\\u202ee\\u007f\\u0008\tf ä✓\n";
        assert_eq!(sent, shown);
    }

    #[test]
    fn a_terminal_gets_lines_of_its_width_and_a_pipe_gets_them_whole() {
        let said = format!("hint: {}\nhalf", "look at the cable ".repeat(10).trim_end());
        let (mut shown, mut piped) = (Vec::new(), Vec::new());
        for (stream, is_terminal) in [(&mut shown, true), (&mut piped, false)] {
            let mut folded = Folded::new(stream, is_terminal);
            folded.write_all(said.as_bytes()).unwrap();
            folded.flush().unwrap();
        }
        assert_eq!(piped, said.as_bytes());
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.lines().count() == 4 && shown.ends_with("\nhalf"), "{shown}");
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
        assert_eq!(shown.lines().nth(1).unwrap().find("l"), Some(6), "{shown}");
    }

    #[test]
    fn json_keeps_its_value() {
        let value = serde_json::json!({ "cause": "\u{1b}[31m\u{7f}\u{202e}\nnext" });
        let mut sent = Vec::new();
        serde_json::to_writer_pretty(Tame::new(&mut sent), &value).unwrap();
        assert!(sent.is_ascii());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&sent).unwrap(), value);
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        assert_eq!(one_line("1.0\nsignature verified"), "1.0\\u000asignature verified");
    }

    #[test]
    fn long_reasons_stay_within_eighty_columns() {
        let mut out = Vec::new();
        wrap(&mut out, "last failure ", &"unit web.service failed ".repeat(12)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().count() > 3);
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        assert!(text.lines().skip(1).all(|line| line.starts_with("             ")), "{text}");
    }
}
