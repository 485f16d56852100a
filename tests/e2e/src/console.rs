// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a person look at a scenario's board? What the serial line says appears as it comes;
//! what is typed runs as a command in the guest.

use crate::live::Board;
use crate::progress::say;
use anyhow::Result;
use std::io::{BufRead as _, stdin};
use std::time::Duration;

const HELP: &str = "\
type a command to run it in the guest (once it is up), or
  :type TEXT   send TEXT to the serial line     :cut   power cut, and on again
  :show        what the serial line said        :quit  end";

/// What is shown of the serial line at once.
const SHOWN_LINES: usize = 40;

/// Boots the board and obeys the terminal until `:quit` or the end of input.
///
/// # Errors
/// When the board does not start.
pub fn attend(board: &mut Board) -> Result<()> {
    say(HELP);
    board.switch_on()?;
    match board.guest_up() {
        Ok(()) => say("the guest is up"),
        Err(cause) => say(&format!("the guest is not up: {cause:#}")),
    }
    show(board, SHOWN_LINES)?;
    for line in stdin().lock().lines() {
        let line = line?;
        let (verb, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
        let done = match verb {
            "" => Ok(()),
            ":quit" => break,
            ":show" => show(board, SHOWN_LINES),
            ":cut" => board.switch_on().and_then(|()| board.guest_up()),
            ":type" => board.type_text(&format!("{rest}\r")).and_then(|()| {
                std::thread::sleep(Duration::from_millis(500));
                show(board, SHOWN_LINES)
            }),
            _ => board.run(&line).map(|answer| {
                say(&format!("{}exit {}", answer.printed, answer.exit));
            }),
        };
        if let Err(cause) = done {
            say(&format!("{cause:#}"));
        }
    }
    Ok(())
}

fn show(board: &mut Board, count: usize) -> Result<()> {
    let text = board.heard()?;
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(count)..).unwrap_or_default();
    say(&tail.join("\n"));
    Ok(())
}
