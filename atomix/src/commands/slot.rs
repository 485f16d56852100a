// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix slot`: what the slots are and whether their content is still what was installed.

use crate::cli::SlotCommand;
use crate::commands::boot::resolve;
use crate::commands::install::install_groups;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::Output;
use crate::slot_records::{SlotRecords, is_current};
use crate::terminal::{fit, one_line};
use bootctl::{BootState, SlotId, SlotState};
use serde::Serialize;
use std::io::{self, Write};
use storage::{Access, ByteLen, Digest};
use updater::{Slot, SlotCheck, SlotStatus, SlotStatusFile, SystemConfig};

/// Runs a verb of `atomix slot`.
///
/// # Errors
/// [`Failure`]; [`Failure::Content`] when content differs.
pub fn run(context: &Context, command: &SlotCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        SlotCommand::List => {
            let config = context.system_conf()?;
            let state = context.boot_state(&config)?;
            let view = slots(context, &config, &state, context.booted()?)?;
            out.warn(&SlotRecords::read(context, &config, &state).warnings)?;
            out.answer(&view, |to, view| render_slots(to, &view.slots))
        }
        SlotCommand::Check { slot } => {
            let slot = resolve(*slot, context.booted()?)?;
            let mut backend = context.backend(&context.system_conf()?, Access::ReadOnly)?;
            let state = backend.load()?.slot(slot).state;
            // A refusal may be due to an environment copy that cannot be read.
            out.warn(&backend.warnings())?;
            if matches!(state, SlotState::Empty | SlotState::Writing) {
                return Err(Failure::Refused {
                    what: format!("slot {slot} is {state}: it holds no finished install"),
                    hint: "install a bundle into the slot",
                });
            }
            let checked = check(context, slot)?;
            let slots = checked.iter().map(CheckedView::new).collect();
            let view = CheckView { version: 1, slot: slot.to_string(), slots };
            let differs = difference(&checked);
            out.answer(&view, |to, view| {
                // What differs is told as the failure that follows.
                if differs.is_none() { render_check(to, view) } else { Ok(()) }
            })?;
            differs.map_or(Ok(()), |what| Err(Failure::Content { what }))
        }
    }
}

/// What was compared, as JSON, version 1.
#[derive(Serialize)]
struct CheckView {
    version: u32,
    slot: String,
    slots: Vec<CheckedView>,
}

/// One slot; `matches` is null where nothing is recorded to compare with.
#[derive(Serialize)]
struct CheckedView {
    name: String,
    matches: Option<bool>,
}

impl CheckedView {
    fn new(checked: &CheckedSlot) -> Self {
        let matches = match checked.content {
            Compared::Matches => Some(true),
            Compared::Differs(_) => Some(false),
            Compared::NoRecord => None,
        };
        Self { name: checked.name.clone(), matches }
    }
}

/// What comparing a slot with its record found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Compared {
    /// Its content is what was installed.
    Matches,
    /// It is not; the text says how.
    Differs(String),
    /// There is no digest to compare with.
    NoRecord,
}

/// One slot of a group that was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSlot {
    name: String,
    /// What was found.
    pub content: Compared,
}

/// What differs, of all that was checked.
#[must_use]
pub fn difference(checked: &[CheckedSlot]) -> Option<String> {
    let differing = |slot: &CheckedSlot| match &slot.content {
        Compared::Differs(text) => Some(text.clone()),
        Compared::Matches | Compared::NoRecord => None,
    };
    let texts: Vec<String> = checked.iter().filter_map(differing).collect();
    (!texts.is_empty()).then(|| texts.join("; "))
}

fn render_check(to: &mut dyn Write, view: &CheckView) -> io::Result<()> {
    let says = if view.slots.iter().any(|slot| slot.matches.is_some()) {
        "holds what was installed"
    } else {
        "has nothing to be compared with"
    };
    let name = |slot: &CheckedView| {
        let note = if slot.matches.is_some() { "" } else { " (no record)" };
        format!("{}{note}", slot.name)
    };
    let names: Vec<String> = view.slots.iter().map(name).collect();
    writeln!(to, "slot {} {says}: {}", view.slot, names.join(", "))
}

/// The slots as JSON, version 1.
#[derive(Clone, Debug, Serialize)]
pub struct SlotsView {
    version: u32,
    /// One row per slot.
    pub slots: Vec<SlotRow>,
}

/// One slot.
#[derive(Clone, Debug, Serialize)]
pub struct SlotRow {
    /// RAUC's name: `class.index`.
    pub name: String,
    /// `A` or `B`.
    pub bootname: String,
    /// Device path.
    pub device: String,
    /// Bytes of the device; none when it cannot be opened.
    pub bytes: Option<u64>,
    /// Boot state of its group.
    pub state: String,
    /// Version of the bundle it was installed from.
    pub content: Option<String>,
    /// Whether the running system came from it.
    pub booted: bool,
}

/// All slots, group by group.
///
/// # Errors
/// [`Failure::SystemConf`] when the groups cannot be made out.
pub fn slots(
    context: &Context,
    config: &SystemConfig,
    state: &BootState,
    booted: Option<SlotId>,
) -> Result<SlotsView, Failure> {
    let statuses = SlotRecords::read(context, config, state).statuses;
    let mut rows = Vec::new();
    for group in install_groups(config)? {
        let current = state.slot(group.slot_id).state != SlotState::Writing
            && is_current(&statuses, &group, state.slot(group.slot_id).bundle);
        for slot in &group.members {
            let size = context.devices.open(&slot.device, Access::ReadOnly).map(|d| d.len().get());
            rows.push(SlotRow {
                name: slot.name.to_string(),
                bootname: group.slot_id.to_string(),
                device: slot.device.display().to_string(),
                bytes: size.ok(),
                state: state.slot(group.slot_id).state.to_string(),
                content: content(&statuses, &slot.name).filter(|_| current),
                booted: booted == Some(group.slot_id),
            });
        }
    }
    Ok(SlotsView { version: 1, slots: rows })
}

