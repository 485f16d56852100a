// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Linux learns at boot: what the selector did, and what the environment forgot.
//!
//! Pure. The selector changes few variables and remembers no bundles; once Linux is up, this puts
//! the digest of a slot that turned bad among the failed ones, notes a fallback with its cause,
//! and gives slots whose state was lost the state that the flight recorder remembers, if it
//! remembers this very disk. It never makes a slot bootable that the recorder knows as empty,
//! half written or bad. An environment can also be lost later, while Linux runs: whoever decides
//! anything asks [`recall`] first.

use crate::death::Death;
use crate::record::{DEATHS_MAX, DeathMark, Entry, HealthVerdict, KnownSlot, Mark, Snapshot};
use crate::state::NO_DISK;
use crate::trail::{Numbered, TRAIL_MAX, untold};
use crate::{AttemptsLeft, BootState, BundleId, Load, PerSlot, Reason, SlotId, SlotState};
use std::collections::VecDeque;
use std::mem;
use storage::PartUuid;

/// What the flight recorder's entries add up to, oldest to newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecorderFacts {
    snapshot: Option<Snapshot>,
    trouble: PerSlot<Trouble>,
    fell_back_from: Option<SlotId>,
    /// The slot that came up last.
    booted: Option<SlotId>,
    /// Decisions of the firmware that are on record, as many as a trail can have.
    chosen: VecDeque<Numbered>,
    /// Words of dead boots that were told, the last few.
    deaths: VecDeque<DeathMark>,
}

/// Why a slot was left of which the firmware's trail tells and nobody else.
const NOTHING_HEARD: &str =
    "nothing was heard of it: a hang, a power cut, or a panic without ramoops";

/// What is known against a slot since it was installed or last proved itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Trouble {
    boots: u32,
    cause: Option<String>,
    /// What the firmware did last, until something is heard of the boot.
    unheard: Option<Load>,
}

