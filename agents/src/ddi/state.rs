// SPDX-License-Identifier: MIT OR Apache-2.0
//! What outlives a restart of an action that is under way, and what is still to be told.
//!
//! A value that the agent's memory keeps. It is durable before the effects of a step are done
//! ([`super::step`]): a power cut between repeats a request, which the server takes or answers with
//! "gone"; it never loses a result.

use super::deployment::{Artifact, Permission};
use super::error::DdiError;
use super::feedback::{Confirmed, Feedback};
use super::limits::{MAX_ENTRIES, MAX_OUTBOX, MAX_SLEEP_SECS};
use super::request::Asked;
use super::server::{ActionId, Resource};
use super::trouble::DdiTrouble;
use crate::memory::ActionRecord;
use bootctl::SlotId;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use storage::Digest;

/// The version of what is kept.
const VERSION: u32 = 1;
/// Longest kept state: the longest words that may wait, in letters of four bytes. The agent's whole
/// record may have more.
pub const MAX_STATE_BYTES: usize = 128 * 1024;

/// Where an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Known by name: its description is to be asked for, again after a restart.
    Announced,
    /// It waits for a yes.
    Confirming,
    /// It may not be installed yet.
    Waiting,
    /// It is judged.
    Offered,
    /// It is written.
    Installing,
    /// It lies on the device as a file.
    Stored,
    /// It lies in this slot, which boots next.
    Installed(#[serde(with = "super::kept::text")] SlotId),
    /// It runs from this slot, and the verifier has not spoken.
    Trial(#[serde(with = "super::kept::text")] SlotId),
}

/// Why an action is to be ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// The server wants it back; this is the wish's own number.
    Cancel(ActionId),
    /// The server has another one.
    Superseded(ActionId),
    /// The server does not know it any more.
    Vanished,
}

/// An action under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its number.
    pub id: ActionId,
    /// By which the server told that it changed.
    pub change: Option<i64>,
    /// See there.
    pub stage: Stage,
    /// What may be done at once.
    pub permission: Permission,
    /// Its bundle.
    pub artifact: Artifact,
    /// The manifest of the bundle, since it was looked at.
    #[serde(with = "super::kept::digest")]
    pub manifest: Option<Digest>,
    /// Whether it is to be ended.
    pub wish: Option<Wish>,
    /// Status entries that it got.
    pub(super) entries: u16,
    /// The last progress told.
    pub(super) told: u8,
    /// The last reason to wait told.
    pub(super) waits: Option<String>,
    /// It was denied: not to be asked again before it changes.
    pub(super) denied: Option<Confirmed>,
}

/// What waits for the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outgoing {
    pub resource: Resource,
    pub id: ActionId,
    pub words: Words,
    /// When it was so, in seconds, if anybody knows.
    pub at: Option<i64>,
    pub tries: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Words {
    Status(Feedback),
    Confirmation(Confirmed, String),
}

impl Outgoing {
    /// Whether the server's view of the action is wrong for ever without it.
    pub fn is_needed(&self) -> bool {
        match &self.words {
            Words::Confirmation(..) => true,
            Words::Status(feedback) => {
                self.resource == Resource::Cancel
                    || feedback.execution == super::feedback::Execution::Closed
                    || feedback.execution == super::feedback::Execution::Downloaded
            }
        }
    }

    /// Whether it only tells how far something is.
    pub fn is_progress(&self) -> bool {
        matches!(&self.words, Words::Status(feedback) if feedback.percent.is_some())
    }
}

/// The course of hawkBit's action, and the talk with the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DdiState {
    version: u32,
    /// The action under way.
    pub action: Option<Action>,
    pub(super) outbox: VecDeque<Outgoing>,
    /// Rounds that failed in a row.
    pub(super) failures: u32,
    /// What the server said last about the pause between polls.
    pub(super) sleep: u32,
    #[serde(skip)]
    pub(super) talk: Talk,
}

/// The talk of this moment: a restart ends it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Talk {
    /// A request is out.
    pub out: Option<Asked>,
    /// Asked next, in this order.
    pub next: VecDeque<Asked>,
    /// The server does not have the attributes as they are.
    pub has_news: bool,
    /// A round is under way: at its end comes a pause.
    pub in_round: bool,
    /// The last request failed: nothing is sent before the next poll.
    pub is_paused: bool,
    /// What the last round came to nothing by.
    pub trouble: Option<DdiTrouble>,
}

impl Default for DdiState {
    fn default() -> Self {
        Self {
            version: VERSION,
            action: None,
            outbox: VecDeque::new(),
            failures: 0,
            sleep: super::limits::DEFAULT_SLEEP_SECS,
            talk: Talk::default(),
        }
    }
}

