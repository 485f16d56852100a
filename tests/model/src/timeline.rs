// SPDX-License-Identifier: MIT OR Apache-2.0
//! How did a board come there? A way through the worlds as a timeline, one line for each boot:
//! number, slot, reason, attempts left, and what happened until the next one.

use crate::explore::Violation;
use crate::invariant::Invariant;
use crate::step::{Act, Boot, Step};
use std::fmt::Write;

/// Widest line.
const WIDTH: usize = 79;

/// Where the last column begins.
const TEXT: usize = 29;

/// The invariant, the scenario, and the boots.
#[must_use]
pub fn timeline(violation: &Violation) -> String {
    let scenario = violation.scenario.replace("; ", "\n");
    let mut text = format!("{}\n{scenario}\n", violation.invariant);
    text.push_str(&boots(&violation.steps));
    if matches!(violation.invariant, Invariant::Stuck | Invariant::TurnsForEver) {
        let _ = writeln!(text, "{:TEXT$}and so on, or nothing more", "");
    }
    text
}

/// The boots of a way that begins with the power off.
#[must_use]
pub fn boots(steps: &[Step]) -> String {
    let mut text = format!("{:>3} {:4} {:14} {:4} {}\n", "#", "slot", "reason", "left", "what");
    let mut number = 0_usize;
    let mut line = Line { head: String::new(), events: Vec::new() };
    for step in steps {
        if let Act::Boot(boot) = step.act {
            line.write(&mut text);
            number += 1;
            line = Line { head: head(number, &boot), events: Vec::new() };
        }
        // A kernel that did not start because its save was cut has no outcome.
        let cut_boot = matches!(step.act, Act::Boot(_)) && step.cut.is_some();
        if !cut_boot {
            line.events.push(step.act.to_string());
        }
        line.events.extend(step.cut.map(|cut| cut.to_string()));
    }
    line.write(&mut text);
    text
}

fn head(number: usize, boot: &Boot) -> String {
    let slot = boot.slot.map_or_else(|| "-".to_owned(), |slot| slot.to_string());
    let left = boot.left.map_or_else(|| "-".to_owned(), |left| left.to_string());
    format!("{number:>3} {slot:4} {:14} {left:4}", boot.reason.to_string())
}

struct Line {
    head: String,
    events: Vec<String>,
}

impl Line {
    fn write(&self, text: &mut String) {
        if self.head.is_empty() && self.events.is_empty() {
            return;
        }
        let mut line = format!("{:<TEXT$}", self.head);
        for (number, event) in self.events.iter().enumerate() {
            let last = number + 1 == self.events.len();
            let event = if last { event.clone() } else { format!("{event};") };
            if line.len() > TEXT && line.len() + event.len() + 1 > WIDTH {
                let _ = writeln!(text, "{}", line.trim_end());
                line = " ".repeat(TEXT);
            }
            if line.len() > TEXT {
                line.push(' ');
            }
            line.push_str(&event);
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}
