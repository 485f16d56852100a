// SPDX-License-Identifier: MIT OR Apache-2.0
//! A change as it goes: a bar on a terminal, lines in a log or a pipe, events for programs.

use crate::output::{Output, Style};
use crate::terminal::one_line;
use config_api::client::DeviceAddress;
use config_api::jobs::{Job, JobEvent, JobId};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::io::{IsTerminal, stderr};

/// Redraws per second, as for installs.
const REDRAWS_PER_SECOND: u8 = 4;

/// The steps of a job in their order; a bar's places. Others are told and move nothing.
const STEPS: [&str; 7] =
    ["recover", "validate", "write-candidate", "promote", "activate", "service-status", "confirm"];

/// Shows one change.
pub(super) struct Show<'a, 'b> {
    pub(super) out: &'a mut Output<'b>,
    bar: Option<ProgressBar>,
    /// Events that were shown.
    seen: usize,
    newest: Option<JobEvent>,
}

impl<'a, 'b> Show<'a, 'b> {
    pub(super) fn new(out: &'a mut Output<'b>) -> Self {
        let bar = (out.style == Style::Lines && stderr().is_terminal()).then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(Some(STEPS.len() as u64), target);
            if let Ok(style) = ProgressStyle::with_template("[{bar:14}] {elapsed:>4} {wide_msg}") {
                bar.set_style(style.progress_chars("#> "));
            }
            bar
        });
        Self { out, bar, seen: 0, newest: None }
    }

    /// What is said beside the job's own events.
    pub(super) fn say(&mut self, event: &str, text: &str) {
        if self.out.style == Style::Json {
            // What cannot be shown does not stop a change.
            let _ = self.out.event(&json!({ "version": 1, "event": event, "text": text }));
            return;
        }
        let text = one_line(text);
        match &self.bar {
            Some(bar) => bar.println(text),
            None => {
                let _ = writeln!(self.out.people, "{text}");
            }
        }
    }

    pub(super) fn accepted(&mut self, job: &JobId, device: &DeviceAddress) {
        if self.out.style == Style::Json {
            let device = device.to_string();
            let event = json!({ "version": 1, "event": "accepted", "job": job, "device": device });
            let _ = self.out.event(&event);
        } else {
            self.say("accepted", &format!("{device} takes it as job {job}"));
        }
    }

    /// Shows what is new of a job.
    pub(super) fn job(&mut self, job: &Job) {
        // A job keeps so many events; then the newest takes the last one's place.
        let is_full = job.events.len() <= self.seen && job.events.last() != self.newest.as_ref();
        let first = if is_full { job.events.len().saturating_sub(1) } else { self.seen };
        for event in job.events.iter().skip(first) {
            self.event(event);
        }
        self.seen = job.events.len();
        self.newest = job.events.last().cloned();
    }

    fn event(&mut self, event: &JobEvent) {
        if self.out.style == Style::Json {
            let _ = self.out.event(&json!({ "version": 1, "event": "step", "step": event }));
            return;
        }
        let text = one_line(&words(event));
        let Some(bar) = &self.bar else {
            let _ = writeln!(self.out.people, "{:7.2} s  {text}", event.elapsed_seconds);
            return;
        };
        if let Some(place) = STEPS.iter().position(|step| *step == event.step) {
            bar.set_position(place as u64);
        }
        bar.set_message(text);
    }

    /// Clears the bar.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// An event in words.
fn words(event: &JobEvent) -> String {
    let mut text = event.step.clone();
    for more in [&event.service, &event.status].into_iter().flatten() {
        text.push(' ');
        text.push_str(more);
    }
    if let Some(message) = &event.message {
        text.push_str(": ");
        text.push_str(message);
    }
    text
}
