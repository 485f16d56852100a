// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix boot` and `atomix rollback`: the boot state, read and changed by its three verbs.

use crate::audit_trail::{AuditTrail, who};
use crate::boot_control::BootControl;
use crate::boot_view::KNOWN_BY_RECORDER;
use crate::cli::{BootCommand, SlotName};
use crate::commands::install::{install_groups, seal_health};
use crate::commands::last_words::LastWords;
use crate::commands::{dead_end, serial_root};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use bootctl::{BootState, Command, Entry, Force, SlotId, SlotState, transition};
use serde::Serialize;
use std::io::{self, Write};
use std::time::Duration;
use storage::Access;
use updater::{SEAL_BYTES, SealHealth};

/// Runs a verb of `atomix boot`.
///
/// # Errors
/// [`Failure`]; a refused change changed nothing.
pub fn run(context: &Context, command: &BootCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        BootCommand::State => state(context, out),
        BootCommand::IsConfirmed => is_confirmed(context, out),
        BootCommand::MarkGood { slot } => {
            mark(context, out, *slot, "good", |slot| Command::MarkGood { slot })
        }
        BootCommand::MarkBad { slot, force } => mark(context, out, *slot, "bad", |slot| {
            Command::MarkBad { slot, force: if *force { Force::Yes } else { Force::No } }
        }),
        BootCommand::MarkActive { slot } => {
            mark(context, out, *slot, "active", |slot| Command::MarkActive { slot })
        }
        BootCommand::Started => started(context, out),
        BootCommand::RestoreAttempts => restore_attempts(context, out),
        BootCommand::GiveUp { cause, pause } => {
            dead_end::give_up(context, cause, Duration::from_secs(*pause), out)
        }
        BootCommand::Deadline => dead_end::deadline(context, out),
        BootCommand::SerialRoot => serial_root::run(context, out),
    }
}

/// Makes the other slot boot next, and the booted one bad if asked.
///
/// # Errors
/// [`Failure::BootState`] when the other slot is not good, unless forced.
pub fn rollback(
    context: &Context,
    force: Force,
    mark_bad: bool,
    out: &mut Output,
) -> Result<(), Failure> {
    let (mut control, told) = open_and_warn(context, out)?;
    let booted = control.require_booted()?;
    let command = Command::Rollback { force };
    // The state's own refusal says more than a missing seal.
    transition(control.state(), Some(booted), &command)?;
    match (require_seal(context, booted.other()), force) {
        (Err(failure), Force::Yes) => out.warn(&[failure.as_warning()])?,
        (sealed, Force::Yes | Force::No) => sealed?,
    }
    control.apply(&command)?;
    control.note(&Entry::Asked { what: format!("rollback to slot {}", booted.other()) });
    note_mark(context, booted.other(), "active", "atomix rollback", out)?;
    if mark_bad {
        control.apply(&Command::MarkBad { slot: booted, force })?;
        note_mark(context, booted, "bad", "atomix rollback", out)?;
    }
    told.tell_rest(&control, out)?;
    out.done(&format!("slot {} boots next; reboot to roll back", booted.other()))
}

/// The boot state, open for change. What is wrong with it is told before anything is decided by
/// it: a refusal may be due to an environment copy that cannot be read.
fn open_and_warn(context: &Context, out: &mut Output) -> Result<(BootControl, Told), Failure> {
    let control = BootControl::open(context, Access::ReadWrite)?;
    out.warn(control.warnings())?;
    let told = Told(control.warnings().len());
    Ok((control, told))
}

/// How many of the warnings were told.
struct Told(usize);

impl Told {
    /// Tells those that came since.
    fn tell_rest(&self, control: &BootControl, out: &mut Output) -> Result<(), Failure> {
        out.warn(control.warnings().get(self.0..).unwrap_or_default())
    }
}

/// The slot that a name means here.
///
/// # Errors
/// [`Failure::NotBootedFromSlot`] for `booted` and `other` where no slot is booted.
pub fn resolve(name: SlotName, booted: Option<SlotId>) -> Result<SlotId, Failure> {
    let booted = || booted.ok_or(Failure::NotBootedFromSlot);
    Ok(match name {
        SlotName::A => SlotId::A,
        SlotName::B => SlotId::B,
        SlotName::Booted => booted()?,
        SlotName::Other => booted()?.other(),
    })
}

fn mark(
    context: &Context,
    out: &mut Output,
    name: SlotName,
    verb: &str,
    command: impl FnOnce(SlotId) -> Command,
) -> Result<(), Failure> {
    let (mut control, told) = open_and_warn(context, out)?;
    let slot = resolve(name, control.booted())?;
    let command = command(slot);
    if let Command::MarkActive { slot } = command {
        transition(control.state(), control.booted(), &command)?;
        require_seal(context, slot)?;
    }
    control.apply(&command)?;
    note_mark(context, slot, verb, "atomix boot", out)?;
    told.tell_rest(&control, out)?;
    out.done(&format!("marked slot {slot} as {verb}"))
}

/// Writes the mark to the audit log.
fn note_mark(
    context: &Context,
    slot: SlotId,
    mark: &str,
    by: &str,
    out: &mut Output,
) -> Result<(), Failure> {
    let trail = AuditTrail::below(&context.root);
    let warning = trail.marked(context.now.0, (&slot.to_string(), mark), &who(by));
    out.warn(warning.as_slice())
}

