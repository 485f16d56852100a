// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do the slots hold, and which one starts? `bootctl`'s own functions over a boot state and a
//! flight recorder in memory: the selector, what Linux learns at boot, and every change of a slot.

use crate::catalog::Version;
use crate::time::unix;
use agents::SlotFacts;
use bootctl::{
    BootState, Command, Entry, FirmwareFacts, HealthVerdict, Mark, PerSlot, Reason, Record,
    RecorderFacts, Refused, Sequence, SlotId, SlotState, Timestamp, reconcile, select, transition,
};
use std::time::Duration;
use storage::PartUuid;

/// The selector resets and chooses again where a slot does not load; here all load.
const MOST_RESETS: u32 = 8;

/// The slots of a device.
#[derive(Clone, Debug)]
pub struct Board {
    /// What the environment holds.
    pub state: BootState,
    /// The slot that runs; nothing while it is off, or runs from a stick.
    pub booted: Option<SlotId>,
    /// The flight recorder, oldest first.
    pub history: Vec<Record>,
    is_on_stick: bool,
}

impl Board {
    /// Slot A runs `version` and is good.
    #[must_use]
    pub fn new(disk: PartUuid, version: Version) -> Self {
        let mut state = BootState::factory(disk);
        state.a.bundle = Some(version.id());
        let booted = Some(SlotId::A);
        let mut board = Self { state, booted, history: Vec::new(), is_on_stick: false };
        board.note(Entry::FirstBoot { disk }, Duration::ZERO);
        let (slot, verdict) = (SlotId::A, HealthVerdict::Healthy);
        board.note(Entry::Verdict { slot, verdict, cause: String::new() }, Duration::ZERO);
        board
    }

    /// The same, run from a technician's stick.
    #[must_use]
    pub fn on_stick(mut self) -> Self {
        (self.booted, self.is_on_stick) = (None, true);
        self
    }

    /// Writes into the flight recorder.
    pub fn note(&mut self, entry: Entry, now: Duration) {
        let sequence = Sequence(self.history.len() as u64);
        let at = u64::try_from(unix(now).0).map_or(Timestamp::UNKNOWN, Timestamp::from_unix);
        self.history.push(Record { sequence, at, entry });
    }

    /// Changes the boot state.
    ///
    /// # Errors
    /// `bootctl`'s refusal.
    pub fn command(&mut self, command: &Command) -> Result<(), Refused> {
        self.state = transition(&self.state, self.booted, command)?;
        Ok(())
    }

    fn firmware(&self) -> FirmwareFacts {
        let loads = PerSlot { a: true, b: true };
        FirmwareFacts { disk: self.state.disk, save_works: true, loads }
    }

    /// The slot that boots next.
    #[must_use]
    pub fn next(&self) -> Option<SlotId> {
        select(Some(&self.state), &self.firmware()).boots
    }

    /// Starts the device, and tells which bundles were left for it.
    pub fn boot(&mut self, now: Duration) -> Vec<Version> {
        if self.is_on_stick {
            return Vec::new();
        }
        let mut reason = Reason::Normal;
        for _ in 0..MOST_RESETS {
            let selection = select(Some(&self.state), &self.firmware());
            (self.state, self.booted, reason) =
                (selection.state, selection.boots, selection.reason);
            if self.booted.is_some() {
                break;
            }
        }
        let recorder = RecorderFacts::from_entries(self.history.iter().map(|one| &one.entry));
        let linux = reconcile(&self.state, self.booted, Some(reason), &recorder);
        self.state = linux.state;
        let mut left = Vec::new();
        for entry in linux.entries {
            if let Entry::FellBack { from, .. } = &entry {
                left.extend(self.state.slot(*from).bundle.and_then(Version::of));
            }
            self.note(entry, now);
        }
        left
    }

    /// The verifier's verdict on the slot that runs; only a healthy one changes the slot.
    ///
    /// # Errors
    /// `bootctl`'s refusal.
    pub fn judge(&mut self, verdict: HealthVerdict, now: Duration) -> Result<(), Refused> {
        let Some(slot) = self.booted else { return Ok(()) };
        let cause = match verdict {
            HealthVerdict::Healthy => String::new(),
            HealthVerdict::Unhealthy => "no link".to_owned(),
        };
        self.note(Entry::Verdict { slot, verdict, cause }, now);
        if verdict == HealthVerdict::Unhealthy {
            return Ok(());
        }
        if self.state.slot(slot).state == SlotState::Good {
            return self.command(&Command::RestoreAttempts { slot });
        }
        self.command(&Command::MarkGood { slot })?;
        self.note(Entry::Marked { slot, mark: Mark::Good }, now);
        Ok(())
    }

    /// What runs.
    #[must_use]
    pub fn running(&self) -> Option<Version> {
        self.booted.and_then(|slot| self.state.slot(slot).bundle).and_then(Version::of)
    }

    /// Whether it runs from a slot that is good.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.booted.is_some_and(|slot| self.state.slot(slot).state == SlotState::Good)
    }

    /// A slot as decisions see it.
    #[must_use]
    pub fn facts(&self, slot: SlotId) -> SlotFacts {
        let record = self.state.slot(slot);
        let version = record.bundle.and_then(Version::of).map(|one| one.text().to_owned());
        SlotFacts { state: record.state, attempts: record.attempts, bundle: record.bundle, version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootctl::Activation;

    const T: Duration = Duration::from_secs(1);

    fn installed(version: Version) -> Board {
        let disk = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        let mut board = Board::new(disk, Version::Former);
        let (target, bundle) = (SlotId::B, version.id());
        board.command(&Command::BeginInstall { target }).unwrap();
        let activation = Activation::Activate;
        board.command(&Command::FinishInstall { target, bundle, activation }).unwrap();
        board
    }

    #[test]
    fn three_starts_without_a_verdict_and_the_slot_before_runs_again() {
        let mut board = installed(Version::Bad);
        for _ in 0..3 {
            assert_eq!(board.boot(T), []);
            assert_eq!(board.running(), Some(Version::Bad));
        }
        assert_eq!(board.boot(T), [Version::Bad]);
        assert_eq!((board.running(), board.is_good()), (Some(Version::Former), true));
        assert!(board.state.is_known_failed(&Version::Bad.id()));
        board.judge(HealthVerdict::Healthy, T).unwrap();
        assert_eq!(board.boot(T), []);
    }

    #[test]
    fn a_healthy_start_stays() {
        let mut board = installed(Version::Sound);
        assert_eq!(board.next(), Some(SlotId::B));
        board.boot(T);
        assert!(!board.is_good());
        board.judge(HealthVerdict::Healthy, T).unwrap();
        assert!(board.is_good());
        assert_eq!(board.boot(T), []);
        assert_eq!(board.running(), Some(Version::Sound));
    }
}
