// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has the board been through? One line per boot, of at most 80 columns.

use crate::virtual_board::{BootOutcome, Ending, Stage};
use serde::Serialize;
use std::fmt::Write as _;

/// One boot, for the picture and for programs.
#[derive(Clone, Debug, Serialize)]
pub struct BootRow {
    number: usize,
    slot: Option<String>,
    attempts_left: u8,
    reason: String,
    reached: &'static str,
    secs: u64,
    outcome: &'static str,
    cause: Option<String>,
    resets: usize,
}

impl BootRow {
    /// The `number`th boot.
    #[must_use]
    pub fn new(number: usize, boot: &BootOutcome) -> Self {
        let (outcome, cause) = match &boot.ending {
            Ending::Good => ("good", None),
            Ending::Rebooted(cause) => ("reboot", Some(cause.clone())),
            Ending::Stayed(cause) => ("unhealthy", Some(cause.clone())),
            Ending::Recovery => ("recovery", None),
        };
        Self {
            number,
            slot: boot.slot.map(|slot| slot.to_string()),
            attempts_left: boot.attempts,
            reason: boot.reason.to_string(),
            reached: match boot.reached {
                Stage::Selector => "selector",
                Stage::Kernel => "kernel",
                Stage::Userspace => "userspace",
                Stage::Health => "health",
            },
            secs: boot.secs,
            outcome,
            cause,
            resets: boot.firmware.resets,
        }
    }
}

/// The boots as a picture: how far each came, and how it ended.
#[must_use]
pub fn render(rows: &[BootRow]) -> String {
    let mut text = String::from(
        "boot slot left reason         selector kernel userspace health   secs  end\n",
    );
    let stages = ["selector", "kernel", "userspace", "health"];
    for row in rows {
        let reached = stages.iter().position(|stage| *stage == row.reached).unwrap_or(0);
        let mut path = String::new();
        for (at, width) in [8_usize, 6, 9, 6].into_iter().enumerate() {
            let passed = at < reached || (at == reached && row.outcome == "good");
            let mark = match (at > reached, passed) {
                (true, _) => ' ',
                (false, true) => '=',
                (false, false) => 'x',
            };
            if mark == '=' || mark == ' ' {
                path.extend(std::iter::repeat_n(mark, width));
            } else {
                path.extend(std::iter::repeat_n('=', width - 1));
                path.push(mark);
            }
            path.push(if passed { '>' } else { ' ' });
        }
        let slot = row.slot.as_deref().unwrap_or("-");
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{:>4} {slot:4} {:4} {:14} {path:33} {:>4}  {}",
            row.number, row.attempts_left, row.reason, row.secs, row.outcome
        );
    }
    text
}
