// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Linux half of the boot protocol: may this change be made, and what is the state after it?
//!
//! Pure: one state and one command in, one state or a refusal out. Every pair of command and slot
//! state is listed, so a new state or command does not compile before each pair is decided.
//!
//! Held here: the booted slot is never written (I2); the last good slot is never overwritten and
//! never marked bad without force (I8); a slot holding no complete system never enters the order.

use crate::command::{Activation, Command, Force, Refused};
use crate::state::{BootState, SlotRecord, SlotState};
use crate::{AttemptsLeft, BundleId, SlotId};
use storage::PartUuid;

/// The state after `command`, or why it is refused.
///
/// `booted` is the slot the running system came from; `None` means it came from elsewhere (network,
/// a technician's medium), so neither slot is in use. A caller that cannot tell must not ask.
///
/// # Errors
/// [`Refused`]; the state is then unchanged.
pub fn transition(
    state: &BootState,
    booted: Option<SlotId>,
    command: &Command,
) -> Result<BootState, Refused> {
    match *command {
        Command::BeginInstall { target } => begin_install(state, booted, target),
        Command::FinishInstall { target, bundle, activation } => {
            finish_install(state, target, bundle, activation)
        }
        Command::FailInstall { target } => fail_install(state, target),
        Command::MarkGood { slot } => mark_good(state, booted, slot),
        Command::MarkBad { slot, force } => mark_bad(state, slot, force),
        Command::MarkActive { slot } => mark_active(state, slot),
        Command::RestoreAttempts { slot } => restore_attempts(state, booted, slot),
        Command::ConfirmFallback { slot } => confirm_fallback(state, booted, slot),
        Command::Leave { slot } => leave(state, booted, slot),
        Command::FirstBoot { disk } => first_boot(state, booted, disk),
        Command::Rollback { force } => rollback(state, booted, force),
    }
}

fn is_last_good(state: &BootState, slot: SlotId) -> bool {
    state.slot(slot).state == SlotState::Good && state.slot(slot.other()).state != SlotState::Good
}

fn begin_install(
    state: &BootState,
    booted: Option<SlotId>,
    target: SlotId,
) -> Result<BootState, Refused> {
    if booted == Some(target) {
        return Err(Refused::TargetBooted { slot: target });
    }
    match state.slot(target).state {
        SlotState::Good if is_last_good(state, target) => {
            return Err(Refused::LastGood { slot: target });
        }
        // Writing again is the repeat of an install that was cut.
        SlotState::Empty
        | SlotState::Writing
        | SlotState::Trying
        | SlotState::Good
        | SlotState::Bad
        | SlotState::Unknown => {}
    }
    let mut next = state.clone();
    // The selector turns a slot bad without a word in the list. Where this comes before Linux has
    // added it, or after that commit was lost, the record about to go is all that tells of it (I3).
    if let SlotRecord { state: SlotState::Bad, bundle: Some(bundle), .. } = *state.slot(target) {
        next.remember_failed(bundle);
    }
    *next.slot_mut(target) = SlotRecord { state: SlotState::Writing, ..SlotRecord::EMPTY };
    next.remove_from_order(target);
    // Someone may have edited the order down to the target alone: a cut during the install must
    // still find the good slot there.
    let other = target.other();
    if next.order.is_empty() && next.slot(other).state == SlotState::Good {
        next.order.push(other);
    }
    if next.returned == Some(target) {
        next.returned = None;
    }
    Ok(next)
}

fn finish_install(
    state: &BootState,
    target: SlotId,
    bundle: BundleId,
    activation: Activation,
) -> Result<BootState, Refused> {
    let found = state.slot(target).state;
    match found {
        SlotState::Writing => {}
        SlotState::Empty
        | SlotState::Trying
        | SlotState::Good
        | SlotState::Bad
        | SlotState::Unknown => {
            return Err(Refused::NotInstalling { slot: target, state: found });
        }
    }
    let mut next = state.clone();
    let attempts = match activation {
        Activation::Activate => {
            next.put_first(target);
            AttemptsLeft::DEFAULT
        }
        Activation::Stage => {
            next.remove_from_order(target);
            AttemptsLeft::ZERO
        }
    };
    *next.slot_mut(target) =
        SlotRecord { state: SlotState::Trying, attempts, bundle: Some(bundle) };
    Ok(next)
}

