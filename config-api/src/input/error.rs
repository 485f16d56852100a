// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why is this no input?

use std::io;

/// Why an input was not taken.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// It could not be read.
    #[error("cannot read the input")]
    Read(#[source] io::Error),
    /// It is longer than allowed.
    #[error("the input is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
    },
    /// It is neither.
    #[error("the input is neither a .toml file nor a tar compressed by gzip or zstd")]
    Unknown,
    /// It cannot be expanded, or is no tar.
    #[error("the bundle is damaged")]
    Damaged(#[source] io::Error),
    /// It expands to more than allowed.
    #[error("the bundle expands to more than {limit} bytes")]
    Expands {
        /// The limit.
        limit: u64,
    },
    /// It has more members than allowed.
    #[error("the bundle has more than {limit} members")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A member is larger than allowed.
    #[error("{path:?} in the bundle is larger than {limit} bytes")]
    MemberTooLarge {
        /// Which.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// A member cannot be taken.
    #[error("{path:?} in the bundle {what}")]
    Member {
        /// Which.
        path: String,
        /// Why not.
        what: &'static str,
    },
    /// There is no `config.toml`.
    #[error("the bundle has no config.toml at its top level")]
    NoConfig,
    /// The content of `files/` could not be kept.
    #[error("cannot keep the content of the bundle")]
    Spool(#[source] io::Error),
}

impl InputError {
    /// Whether this machine failed, not the input.
    #[must_use]
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Spool(_))
    }

    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Read(_) => "give the path of a file that can be read",
            Self::TooLong { .. } | Self::Expands { .. } | Self::MemberTooLarge { .. } => {
                "let the containers fetch what is so large"
            }
            Self::Unknown => {
                "name it config.toml, or make a bundle: tar -czf bundle.tar.gz config.toml files"
            }
            Self::Damaged(_) => {
                "copy it again, or make it again: tar -czf bundle.tar.gz config.toml files"
            }
            Self::TooMany { .. } => "pack what belongs together into one file",
            Self::Member { .. } | Self::NoConfig => {
                "a bundle holds config.toml and, below files/, directories and plain files"
            }
            Self::Spool(_) => "look at the free space of the temporary directory",
        }
    }
}
