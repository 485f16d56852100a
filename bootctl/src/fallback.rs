// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often was a slot tried before it was left, as far as the flight recorder still knows?
//!
//! Pure. Attempts are not recorded one by one: a boot that dies before Linux is up leaves nothing
//! but a smaller counter. So they are counted by what each later boot found in the counter, from
//! the last time the slot had proved itself, was installed or was left. A counter is empty when a
//! slot is left, which tells of the boots after the last one on record. A counter that somebody
//! made smaller by hand looks like boots that died early.
//!
//! The ring forgets its oldest records, and a torn one is skipped; then the numbers are the least
//! that it can have been, and the sentence says so.

use crate::record::{Entry, HealthVerdict, Mark, Record, Sequence, Timestamp};
use crate::state::BundleId;
use crate::trail::{Decision, Load, Numbered};
use crate::{AttemptsLeft, Reason, SlotId};
use std::fmt;

/// Whether all records of the boots before a fallback are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordsLeft {
    /// All of them: the numbers are exact.
    All,
    /// The ring came round; the numbers are the least it can have been.
    Overwritten,
    /// Some were torn, or the recorder is younger than the slot; the same holds.
    Missing,
}

/// One boot of a slot that was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// What the firmware decided.
    pub decision: Decision,
    /// What is known of its end.
    pub end: TryEnd,
}

/// How far a boot came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryEnd {
    /// The firmware could not load it.
    NotLoaded,
    /// A kernel was started, and nothing was heard of it.
    Silent,
    /// It died and left word of it.
    Died,
    /// It came up.
    Booted,
}

impl fmt::Display for Try {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(left) = self.decision.left {
            write!(f, "{left} left, ")?;
        }
        f.write_str(match self.end {
            TryEnd::NotLoaded => "did not load",
            TryEnd::Silent => "nothing heard",
            TryEnd::Died => "died",
            TryEnd::Booted => "came up",
        })
    }
}

/// The last time a slot was left for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The slot left.
    pub from: SlotId,
    /// The slot taken.
    pub to: SlotId,
    /// When Linux noticed.
    pub at: Timestamp,
    /// Why, in words.
    pub cause: String,
    /// How many boots the slot was given; at least so many unless all records are there.
    pub attempts: u32,
    /// How many of them reached userspace, with the same limit.
    pub reached_userspace: u32,
    /// Whether these numbers are exact.
    pub records: RecordsLeft,
    /// Each boot that the firmware's trail tells of, oldest first. A trail has an end, and a
    /// firmware without one leaves none: there may be less of them than attempts.
    pub tries: Vec<Try>,
    /// What the slot had been installed from, when the recorder still knows.
    pub bundle: Option<BundleId>,
    /// Its version, when the recorder still knows.
    pub version: Option<String>,
}

impl Fallback {
    /// The boots that the slot was given, in words that a sentence or a table can take.
    #[must_use]
    pub fn boots(&self) -> String {
        let (least, lost) = match self.records {
            RecordsLeft::All => ("", None),
            RecordsLeft::Overwritten => ("at least ", Some("earlier records were overwritten")),
            RecordsLeft::Missing => ("at least ", Some("some records are missing")),
        };
        if self.attempts == 0 {
            let words = match self.records {
                RecordsLeft::All => "no boot on record",
                RecordsLeft::Overwritten => "boots whose records were overwritten",
                RecordsLeft::Missing => "boots whose records are missing",
            };
            return words.to_owned();
        }
        let plural = if self.attempts == 1 { "" } else { "s" };
        let mut words = format!("{least}{} attempt{plural}", self.attempts);
        match (self.reached_userspace, lost) {
            (0, None) => words.push_str(", none of which reached userspace"),
            (0, Some(_)) => {}
            (reached, _) => words += &format!(", {least}{reached} of which reached userspace"),
        }
        if let Some(lost) = lost {
            words += &format!(" ({lost})");
        }
        words
    }
}

impl fmt::Display for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.from)?;
        if let Some(version) = &self.version {
            write!(f, " (version {version})")?;
        }
        write!(f, " was left for slot {} after {}: {}", self.to, self.boots(), self.cause)
    }
}

/// Where the firmware's trail tells of a fallback and its own record is gone.
const CAUSE_LOST: &str = "not known: the flight recorder lost it or began anew";

/// The last fallback in `entries`, oldest first.
pub(crate) fn last_fallback(entries: &[Record]) -> Option<Fallback> {
    let Some(position) =
        entries.iter().rposition(|record| matches!(record.entry, Entry::FellBack { .. }))
    else {
        return fallback_of_the_trail(entries);
    };
    let (before, rest) = entries.split_at_checked(position)?;
    let record = rest.first()?;
    let Entry::FellBack { from, to, cause } = &record.entry else { return None };
    let mut tally = Tally::new(*from);
    for earlier in before {
        tally.follow(earlier.sequence);
        tally.add(&earlier.entry);
    }
    tally.follow(record.sequence);
    // The slot was left because its counter was empty.
    tally.count_down(0);
    let oldest = entries.first().map_or(Sequence(1), |record| record.sequence);
    let records = match (tally.begun, tally.gap) {
        (true, false) => RecordsLeft::All,
        (false, _) if oldest > Sequence(1) => RecordsLeft::Overwritten,
        (true, true) | (false, _) => RecordsLeft::Missing,
    };
    Some(Fallback {
        from: *from,
        to: *to,
        at: record.at,
        cause: cause.clone(),
        attempts: tally.attempts,
        reached_userspace: tally.reached_userspace,
        records,
        tries: tally.tries,
        bundle: tally.bundle,
        version: tally.version,
    })
}