impl RecorderFacts {
    /// The facts of a whole recorder.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut facts = Self::default();
        for entry in entries {
            facts.apply(entry);
        }
        facts
    }

    /// The boot state last known.
    #[must_use]
    pub const fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_ref()
    }

    /// Forgets what is known of slots unless it is of this disk, or of one that nobody named.
    pub(crate) fn keep_of(&mut self, front: Option<PartUuid>) {
        let known = self.snapshot.as_ref().and_then(|snapshot| snapshot.disk);
        if known.is_some() && known != front {
            let (chosen, deaths) = (mem::take(&mut self.chosen), mem::take(&mut self.deaths));
            *self = Self { chosen, deaths, ..Self::default() };
        }
    }

    /// What [`Entry::Known`] carries into a new block of the ring.
    pub(crate) fn known_deaths(&self) -> Option<Entry> {
        let marks: Vec<DeathMark> = self.deaths.iter().copied().collect();
        (!marks.is_empty()).then_some(Entry::Known { marks })
    }

    /// The decisions of `trail` that are not on record.
    #[must_use]
    pub fn untold(&self, trail: &[Numbered]) -> Vec<Numbered> {
        let told: Vec<Numbered> = self.chosen.iter().copied().collect();
        untold(trail, &told).to_vec()
    }

    /// What is to be told of the boots since Linux came up last: the firmware's decisions that are
    /// not on record, and the words of `deaths` that are not. A word without a slot belongs to the
    /// boot before the running one; where there is no trail, to the one that came up last.
    #[must_use]
    pub fn news(&self, trail: &[Numbered], deaths: &[Death]) -> Vec<Entry> {
        let told: Vec<Numbered> = self.chosen.iter().copied().collect();
        let new = untold(trail, &told);
        // The newest is the running boot; words are of those before it.
        let (dead, running) = new.split_at_checked(new.len().wrapping_sub(1)).unwrap_or_default();
        let before = told.iter().chain(new).rev().nth(1).map(|one| one.decision.slot);
        let mut entries: Vec<Entry> = dead.iter().copied().map(Entry::Chosen).collect();
        entries.extend(self.known_still(deaths));
        for death in deaths {
            if self.deaths.contains(&death.mark) {
                continue;
            }
            if let Some(slot) = death.slot.or(before).or(self.booted) {
                let Death { mark, ref cause, .. } = *death;
                entries.push(Entry::Died { slot, mark, cause: cause.clone() });
            }
        }
        entries.extend(running.iter().copied().map(Entry::Chosen));
        entries
    }

    /// The words of `deaths` that were told, where the new ones among them would push one of those
    /// out of what is kept: it would be told again at the next boot.
    fn known_still(&self, deaths: &[Death]) -> Option<Entry> {
        let position = |death: &Death| self.deaths.iter().position(|mark| *mark == death.mark);
        let known: Vec<usize> = deaths.iter().filter_map(position).collect();
        let room = DEATHS_MAX.saturating_sub(self.deaths.len());
        let pushed_out = (deaths.len() - known.len()).saturating_sub(room);
        let mark = |at: usize| self.deaths.get(at).copied();
        let fades = known.iter().any(|at| *at < pushed_out);
        fades.then(|| Entry::Known { marks: known.into_iter().filter_map(mark).collect() })
    }

    /// Moves a word to the end of those that are kept.
    fn keep(&mut self, mark: DeathMark) {
        self.deaths.retain(|kept| *kept != mark);
        push_last(&mut self.deaths, mark, DEATHS_MAX);
    }

    /// Adds what `entry` says.
    pub(crate) fn apply(&mut self, entry: &Entry) {
        match entry {
            Entry::FirstBoot { disk } => {
                self.snapshot = Some(Snapshot::from(&BootState::factory(*disk)));
                self.trouble = PerSlot::default();
            }
            Entry::States(snapshot) => self.take_snapshot(snapshot),
            Entry::Booted { slot, .. } => {
                self.booted = Some(*slot);
                let trouble = self.trouble.get_mut(*slot);
                trouble.boots = trouble.boots.saturating_add(1);
                trouble.unheard = None;
                self.may_be_left_again(*slot);
            }
            Entry::InstallBegan { slot, .. } => {
                self.set(*slot, SlotState::Writing, None);
                self.forget_order(*slot);
            }
            Entry::InstallFinished { slot, bundle, .. } => {
                *self.trouble.get_mut(*slot) = Trouble::default();
                self.may_be_left_again(*slot);
                self.set(*slot, SlotState::Trying, Some(*bundle));
            }
            Entry::InstallFailed { slot, .. } => {
                self.set(*slot, SlotState::Empty, None);
                self.forget_order(*slot);
            }
            Entry::Verdict { slot, verdict: HealthVerdict::Healthy, .. } => {
                *self.trouble.get_mut(*slot) = Trouble::default();
            }
            Entry::Verdict { slot, verdict: HealthVerdict::Unhealthy, cause }
            | Entry::DeadEnd { slot, cause } => {
                self.trouble.get_mut(*slot).cause = Some(cause.clone());
            }
            Entry::Died { slot, mark, cause } => {
                self.trouble.get_mut(*slot).cause = Some(cause.clone());
                self.keep(*mark);
            }
            Entry::Known { marks } => marks.iter().for_each(|mark| self.keep(*mark)),
            Entry::Chosen(chosen) => {
                let decision = chosen.decision;
                self.trouble.get_mut(decision.slot).unheard = Some(decision.load);
                push_last(&mut self.chosen, *chosen, TRAIL_MAX);
            }
            Entry::Asked { .. } => {}
            Entry::Marked { slot, mark } => self.mark(*slot, *mark),
            Entry::FellBack { from, .. } => {
                self.fell_back_from = Some(*from);
                // That is told; the next time the slot is left, its newer boots are to blame.
                *self.trouble.get_mut(*from) = Trouble::default();
            }
        }
    }

    /// Another start of the slot, or another system in it: leaving it then is another story.
    fn may_be_left_again(&mut self, slot: SlotId) {
        if self.fell_back_from == Some(slot) {
            self.fell_back_from = None;
        }
    }

    /// What is new and known replaces what was; an unknown slot of the same disk does not, and the
    /// state of no disk neither: that is what a lost environment reads as, and nothing could be
    /// restored from it.
    fn take_snapshot(&mut self, new: &Snapshot) {
        let bound = |state: &Snapshot| state.disk.is_some_and(|disk| disk != NO_DISK);
        if !bound(new) && self.snapshot.as_ref().is_some_and(bound) {
            return;
        }
        let mut merged = new.clone();
        if let Some(old) = &self.snapshot
            && old.disk == new.disk
        {
            for (slot, before) in [(&mut merged.a, &old.a), (&mut merged.b, &old.b)] {
                if slot.state == SlotState::Unknown && before.state != SlotState::Unknown {
                    *slot = *before;
                    merged.order.clone_from(&old.order);
                    merged.failed.clone_from(&old.failed);
                }
            }
        }
        let known = |snapshot: &Snapshot, slot| match slot {
            SlotId::A => snapshot.a.state,
            SlotId::B => snapshot.b.state,
        };
        let was = |slot| self.snapshot.as_ref().map(|old| known(old, slot));
        let revived = SlotId::ALL.into_iter().find(|slot| {
            was(*slot) == Some(SlotState::Bad) && known(&merged, *slot) != SlotState::Bad
        });
        if let Some(slot) = revived {
            self.may_be_left_again(slot);
        }
        self.snapshot = Some(merged);
    }

    fn mark(&mut self, slot: SlotId, mark: Mark) {
        let bundle = self.known(slot).and_then(|known| known.bundle);
        match mark {
            Mark::Good => {
                *self.trouble.get_mut(slot) = Trouble::default();
                self.set(slot, SlotState::Good, bundle);
            }
            Mark::Bad => {
                self.set(slot, SlotState::Bad, bundle);
                self.forget_order(slot);
            }
            Mark::Active => {
                self.forget_order(slot);
                if let Some(snapshot) = &mut self.snapshot {
                    snapshot.order.insert(0, slot);
                }
            }
        }
    }

    fn known(&self, slot: SlotId) -> Option<&KnownSlot> {
        self.snapshot.as_ref().map(|snapshot| match slot {
            SlotId::A => &snapshot.a,
            SlotId::B => &snapshot.b,
        })
    }

    fn set(&mut self, slot: SlotId, state: SlotState, bundle: Option<BundleId>) {
        if let Some(snapshot) = &mut self.snapshot {
            let known = match slot {
                SlotId::A => &mut snapshot.a,
                SlotId::B => &mut snapshot.b,
            };
            *known = KnownSlot { state, bundle };
        }
    }

    fn forget_order(&mut self, slot: SlotId) {
        if let Some(snapshot) = &mut self.snapshot {
            snapshot.order.retain(|listed| *listed != slot);
        }
    }

    /// Why `slot` was left, in words.
    fn cause(&self, slot: SlotId, reason: Option<Reason>) -> String {
        let trouble = self.trouble.get(slot);
        let not_loaded =
            reason == Some(Reason::LoadFailed) || trouble.unheard == Some(Load::Failed);
        match (&trouble.cause, trouble.boots) {
            (Some(cause), _) => cause.clone(),
            (None, _) if not_loaded => "the firmware could not load it".to_owned(),
            (None, 0) if trouble.unheard.is_some() => NOTHING_HEARD.to_owned(),
            (None, 0) => "did not reach userspace".to_owned(),
            (None, 1) => "reached userspace once and gave no verdict".to_owned(),
            (None, boots) => format!("reached userspace {boots} times and gave no verdict"),
        }
    }
}

