// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which letters must not be shown as they are? Those that do something to the terminal or the text
//! around them, and those that nobody sees: two values would look alike that are not.

/// Whether a letter of a foreign text does something else than stand in its column: a control
/// character, a line end that only Unicode knows, a change of the reading direction, a letter
/// without a shape, a variation or a tag.
#[must_use]
pub fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::is_unseen;

    #[test]
    fn what_does_something_or_has_no_shape_is_told_from_what_is_read() {
        let unseen = "\n\t\u{1b}\u{7f}\u{9b}\u{ad}\u{61c}\u{180e}\u{200b}\u{200f}\u{2028}\u{202e}\u{2060}\
                      \u{2069}\u{206f}\u{3164}\u{fe00}\u{fe0f}\u{feff}\u{e0000}\u{e007f}\u{e0fff}";
        assert!(unseen.chars().all(is_unseen));
        assert!(!" a~\u{a0}ä✓…“日😀\u{fffd}".chars().any(is_unseen));
    }
}
