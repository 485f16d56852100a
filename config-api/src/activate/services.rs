// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an activation may do to the system, and ask of it.

use crate::appliers::UnitMode;
use crate::promote::{Generation, Moment};
use verifier::UnitStatus;

/// Why something could not be done to the system.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ServiceError {
    /// The failed act, in words that can be shown.
    pub what: String,
    /// Cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ServiceError {
    /// A failure with its cause.
    pub fn new(
        what: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self { what: what.into(), source: Some(source.into()) }
    }

    /// The failure and its causes on one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.what.clone();
        let mut cause = std::error::Error::source(self);
        while let Some(inner) = cause {
            text.push_str(": ");
            text.push_str(&inner.to_string());
            cause = inner.source();
        }
        text
    }
}

/// What is applied of a generation, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyStep {
    /// The accounts.
    Users,
    /// Interfaces, names, addresses and the time.
    Network,
    /// The firewall's openings.
    Firewall,
    /// The units; their services are started anew.
    Quadlets,
    /// The agent that is told of updates; the other one stops.
    Updates,
}

impl ApplyStep {
    /// All of them. The services come after what they may need; the agent of updates comes last, so
    /// that it is left alone by a configuration whose services cannot be started.
    pub const ALL: [Self; 5] =
        [Self::Users, Self::Network, Self::Firewall, Self::Quadlets, Self::Updates];

    /// Its name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "apply-users",
            Self::Network => "apply-network",
            Self::Firewall => "apply-firewall",
            Self::Quadlets => "apply-quadlets",
            Self::Updates => "apply-updates",
        }
    }
}

/// A service of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceUnit {
    /// Who runs it.
    pub mode: UnitMode,
    /// Its name, with `.service`.
    pub name: String,
}

/// The system as an activation sees it. No act waits for a service to be up: that is the watch's
/// matter, which has the configuration's own deadline (B5).
pub trait Services {
    /// Applies one part of a generation, until then at most; doing it twice is doing it once.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn apply(
        &mut self,
        step: ApplyStep,
        generation: Generation,
        until: Moment,
    ) -> Result<(), ServiceError>;

    /// Takes away what a generation had started, when none comes back.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn discard(&mut self) -> Result<(), ServiceError>;

    /// Asks for a service to be started anew, and does not wait for it.
    ///
    /// # Errors
    /// [`ServiceError`].
    fn restart(&mut self, unit: &ServiceUnit) -> Result<(), ServiceError>;

    /// How a service is.
    ///
    /// # Errors
    /// [`ServiceError`], which is never taken for a good answer.
    fn status(&mut self, unit: &ServiceUnit) -> Result<UnitStatus, ServiceError>;

    /// Whether the operator has confirmed what was promoted last.
    fn is_confirmed(&mut self) -> bool;

    /// Time since the machine started.
    fn now(&mut self) -> Moment;

    /// Returns when the clock reads at least `until`.
    fn wait_until(&mut self, until: Moment);
}
