// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did a firmware do, and where does that differ from what the model says?

use super::case::Case;
use super::expect::{comparable, expected};
use board_rock64::Board;
use uboot::Env;

/// What a slot's script does first that starts: it tells what it was told. How the run ends then is
/// for whoever runs it to add.
pub const STARTING_SCRIPT: &str = "echo E2E-START ${atomix_slot} \
    ${atomix_args} E2E-PAUSE ${atomix_pause} E2E-END\n";

/// The end of what it says.
pub const START_END: &str = " E2E-END";

/// What a slot's script does whose kernel does not start.
pub const RETURNING_SCRIPT: &str = "echo E2E-RETURN\nfalse\n";

/// A slot's script, started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The slot that the script was told it is in.
    pub slot: String,
    /// What the kernel is told.
    pub args: String,
    /// How long was waited before it, of a last resort.
    pub pause: Option<u16>,
}

/// What a firmware did.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The slot it started.
    pub start: Option<Start>,
    /// The lines that its selector said.
    pub said: Vec<String>,
    /// What is stored afterwards, all of it.
    pub stored: Option<Env>,
}

/// Reads what a serial line heard from a firmware.
#[must_use]
pub fn heard(text: &str, stored: Option<Env>) -> Seen {
    let mut start = None;
    let mut said = Vec::new();
    for line in text.lines().map(|line| line.trim_end_matches('\r')) {
        if let Some(words) = line.strip_prefix("E2E-START ") {
            let words = words.strip_suffix(START_END).unwrap_or(words);
            let (slot, rest) = words.split_once(' ').unwrap_or((words, ""));
            let (args, pause) = rest.split_once(" E2E-PAUSE").unwrap_or((rest, ""));
            let pause = pause.trim().parse().ok();
            start = Some(Start { slot: slot.to_owned(), args: args.to_owned(), pause });
        } else if line.starts_with("atomix: ") {
            said.push(line.to_owned());
        }
    }
    Seen { start, said, stored }
}

/// Where what was seen is not what the model says, a line for each; and the case to begin with.
/// Empty: they agree.
#[must_use]
pub fn differences(case: &Case, board: &Board, seen: &Seen) -> Vec<String> {
    let model = expected(case, board);
    let mut found = Vec::new();
    if seen.start != model.start {
        found.push(format!("started {:?}, model {:?}", seen.start, model.start));
    }
    if seen.said != model.said {
        found.push(format!("said {:?}, model {:?}", seen.said, model.said));
    }
    let stored = seen.stored.as_ref().map(|env| comparable(env, board));
    match (&stored, &model.stored) {
        (None, None) => {}
        (Some(stored), Some(model)) => {
            let names: std::collections::BTreeSet<&str> =
                stored.iter().chain(model.iter()).map(|(name, _)| name).collect();
            for name in names {
                let (theirs, ours) = (stored.get(name), model.get(name));
                if theirs != ours {
                    found.push(format!("stored {name} is {theirs:?}, model {ours:?}"));
                }
            }
        }
        (stored, model) => found.push(format!(
            "stored is {}, model {}",
            if stored.is_some() { "an environment" } else { "nothing" },
            if model.is_some() { "an environment" } else { "nothing" },
        )),
    }
    if !found.is_empty() {
        found.insert(0, format!("the firmware and the model differ over {case}"));
    }
    found
}
