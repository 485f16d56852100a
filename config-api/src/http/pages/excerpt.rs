// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a text look like around a place? The line with its neighbours, cut to what a phone can
//! show, and what the place is about.

use crate::plain_text::plain;

/// Most characters of a line.
const LINE_CHARS: usize = 160;
/// Of these before the place.
const BEFORE_CHARS: usize = 60;

/// One line; without anything marked it is a neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) before: String,
    pub(super) marked: String,
    pub(super) after: String,
}

/// The lines around a place, both counted from 1; none where the text has no such line.
pub(super) fn excerpt(lines: &[&str], line: usize, column: usize) -> Vec<Line> {
    let Some(found) = line.checked_sub(1).and_then(|index| lines.get(index)) else {
        return Vec::new();
    };
    let neighbour = |number: usize| {
        let text = number.checked_sub(1).and_then(|index| lines.get(index))?;
        let chars: Vec<char> = text.chars().collect();
        Some(Line { number, before: shown(&chars, 0), marked: String::new(), after: String::new() })
    };
    let mut excerpt = Vec::new();
    excerpt.extend(neighbour(line - 1));
    excerpt.push(place(line, &found.chars().collect::<Vec<_>>(), column));
    excerpt.extend(neighbour(line + 1));
    excerpt
}

fn place(number: usize, chars: &[char], column: usize) -> Line {
    let at = column.saturating_sub(1).min(chars.len());
    let (before, rest) = chars.split_at_checked(at).unwrap_or((chars, &[]));
    let (marked, after) = rest.split_at_checked(width(rest)).unwrap_or((rest, &[]));
    // A place behind the last character is a space that can be seen.
    let marked = if marked.is_empty() { "\u{a0}".to_owned() } else { shown(marked, 0) };
    let first = before.len().saturating_sub(BEFORE_CHARS);
    Line { number, before: shown(before, first), marked, after: shown(after, 0) }
}

/// How many characters the value or key at the beginning takes.
fn width(rest: &[char]) -> usize {
    let quote = rest.first().copied().filter(|first| ['"', '\''].contains(first));
    let inside = rest.iter().skip(1);
    match quote {
        Some(quote) => match inside.clone().position(|letter| *letter == quote) {
            Some(end) => end + 2,
            None => rest.len(),
        },
        None => {
            let ends = |letter: &char| letter.is_whitespace() || ",]}=".contains(*letter);
            rest.iter().position(ends).unwrap_or(rest.len()).max(1).min(rest.len())
        }
    }
}

/// Characters from `first` on, no more than a line may have, none of which does anything.
fn shown(chars: &[char], first: usize) -> String {
    let mut text = String::new();
    if first > 0 {
        text.push('…');
    }
    for letter in chars.iter().skip(first).take(LINE_CHARS) {
        text.push(if *letter == '\t' { *letter } else { plain(*letter) });
    }
    if chars.len() > first + LINE_CHARS {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(line: &str, column: usize) -> String {
        excerpt(&[line], 1, column).remove(0).marked
    }

    #[test]
    fn what_a_place_is_about_is_marked() {
        assert_eq!(marked("shell = \"fish\" # mine", 9), "\"fish\"");
        assert_eq!(marked("tcp = [80, 99999]", 12), "99999");
        assert_eq!(marked("a.b = 1", 1), "a.b");
        assert_eq!(marked("name = \"open", 8), "\"open");
        assert_eq!(marked("ä = ]", 5), "]", "columns are characters");
        assert_eq!(marked("short", 6), "\u{a0}");
        assert_eq!(marked("", 99), "\u{a0}");
    }

    #[test]
    fn neighbours_are_shown_and_no_line_is_long() {
        let long = "x".repeat(500);
        let lines = ["one", &long, "three\0"];
        let found = excerpt(&lines, 2, 300);
        let numbers: Vec<usize> = found.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert!(found[1].before.starts_with('…') && found[1].before.chars().count() == 61);
        assert!(found[1].marked.chars().count() <= LINE_CHARS + 1);
        assert_eq!(found[2].before, "three\u{fffd}");
        assert!(excerpt(&lines, 0, 1).is_empty() && excerpt(&lines, 4, 1).is_empty());
        assert_eq!(excerpt(&lines, 1, 1).len(), 2);
    }
}
