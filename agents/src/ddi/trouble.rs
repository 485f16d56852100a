// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why did a talk with the server come to nothing? The last cause, for who waits for its end: a person, or a
//! program that goes by an exit code. It outlives no restart.

use super::error::DdiError;
use super::request::NoAnswer;
use super::server::ActionId;
use bundle::http::{CLOCK_HINT, is_out_of_time};

/// The cause. No words begin with the server's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DdiTrouble {
    /// There is no answer.
    #[error("hawkBit does not answer")]
    NoAnswer(#[source] NoAnswer),
    /// There is one, and not the one that was asked for.
    #[error("hawkBit answers with {said}")]
    Status {
        /// Its number.
        code: u16,
        /// The same in words, and the beginning of the server's.
        said: String,
    },
    /// A page for browsers came.
    #[error("hawkBit's answer is not used: {why}")]
    Page {
        /// What it is.
        why: String,
    },
    /// What came is nothing that hawkBit says.
    #[error("hawkBit's answer is not used: {why}")]
    Answer {
        /// Why not.
        why: String,
    },
    /// The action itself is at fault.
    #[error("action {id} is not taken: {why}")]
    Action {
        /// It.
        id: ActionId,
        /// Why not.
        why: String,
    },
}

impl DdiTrouble {
    /// An answer that cannot be read.
    pub(super) fn unread(odd: &DdiError) -> Self {
        let why = super::answers::chain(odd);
        if matches!(odd, DdiError::Page) { Self::Page { why } } else { Self::Answer { why } }
    }

    /// The way out.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NoAnswer(NoAnswer { reason }) if is_out_of_time(reason) => CLOCK_HINT,
            Self::NoAnswer(_) => "check the network, the proxy and the server's certificate",
            Self::Status { code: 401 | 403, .. } => {
                "check the token or certificate of this device, and target_id and tenant"
            }
            Self::Status { code: 404 | 410, .. } => {
                "check url, tenant and target_id of the settings"
            }
            Self::Status { code: 300..=399, .. } => "check url of the settings",
            Self::Status { code: 407, .. } => "check the proxy",
            Self::Status { .. } => "look at the server; it is asked again",
            Self::Page { .. } => {
                "log in to the network that sends it, or check url of the settings"
            }
            Self::Answer { .. } => "look at the server, which has to speak DDI of version 1",
            Self::Action { .. } => "give the device another action; this one is closed as failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a technician is sent to the cables for a clock that nobody has set.
    #[test]
    fn a_certificate_outside_its_time_sends_to_the_clock_and_other_faults_do_not() {
        let hint = |reason: &str| DdiTrouble::NoAnswer(NoAnswer { reason: reason.into() }).hint();
        assert!(hint("cannot connect: SSL: certificate is not yet valid").contains("clock"));
        assert!(!hint("cannot connect: Connection refused").contains("clock"));
    }
}
