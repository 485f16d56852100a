// SPDX-License-Identifier: MIT OR Apache-2.0
//! How did the last update end? Told by the flight recorder, and by the slot's state where the
//! record of the end is lost. It is good only once it was confirmed, never because it was written.

use super::{LastUpdate, UpdateResult};
use crate::Facts;
use bootctl::{AttemptsLeft, BundleId, Entry, HealthVerdict, Mark, Record, SlotId, SlotState};

/// The last update of this board in `history`, oldest first.
pub(super) fn last_update(history: &[Record], device: &Facts) -> Option<LastUpdate> {
    let history = of_this_board(history);
    let (at, end) = history
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, record)| End::of(&record.entry).map(|end| (at, end)))?;
    let before = history.get(..at).unwrap_or_default();
    let after = history.get(at.saturating_add(1)..).unwrap_or_default();
    let slot = end.slot();
    let (version, bundle) = end.what(before);
    let (result, why) = match end {
        End::Failed { cause, .. } => (UpdateResult::Failed, Some(cause.to_owned())),
        End::Began { .. } if is_open(device.slot(slot).state) => {
            (UpdateResult::Pending, Some("its install is not finished".to_owned()))
        }
        // The record of its end is lost; the slot tells.
        End::Began { .. } | End::Finished { .. } => judge(after, slot, device),
    };
    Some(LastUpdate {
        slot: slot.to_string(),
        from: version_before(before, slot.other())
            .or_else(|| device.slot(slot.other()).version.clone()),
        to: version,
        bundle: bundle.map(|bundle| bundle.to_string()),
        result,
        why,
    })
}

