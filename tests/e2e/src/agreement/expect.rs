// SPDX-License-Identifier: MIT OR Apache-2.0
//! What must a firmware do with a case, in what it starts, says and saves? The word of
//! [`bootctl::select`], put into variables by name and value.
//!
//! `select` speaks of a [`BootState`]; a firmware stores text. A variable whose meaning the model
//! changes holds the one text for its new meaning; every other keeps the text it had, odd or not.
//! What is forgotten beside the boot state is listed here and nowhere else in the tests.

use super::case::{Around, Case, Content, Saving, Table};
use super::seen::Start;
use super::{DISK, OTHER_DISK};
use board_rock64::Board;
use bootctl::{BootState, FirmwareFacts, PerSlot, Reason, SelectStep, Selection, SlotId, select};
use storage::PartUuid;
use uboot::{Env, SELECTOR_VERSION, TEMPORARIES, TRAIL};

/// Variables by which another U-Boot's environment could keep a kernel from starting.
const ADDRESSES: [&str; 5] =
    ["fdt_high", "initrd_high", "bootm_low", "bootm_size", "bootm_mapsize"];

/// What a person asked for on another board: a root login, empty data.
const REQUESTS: [&str; 2] = ["_RUT_OH_", "atomix_reset_data"];

/// What U-Boot itself sets while it runs.
const OF_UBOOT: [&str; 7] =
    ["stdin", "stdout", "stderr", "filesize", "fileaddr", "fdtcontroladdr", "loadaddr"];

/// What a firmware must do.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// The slot whose script starts, and what it is told; `None`: the board resets.
    pub start: Option<Start>,
    /// The lines that the selector says.
    pub said: Vec<String>,
    /// What is stored afterwards, without scripts and temporaries; `None`: still erased.
    pub stored: Option<Env>,
}

/// An environment as U-Boot reads it: a backslash takes the special meaning from what follows it,
/// and is gone. Linux tools, ours among them, read it as it stands; nothing of ours has one.
#[must_use]
pub fn read_by_uboot(env: &Env) -> Env {
    changed(env, |value| {
        let mut read = String::new();
        let mut letters = value.chars();
        while let Some(letter) = letters.next() {
            let escaped = if letter == '\\' { letters.next() } else { None };
            read.push(escaped.unwrap_or(letter));
        }
        read
    })
}

/// An environment as U-Boot saves what it read.
#[must_use]
pub fn saved_by_uboot(env: &Env) -> Env {
    changed(env, |value| value.replace('\\', "\\\\"))
}

fn changed(env: &Env, change: impl Fn(&str) -> String) -> Env {
    let mut new = Env::new();
    for (name, value) in env.iter() {
        super::case::put(&mut new, &[(name, &change(value))]);
    }
    new
}

/// The model's word on `case`.
#[must_use]
pub fn expected(case: &Case, board: &Board) -> Expected {
    let unchanged = || case.env.as_ref().map(|env| comparable(env, board));
    let case = &Case { env: case.env.as_ref().map(read_by_uboot), ..case.clone() };
    if case.around.table == Table::Unreadable {
        // Nothing can be told from a table that cannot be read, so nothing is forgotten.
        return Expected { start: None, said: vec![dead_end()], stored: unchanged() };
    }
    let before = case.env.as_ref().and_then(|env| BootState::from_env(env).ok());
    let facts = facts(&case.around);
    let model = select(before.as_ref(), &facts);
    let start = model.boots.map(|slot| Start {
        slot: slot.to_string(),
        args: format!(
            "rauc.slot={slot} atomix.reason={} atomix.selector={SELECTOR_VERSION}",
            model.reason
        ),
        pause: pause(&model),
    });
    let said = match (model.boots, model.reason) {
        (Some(slot), reason) => vec![format!("atomix: slot {slot}, {reason}")],
        (None, Reason::LoadFailed) => failed_start(before.as_ref(), &facts),
        (None, _) => vec![dead_end()],
    };
    let saved = model.save && case.around.saving == Saving::Works;
    let stored = if saved {
        Some(saved_by_uboot(&saved_env(case, before, &model, board)))
    } else {
        unchanged()
    };
    Expected { start, said, stored }
}

fn facts(around: &Around) -> FirmwareFacts {
    FirmwareFacts {
        disk: match around.table {
            Table::Whole => DISK.parse::<PartUuid>().ok(),
            Table::NoBootB | Table::Unreadable => None,
        },
        save_works: around.saving != Saving::Refused,
        loads: PerSlot { a: around.starts(SlotId::A), b: around.starts(SlotId::B) },
    }
}

fn dead_end() -> String {
    "atomix: nothing can be started".to_owned()
}

