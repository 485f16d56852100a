// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which configuration counts, what has it still to prove, and what follows from what happens?
//!
//! Pure: a state and a command give the next state and what the service does next. What has to be
//! on the medium is the state alone; [`State::shown`] and [`State::kept`] say what else lies there.
//!
//! Deadlines are counted from the start of the machine, so they mean something only in the boot
//! that set them: whoever finds a promotion of another boot finds one that nobody watches any more.

use super::error::PromoteError;
use super::layout::Generation;
use serde::{Deserialize, Serialize};

/// How often a first configuration is tried anew after the machine went down under it.
pub const INITIAL_TRIES: u8 = 3;

/// The kernel's name of this boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// Seconds since the machine started, suspended time among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub u64);

impl Moment {
    /// So many seconds later.
    #[must_use]
    pub const fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(secs))
    }
}

/// What a promoted configuration waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Its services must become healthy.
    Activating {
        /// Until then.
        until: Moment,
    },
    /// They are; the operator must say that he still reaches the device.
    Confirming {
        /// Until then.
        until: Moment,
    },
}

impl Phase {
    const fn until(self) -> Moment {
        match self {
            Self::Activating { until } | Self::Confirming { until } => until,
        }
    }
}

/// What became of the services of the configuration that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rollback {
    /// They are healthy again.
    Completed,
    /// They are not.
    Failed,
    /// The machine went down; the next boot started them.
    Skipped,
    /// There was none to come back to.
    Discarded,
}

/// Which configuration counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum State {
    /// None: whoever is there first may provision the device.
    Unprovisioned {
        /// How the last promotion ended, when it failed.
        rollback: Option<Rollback>,
    },
    /// One that has proved itself.
    Committed {
        /// It.
        generation: Generation,
        /// How the promotion after it ended, when that failed.
        rollback: Option<Rollback>,
    },
    /// One that has still to prove itself.
    Pending {
        /// What counts again when it does not; none at a first provisioning.
        from: Option<Generation>,
        /// It.
        to: Generation,
        /// What it waits for.
        phase: Phase,
        /// How long it may take to become healthy, from its start.
        window_secs: u64,
        /// How long the operator has to confirm it then; none when that was not asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        confirm_secs: Option<u64>,
        /// The boot whose clock counts.
        boot: BootId,
        /// How often a first configuration may still be tried in another boot.
        tries_left: u8,
    },
    /// The one before is back, and its services are not started again yet.
    Reverting {
        /// The one that counts again.
        to: Generation,
        /// The one that failed. Its services may still hold its files.
        failed: Generation,
        /// The boot in which they run.
        boot: BootId,
    },
}

/// What happens to a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// A complete new one is on the medium.
    Promote {
        /// It.
        to: Generation,
        /// How long it may take to become healthy.
        window_secs: u64,
        /// How long the operator has to confirm it then; none when that is not asked for.
        confirm_secs: Option<u64>,
        /// This boot.
        boot: BootId,
        /// Now.
        now: Moment,
    },
    /// Its services are healthy.
    Healthy {
        /// Until when the operator must confirm, where that was asked for.
        confirm_until: Option<Moment>,
    },
    /// The operator confirms.
    Confirm {
        /// Now: what comes too late is refused.
        now: Moment,
    },
    /// Its services failed, or the operator did not confirm.
    Fail,
    /// The services of the one that came back were started again.
    Reapplied {
        /// What became of them.
        rollback: Rollback,
    },
    /// The service starts, and does not know what was before.
    Recover {
        /// This boot.
        boot: BootId,
        /// Now.
        now: Moment,
    },
}

/// What the service has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Rest,
    /// Apply the generation and watch its services.
    Activate {
        /// Which one.
        generation: Generation,
        /// Until when they must be healthy.
        until: Moment,
    },
    /// Wait for the operator.
    AwaitConfirmation {
        /// Until when.
        until: Moment,
    },
    /// Apply this generation again and watch its services.
    Reapply {
        /// Which one.
        generation: Generation,
    },
}

impl State {
    /// The configuration that other programs read.
    #[must_use]
    pub const fn shown(&self) -> Option<Generation> {
        match self {
            Self::Unprovisioned { .. } => None,
            Self::Committed { generation, .. } => Some(*generation),
            Self::Pending { to, .. } | Self::Reverting { to, .. } => Some(*to),
        }
    }

    /// What must stay on the medium.
    #[must_use]
    pub fn kept(&self) -> Vec<Generation> {
        match self {
            Self::Unprovisioned { .. } => Vec::new(),
            Self::Committed { generation, .. } => vec![*generation],
            Self::Pending { from, to, .. } => from.iter().copied().chain([*to]).collect(),
            Self::Reverting { to, failed, .. } => vec![*to, *failed],
        }
    }

    /// Whether the device belongs to somebody: a configuration was proved once. A first one that
    /// has still to prove itself does not open the door either; only its failure does.
    #[must_use]
    pub const fn is_provisioned(&self) -> bool {
        !matches!(self, Self::Unprovisioned { .. })
    }

    /// How long the operator has to confirm what is pending, where that was asked for.
    #[must_use]
    pub const fn confirm_secs(&self) -> Option<u64> {
        match self {
            Self::Pending { confirm_secs, .. } => *confirm_secs,
            Self::Unprovisioned { .. } | Self::Committed { .. } | Self::Reverting { .. } => None,
        }
    }