/// The newest record of an install.
enum End<'a> {
    Began { slot: SlotId, version: &'a str, bundle: BundleId },
    Finished { slot: SlotId, version: &'a str, bundle: BundleId },
    Failed { slot: SlotId, cause: &'a str },
}

impl<'a> End<'a> {
    fn of(entry: &'a Entry) -> Option<Self> {
        Some(match entry {
            Entry::InstallBegan { slot, version, bundle } => {
                Self::Began { slot: *slot, version, bundle: *bundle }
            }
            Entry::InstallFinished { slot, version, bundle } => {
                Self::Finished { slot: *slot, version, bundle: *bundle }
            }
            Entry::InstallFailed { slot, cause } => Self::Failed { slot: *slot, cause },
            Entry::FirstBoot { .. }
            | Entry::Booted { .. }
            | Entry::Verdict { .. }
            | Entry::Marked { .. }
            | Entry::FellBack { .. }
            | Entry::States(_)
            | Entry::DeadEnd { .. }
            | Entry::Chosen(_)
            | Entry::Died { .. }
            | Entry::Known { .. }
            | Entry::Asked { .. } => return None,
        })
    }

    const fn slot(&self) -> SlotId {
        match self {
            Self::Began { slot, .. } | Self::Finished { slot, .. } | Self::Failed { slot, .. } => {
                *slot
            }
        }
    }

    /// Version and bundle; of one that failed its beginning tells.
    fn what(&self, before: &[Record]) -> (Option<String>, Option<BundleId>) {
        let known = |version: &str| Some(version.to_owned()).filter(|version| !version.is_empty());
        match self {
            Self::Began { version, bundle, .. } | Self::Finished { version, bundle, .. } => {
                (known(version), Some(*bundle))
            }
            Self::Failed { slot, .. } => {
                let began = before.iter().rev().find_map(|record| match End::of(&record.entry)? {
                    End::Began { slot: of, version, bundle } if of == *slot => {
                        Some((known(version), Some(bundle)))
                    }
                    End::Began { .. } | End::Finished { .. } | End::Failed { .. } => None,
                });
                began.unwrap_or_default()
            }
        }
    }
}

/// What came after an install that ended, or whose slot says that it did.
fn judge(after: &[Record], slot: SlotId, device: &Facts) -> (UpdateResult, Option<String>) {
    let last = |is: &dyn Fn(&Entry) -> bool| after.iter().rposition(|record| is(&record.entry));
    let fell = last(&|entry| matches!(entry, Entry::FellBack { from, .. } if *from == slot));
    let marked = |wanted: Mark| {
        last(
            &|entry| matches!(entry, Entry::Marked { slot: of, mark } if *of == slot && *mark == wanted),
        )
    };
    let (good, bad) = (marked(Mark::Good), marked(Mark::Bad));
    // Nothing is less than something: a confirmation counts while nothing worse came after it.
    if fell.is_some() && fell > good {
        let record = fell.and_then(|at| after.get(at));
        let cause = record.and_then(|record| {
            if let Entry::FellBack { cause, .. } = &record.entry {
                return Some(cause.clone());
            }
            None
        });
        return (UpdateResult::FellBack, cause);
    }
    if bad.is_some() && bad > good {
        return (UpdateResult::FellBack, Some(fault_of(after, slot)));
    }
    if good.is_some() {
        return (UpdateResult::Good, None);
    }
    match device.slot(slot).state {
        SlotState::Good => (UpdateResult::Good, None),
        SlotState::Bad => (UpdateResult::FellBack, Some(fault_of(after, slot))),
        SlotState::Trying if device.booted == Some(slot) => {
            (UpdateResult::Pending, Some("it runs and is not confirmed yet".to_owned()))
        }
        // The selector leaves it without a word, and the record of the fall back may be lost.
        SlotState::Trying
            if device.slot(slot).attempts == AttemptsLeft::ZERO && device.next != Some(slot) =>
        {
            (UpdateResult::FellBack, Some("it was booted in vain as often as it may be".to_owned()))
        }
        SlotState::Trying => (UpdateResult::Pending, Some("it waits for its reboot".to_owned())),
        SlotState::Empty | SlotState::Writing | SlotState::Unknown => {
            (UpdateResult::Pending, Some("the state of its slot is not known".to_owned()))
        }
    }
}

/// The last thing on record against a slot that is bad.
fn fault_of(after: &[Record], slot: SlotId) -> String {
    let found = after.iter().rev().find_map(|record| match &record.entry {
        Entry::Verdict { slot: of, verdict: HealthVerdict::Unhealthy, cause } if *of == slot => {
            Some(format!("not healthy: {cause}"))
        }
        Entry::Died { slot: of, cause, .. } if *of == slot => Some(format!("died: {cause}")),
        Entry::DeadEnd { slot: of, cause } if *of == slot => Some(format!("gave up: {cause}")),
        Entry::Verdict { .. }
        | Entry::Died { .. }
        | Entry::DeadEnd { .. }
        | Entry::FirstBoot { .. }
        | Entry::Booted { .. }
        | Entry::InstallBegan { .. }
        | Entry::InstallFinished { .. }
        | Entry::InstallFailed { .. }
        | Entry::Marked { .. }
        | Entry::FellBack { .. }
        | Entry::States(_)
        | Entry::Chosen(_)
        | Entry::Known { .. }
        | Entry::Asked { .. } => None,
    });
    found.unwrap_or_else(|| "marked bad".to_owned())
}

/// The version that the other slot was given before, which ran while this one was written.
fn version_before(before: &[Record], slot: SlotId) -> Option<String> {
    before.iter().rev().find_map(|record| match End::of(&record.entry)? {
        End::Finished { slot: of, version, .. } if of == slot && !version.is_empty() => {
            Some(version.to_owned())
        }
        End::Began { .. } | End::Finished { .. } | End::Failed { .. } => None,
    })
}

/// What was before a first boot is another disk's.
pub(super) fn of_this_board(history: &[Record]) -> &[Record] {
    let first = history.iter().rposition(|record| matches!(record.entry, Entry::FirstBoot { .. }));
    history.get(first.unwrap_or(0)..).unwrap_or_default()
}

/// Whether the slot cannot hold a whole system.
const fn is_open(state: SlotState) -> bool {
    match state {
        SlotState::Empty | SlotState::Writing | SlotState::Unknown => true,
        SlotState::Trying | SlotState::Good | SlotState::Bad => false,
    }
}
