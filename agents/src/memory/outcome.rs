// SPDX-License-Identifier: MIT OR Apache-2.0
//! What became of an update? Told from the slots after the restart, never from the install's own
//! word: it is a success once the verifier has marked the slot good, and not before.

use super::{InstallRecord, InstallStage};
use crate::Facts;
use bootctl::{AttemptsLeft, SlotState};

/// How far an update has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is not written yet; a cut install goes on.
    Unfinished,
    /// It is written and waits for a restart.
    AwaitsRestart,
    /// It runs, and the verifier has not spoken.
    OnTrial,
    /// It was marked good.
    Good,
    /// It did not prove itself, and the device has left it.
    FellBack,
    /// Somebody has put something else into its slot, or chosen the other one.
    Superseded,
}

impl InstallRecord {
    /// What became of it.
    #[must_use]
    pub fn outcome(&self, facts: &Facts) -> Outcome {
        let slot = facts.slot(self.slot);
        let runs = facts.booted == Some(self.slot);
        let is_next = facts.next == Some(self.slot);
        // What the slot says comes first: the power may have gone between the end of the install
        // and this record of it, and what failed before may be on trial again because it was forced.
        if slot.bundle == Some(self.id()) {
            match slot.state {
                SlotState::Good if runs => return Outcome::Good,
                SlotState::Trying | SlotState::Unknown if runs => return Outcome::OnTrial,
                SlotState::Trying | SlotState::Good if is_next => return Outcome::AwaitsRestart,
                SlotState::Trying if slot.attempts == AttemptsLeft::ZERO => {
                    return Outcome::FellBack;
                }
                SlotState::Bad => return Outcome::FellBack,
                SlotState::Trying
                | SlotState::Good
                | SlotState::Unknown
                | SlotState::Empty
                | SlotState::Writing => {}
            }
        }
        match self.stage {
            InstallStage::Begun => Outcome::Unfinished,
            InstallStage::Written if facts.is_known_failed(&self.id()) => Outcome::FellBack,
            InstallStage::Written => Outcome::Superseded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Urgency;
    use crate::test_facts::{facts, manifest};
    use bootctl::SlotId;

    fn install(stage: InstallStage) -> InstallRecord {
        InstallRecord {
            manifest: manifest(3),
            version: None,
            url: None,
            etag: None,
            slot: SlotId::B,
            from: None,
            urgency: Urgency::Ordinary,
            stage,
        }
    }

    /// Slot A runs and is good; slot B is in `state`, with the update in it or not.
    fn beside(state: SlotState, holds: bool) -> Facts {
        let mut facts = facts();
        facts.b.state = state;
        facts.b.bundle = holds.then(|| manifest(3).into());
        facts
    }

    #[test]
    fn an_update_is_good_once_the_verifier_says_so_and_not_before() {
        let record = install(InstallStage::Written);
        let mut facts = beside(SlotState::Trying, true);
        facts.next = Some(SlotId::B);
        assert_eq!(record.outcome(&facts), Outcome::AwaitsRestart);
        facts.booted = Some(SlotId::B);
        assert_eq!(record.outcome(&facts), Outcome::OnTrial);
        facts.b.state = SlotState::Good;
        assert_eq!(record.outcome(&facts), Outcome::Good);
    }

    #[test]
    fn what_was_left_has_fallen_back_however_that_is_known() {
        let record = install(InstallStage::Written);
        assert_eq!(record.outcome(&beside(SlotState::Bad, true)), Outcome::FellBack);
        let mut spent = beside(SlotState::Trying, true);
        spent.b.attempts = AttemptsLeft::ZERO;
        assert_eq!(record.outcome(&spent), Outcome::FellBack);
        let mut overwritten = beside(SlotState::Writing, false);
        overwritten.failed = vec![record.id()];
        assert_eq!(record.outcome(&overwritten), Outcome::FellBack);
        assert_eq!(record.outcome(&beside(SlotState::Empty, false)), Outcome::Superseded);
    }

    /// Fails when a forced second try is told as failed before it has run.
    #[test]
    fn a_forced_second_try_is_judged_anew() {
        let mut facts = beside(SlotState::Writing, false);
        facts.failed = vec![install(InstallStage::Begun).id()];
        assert_eq!(install(InstallStage::Begun).outcome(&facts), Outcome::Unfinished);
        facts.b.state = SlotState::Trying;
        facts.b.bundle = Some(manifest(3).into());
        facts.next = Some(SlotId::B);
        assert_eq!(install(InstallStage::Written).outcome(&facts), Outcome::AwaitsRestart);
    }

    /// Fails when a cut between the end of the install and its record loses the update.
    #[test]
    fn an_install_that_ended_unseen_counts_as_written() {
        let mut facts = beside(SlotState::Trying, true);
        facts.next = Some(SlotId::B);
        assert_eq!(install(InstallStage::Begun).outcome(&facts), Outcome::AwaitsRestart);
    }
}