/// The last fallback that only the firmware's trail remembered: it is told anew to a recorder that
/// began anew. How its boots ended is lost, so they are counted only.
fn fallback_of_the_trail(entries: &[Record]) -> Option<Fallback> {
    let chosen = |record: &Record| match record.entry {
        Entry::Chosen(Numbered { decision, .. }) => Some((record.at, decision)),
        Entry::FirstBoot { .. }
        | Entry::Booted { .. }
        | Entry::InstallBegan { .. }
        | Entry::InstallFinished { .. }
        | Entry::InstallFailed { .. }
        | Entry::Verdict { .. }
        | Entry::Marked { .. }
        | Entry::FellBack { .. }
        | Entry::States(_)
        | Entry::DeadEnd { .. }
        | Entry::Died { .. }
        | Entry::Known { .. }
        | Entry::Asked { .. } => None,
    };
    let mut chosen: Vec<(Timestamp, Decision)> = entries.iter().filter_map(chosen).collect();
    let position = chosen.iter().rposition(|(_, one)| one.reason == Reason::Fallback)?;
    chosen.truncate(position + 1);
    let (at, taken) = chosen.pop()?;
    let from = taken.slot.other();
    let boots = chosen.iter().rev().take_while(|(_, one)| one.slot == from).count();
    // Nothing was left where nothing was started: somebody put a slot first that holds no system.
    (boots > 0).then(|| Fallback {
        from,
        to: taken.slot,
        at,
        cause: CAUSE_LOST.to_owned(),
        attempts: u32::try_from(boots).unwrap_or(u32::MAX),
        reached_userspace: 0,
        records: RecordsLeft::Missing,
        tries: Vec::new(),
        bundle: None,
        version: None,
    })
}

/// What the records say of one slot since it began anew.
struct Tally {
    slot: SlotId,
    /// Whether a beginning is on record.
    begun: bool,
    /// Whether a record since then is not there.
    gap: bool,
    last: Option<Sequence>,
    /// The counter after the last record that tells it.
    left: Option<u8>,
    attempts: u32,
    reached_userspace: u32,
    tries: Vec<Try>,
    bundle: Option<BundleId>,
    version: Option<String>,
}

impl Tally {
    const fn new(slot: SlotId) -> Self {
        Self {
            slot,
            begun: false,
            gap: false,
            last: None,
            left: None,
            attempts: 0,
            reached_userspace: 0,
            tries: Vec::new(),
            bundle: None,
            version: None,
        }
    }

    fn follow(&mut self, sequence: Sequence) {
        let expected = self.last.map(|last| last.0.saturating_add(1));
        self.gap |= expected.is_some_and(|expected| expected != sequence.0);
        self.last = Some(sequence);
    }

    /// Boots before this are not held against the slot.
    fn begin(&mut self, left: u8) {
        self.begun = true;
        self.gap = false;
        self.left = Some(left);
        self.attempts = 0;
        self.reached_userspace = 0;
        self.tries.clear();
    }

    fn choose(&mut self, decision: Decision) {
        let end = match decision.load {
            Load::Started => TryEnd::Silent,
            Load::Failed => TryEnd::NotLoaded,
        };
        self.tries.push(Try { decision, end });
    }

    fn end_try(&mut self, end: TryEnd) {
        if let Some(last) = self.tries.last_mut() {
            last.end = end;
        }
    }

    /// Boots that died early took the counter down to `left`.
    fn count_down(&mut self, left: u8) {
        let spent = self.left.map_or(0, |before| before.saturating_sub(left));
        self.attempts = self.attempts.saturating_add(u32::from(spent));
        self.left = Some(left);
    }

    fn count_boot(&mut self, left: u8) {
        let given = AttemptsLeft::DEFAULT.get();
        let spent = match self.left {
            Some(before) if left < before => before - left,
            // Attempts were given back in between, or set by hand to more than we give.
            Some(_) => given.saturating_sub(left).max(1),
            None => 1,
        };
        self.attempts = self.attempts.saturating_add(u32::from(spent));
        self.reached_userspace = self.reached_userspace.saturating_add(1);
        self.left = Some(left);
    }

    fn add(&mut self, entry: &Entry) {
        let given = AttemptsLeft::DEFAULT.get();
        match entry {
            Entry::FirstBoot { .. } => {
                self.begin(given);
                (self.bundle, self.version) = (None, None);
            }
            Entry::InstallFinished { slot, version, bundle } if *slot == self.slot => {
                self.begin(given);
                self.bundle = Some(*bundle);
                self.version = Some(version.clone());
            }
            Entry::Verdict { slot, verdict: HealthVerdict::Healthy, .. }
            | Entry::Marked { slot, mark: Mark::Good }
                if *slot == self.slot =>
            {
                self.begin(given);
            }
            Entry::FellBack { from, .. } if *from == self.slot => self.begin(0),
            Entry::Marked { slot, mark: Mark::Active } if *slot == self.slot => {
                self.left = Some(given);
            }
            Entry::Booted { slot, attempts, .. } if *slot == self.slot => {
                self.count_boot(attempts.get());
                self.end_try(TryEnd::Booted);
            }
            Entry::Chosen(Numbered { decision, .. }) if decision.slot == self.slot => {
                self.choose(*decision);
            }
            Entry::Died { slot, .. } if *slot == self.slot => self.end_try(TryEnd::Died),
            Entry::InstallFinished { .. }
            | Entry::Verdict { .. }
            | Entry::Marked { .. }
            | Entry::FellBack { .. }
            | Entry::Booted { .. }
            | Entry::InstallBegan { .. }
            | Entry::InstallFailed { .. }
            | Entry::States(_)
            | Entry::Chosen(_)
            | Entry::Died { .. }
            | Entry::Known { .. }
            | Entry::Asked { .. }
            | Entry::DeadEnd { .. } => {}
        }
    }
}
