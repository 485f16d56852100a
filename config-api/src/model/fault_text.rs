// SPDX-License-Identifier: MIT OR Apache-2.0
//! How do people read faults? File, line and column, the key and what is wrong with it, the line
//! itself with a mark below it, the way out; nothing wider than 80 columns.

use super::fault::{Fault, Faults};
use super::toml_tree::text_of;
use crate::plain_text::{COLUMNS, plain, wrapped};
use std::fmt::Write;

/// The number of a line takes so much, with the bar behind it.
const GUTTER: usize = 9;

/// All faults of the file `name`, whose bytes are `source`, as lines for a terminal.
#[must_use]
pub fn faults_text(faults: &Faults, name: &str, source: &[u8]) -> String {
    let text = text_of(source).unwrap_or_default();
    let lines: Vec<&str> = text.split('\n').collect();
    let mut out = String::new();
    for fault in faults.list() {
        let line = fault.line.checked_sub(1).and_then(|index| lines.get(index));
        // Writing to a string cannot fail.
        let _ = write_fault(&mut out, fault, name, line.copied());
    }
    if faults.untold() > 0 {
        let _ = writeln!(out, "and {} more", faults.untold());
    }
    out
}

/// A fault of no line, such as one of the bundle around the file, as people read it.
#[must_use]
pub fn input_fault_text(fault: &Fault, name: &str) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_fault(&mut out, fault, name, None);
    out
}

fn write_fault(
    out: &mut String,
    fault: &Fault,
    name: &str,
    line: Option<&str>,
) -> std::fmt::Result {
    match (fault.line, fault.path.as_str()) {
        (0, _) => writeln!(out, "{name}:")?,
        (at, "") => writeln!(out, "{name}:{at}:{}:", fault.column)?,
        (at, path) => {
            out.push_str(&wrapped("", "", &format!("{name}:{at}:{}: {path}", fault.column)));
        }
    }
    out.push_str(&wrapped("  ", "  ", &fault.problem));
    if let Some(line) = line {
        write_excerpt(out, fault, line)?;
    }
    if let Some(hint) = &fault.hint {
        out.push_str(&wrapped("  ", "  ", &format!("hint: {hint}")));
    }
    writeln!(out)
}

/// A part of the line around the place, and a mark below the place.
fn write_excerpt(out: &mut String, fault: &Fault, line: &str) -> std::fmt::Result {
    let room = COLUMNS - GUTTER;
    let chars: Vec<char> = line.chars().map(visible).collect();
    let at = fault.column.saturating_sub(1).min(chars.len());
    // The place may be one past the end, and its mark needs a column too.
    let first = if chars.len().max(at + 1) <= room { 0 } else { at.saturating_sub(room / 3) };
    let shown: String = chars.iter().skip(first).take(room).collect();
    let place = at - first;
    let marks = fault.width.max(1).min(room.saturating_sub(place).max(1));
    writeln!(out, "{:>6} | {}", fault.line, shown.trim_end())?;
    writeln!(out, "{:>6} | {}{}", "", " ".repeat(place), "^".repeat(marks))
}

/// A character of the file in one column.
fn visible(c: char) -> char {
    if c == '\t' { ' ' } else { plain(c) }
}
