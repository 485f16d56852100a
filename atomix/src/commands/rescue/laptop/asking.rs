// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did U-Boot answer to a command, and did the command succeed? Pure.
//!
//! The command is followed by an `echo` of a made-up word and of the command's status. The answer
//! lies between the echo of what was typed and that word, which no stored text can know. It is
//! over when the prompt stands behind it.

use super::command::Command;
use super::ear::Ear;

/// Lines of an answer that are kept; a variable's value can hold line ends, but not so many.
const ANSWER_MAX_LINES: usize = 500;

/// A command that was sent.
#[derive(Debug)]
pub struct Asking {
    word: String,
    ear: Ear,
    was_echoed: bool,
    lines: Vec<String>,
    status: Option<u32>,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The answer.
    Answer(Answer),
    /// U-Boot started anew.
    Restarted,
    /// It does not end.
    TooLong,
}

/// A command's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it printed.
    pub lines: Vec<String>,
    /// 0 when it succeeded.
    pub status: u32,
}

impl Asking {
    /// The bytes to send, and who waits for the answer; `word` is one that was never said.
    #[must_use]
    pub fn new(command: &Command, word: &str) -> (Vec<u8>, Self) {
        let typed = format!("{command}; echo {word}:$?\r");
        let asking = Self {
            word: word.to_owned(),
            ear: Ear::default(),
            was_echoed: false,
            lines: Vec::new(),
            status: None,
        };
        (typed.into_bytes(), asking)
    }

    /// Takes what was heard; the reply once it is whole.
    pub fn hear(&mut self, bytes: &[u8]) -> Option<Reply> {
        for byte in bytes {
            if let Some(line) = self.ear.hear(*byte)
                && let Some(reply) = self.take_line(line)
            {
                return Some(reply);
            }
            if let Some(status) = self.status
                && self.ear.is_at_prompt()
            {
                let lines = std::mem::take(&mut self.lines);
                return Some(Reply::Answer(Answer { lines, status }));
            }
        }
        None
    }

    /// Whether a line of the answer so far begins like this.
    #[must_use]
    pub fn has_line(&self, begin: &str) -> bool {
        self.was_echoed && self.lines.iter().any(|line| line.starts_with(begin))
    }

    fn take_line(&mut self, line: String) -> Option<Reply> {
        if line.ends_with(&format!("echo {}:$?", self.word)) {
            self.was_echoed = true;
            self.lines.clear();
        } else if let Some(status) = line.strip_prefix(&format!("{}:", self.word)) {
            self.status = status.parse().ok();
        } else if self.was_echoed && is_banner(&line) {
            return Some(Reply::Restarted);
        } else if self.lines.len() >= ANSWER_MAX_LINES {
            return Some(Reply::TooLong);
        } else {
            self.lines.push(line);
        }
        None
    }
}

/// `U-Boot 2025.01 (…` or the loader before it.
fn is_banner(line: &str) -> bool {
    line.strip_prefix("U-Boot ").is_some_and(|rest| rest.contains(" ("))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(board: &[u8]) -> Option<Reply> {
        let (sent, mut asking) = Asking::new(&Command::Print("evil"), "N1");
        assert_eq!(sent, b"printenv evil; echo N1:$?\r");
        asking.hear(board)
    }

    fn answer(lines: &[&str], status: u32) -> Option<Reply> {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Some(Reply::Answer(Answer { lines, status }))
    }

    #[test]
    fn a_value_that_looks_like_the_prompt_or_an_end_is_part_of_the_answer() {
        let board =
            b"printenv evil; echo N1:$?\r\nevil=x\r\n=> y; reset\r\n=> \r\nN0:0\r\nN1:0\r\n=> ";
        assert_eq!(reply(board), answer(&["evil=x", "=> y; reset", "=> ", "N0:0"], 0));
        assert_eq!(reply(&board[..board.len() - 1]), None);
    }

    #[test]
    fn a_failed_command_says_so() {
        let board = b"printenv evil; echo N1:$?\r\n## Error: \"evil\" not defined\r\nN1:1\r\n=> ";
        assert_eq!(reply(board), answer(&["## Error: \"evil\" not defined"], 1));
    }

    #[test]
    fn a_restart_in_the_middle_is_no_answer() {
        let board = b"printenv evil; echo N1:$?\r\n\r\nU-Boot 2025.01 (Nov 21 2026)\r\n";
        assert_eq!(reply(board), Some(Reply::Restarted));
    }

    #[test]
    fn an_answer_without_end_is_given_up_with_bounded_memory() {
        assert_eq!(reply(&b"junk\r\n".repeat(100_000)), Some(Reply::TooLong));
        assert_eq!(reply(&b"junk".repeat(1_000_000)), None);
    }
}