    /// What the service does in this state.
    #[must_use]
    pub const fn next(&self) -> Next {
        match self {
            Self::Unprovisioned { .. } | Self::Committed { .. } => Next::Rest,
            Self::Pending { to, phase: Phase::Activating { until }, .. } => {
                Next::Activate { generation: *to, until: *until }
            }
            Self::Pending { phase: Phase::Confirming { until }, .. } => {
                Next::AwaitConfirmation { until: *until }
            }
            Self::Reverting { to, .. } => Next::Reapply { generation: *to },
        }
    }
}

/// The state after a command.
///
/// # Errors
/// [`PromoteError::Refused`] when it has no meaning in this state.
pub fn step(state: &State, command: &Command) -> Result<State, PromoteError> {
    let refused = || PromoteError::Refused {
        command: Box::new(command.clone()),
        state: Box::new(state.clone()),
    };
    Ok(match (state, command) {
        (
            State::Unprovisioned { .. } | State::Committed { .. },
            Command::Promote { to, window_secs, confirm_secs, boot, now },
        ) => State::Pending {
            from: state.shown(),
            to: *to,
            phase: Phase::Activating { until: now.plus_secs(*window_secs) },
            window_secs: *window_secs,
            confirm_secs: *confirm_secs,
            boot: boot.clone(),
            tries_left: INITIAL_TRIES,
        },
        (
            State::Pending {
                from,
                to,
                phase: Phase::Activating { .. },
                window_secs,
                confirm_secs,
                boot,
                tries_left,
            },
            Command::Healthy { confirm_until: Some(until) },
        ) => State::Pending {
            from: *from,
            to: *to,
            phase: Phase::Confirming { until: *until },
            window_secs: *window_secs,
            confirm_secs: *confirm_secs,
            boot: boot.clone(),
            tries_left: *tries_left,
        },
        (
            State::Pending { to, phase: Phase::Activating { .. }, .. },
            Command::Healthy { confirm_until: None },
        ) => State::Committed { generation: *to, rollback: None },
        (
            State::Pending { to, phase: Phase::Confirming { until }, .. },
            Command::Confirm { now },
        ) if now < until => State::Committed { generation: *to, rollback: None },
        (State::Pending { from, to, boot, .. }, Command::Fail) => fail(*from, *to, boot),
        (State::Reverting { to, .. }, Command::Reapplied { rollback }) => {
            State::Committed { generation: *to, rollback: Some(*rollback) }
        }
        (State::Unprovisioned { .. } | State::Committed { .. }, Command::Recover { .. }) => {
            state.clone()
        }
        (State::Pending { .. } | State::Reverting { .. }, Command::Recover { boot, now }) => {
            recover(state, boot, *now)
        }
        (
            State::Unprovisioned { .. } | State::Committed { .. },
            Command::Healthy { .. }
            | Command::Confirm { .. }
            | Command::Fail
            | Command::Reapplied { .. },
        )
        | (
            State::Pending { .. },
            Command::Promote { .. }
            | Command::Healthy { .. }
            | Command::Confirm { .. }
            | Command::Reapplied { .. },
        )
        | (
            State::Reverting { .. },
            Command::Promote { .. }
            | Command::Healthy { .. }
            | Command::Confirm { .. }
            | Command::Fail,
        ) => return Err(refused()),
    })
}

fn fail(from: Option<Generation>, failed: Generation, boot: &BootId) -> State {
    match from {
        Some(to) => State::Reverting { to, failed, boot: boot.clone() },
        None => State::Unprovisioned { rollback: Some(Rollback::Discarded) },
    }
}

/// In the boot that began it, a promotion goes on until its deadline: the service alone was
/// restarted. In another boot nobody watched it: the one before counts again, and what starts at
/// boot starts its services. Only a first configuration, which has none before it, is tried again,
/// so that pulling the plug does not ask for the upload again, and not without end.
fn recover(state: &State, boot: &BootId, now: Moment) -> State {
    match state {
        State::Unprovisioned { .. } | State::Committed { .. } => state.clone(),
        State::Pending { phase, boot: began, .. } if began == boot && now < phase.until() => {
            state.clone()
        }
        State::Pending { from, to, boot: began, .. } if began == boot => fail(*from, *to, began),
        State::Pending { from: Some(from), .. } => {
            State::Committed { generation: *from, rollback: Some(Rollback::Skipped) }
        }
        State::Pending { from: None, tries_left: 0 | 1, .. } => {
            State::Unprovisioned { rollback: Some(Rollback::Discarded) }
        }
        State::Pending { from: None, to, window_secs, confirm_secs, tries_left, .. } => {
            State::Pending {
                from: None,
                to: *to,
                phase: Phase::Activating { until: now.plus_secs(*window_secs) },
                window_secs: *window_secs,
                confirm_secs: *confirm_secs,
                boot: boot.clone(),
                tries_left: tries_left - 1,
            }
        }
        State::Reverting { boot: began, .. } if began == boot => state.clone(),
        State::Reverting { to, .. } => {
            State::Committed { generation: *to, rollback: Some(Rollback::Skipped) }
        }
    }
}