/// A slot without its seal does not load: making it boot next would spend its attempts and end
/// where it began. The state alone does not know, when it was lost or set by other tools.
fn require_seal(context: &Context, slot: SlotId) -> Result<(), Failure> {
    let groups = install_groups(&context.system_conf()?)?;
    for group in groups.iter().filter(|group| group.slot_id == slot) {
        if seal_health(context, group)? == SealHealth::Sealed {
            continue;
        }
        let device = group.members.iter().find(|member| member.name == group.seal);
        let device = device.map(|member| member.device.display().to_string()).unwrap_or_default();
        return Err(Failure::Refused {
            what: format!(
                "slot {slot} would not load: {} ({device}) has no seal, its first {SEAL_BYTES} \
                 bytes are zero",
                group.seal
            ),
            hint: "an install into it did not finish: install a bundle into it",
        });
    }
    Ok(())
}

/// Whether the running slot is confirmed, as JSON, version 1.
#[derive(Serialize)]
struct ConfirmedView {
    version: u32,
    slot: String,
    confirmed: bool,
}

fn is_confirmed(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let control = BootControl::open(context, Access::ReadOnly)?;
    let slot = control.require_booted()?;
    let state = control.state().slot(slot).state;
    let confirmed = state == SlotState::Good;
    let view = ConfirmedView { version: 1, slot: slot.to_string(), confirmed };
    // `atomix boot state` shows the state as the environment has it.
    let by = if control.stored().slot(slot).state == state { "" } else { KNOWN_BY_RECORDER };
    out.answer(&view, |to, view| {
        // What is no is told as the failure that follows.
        if view.confirmed { writeln!(to, "slot {} is confirmed{by}", view.slot) } else { Ok(()) }
    })?;
    if confirmed {
        return Ok(());
    }
    Err(Failure::No { what: format!("slot {slot} is not confirmed: it is {state}") })
}

/// The Linux half of a boot: states lost with the environment are restored from the recorder,
/// what the selector did is remembered. Run once, early in every boot.
fn started(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let (mut control, told) = open_and_warn(context, out)?;
    let slot = control.require_booted()?;
    let reason = context.cmdline()?.reason();
    let words = LastWords::read(context);
    control.note_dead_boots(&words.deaths);
    control.reconcile(reason)?;
    told.tell_rest(&control, out)?;
    out.warn(&words.warnings)?;
    let reason = reason.map_or_else(|| "no reason given".to_owned(), |r| r.to_string());
    out.done(&format!("slot {slot} booted: {reason}"))
}

fn restore_attempts(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let (mut control, told) = open_and_warn(context, out)?;
    let slot = control.require_booted()?;
    control.apply(&Command::RestoreAttempts { slot })?;
    told.tell_rest(&control, out)?;
    out.done(&format!("slot {slot} has {} attempts", control.state().slot(slot).attempts))
}

/// The boot state as JSON, version 1.
#[derive(Serialize)]
pub(in crate::commands) struct StateView {
    version: u32,
    booted: Option<String>,
    order: Vec<String>,
    slots: Vec<SlotView>,
    failed_bundles: Vec<String>,
    disk: Option<String>,
    reason: Option<String>,
}

#[derive(Serialize)]
struct SlotView {
    slot: String,
    state: String,
    attempts_left: u8,
    bundle: Option<String>,
}

impl StateView {
    pub(in crate::commands) fn new(state: &BootState, booted: Option<SlotId>) -> Self {
        Self {
            version: 1,
            booted: booted.map(|slot| slot.to_string()),
            order: state.order.iter().map(ToString::to_string).collect(),
            slots: SlotId::ALL
                .into_iter()
                .map(|slot| SlotView {
                    slot: slot.to_string(),
                    state: state.slot(slot).state.to_string(),
                    attempts_left: state.slot(slot).attempts.get(),
                    bundle: state.slot(slot).bundle.map(|bundle| bundle.to_string()),
                })
                .collect(),
            failed_bundles: state.failed.iter().map(ToString::to_string).collect(),
            disk: state.disk.map(|disk| disk.to_string()),
            reason: state.reason.map(|reason| reason.to_string()),
        }
    }
}

fn state(context: &Context, out: &mut Output) -> Result<(), Failure> {
    let control = BootControl::open(context, Access::ReadOnly)?;
    out.warn(control.warnings())?;
    out.answer(&StateView::new(control.stored(), control.booted()), render_state)
}

pub(in crate::commands) fn render_state(to: &mut dyn Write, view: &StateView) -> io::Result<()> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    writeln!(to, "booted  {}", or_none(&view.booted))?;
    writeln!(to, "order   {}", view.order.join(" "))?;
    for slot in &view.slots {
        let bundle = or_none(&slot.bundle);
        writeln!(
            to,
            "slot {}  {:8} attempts {}  bundle {bundle}",
            slot.slot, slot.state, slot.attempts_left
        )?;
    }
    writeln!(to, "disk    {}", or_none(&view.disk))?;
    writeln!(to, "reason  {}", or_none(&view.reason))?;
    for bundle in &view.failed_bundles {
        writeln!(to, "failed  {bundle}")?;
    }
    Ok(())
}