/// Adds at the end and keeps the last `most`.
fn push_last<T>(all: &mut VecDeque<T>, one: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(one);
}

/// The state to store and the entries to append: [`Entry::FellBack`] before it is stored, because
/// once it is nothing else tells of it, and the others after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconciled {
    /// The state; equal to the one given when there is nothing to store.
    pub state: BootState,
    /// What happened, in order.
    pub entries: Vec<Entry>,
}

/// What to make of the state found at boot. `booted` and `reason` are from the kernel command
/// line; call it once per boot.
#[must_use]
pub fn reconcile(
    state: &BootState,
    booted: Option<SlotId>,
    reason: Option<Reason>,
    facts: &RecorderFacts,
) -> Reconciled {
    let mut next = recall(state, booted, facts);
    let mut entries = Vec::new();
    for slot in SlotId::ALL {
        let record = *next.slot(slot);
        let was_listed = next.order.contains(&slot);
        if record.state == SlotState::Bad && was_listed {
            // Only the selector leaves a bad slot in the order: it turned it bad.
            next.turn_bad(slot);
            // Told already when a cut came between that and the commit.
            let is_told = facts.fell_back_from == Some(slot);
            if let Some(to) = booted.filter(|booted| *booted != slot && !is_told) {
                entries.push(Entry::FellBack { from: slot, to, cause: facts.cause(slot, reason) });
            }
            entries.push(Entry::Marked { slot, mark: Mark::Bad });
        }
    }
    if let Some(to) = booted {
        let exhausted = next.order.first().copied().filter(|first| {
            *first != to
                && next.slot(*first).attempts == AttemptsLeft::ZERO
                && facts.fell_back_from != Some(*first)
        });
        if let Some(from) = exhausted {
            entries.push(Entry::FellBack { from, to, cause: facts.cause(from, reason) });
        }
        let attempts = next.slot(to).attempts;
        let reason = reason.or(next.reason).unwrap_or(Reason::Normal);
        entries.push(Entry::Booted { slot: to, reason, attempts });
    }
    let snapshot = Snapshot::from(&next);
    if facts.snapshot() != Some(&snapshot) {
        entries.push(Entry::States(snapshot));
    }
    Reconciled { state: next, entries }
}

