// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix status`: one screen that answers what is booted, what boots next and why, what is in
//! the other slot, and what failed last.

use crate::boot_view::BootView;
use crate::commands::last_failure::{LastFailure, last_failure};
use crate::commands::slot::{SlotRow, render_slots, slots};
use crate::commands::why::{FallbackView, newer_fallback};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, wrap};
use crate::slot_records::{SlotRecords, slot_version};
use crate::terminal::{fit, one_line};
use bootctl::{BootState, SlotId, SlotState, explain};
use serde::Serialize;
use std::io::{self, Write};
use updater::running_install;

/// Runs `atomix status`.
///
/// # Errors
/// [`Failure`] of what cannot be read; people are shown the rest.
pub fn run(context: &Context, out: &mut Output) -> Result<(), Failure> {
    // One that ends meanwhile was still running when the rest was read.
    let before = running_install(&context.root);
    let mut seen = BootView::read(context)?;
    // Stands for a state that was not read where versions and sizes are looked up; never shown.
    let state = seen.state.clone().unwrap_or_else(BootState::lost);
    let explanation = explain(&seen.history, &state);
    let next = seen.state.is_some().then_some(explanation.next);
    let config = seen.config.as_ref();
    if let Some(config) = config {
        seen.warnings.extend(SlotRecords::read(context, config, &state).warnings);
    }
    let running_install = before.or_else(|| running_install(&context.root));
    let group = |slot: SlotId| GroupView {
        known: known_by_recorder(&seen, slot),
        is_installed_into: running_install.is_some(),
        slot: slot.to_string(),
        state: seen.state.as_ref().map_or(NOT_READ.to_owned(), |s| s.slot(slot).state.to_string()),
        attempts_left: seen.state.as_ref().map(|state| state.slot(slot).attempts.get()),
        bundle_version: config.and_then(|config| slot_version(context, config, &state, slot)),
    };
    let mut rows = match config {
        Some(config) => slots(context, config, &state, seen.booted)?.slots,
        None => Vec::new(),
    };
    if seen.state.is_none() {
        rows.iter_mut().for_each(|row| row.state = NOT_READ.to_owned());
    }
    let view = StatusView {
        version: 1,
        compatible: config.map(|config| config.system.compatible.clone()),
        booted: seen.booted.map(group),
        other: seen.booted.map(|slot| group(slot.other())),
        next_slot: next.as_ref().and_then(|next| next.slot).map(|slot| slot.to_string()),
        next_why: next.map_or("the boot state could not be read".to_owned(), |next| next.why),
        running_install,
        last_failure: newer_fallback(&seen).or_else(|| {
            let known = explanation.fallback.as_ref();
            match last_failure(&seen.history, seen.state.as_ref(), running_install) {
                Some(LastFailure::FellBack) => known.map(ToString::to_string),
                // A fallback of which no more than the firmware's word is on record.
                None => known.map(ToString::to_string),
                other => other.map(|failure| failure.to_string()),
            }
        }),
        last_fallback: explanation.fallback.as_ref().map(FallbackView::new),
        slots: rows,
    };
    out.warn(&seen.warnings)?;
    let failure = match &view.last_failure {
        Some(failure) => one_line(failure),
        None if seen.recorder.readable => "none on record".to_owned(),
        None => "not known: the flight recorder cannot be read".to_owned(),
    };
    seen.conclude(&view, |to, view| render(to, view, &failure), out)
}

/// In the place of a state that could not be read.
const NOT_READ: &str = "not read";

/// The status as JSON, version 1.
#[derive(Serialize)]
struct StatusView {
    version: u32,
    compatible: Option<String>,
    booted: Option<GroupView>,
    other: Option<GroupView>,
    next_slot: Option<String>,
    next_why: String,
    /// The process that installs now.
    running_install: Option<u32>,
    /// What failed last, in words: a fallback, or an install that failed or never ended.
    last_failure: Option<String>,
    last_fallback: Option<FallbackView>,
    slots: Vec<SlotRow>,
}

#[derive(Serialize)]
struct GroupView {
    slot: String,
    state: String,
    attempts_left: Option<u8>,
    bundle_version: Option<String>,
    /// What the flight recorder knows of a state that the environment lost.
    #[serde(skip)]
    known: Option<String>,
    #[serde(skip)]
    is_installed_into: bool,
}

/// A state of which the environment knows nothing more and decisions go by.
fn known_by_recorder(seen: &BootView, slot: SlotId) -> Option<String> {
    let (stored, known) = (seen.state.as_ref()?.slot(slot), seen.recalled.as_ref()?.slot(slot));
    (stored.state != known.state)
        .then(|| format!(" ({}, known from the flight recorder)", known.state))
}

fn render(to: &mut dyn Write, view: &StatusView, failure: &str) -> io::Result<()> {
    let compatible = view.compatible.as_deref().map_or("-".to_owned(), one_line);
    writeln!(to, "compatible   {}", fit(&compatible, VALUE_COLUMNS))?;
    match &view.booted {
        Some(booted) => render_group(to, "booted", booted)?,
        None => writeln!(to, "booted       not from a slot: the kernel command line names none")?,
    }
    if let Some(other) = &view.other {
        render_group(to, "other slot", other)?;
    }
    let next = format!("{}: {}", view.next_slot.as_deref().unwrap_or("-"), view.next_why);
    wrap(to, "boots next   ", &words_that_fit(&next))?;
    if let Some(process) = view.running_install {
        writeln!(to, "now          an install is running (process {process})")?;
    }
    wrap(to, "last failure ", &words_that_fit(failure))?;
    if view.slots.is_empty() {
        return Ok(());
    }
    writeln!(to)?;
    render_slots(to, &view.slots)
}

/// What is left of a line of 80 columns behind its title.
const VALUE_COLUMNS: usize = 67;

/// No word of it is longer than a line; JSON has the whole.
fn words_that_fit(text: &str) -> String {
    text.split(' ').map(|word| fit(word, VALUE_COLUMNS)).collect::<Vec<_>>().join(" ")
}

fn render_group(to: &mut dyn Write, title: &str, group: &GroupView) -> io::Result<()> {
    let known = group.known.as_deref().unwrap_or_default();
    let mut text = format!("{}  {}{known}, ", group.slot, group.state);
    if let Some(attempts) = group.attempts_left {
        let plural = if attempts == 1 { "" } else { "s" };
        text.push_str(&format!("{attempts} attempt{plural} left, "));
    }
    if group.state == SlotState::Writing.to_string() {
        let word = if group.is_installed_into { "is running" } else { "is not finished" };
        text.push_str(&format!("its install {word}"));
    } else {
        let version = group.bundle_version.as_deref().map_or("not recorded".to_owned(), one_line);
        text.push_str(&format!("version {version}"));
    }
    wrap(to, &format!("{title:12} "), &words_that_fit(&text))
}