fn fail_install(state: &BootState, target: SlotId) -> Result<BootState, Refused> {
    let found = state.slot(target).state;
    match found {
        // Giving up twice is giving up once.
        SlotState::Writing | SlotState::Empty => {
            let mut next = state.clone();
            *next.slot_mut(target) = SlotRecord::EMPTY;
            next.remove_from_order(target);
            Ok(next)
        }
        SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown => {
            Err(Refused::NotInstalling { slot: target, state: found })
        }
    }
}

fn mark_good(
    state: &BootState,
    booted: Option<SlotId>,
    slot: SlotId,
) -> Result<BootState, Refused> {
    let found = state.slot(slot).state;
    match found {
        SlotState::Empty | SlotState::Writing => {
            return Err(Refused::NotInstalled { slot, state: found });
        }
        // A bad slot that was booted as the last resort and is healthy is good after all.
        SlotState::Trying | SlotState::Bad | SlotState::Unknown => {
            if booted != Some(slot) {
                return Err(Refused::NotBooted { slot, state: found });
            }
        }
        SlotState::Good => {}
    }
    let mut next = state.clone();
    let record = next.slot_mut(slot);
    record.state = SlotState::Good;
    record.attempts = AttemptsLeft::DEFAULT;
    let bundle = record.bundle;
    // What proved itself is no longer known as failed.
    next.failed.retain(|failed| Some(*failed) != bundle);
    if next.returned == Some(slot) {
        next.returned = None;
    }
    // RAUC leaves the order alone here; so do we, unless the slot that just proved itself would
    // never be booted again.
    if booted == Some(slot) && !next.order.contains(&slot) {
        let other_good = next.slot(slot.other()).state == SlotState::Good;
        if other_good {
            next.order.push(slot);
        } else {
            next.put_first(slot);
        }
    }
    Ok(next)
}

fn mark_bad(state: &BootState, slot: SlotId, force: Force) -> Result<BootState, Refused> {
    let found = state.slot(slot).state;
    match (found, force) {
        // Bad may be booted as the last resort; empty and writing never: they must stay so.
        (SlotState::Empty | SlotState::Writing, Force::No | Force::Yes) => {
            return Err(Refused::NotInstalled { slot, state: found });
        }
        (SlotState::Good, Force::No) if is_last_good(state, slot) => {
            return Err(Refused::LastGood { slot });
        }
        (
            SlotState::Trying | SlotState::Good | SlotState::Bad | SlotState::Unknown,
            Force::No | Force::Yes,
        ) => {}
    }
    let mut next = state.clone();
    next.turn_bad(slot);
    if next.returned == Some(slot) {
        next.returned = None;
    }
    Ok(next)
}

fn mark_active(state: &BootState, slot: SlotId) -> Result<BootState, Refused> {
    let found = state.slot(slot).state;
    match found {
        SlotState::Empty | SlotState::Writing => {
            return Err(Refused::NotInstalled { slot, state: found });
        }
        SlotState::Bad => return Err(Refused::KnownBad { slot }),
        SlotState::Trying | SlotState::Good | SlotState::Unknown => {}
    }
    let mut next = state.clone();
    next.put_first(slot);
    next.slot_mut(slot).attempts = AttemptsLeft::DEFAULT;
    Ok(next)
}

fn restore_attempts(
    state: &BootState,
    booted: Option<SlotId>,
    slot: SlotId,
) -> Result<BootState, Refused> {
    let found = state.slot(slot).state;
    match found {
        SlotState::Good => {}
        // An update earns attempts by its verdict only; otherwise it would never be abandoned (I3).
        SlotState::Empty
        | SlotState::Writing
        | SlotState::Trying
        | SlotState::Bad
        | SlotState::Unknown => return Err(Refused::NotConfirmed { slot, state: found }),
    }
    if booted != Some(slot) {
        return Err(Refused::NotBooted { slot, state: found });
    }
    let mut next = state.clone();
    next.slot_mut(slot).attempts = AttemptsLeft::DEFAULT;
    Ok(next)
}

