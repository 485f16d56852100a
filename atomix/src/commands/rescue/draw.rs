// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a screen look in 24 lines of 80 columns? Text in, lines out; nothing is printed here.
//!
//! The last line is for the answer and never ends in a line end, so nothing scrolls away.

use super::menu::{PAGE_ROWS, Screen};
use crate::terminal::one_line;

/// Lines of the terminal; what is drawn is built to fit, and the tests hold it.
pub const ROWS: usize = 24;

/// Columns of the terminal.
pub const COLUMNS: usize = 80;

/// Most lines of a note; the list below it must stay on the screen.
const MAX_NOTE_ROWS: usize = 9;

/// How keys are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// One by one, arrows too.
    Single,
    /// As whole lines.
    Lines,
}

/// The lines of a screen; the last one is the prompt.
#[must_use]
pub fn draw(screen: &Screen, keys: Keys) -> Vec<String> {
    let mut rows = Vec::new();
    match screen {
        Screen::List { title, note, items, at } => {
            head(&mut rows, title);
            explain(&mut rows, note);
            for (index, item) in items.iter().enumerate() {
                let cursor = if keys == Keys::Single && index == *at { '>' } else { ' ' };
                rows.push(cut(&format!("{cursor} {}  {}", item.digit, one_line(&item.label))));
            }
            rows.push(String::new());
            rows.push(match keys {
                Keys::Single => "number, or arrows and Return: ".to_owned(),
                Keys::Lines => "number and Return: ".to_owned(),
            });
        }
        Screen::Text { title, lines, top } => {
            head(&mut rows, title);
            let shown = lines.iter().skip(*top).take(PAGE_ROWS);
            rows.extend(shown.map(|line| cut(&one_line(line))));
            rows.push(String::new());
            rows.push(text_prompt(lines.len(), *top, keys));
        }
        Screen::Entry { title, note, typed, .. } => {
            head(&mut rows, title);
            explain(&mut rows, note);
            // The end of a long text is what is being typed.
            let typed = one_line(typed);
            let skip = typed.chars().count().saturating_sub(COLUMNS - 3);
            rows.push(format!("> {}", typed.chars().skip(skip).collect::<String>()));
        }
    }
    rows
}

/// Says on the screen that it is larger than a terminal of so many lines and columns. The place is
/// the empty line before the prompt: what is at the top has scrolled away there.
pub fn warn_if_small(rows: &mut [String], lines: usize, columns: usize) {
    if lines >= ROWS && columns >= COLUMNS {
        return;
    }
    if let [.., free, _prompt] = rows {
        *free = format!("(small terminal, {columns}x{lines}: the menu needs {COLUMNS}x{ROWS})");
    }
}

fn head(rows: &mut Vec<String>, title: &str) {
    rows.push(cut(&format!("atomix rescue - {}", one_line(title))));
    rows.push(String::new());
}

fn explain(rows: &mut Vec<String>, note: &[String]) {
    if note.is_empty() {
        return;
    }
    let lines: Vec<String> = note.iter().flat_map(|line| fold(line)).collect();
    rows.extend(lines.into_iter().take(MAX_NOTE_ROWS));
    rows.push(String::new());
}

fn text_prompt(lines: usize, top: usize, keys: Keys) -> String {
    let shown = (top + PAGE_ROWS).min(lines);
    let place = format!("lines {} to {shown} of {lines}", (top + 1).min(lines));
    match (keys, shown < lines) {
        (_, false) => format!("{place}; Return goes back: "),
        (Keys::Single, true) => format!("{place}; Return or space goes on, b up, 0 back: "),
        (Keys::Lines, true) => format!("{place}; Return goes on, b up, 0 back: "),
    }
}

/// The line, ended where the screen ends.
fn cut(line: &str) -> String {
    line.chars().take(COLUMNS).collect::<String>().trim_end().to_owned()
}

/// A text in lines that fit the screen, cut between words where that is possible. What steers a
/// terminal is shown, not sent.
#[must_use]
pub fn fold(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut rest: Vec<char> = one_line(&line.replace('\t', "    ")).chars().collect();
        while rest.len() > COLUMNS {
            let blank = rest.iter().take(COLUMNS).rposition(|letter| *letter == ' ');
            let at = blank.filter(|at| *at > COLUMNS / 2).unwrap_or(COLUMNS);
            let tail = rest.split_off(at);
            lines.push(rest.iter().collect::<String>().trim_end().to_owned());
            rest = std::iter::repeat_n(' ', 4)
                .chain(tail.into_iter().skip_while(|c| *c == ' '))
                .collect();
        }
        lines.push(rest.into_iter().collect::<String>().trim_end().to_owned());
    }
    lines
}