fn content(statuses: &SlotStatusFile, name: &updater::SlotName) -> Option<String> {
    let status = statuses.slots.get(name)?;
    status.version.clone()
}

/// The slots as a table of at most 80 columns.
///
/// # Errors
/// The writer's.
pub fn render_slots(to: &mut dyn Write, rows: &[SlotRow]) -> io::Result<()> {
    let head = ["slot", "boot", "device", "size", "state", "content"].map(str::to_owned);
    let cells: Vec<[String; 6]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let lengths =
        |column: usize| cells.iter().filter_map(move |row| Some(row.get(column)?.chars().count()));
    let widths: Vec<usize> = MIN_WIDTHS
        .iter()
        .enumerate()
        .map(|(column, least)| lengths(column).max().unwrap_or(0).max(*least))
        .collect();
    let content = lengths(CONTENT).max().unwrap_or(0);
    let wide = 2 + widths.iter().map(|width| width + 1).sum::<usize>() + content > COLUMNS;
    let marks =
        std::iter::once(' ').chain(rows.iter().map(|row| if row.booted { '*' } else { ' ' }));
    for (line, (mark, row)) in marks.zip(&cells).enumerate() {
        let mut text = format!("{mark} ");
        for (column, (cell, width)) in row.iter().zip(widths.iter().chain([&0])).enumerate() {
            if !(wide && column == DEVICE) {
                text.push_str(&format!("{cell:width$} "));
            }
        }
        writeln!(to, "{}", text.trim_end())?;
        if let (true, Some(row)) = (wide, line.checked_sub(1).and_then(|row| rows.get(row))) {
            render_device(to, &row.device)?;
        }
    }
    Ok(())
}

/// A path that has no room in its column, below its slot; none of it is left out.
fn render_device(to: &mut dyn Write, device: &str) -> io::Result<()> {
    let device: Vec<char> = one_line(device).chars().collect();
    for part in device.chunks(COLUMNS - DEVICE_INDENT) {
        let part: String = part.iter().collect();
        writeln!(to, "{:DEVICE_INDENT$}{part}", "")?;
    }
    Ok(())
}

fn cells(row: &SlotRow) -> [String; 6] {
    let size = row.bytes.map_or_else(|| "absent".to_owned(), |b| ByteLen::new(b).to_string());
    let content = row.content.as_deref().map_or_else(|| unknown_content(row), one_line);
    let (name, content) = (fit(&row.name, NAME_MAX), fit(&content, CONTENT_MAX));
    [name, row.bootname.clone(), row.device.clone(), size, row.state.clone(), content]
}

/// Columns of a serial console.
const COLUMNS: usize = 80;
/// Of name, bootname, device, size and state.
const MIN_WIDTHS: [usize; 5] = [9, 4, 16, 10, 8];
const DEVICE: usize = 2;
const CONTENT: usize = 5;
/// With both at their longest, a table without devices has 80 columns.
const NAME_MAX: usize = 24;
const CONTENT_MAX: usize = 24;
const DEVICE_INDENT: usize = 12;

/// In the place of a version; an install that is not finished leaves something of both systems.
fn unknown_content(row: &SlotRow) -> String {
    let text = if row.state == SlotState::Writing.to_string() { "incomplete" } else { "-" };
    text.to_owned()
}

/// Hashes the slots of one group and compares with what was recorded at their install. Slots
/// without a record (the factory's, or written while the record could not be) are named as such.
///
/// # Errors
/// [`Failure::SlotCheck`] when one cannot be read.
pub fn check(context: &Context, slot: SlotId) -> Result<Vec<CheckedSlot>, Failure> {
    let config = context.system_conf()?;
    let state = context.boot_state(&config)?;
    let statuses = SlotRecords::read(context, &config, &state).statuses;
    let groups = install_groups(&config)?;
    let bundle = state.slot(slot).bundle;
    let mut checked = Vec::new();
    let groups = groups.iter().filter(|group| group.slot_id == slot);
    for (group, member) in groups.flat_map(|group| group.members.iter().map(move |m| (group, m))) {
        // The digest of an older install says nothing about what is there now.
        let recorded = statuses
            .slots
            .get(&member.name)
            .filter(|status| status.sha256.is_some() && is_current(&statuses, group, bundle));
        let content = match recorded {
            None => Compared::NoRecord,
            Some(status) => compare(context, member, status)?,
        };
        checked.push(CheckedSlot { name: member.name.to_string(), content });
    }
    Ok(checked)
}

fn compare(context: &Context, slot: &Slot, status: &SlotStatus) -> Result<Compared, Failure> {
    Ok(match updater::check_slot(slot, status, &*context.devices, &mut |_| {})? {
        SlotCheck::Matches { .. } => Compared::Matches,
        SlotCheck::Differs { expected, found } => Compared::Differs(format!(
            "slot {} on {} has digest {}…, installed was {}…",
            slot.name,
            slot.device.display(),
            short(&found),
            short(&expected),
        )),
    })
}

/// Enough digits to tell two digests apart and to find one in a manifest; whole ones do not fit a
/// line of the console, nor the flight recorder's room for a cause.
fn short(digest: &Digest) -> String {
    digest.to_string().chars().take(16).collect()
}
