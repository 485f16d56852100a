// SPDX-License-Identifier: MIT OR Apache-2.0
//! What keeps a generation from being applied.

use storage::FilesError;

/// A generation that cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplierError {
    /// A file of the generation is missing.
    #[error("{name} is missing from the configuration")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A file of the generation is not what it should be.
    #[error("{name} of the configuration is invalid")]
    Invalid {
        /// Its name.
        name: String,
        /// Cause.
        #[source]
        source: Box<serde_json::Error>,
    },
    /// What nft said about its chain is not understood.
    #[error("the firewall's own list of rules is not understood")]
    Chain {
        /// Cause.
        #[source]
        source: Box<serde_json::Error>,
    },
    /// An account of that name is there, and we did not make it.
    #[error("account {name} exists and is not ours")]
    ForeignAccount {
        /// Its name.
        name: String,
    },
    /// A unit of that name is there, and we did not make it.
    #[error("unit {name} exists and is not ours")]
    ForeignUnit {
        /// Its file name.
        name: String,
    },
    /// The generation names a unit twice, or one that it has not.
    #[error("unit {name} is {problem}")]
    Unit {
        /// Its file name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A file could not be read or written.
    #[error("cannot change a file of the system")]
    Files {
        /// Cause, which names the path.
        #[from]
        source: FilesError,
    },
}
