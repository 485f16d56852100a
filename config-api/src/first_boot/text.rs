// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a technician reads at a serial console of 80 columns and 24 lines.

/// Columns of the console.
pub const WIDTH: usize = 80;

/// What is said first, and when somebody asks for help: where is searched, and how to help.
#[must_use]
pub fn welcome() -> String {
    "\
This device has no configuration. It looks for one, in this order:

  1  /boot of the running slot
  2  USB sticks and cards, any label, vfat or ext4; plug one in at any time
  3  what is typed here

A file in the topmost directory, called config.toml, or a bundle of it called
config.tar.gz, config.tgz, config.tar.zst, config.tar.zstd or config.tzst.
Or open http://ADDRESS:8080 of this device in a browser.

To type a configuration here: send paste, then the lines of config.toml, then a
line with nothing but a dot. Other words: status, again, help.
"
    .to_owned()
}

/// Words in lines of the console's width, with `first` before the first of them and as many spaces
/// before the others. Letters that would move the cursor are shown as one that does not.
pub(super) fn wrapped(first: &str, text: &str) -> String {
    let indent = " ".repeat(first.chars().count());
    let room = WIDTH.saturating_sub(indent.len()).max(1);
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    for word in text.split_whitespace() {
        let mut word: Vec<char> = word.chars().map(visible).collect();
        let used = lines.last().map_or(0, Vec::len);
        if used > 0 && used + 1 + word.len() > room {
            lines.push(Vec::new());
        }
        while word.len() > room {
            let rest = word.split_off(room);
            lines.push(word);
            lines.push(Vec::new());
            word = rest;
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(word);
        }
    }
    let mut out = String::new();
    for (number, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
        out.push_str(if number == 0 { first } else { &indent });
        out.extend(line);
        out.push('\n');
    }
    out
}

fn visible(letter: char) -> char {
    if letter.is_control() || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}') {
        return '\u{fffd}';
    }
    letter
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_welcome_fits_a_serial_console() {
        assert!(welcome().lines().count() <= 22);
        assert!(welcome().lines().all(|line| line.chars().count() <= WIDTH));
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_the_console_or_moves_its_cursor(text in ".{0,400}") {
            for line in wrapped("  hint: ", &text).lines() {
                prop_assert!(line.chars().count() <= WIDTH);
                prop_assert!(!line.chars().any(char::is_control));
            }
        }
    }
}
