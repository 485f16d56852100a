// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the technician at the serial console say? Line by line: a word, or after `paste` the
//! lines of a `config.toml` up to a lone dot. Pure.
//!
//! ```text
//! paste            the lines that follow are a configuration
//! .                it ends here
//! .stop            it is forgotten
//! status           what was found, and what became of it
//! again            take what was taken before and failed once more
//! help             where is searched
//! ```

use crate::model::MAX_CONFIG_BYTES;

/// What the technician says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing of meaning yet.
    Nothing,
    /// A configuration begins.
    Begin,
    /// A configuration is there.
    Config(String),
    /// He gave it up.
    Stopped,
    /// It grew too long; the rest of it up to the dot is left out.
    TooLong,
    /// Show what is known.
    Status,
    /// Take what was taken before.
    Again,
    /// Show how it is done.
    Help,
    /// No word that is known.
    Unknown(String),
}

#[derive(Debug, Default)]
enum Mode {
    #[default]
    Words,
    Pasting(String),
    /// Lines are left out up to the dot.
    Skipping,
}

/// One console.
#[derive(Debug, Default)]
pub struct Console {
    mode: Mode,
}

impl Console {
    /// Whether a configuration is being typed: nothing may be printed in between.
    #[must_use]
    pub const fn is_pasting(&self) -> bool {
        matches!(self.mode, Mode::Pasting(_))
    }

    /// Takes a line, with or without its end.
    pub fn hear(&mut self, line: &str) -> Said {
        let line = line.trim_end_matches(['\r', '\n']);
        let (mode, said) = match std::mem::take(&mut self.mode) {
            Mode::Words => {
                let said = word_of(line);
                let begins = said == Said::Begin;
                (if begins { Mode::Pasting(String::new()) } else { Mode::Words }, said)
            }
            Mode::Pasting(text) if line == "." => (Mode::Words, Said::Config(text)),
            Mode::Pasting(_) if line == ".stop" => (Mode::Words, Said::Stopped),
            Mode::Pasting(text) if text.len() + line.len() >= MAX_CONFIG_BYTES => {
                (Mode::Skipping, Said::TooLong)
            }
            Mode::Pasting(mut text) => {
                text.push_str(line);
                text.push('\n');
                (Mode::Pasting(text), Said::Nothing)
            }
            Mode::Skipping if line == "." || line == ".stop" => (Mode::Words, Said::Stopped),
            Mode::Skipping => (Mode::Skipping, Said::Nothing),
        };
        self.mode = mode;
        said
    }
}

fn word_of(line: &str) -> Said {
    match line.trim().to_ascii_lowercase().as_str() {
        "" => Said::Nothing,
        "paste" => Said::Begin,
        "status" => Said::Status,
        "again" => Said::Again,
        "help" | "?" => Said::Help,
        _ => Said::Unknown(line.trim().chars().take(40).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(lines: &[&str]) -> Vec<Said> {
        let mut console = Console::default();
        lines.iter().map(|line| console.hear(line)).collect()
    }

    #[test]
    fn a_configuration_is_what_stands_between_paste_and_a_lone_dot() {
        let said = hear(&["", "PASTE\r\n", "version = 1", "", " . ", "status", ".", "status"]);
        let text = "version = 1\n\n . \nstatus\n".to_owned();
        let nothing = || Said::Nothing;
        let wanted = [
            nothing(),
            Said::Begin,
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            Said::Config(text),
            Said::Status,
        ];
        assert_eq!(said, wanted);
    }

    #[test]
    fn one_that_is_given_up_or_too_long_is_forgotten_whole() {
        assert_eq!(hear(&["paste", "x", ".stop", "help"])[2..], [Said::Stopped, Said::Help]);
        let long = "x".repeat(MAX_CONFIG_BYTES / 2);
        let said = hear(&["paste", &long, &long, &long, "again", ".", "again"]);
        let wanted = [Said::TooLong, Said::Nothing, Said::Nothing, Said::Stopped, Said::Again];
        assert_eq!(said[2..], wanted);
    }

    #[test]
    fn a_word_that_is_none_is_told_and_short() {
        let said = hear(&[&"y".repeat(500)]);
        assert_eq!(said, [Said::Unknown("y".repeat(40))]);
    }
}
