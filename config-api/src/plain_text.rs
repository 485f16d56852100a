// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are words shown that somebody else chose? With nothing in them that moves a cursor, ends a
//! line, takes no column or turns the order of the others round; in lines of 80 columns.

use storage::is_unseen;

/// Columns of a serial console.
pub(crate) const COLUMNS: usize = 80;

/// A letter as it may be shown: one that does something is replaced by one that does not.
pub(crate) fn plain(letter: char) -> char {
    if is_unseen(letter) { '\u{fffd}' } else { letter }
}

/// Words in lines, with `first` before the first of them and `rest` before the others. A word that
/// is longer than a line is cut, so that no line is.
pub(crate) fn wrapped(first: &str, rest: &str, text: &str) -> String {
    let indent = first.chars().count().max(rest.chars().count());
    let room = COLUMNS.saturating_sub(indent).max(1);
    let mut lines: Vec<String> = Vec::new();
    let (mut line, mut used) = (String::new(), 0);
    for word in text.split(char::is_whitespace) {
        let mut word: Vec<char> = word.chars().map(plain).collect();
        if used > 0 && used + 1 + word.len() > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        while word.len() > room {
            let rest = word.split_off(room);
            lines.push(word.into_iter().collect());
            word = rest;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        used += word.len();
        line.extend(word);
    }
    lines.push(line);
    let indents = std::iter::once(first).chain(std::iter::repeat(rest));
    let shown = lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty());
    indents.zip(shown).map(|(indent, line)| format!("{indent}{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_wrapped_and_long_ones_cut() {
        let long = "x".repeat(100);
        let shown = wrapped("hint: ", "  ", &format!("so  it is: {long} at\tthe\nend "));
        let (one, two) = ("x".repeat(74), "x".repeat(26));
        assert_eq!(shown, format!("hint: so  it is:\n  {one}\n  {two} at the end\n"));
        assert_eq!(wrapped("  ", "  ", ""), "");
    }

    #[test]
    fn nothing_hides_or_turns_the_order_round() {
        let letters = "\u{ad}\u{180e}\u{fe00}\u{fe0f}\u{3164}\u{e0000}\u{e0041}\u{e0fff}\
                       \u{61c}\u{200e}\u{200f}\u{202e}\u{2028}\u{2060}\u{2066}\u{feff}\u{9b}";
        assert!(letters.chars().all(|letter| plain(letter) == '\u{fffd}'));
        assert!("ä✓ \"".chars().all(|letter| plain(letter) == letter));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_console_or_moves_its_cursor(text in ".{0,400}") {
            for line in wrapped("  hint: ", "        ", &text).lines() {
                prop_assert!(line.chars().count() <= COLUMNS);
                prop_assert!(line.chars().all(|letter| plain(letter) == letter));
            }
        }
    }
}