impl DdiState {
    /// As it was kept.
    ///
    /// # Errors
    /// [`DdiError`] where it cannot be: the agent begins anew then, and asks the server.
    pub fn parse(text: &[u8]) -> Result<Self, DdiError> {
        const WHAT: &str = "the kept state";
        if text.len() > MAX_STATE_BYTES {
            return Err(DdiError::Field { what: WHAT, field: "more bytes" });
        }
        let state: Self =
            serde_json::from_slice(text).map_err(|source| DdiError::Json { what: WHAT, source })?;
        state.check()?;
        Ok(state)
    }

    /// Whether a state that came by another way than [`Self::parse`] is one of ours.
    ///
    /// # Errors
    /// [`DdiError`].
    pub fn check(&self) -> Result<(), DdiError> {
        if self.version != VERSION {
            return Err(DdiError::Version { found: self.version });
        }
        let entries = self.action.as_ref().map_or(0, |action| action.entries);
        if self.outbox.len() > MAX_OUTBOX || self.sleep > MAX_SLEEP_SECS || entries > MAX_ENTRIES {
            return Err(DdiError::Field { what: "the kept state", field: "a number" });
        }
        Ok(())
    }

    /// As the agent's memory keeps it; nothing where there is nothing to keep.
    ///
    /// # Errors
    /// [`DdiError::Json`], which no state has made yet.
    pub fn record(&self) -> Result<Option<ActionRecord>, DdiError> {
        if self.is_kept_as(&Self::default()) {
            return Ok(None);
        }
        let stage = serde_json::to_value(self)
            .map_err(|source| DdiError::Json { what: "the kept state", source })?;
        let slot = self.action.as_ref().and_then(|action| match action.stage {
            Stage::Installed(slot) | Stage::Trial(slot) => Some(slot),
            Stage::Announced
            | Stage::Confirming
            | Stage::Waiting
            | Stage::Offered
            | Stage::Installing
            | Stage::Stored => None,
        });
        let id = self.action.as_ref().map(|action| action.id);
        let id = id.or_else(|| self.outbox.front().map(|one| one.id));
        Ok(Some(ActionRecord {
            id: id.map(|id| id.to_string()).unwrap_or_default(),
            digest: self.action.as_ref().and_then(|action| action.manifest),
            slot,
            stage,
        }))
    }

    /// As the agent's memory has kept it.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn from_record(record: Option<&ActionRecord>) -> Result<Self, DdiError> {
        match record {
            Some(record) => Self::parse(record.stage.to_string().as_bytes()),
            None => Ok(Self::default()),
        }
    }

    /// Whether another state is kept as the same bytes.
    pub(super) fn is_kept_as(&self, other: &Self) -> bool {
        (&self.action, &self.outbox, self.failures, self.sleep)
            == (&other.action, &other.outbox, other.failures, other.sleep)
    }

    /// How many rounds failed in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Why the last round came to nothing, where it did.
    #[must_use]
    pub const fn trouble(&self) -> Option<&DdiTrouble> {
        self.talk.trouble.as_ref()
    }

    /// What the server said last about the pause between polls.
    #[must_use]
    pub fn sleep(&self) -> std::time::Duration {
        std::time::Duration::from_secs(u64::from(self.sleep))
    }

    /// How many words wait for the server.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.outbox.len()
    }

    /// The action, if it is this one.
    pub(super) fn of(&mut self, id: ActionId) -> Option<&mut Action> {
        self.action.as_mut().filter(|action| action.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ddi::{Hashes, Home, Permission};

    /// Fails when the slot before cannot tell hawkBit of the fall back, because the atomix that was left
    /// kept something beside it.
    #[test]
    fn what_a_newer_atomix_kept_beside_it_hides_no_action() {
        let action = Action {
            id: ActionId(7),
            change: Some(2),
            stage: Stage::Trial(SlotId::B),
            permission: Permission::Install,
            artifact: Artifact {
                file: "os.raucb".to_owned(),
                version: "2.0".to_owned(),
                url: String::new(),
                home: Home::default(),
                size: None,
                hashes: Hashes::default(),
            },
            manifest: None,
            wish: None,
            entries: 3,
            told: 0,
            waits: None,
            denied: None,
        };
        let state = DdiState { action: Some(action), ..DdiState::default() };
        let mut newer = serde_json::to_value(&state).unwrap();
        newer["news"] = serde_json::json!([1]);
        newer["action"]["news"] = serde_json::json!({});
        newer["action"]["artifact"]["news"] = serde_json::json!("later");
        assert_eq!(DdiState::parse(newer.to_string().as_bytes()).unwrap(), state);
        newer["version"] = serde_json::json!(2);
        assert!(DdiState::parse(newer.to_string().as_bytes()).is_err());
    }
}