/// What is said before it is known that a slot does not start: the reason it would have had.
fn failed_start(before: Option<&BootState>, facts: &FirmwareFacts) -> Vec<String> {
    let hopeful = FirmwareFacts { loads: PerSlot { a: true, b: true }, ..*facts };
    let Selection { boots, reason, .. } = select(before, &hopeful);
    boots.map_or_else(Vec::new, |slot| {
        vec![
            format!("atomix: slot {slot}, {reason}"),
            format!("atomix: slot {slot} cannot be started"),
        ]
    })
}

fn pause(model: &Selection) -> Option<u16> {
    let last = model.reason == Reason::LastResort;
    model.steps.iter().find_map(|step| {
        if let SelectStep::Paused { secs } = step { last.then_some(*secs) } else { None }
    })
}

/// What a save leaves.
fn saved_env(case: &Case, before: Option<BootState>, model: &Selection, board: &Board) -> Env {
    let lost = model.steps.contains(&SelectStep::EnvironmentLost);
    let foreign = model.steps.iter().any(|step| matches!(step, SelectStep::ForeignDisk { .. }));
    let mut env = case.env.clone().unwrap_or_default();
    if lost || foreign {
        ADDRESSES.iter().for_each(|name| env.unset(name));
    }
    if foreign {
        REQUESTS.iter().for_each(|name| env.unset(name));
    }
    if model.reason == Reason::LoadFailed && model.boots.is_none() {
        env.unset("bootargs");
    }
    // Said anew with each choice, whatever odd text meant the same before.
    ["atomix_last", "atomix_reason"].iter().for_each(|name| env.unset(name));
    let now = text_of(&model.state);
    let was = if lost || foreign { None } else { before };
    let was = was.map(|state| text_of(&BootState { last: None, reason: None, ..state }));
    match was {
        Some(was) => change(&mut env, &was, &now),
        None => {
            // Whatever stood there, only what the model says stands there now.
            let all = text_of(&every_variable());
            all.iter().for_each(|(name, _)| env.unset(name));
            change(&mut env, &Env::new(), &now);
        }
    }
    if lost || foreign {
        TRAIL.iter().for_each(|name| env.unset(name));
    }
    let held = model.decision.map_or(Ok(()), |decision| decision.append_to(&mut env));
    debug_assert!(held.is_ok(), "{:?}", model.decision);
    comparable(&env, board)
}

/// Puts what differs between the texts of two states into `env`.
fn change(env: &mut Env, was: &Env, now: &Env) {
    for (name, _) in was.iter().filter(|(name, _)| now.get(name).is_none()) {
        env.unset(name);
    }
    for (name, value) in now.iter().filter(|(name, value)| was.get(name) != Some(value)) {
        super::case::put(env, &[(name, value)]);
    }
}

/// A state as variables.
fn text_of(state: &BootState) -> Env {
    let mut env = Env::new();
    let held = state.write_to(&mut env);
    debug_assert!(held.is_ok(), "{state:?}");
    env
}

/// A state in which every variable has a value, for their names.
fn every_variable() -> BootState {
    let bundle = bootctl::BundleId::from_bytes([1; 16]);
    let mut state = BootState {
        failed: vec![bundle],
        last: Some(SlotId::A),
        disk: OTHER_DISK.parse().ok(),
        reason: Some(Reason::Normal),
        returned: Some(SlotId::A),
        ..BootState::lost()
    };
    state.a.bundle = Some(bundle);
    state.b.bundle = Some(bundle);
    state
}

/// Without scripts, temporaries and what U-Boot sets itself: what two environments are compared
/// by.
pub(super) fn comparable(env: &Env, board: &Board) -> Env {
    let mut env = env.clone();
    let selector = board.selector();
    let scripts = selector.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name);
    for name in scripts.chain(TEMPORARIES).chain(OF_UBOOT).chain(["atomix_s"]) {
        env.unset(name);
    }
    env
}

/// Whether the model says what becomes of this case. A script that loads and returns is one that
/// does not load to `select`; the firmware finds out later than when it looks for a slot that
/// loads, so only a slot of the order may be one.
#[must_use]
pub fn is_modelled(case: &Case) -> bool {
    let returns = SlotId::ALL.map(|slot| *case.around.slots.get(slot) == Content::Returns);
    if returns == [false, false] {
        return true;
    }
    let before = case.env.as_ref().and_then(|env| BootState::from_env(env).ok());
    let facts = facts(&case.around);
    let model = select(before.as_ref(), &facts);
    model.steps.iter().any(|step| matches!(step, SelectStep::Spent { .. }))
        && !model.steps.contains(&SelectStep::AttemptsReset)
        && facts.save_works
}
