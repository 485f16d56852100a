// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix status`: one screen that answers what is booted, what boots next and why, what is in
//! the other slot, and what failed last.

use crate::boot_control::BootControl;
use crate::commands::install::slot_version;
use crate::commands::slot::{SlotRow, render_slots, slots};
use crate::commands::why::FallbackView;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Output, wrap};
use crate::terminal::one_line;
use bootctl::{SlotId, explain};
use serde::Serialize;
use std::io::{self, Write};
use storage::Access;

/// Runs `atomix status`.
///
/// # Errors
/// [`Failure`] of the configuration or the devices.
pub fn run(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let config = context.system_conf()?;
    let mut control = BootControl::open(context, Access::ReadOnly)?;
    let history = control.history();
    let explanation = explain(&history, control.state());
    let booted = control.booted();
    let group = |slot: SlotId| GroupView {
        slot: slot.to_string(),
        state: control.state().slot(slot).state.to_string(),
        attempts_left: control.state().slot(slot).attempts.get(),
        bundle_version: slot_version(context, &config, control.state(), slot),
    };
    let view = StatusView {
        version: 1,
        compatible: config.system.compatible.clone(),
        booted: booted.map(group),
        other: booted.map(|slot| group(slot.other())),
        next_slot: explanation.next.slot.map(|slot| slot.to_string()),
        next_why: explanation.next.why,
        last_fallback: explanation.fallback.as_ref().map(FallbackView::new),
        slots: slots(context, &config, control.state(), booted)?.slots,
    };
    let fallback = explanation.fallback.map(|fallback| one_line(&fallback.to_string()));
    out.warn(control.warnings())?;
    out.answer(&view, |to, view| render(to, view, fallback.as_deref()))
}

/// The status as JSON, version 1.
#[derive(Serialize)]
struct StatusView {
    version: u32,
    compatible: String,
    booted: Option<GroupView>,
    other: Option<GroupView>,
    next_slot: Option<String>,
    next_why: String,
    last_fallback: Option<FallbackView>,
    slots: Vec<SlotRow>,
}

#[derive(Serialize)]
struct GroupView {
    slot: String,
    state: String,
    attempts_left: u8,
    bundle_version: Option<String>,
}

fn render(to: &mut dyn Write, view: &StatusView, fallback: Option<&str>) -> io::Result<()> {
    writeln!(to, "compatible   {}", view.compatible)?;
    render_group(to, "booted", view.booted.as_ref())?;
    render_group(to, "other slot", view.other.as_ref())?;
    writeln!(to, "boots next   {}: {}", view.next_slot.as_deref().unwrap_or("-"), view.next_why)?;
    match fallback {
        None => writeln!(to, "last failure none on record")?,
        Some(text) => wrap(to, "last failure ", text)?,
    }
    writeln!(to)?;
    render_slots(to, &view.slots)
}

fn render_group(to: &mut dyn Write, title: &str, group: Option<&GroupView>) -> io::Result<()> {
    match group {
        None => writeln!(to, "{title:12} not a slot"),
        Some(group) => writeln!(
            to,
            "{title:12} {}  {}, {} attempts left, version {}",
            group.slot,
            group.state,
            group.attempts_left,
            group.bundle_version.as_deref().map_or("not recorded".to_owned(), one_line)
        ),
    }
}
