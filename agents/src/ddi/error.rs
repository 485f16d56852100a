// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can a hawkBit server say that is not followed? No words begin with the server's own: they may
//! be a line of their own in a log, whose first characters a journal reads as its level.

use crate::place::PlaceError;

/// Why a setting or an answer is not used.
#[derive(Debug, thiserror::Error)]
pub enum DdiError {
    /// The address of the server.
    #[error("this is no address of a hawkBit server")]
    Server {
        /// Why.
        #[source]
        source: PlaceError,
    },
    /// A tenant or a target.
    #[error("{name:?} cannot be the name of a tenant or a target")]
    Name {
        /// As it was given, shortened.
        name: String,
    },
    /// A link of the interface.
    #[error("a link to {kind} does not end with {kind} and a number")]
    Link {
        /// To what.
        kind: &'static str,
    },
    /// A link to an artifact.
    #[error("the artifact has no address that can be fetched")]
    Artifact {
        /// Why.
        #[source]
        source: PlaceError,
    },
    /// An answer.
    #[error("the server's answer about {what} cannot be read")]
    Json {
        /// Of what.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// An answer.
    #[error("the answer is a page for browsers: a captive portal, or not the server's address")]
    Page,
    /// An answer.
    #[error("the answer about {what} has {field} that no such answer has")]
    Field {
        /// Of what.
        what: &'static str,
        /// Which.
        field: &'static str,
    },
    /// A deployment.
    #[error("the answer is about action {found}, and {wanted} was asked for")]
    OtherAction {
        /// Asked for.
        wanted: i64,
        /// Answered.
        found: i64,
    },
    /// A deployment.
    #[error("action {action} has no artifact whose name ends with .raucb, but {found}")]
    NoBundle {
        /// Which.
        action: i64,
        /// Its artifacts' names, or none.
        found: String,
    },
    /// A deployment.
    #[error("action {action} has {count} artifacts whose names end with .raucb: {found}")]
    ManyBundles {
        /// Which.
        action: i64,
        /// How many.
        count: usize,
        /// Their names.
        found: String,
    },
    /// A deployment.
    #[error(
        "the artifact {file} is encrypted by the server, and nobody has told this device a key"
    )]
    Encrypted {
        /// The artifact.
        file: String,
    },
    /// A deployment.
    #[error("the artifact {file} has no link to be downloaded by")]
    NoLink {
        /// The artifact.
        file: String,
    },
    /// What was fetched.
    #[error("the artifact {file} has the {what} {found}, and the server says {wanted}")]
    Differs {
        /// The artifact.
        file: String,
        /// Of what.
        what: &'static str,
        /// In what was fetched.
        found: String,
        /// By the server.
        wanted: String,
    },
    /// A device's token.
    #[error("the token has no character, more than {limit}, or some that no token has")]
    Token {
        /// Most.
        limit: usize,
    },
    /// A state that was kept.
    #[error("the kept state of hawkBit's action is of version {found}")]
    Version {
        /// Found.
        found: u32,
    },
}