fn confirm_fallback(
    state: &BootState,
    booted: Option<SlotId>,
    slot: SlotId,
) -> Result<BootState, Refused> {
    let found = state.slot(slot).state;
    if booted != Some(slot) {
        return Err(Refused::NotBooted { slot, state: found });
    }
    match found {
        SlotState::Good => {}
        SlotState::Empty
        | SlotState::Writing
        | SlotState::Trying
        | SlotState::Bad
        | SlotState::Unknown => return Err(Refused::NotConfirmed { slot, state: found }),
    }
    let primary = slot.other();
    let exhausted = state.slot(primary).attempts == AttemptsLeft::ZERO;
    if state.order.first() != Some(&primary) || !exhausted {
        return Err(Refused::NoFallback { slot });
    }
    let mut next = state.clone();
    match next.slot(primary).state {
        SlotState::Good | SlotState::Unknown if next.returned != Some(primary) => {
            next.slot_mut(primary).attempts = AttemptsLeft::DEFAULT;
            next.returned = Some(primary);
        }
        SlotState::Good | SlotState::Unknown | SlotState::Trying => {
            next.turn_bad(primary);
            next.returned = None;
        }
        SlotState::Empty | SlotState::Writing | SlotState::Bad => {
            return Err(Refused::NoFallback { slot });
        }
    }
    Ok(next)
}

/// The selector goes by order and state, which say already that the other slot is better. It gets its
/// attempts back for that, and that it did is stored for who comes back from a selector that cannot
/// save ([`crate::is_left_when_unhealthy`]). A slot that was given its attempts back once by a healthy
/// fallback, and is left again, is bad: that is not forgiven twice.
fn leave(state: &BootState, booted: Option<SlotId>, slot: SlotId) -> Result<BootState, Refused> {
    let (found, other) = (state.slot(slot).state, state.slot(slot.other()).state);
    if booted != Some(slot) {
        return Err(Refused::NotBooted { slot, state: found });
    }
    match (found, other) {
        // Counted by its attempts.
        (SlotState::Trying, _) => return Ok(state.clone()),
        (SlotState::Good, _) => return Err(Refused::NothingBetter { slot }),
        (
            SlotState::Empty | SlotState::Writing | SlotState::Bad | SlotState::Unknown,
            SlotState::Good,
        ) => {}
        (SlotState::Empty | SlotState::Writing | SlotState::Bad | SlotState::Unknown, _) => {
            return Err(Refused::NothingBetter { slot });
        }
    }
    let mut next = state.clone();
    if next.returned == Some(slot) && found == SlotState::Unknown {
        next.turn_bad(slot);
        // As the selector leaves it, so that the next boot tells of the fallback.
        next.order.clone_from(&state.order);
    }
    next.slot_mut(slot.other()).attempts = AttemptsLeft::DEFAULT;
    next.returned = Some(slot.other());
    Ok(next)
}

fn first_boot(
    state: &BootState,
    booted: Option<SlotId>,
    disk: PartUuid,
) -> Result<BootState, Refused> {
    match booted {
        Some(SlotId::B) => return Err(Refused::FirstBootFromOther { booted: SlotId::B }),
        Some(SlotId::A) | None => {}
    }
    if state.disk == Some(disk) {
        // The same first boot, cut and repeated, finds what it committed; anything more means that
        // the board has a life on this disk, which must not be forgotten.
        let untouched = state.a.state == SlotState::Good
            && state.b.state == SlotState::Empty
            && state.a.bundle.is_none()
            && state.order == [SlotId::A];
        let lost = state.a.state == SlotState::Unknown && state.b.state == SlotState::Unknown;
        if !untouched && !lost {
            return Err(Refused::AlreadyProvisioned { disk });
        }
    }
    Ok(BootState {
        last: state.last,
        pause: state.pause,
        reason: state.reason,
        ..BootState::factory(disk)
    })
}

fn rollback(state: &BootState, booted: Option<SlotId>, force: Force) -> Result<BootState, Refused> {
    let Some(booted) = booted else {
        return Err(Refused::NotBootedFromSlot);
    };
    let target = booted.other();
    let found = state.slot(target).state;
    match (found, force) {
        (SlotState::Empty | SlotState::Writing, Force::No | Force::Yes) => {
            return Err(Refused::NotInstalled { slot: target, state: found });
        }
        (SlotState::Trying | SlotState::Bad | SlotState::Unknown, Force::No) => {
            return Err(Refused::NotKnownGood { slot: target, state: found });
        }
        (SlotState::Good, Force::No | Force::Yes)
        | (SlotState::Trying | SlotState::Bad | SlotState::Unknown, Force::Yes) => {}
    }
    let mut next = state.clone();
    next.put_first(target);
    let record = next.slot_mut(target);
    record.attempts = AttemptsLeft::DEFAULT;
    if record.state == SlotState::Bad {
        record.state = SlotState::Trying;
    }
    Ok(next)
}
