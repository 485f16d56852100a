// SPDX-License-Identifier: MIT OR Apache-2.0
//! What stops an artifact, with the place and the way out.

use crate::{BoxedError, ErrorClass, ProgramError};
use std::io;
use std::path::PathBuf;
use storage::Digest;

/// A repository that cannot be read, or an artifact that did not get into one.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// The repository's directory is not there.
    #[error("Destination path '{path}' not found for artifact repo '{repo}'", path = path.display())]
    Absent {
        /// Repository.
        repo: String,
        /// Its directory.
        path: PathBuf,
    },
    /// Something in the repository cannot be read or written.
    #[error("cannot {act} {path} of artifact repo '{repo}'", path = path.display())]
    Repository {
        /// What was tried.
        act: &'static str,
        /// Repository.
        repo: String,
        /// With what.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The name would lead out of the repository, or hide in it.
    #[error("'{name}' cannot be the name of an artifact")]
    Name {
        /// The name.
        name: String,
    },
    /// The repository's type has no use for this image.
    #[error("Image '{repo}/{artifact}' has unsupported format for repo type '{kind}'")]
    Format {
        /// Repository.
        repo: String,
        /// Artifact.
        artifact: String,
        /// Type of the repository.
        kind: &'static str,
    },
    /// The image could not be read from the bundle.
    #[error("cannot read the image for artifact '{artifact}'")]
    ReadImage {
        /// Artifact.
        artifact: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The image was longer or shorter than the manifest says.
    #[error("the image for artifact '{artifact}' has {found} bytes, the manifest says {expected}")]
    Length {
        /// Artifact.
        artifact: String,
        /// Bytes in the manifest.
        expected: u64,
        /// Bytes found; when larger than expected, at least so many.
        found: u64,
    },
    /// The image, or what was stored of it, is not what was signed.
    #[error("artifact '{artifact}' has the SHA-256 {found}, the manifest says {expected}")]
    Mismatch {
        /// Artifact.
        artifact: String,
        /// Digest in the manifest.
        expected: Digest,
        /// Digest found.
        found: Digest,
    },
    /// A tree could not be unpacked.
    #[error("cannot unpack artifact '{artifact}'")]
    Unpack {
        /// Artifact.
        artifact: String,
        /// Cause.
        #[source]
        source: BoxedError,
    },
    /// A program failed.
    #[error("{act}")]
    Program {
        /// What it should have done.
        act: &'static str,
        /// Cause.
        #[source]
        source: ProgramError,
    },
    /// Somebody wanted it to end.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
}

impl ArtifactError {
    /// What kind of failure it is, for exit codes.
    #[must_use]
    pub const fn class(&self) -> ErrorClass {
        match self {
            Self::Absent { .. } | Self::Name { .. } | Self::Format { .. } => ErrorClass::Refused,
            Self::Length { .. } | Self::Mismatch { .. } => ErrorClass::NotVerified,
            Self::Repository { .. }
            | Self::ReadImage { .. }
            | Self::Unpack { .. }
            | Self::Program { .. }
            | Self::Stopped { .. } => ErrorClass::Failed,
        }
    }

    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Absent { .. } => Some("make the directory, or correct its path in system.conf"),
            Self::Length { .. } | Self::Mismatch { .. } => {
                Some("fetch the bundle again, then install it again")
            }
            Self::Program { source, .. } => source.hint(),
            Self::Repository { .. }
            | Self::Name { .. }
            | Self::Format { .. }
            | Self::ReadImage { .. }
            | Self::Unpack { .. }
            | Self::Stopped { .. } => None,
        }
    }
}
