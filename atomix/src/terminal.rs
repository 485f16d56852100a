// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does text reach a terminal that may be a serial console? As in the initrd's program.

pub use atomix_repart::{Folded, Tame, fit, one_line};

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Letters that take no column make two different values look alike.
    #[test]
    fn letters_that_cannot_be_seen_are_shown() {
        for letter in "\u{ad}\u{180e}\u{200b}\u{2060}\u{3164}\u{fe00}\u{fe0f}\u{feff}".chars() {
            assert_eq!(one_line(&letter.to_string()), format!("\\u{:04x}", u32::from(letter)));
        }
        assert_eq!(one_line("a\u{e0041}"), "a\\udb40\\udc41");
    }

    #[test]
    fn json_keeps_letters_that_cannot_be_seen() {
        let value = serde_json::json!({ "version": "1.0\u{ad}\u{e0041}\u{fe0f}" });
        let mut sent = Vec::new();
        write!(Tame::new(&mut sent), "{value}").unwrap();
        assert!(sent.is_ascii());
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&sent).unwrap(), value);
    }
}
