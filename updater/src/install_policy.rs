// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does whoever asks for an install allow, and leave to others? Values only.

use crate::ResumeRule;
use bootctl::{Activation, Force};

/// Whether older bundles are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionRule {
    /// Neither below the configured minimum nor below the system's floor.
    #[default]
    RefuseOlder,
    /// Below the floor, not below the configured minimum: RAUC's own behaviour.
    MinimumOnly,
    /// Any version.
    AllowAny,
}

/// Whether the bundle must be for this board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CompatibleRule {
    /// It must.
    #[default]
    MustMatch,
    /// A person knows better.
    Ignore,
}

/// Who does what surrounds the writing of slots: handlers of the configuration, the bundle's own
/// check, version and compatible by RAUC's rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OuterSteps {
    /// Nobody: a configuration or bundle that wants them is refused.
    #[default]
    NotDone,
    /// [`crate::system::System`], around this install.
    Done,
}

/// What becomes of images whose file is an index of their content (casync).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IndexRule {
    /// They are refused: nobody knows a chunk store.
    #[default]
    Refuse,
    /// The [`crate::ImageOpener`] of the install opens them.
    Open,
}

/// What the person or agent asking for the install allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallPolicy {
    /// On versions.
    pub versions: VersionRule,
    /// On the board.
    pub compatible: CompatibleRule,
    /// On bundles known to have failed.
    pub force: Force,
    /// What follows; `None` takes the configuration's word.
    pub activation: Option<Activation>,
    /// Who does what surrounds it.
    pub outer: OuterSteps,
    /// On indexes of images.
    pub indexes: IndexRule,
    /// On going on with what was interrupted.
    pub resume: ResumeRule,
}

impl Default for InstallPolicy {
    fn default() -> Self {
        Self {
            versions: VersionRule::default(),
            compatible: CompatibleRule::default(),
            force: Force::No,
            activation: None,
            outer: OuterSteps::default(),
            indexes: IndexRule::default(),
            resume: ResumeRule::default(),
        }
    }
}