/// The state to decide on: what is stored, with unknown slots in the state that the recorder
/// remembers of this disk.
///
/// An environment of which both copies are lost names no disk either. Then the recorder's is taken;
/// [`crate::Recorder::of_disk`] is for those who can see which disk is there. A commit made from it
/// is bound to that disk, so that the firmware of a board with another one does not believe it.
#[must_use]
pub fn recall(state: &BootState, booted: Option<SlotId>, facts: &RecorderFacts) -> BootState {
    let mut next = state.clone();
    let Some(snapshot) = facts.snapshot() else { return next };
    let lost = |slot| state.slot(slot).state == SlotState::Unknown;
    if next.disk.is_none() && SlotId::ALL.into_iter().all(lost) {
        next.disk = snapshot.disk;
    }
    if next.disk.is_some() && next.disk == snapshot.disk {
        restore(&mut next, booted, snapshot);
    }
    next
}

/// Gives unknown slots the state that was remembered.
fn restore(next: &mut BootState, booted: Option<SlotId>, snapshot: &Snapshot) {
    let mut restored = false;
    for (slot, known) in [(SlotId::A, snapshot.a), (SlotId::B, snapshot.b)] {
        if next.slot(slot).state != SlotState::Unknown {
            continue;
        }
        let listed = snapshot.order.contains(&slot);
        let record = next.slot_mut(slot);
        match known.state {
            SlotState::Unknown => continue,
            SlotState::Empty | SlotState::Writing => {
                // A running slot is neither; then the recorder missed something and is not
                // believed about it.
                if booted == Some(slot) {
                    continue;
                }
                record.attempts = AttemptsLeft::ZERO;
            }
            SlotState::Bad => record.attempts = AttemptsLeft::ZERO,
            SlotState::Trying if !listed => record.attempts = AttemptsLeft::ZERO,
            SlotState::Trying | SlotState::Good => {}
        }
        record.state = known.state;
        record.bundle = known.bundle;
        restored = true;
    }
    if !restored {
        return;
    }
    for bundle in snapshot.failed.iter().rev() {
        next.remember_failed(*bundle);
    }
    let before = std::mem::take(&mut next.order);
    next.order = snapshot.order.clone();
    // A good slot stays reachable even if the remembered order did not name it.
    for slot in before {
        let reachable = match next.slot(slot).state {
            SlotState::Good | SlotState::Unknown => true,
            SlotState::Empty | SlotState::Writing | SlotState::Trying | SlotState::Bad => false,
        };
        if reachable && !next.order.contains(&slot) {
            next.order.push(slot);
        }
    }
    let states = (next.a.state, next.b.state);
    next.order.retain(|slot| {
        let state = match slot {
            SlotId::A => states.0,
            SlotId::B => states.1,
        };
        match state {
            SlotState::Trying | SlotState::Good | SlotState::Unknown => true,
            SlotState::Empty | SlotState::Writing | SlotState::Bad => false,
        }
    });
}
