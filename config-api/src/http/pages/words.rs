// SPDX-License-Identifier: MIT OR Apache-2.0
//! What jobs, steps and errors are called on a page.

use crate::jobs::{Job, JobState, RollbackStatus};

/// A number of things.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// A message as a sentence: ours begin small and end without a stop.
pub(super) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    let Some(first) = letters.next() else { return String::new() };
    let stop = if message.ends_with(['.', '!', '?']) { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), letters.as_str())
}

/// What happens in a step; its own name where we have no better word.
pub(super) fn step(name: &str) -> &str {
    match name {
        "submitted" => "waiting",
        "running" => "begun",
        "recover" => "making sure that nothing is half done",
        "validate" => "checking the configuration",
        "write-candidate" => "writing it beside what is in force",
        "promote" => "putting it in force",
        "activate" => "applying",
        "service-restart" => "starting services",
        "service-status" => "looking at a service",
        "health-check" => "services are not healthy",
        "confirm" => "waiting for a confirmation",
        "rollback" => "going back",
        "completed" => "done",
        other => other,
    }
}

/// How far a job is, in one line.
pub(super) fn state(job: &Job) -> String {
    match job.state {
        JobState::Submitted => "Accepted; it begins soon.".to_owned(),
        JobState::Running => format!("Under way: {}.", step(&job.current_step)),
        JobState::Succeeded => "Done: the configuration is in force.".to_owned(),
        JobState::Failed => "Failed: the configuration is not in force.".to_owned(),
    }
}

/// What a failure left behind.
pub(super) const fn left_behind(rollback: RollbackStatus) -> &'static str {
    match rollback {
        RollbackStatus::Completed => {
            "The configuration before is in force again, and its services run."
        }
        RollbackStatus::Failed => {
            "The configuration before is in force again, but not all of its services run: look at \
             the device."
        }
        RollbackStatus::Skipped => "Nothing was changed.",
        RollbackStatus::Discarded => {
            "There was no configuration before: the device is as it was delivered."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_sentences() {
        assert_eq!(sentence("the body ends early"), "The body ends early.");
        assert_eq!(sentence("Done."), "Done.");
        assert_eq!(sentence(""), "");
        assert_eq!(count(1, "fault") + &count(2, "fault"), "1 fault2 faults");
    }
}
