// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why was a recipe not cooked?

use crate::failure::Class;
use programs::ProgramError;
use std::io;
use std::path::PathBuf;

/// What stopped a recipe. Nothing is under the name of its output then.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The recipe is no recipe; the cause has the line.
    #[error("cannot use the recipe {path}", path = path.display())]
    Recipe {
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The lock file has no list of crates.
    #[error("cannot read the crates in {path}", path = path.display())]
    Lock {
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A file could not be used.
    #[error("cannot {act} {path}", path = path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A file is not what the recipe needs it to be.
    #[error("{path} {what}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// The way out.
        hint: &'static str,
    },
    /// A tool failed, or is not there.
    #[error("cannot {act}")]
    Tool {
        /// What for.
        act: &'static str,
        /// Cause.
        #[source]
        source: ProgramError,
    },
    /// A tool said something else than it should.
    #[error("{what}")]
    Answer {
        /// What.
        what: String,
        /// The way out.
        hint: &'static str,
    },
}

impl RecipeError {
    /// The way out.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Recipe { .. } => Some("correct that line; docs/examples/recipes has a recipe"),
            Self::Lock { .. } => Some("`cargo_lock` has to be the Cargo.lock of the programs"),
            Self::Io { source, .. } => Some(atomix_repart::file_hint(source)),
            Self::File { hint, .. } | Self::Answer { hint, .. } => Some(hint),
            Self::Tool { source, .. } => tool_hint(source),
        }
    }

    /// What the exit code of this failure means.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Recipe { .. } | Self::Lock { .. } | Self::File { .. } => Class::Usage,
            Self::Io { .. } | Self::Tool { .. } | Self::Answer { .. } => Class::Failed,
        }
    }
}

/// apt's own words name the cause; what to do about it is not among them.
fn tool_hint(source: &ProgramError) -> Option<&'static str> {
    const HINTS: [(&[&str], &str); 4] = [
        (
            &["is expired", "is not valid yet"],
            "look at this machine's clock; where `mirror` is an archive that stands still, say `snapshot = true`",
        ),
        (
            &["Unable to locate package", "has no installation candidate", "No packages found"],
            "the suite has no such package for arm64: correct its name in the recipe",
        ),
        (
            &["NO_PUBKEY", "is not signed", "signatures were invalid", "couldn't be verified"],
            "the mirror's index is not signed by the recipe's keyring: give the keyring of that suite",
        ),
        (
            &[
                "Could not resolve",
                "Could not connect",
                "Failed to fetch",
                "does not have a Release",
            ],
            "the mirror cannot be reached: look at `mirror` and `suite`, or at the network",
        ),
    ];
    let said = source.to_string();
    let found = HINTS.into_iter().find(|(marks, _)| marks.iter().any(|mark| said.contains(mark)));
    found.map(|(_, hint)| hint).or(match source {
        ProgramError::Start { .. } => Some(
            "needed of Debian: apt, dpkg, kmod, squashfs-tools, coreutils, debian-archive-keyring",
        ),
        ProgramError::Talk { .. }
        | ProgramError::Input { .. }
        | ProgramError::TimedOut { .. }
        | ProgramError::Stopped { .. }
        | ProgramError::Failed { .. } => None,
    })
}
