// SPDX-License-Identifier: MIT OR Apache-2.0
//! Progress of an install: a bar on a terminal, plain lines on a serial log or in a pipe, JSON
//! events with `--json`.

use crate::commands::install::wants_events;
use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{IsTerminal, stderr};
use storage::ByteLen;
use updater::{InstallEvent, InstallStep};

/// Redraws per second; a 115200 baud console shows about ten lines of 80 in that time.
const REDRAWS_PER_SECOND: u8 = 4;

/// Plain lines appear at every tenth of the work.
const LINE_EVERY_PERCENT: u64 = 10;

/// Shows the progress of one install.
pub struct InstallProgress<'a, 'b> {
    out: &'a mut Output<'b>,
    bar: Option<ProgressBar>,
    last_percent: u64,
    warned: BTreeSet<String>,
}

impl<'a, 'b> InstallProgress<'a, 'b> {
    /// Chooses the form by what standard error is.
    pub fn new(out: &'a mut Output<'b>) -> Self {
        let bar = (!wants_events(out.style) && stderr().is_terminal()).then(|| {
            let target = ProgressDrawTarget::stderr_with_hz(REDRAWS_PER_SECOND);
            let bar = ProgressBar::with_draw_target(Some(0), target);
            draw_by(&bar, ByteLen::ZERO);
            bar
        });
        Self { out, bar, last_percent: 0, warned: BTreeSet::new() }
    }

    /// Shows one event. What cannot be shown does not stop an install.
    pub fn show(&mut self, event: &InstallEvent) {
        if wants_events(self.out.style) {
            let _ = self.out.event(&as_json(event));
            return;
        }
        match event {
            InstallEvent::Step(step) => self.step(&describe(step)),
            InstallEvent::Bytes { done, total } => self.bytes(*done, *total),
            InstallEvent::Note(text) => match &self.bar {
                Some(bar) => bar.println(text),
                None => self.step(text),
            },
            InstallEvent::Warning(text) => {
                // A file that cannot be written is told of at each writing.
                if self.warned.insert(text.clone()) {
                    let _ = writeln!(self.out.people, "warning: {text}");
                }
            }
        }
    }

    /// Clears the bar and gives the streams back.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn step(&mut self, text: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => {
                let _ = writeln!(self.out.people, "{text}");
            }
        }
    }

    fn bytes(&mut self, done: ByteLen, total: ByteLen) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(total.get()) {
                draw_by(bar, total);
            }
            bar.set_length(total.get());
            bar.set_position(done.get());
            return;
        }
        let percent = done.get().saturating_mul(100).checked_div(total.get()).unwrap_or(100);
        if percent / LINE_EVERY_PERCENT > self.last_percent / LINE_EVERY_PERCENT {
            let _ = writeln!(self.out.people, "{percent:3}% {done} of {total}");
            self.last_percent = percent;
        }
    }
}

/// Before anybody knows how much there is to do a bar would be full.
const fn template(total: ByteLen) -> &'static str {
    match total.get() {
        0 => "{msg}",
        _ => "{msg:24} [{bar:30}] {bytes:>10}/{total_bytes:10}",
    }
}

fn draw_by(bar: &ProgressBar, total: ByteLen) {
    if let Ok(style) = ProgressStyle::with_template(template(total)) {
        bar.set_style(style.progress_chars("#> "));
    }
}

/// A step in words.
#[must_use]
pub fn describe(step: &InstallStep) -> String {
    match step {
        InstallStep::Plan => "planning".to_owned(),
        InstallStep::PreCheck => "reading the bundle".to_owned(),
        InstallStep::Begin => "taking target out".to_owned(),
        InstallStep::BreakSeal => "breaking the seal".to_owned(),
        InstallStep::Write(slot) => format!("writing {slot}"),
        InstallStep::ReadBack(slot) => format!("reading back {slot}"),
        InstallStep::Seal(slot) => format!("sealing {slot}"),
        InstallStep::Record => "recording".to_owned(),
        InstallStep::Finish => "storing the boot state".to_owned(),
    }
}

fn as_json(event: &InstallEvent) -> serde_json::Value {
    match event {
        InstallEvent::Step(step) => {
            json!({ "version": 1, "event": "step", "text": describe(step) })
        }
        InstallEvent::Bytes { done, total } => json!({
            "version": 1, "event": "bytes", "done": done.get(), "total": total.get(),
        }),
        InstallEvent::Note(text) => {
            json!({ "version": 1, "event": "note", "text": text })
        }
        InstallEvent::Warning(text) => {
            json!({ "version": 1, "event": "warning", "text": text })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_drawn_only_where_the_work_is_known() {
        assert!(!template(ByteLen::ZERO).contains("bar"));
        assert!(template(ByteLen::new(1)).contains("bar"));
    }
}
