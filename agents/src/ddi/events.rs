// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vocabulary of the course: what can happen, and what is to be done then.

use super::boot::BootOutcome;
use super::deployment::{Deployment, Permission};
use super::feedback::AttributeMode;
use super::hashes::FileHashes;
use super::request::{Asked, DdiAnswer, DdiRequest, NoAnswer};
use super::server::{ActionId, Server};
use crate::facts::Clock;
use crate::policy::Keep;
use bootctl::SlotId;
use std::collections::BTreeMap;
use std::time::Duration;
use storage::{ByteLen, Digest};

/// What a step may look at beside the state.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    /// Where to ask.
    pub server: &'c Server,
    /// The device's attributes, should the server want them.
    pub attributes: &'c BTreeMap<String, String>,
    /// What becomes of those it has.
    pub mode: AttributeMode,
    /// Lines about the device that go along with the end of an action, the most important first.
    pub details: &'c [String],
    /// The time, for the entries.
    pub clock: Clock,
    /// Whether a bundle can be fetched before it may be installed.
    pub keep: Keep,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The agent begins: after a boot, or after its own end.
    Started,
    /// It is time to ask.
    Poll,
    /// The attributes are not those that the server has: they go along with the next poll.
    News,
    /// What an action waited for may have come: it is described and judged anew.
    Again(ActionId),
    /// The server answered, or did not.
    Answered(Asked, Result<DdiAnswer, NoAnswer>),
    /// Whether an action may be installed at all.
    Confirmation(ActionId, Consent),
    /// The beginning of the bundle was read: its manifest's digest and the file's length.
    Looked(ActionId, Digest, ByteLen),
    /// What the offer was judged to be.
    Judged(ActionId, Judged),
    /// The whole bundle was fetched.
    Fetched(ActionId, FileHashes),
    /// So many of a hundred parts are written.
    Progress(ActionId, u8),
    /// The install is over.
    Installed(ActionId, InstallEnd),
    /// The restart is due and has to wait, for this reason.
    RebootWaits(ActionId, String),
    /// The slot boots no more, or still does, for this reason.
    Withdrawn(ActionId, Result<(), String>),
    /// What became of what was installed: after each boot, and when the verifier has spoken.
    Booted(BootOutcome),
}

/// The device's own word on an action that wants one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It may be installed.
    Yes,
    /// It may not, for this reason.
    No(String),
    /// Somebody has yet to say so; the server is asked again.
    Later,
}

/// What an offer was judged to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// It is installed now; or fetched, where no more is permitted.
    Install,
    /// It has to wait.
    Wait(String),
    /// It is not installed here.
    Refuse(String),
    /// It runs already, from a good slot.
    Running,
    /// It runs already, from this slot, which is not yet good.
    OnTrial(SlotId),
    /// It lies in this slot already, which boots next.
    RebootDue(SlotId),
}

/// How an install ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstallEnd {
    /// It lies in this slot, which boots next.
    Done(SlotId),
    /// It does not, and the slot does not boot.
    Failed(String),
    /// It does not yet, for this reason; the next try goes on where it stands.
    Interrupted(String),
    /// It was stopped as wanted.
    Stopped,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this, and tell the answer.
    Send(DdiRequest),
    /// Ask whoever may say so whether this action may be installed.
    Confirm(Box<Deployment>),
    /// Judge it, look at it, and install it if that is the judgement.
    Offer(Box<Deployment>, Permission),
    /// End the judging, fetching or installing of this action.
    Stop(ActionId, String),
    /// Let the running slot boot next again instead of this one.
    Withdraw(ActionId, SlotId),
    /// Restart into this slot, as soon as the owner's rules let it.
    Reboot(ActionId, SlotId),
    /// The server has the attributes, or will never take these.
    Reported,
    /// Ask again after so long; the fleet's own jitter comes on top.
    Sleep(Duration),
    /// Something for the log.
    Tell(String),
}
