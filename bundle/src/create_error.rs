// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why no bundle was made. Each cause is a variant of its own.

use crate::{
    LibraryFault, ManifestError, MinVersionError, SignError, SignatureError, VerityBuildError,
    WriteSquashfsError,
};
use programs::ProgramError;
use std::io;
use std::path::{Path, PathBuf};
use storage::ByteLen;

/// Why no bundle was made; no output was left behind.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The content has no manifest.
    #[error("no manifest.raucm in {dir}", dir = dir.display())]
    NoManifest {
        /// The content directory.
        dir: PathBuf,
    },
    /// The manifest is wrong.
    #[error("manifest of the new bundle is not acceptable")]
    Manifest(#[source] ManifestError),
    /// Something in the content cannot be read.
    #[error("cannot read {path}", path = path.display())]
    ReadContent {
        /// What could not be read.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Something in the content may not be in a bundle.
    #[error("cannot pack {path}: {why} ({name})", path = path.display(), name = name_of(path))]
    ForbiddenContent {
        /// The offending entry.
        path: PathBuf,
        /// The rule it breaks.
        why: &'static str,
    },
    /// The manifest names a file that is not in the content, or not a regular file.
    #[error("manifest names {name:?}, which is no regular file of the content")]
    MissingFile {
        /// The name.
        name: String,
    },
    /// The manifest asks for something that the caller provided no means for.
    #[error("cannot make bundles with {what} here")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
    },
    /// The manifest asks for a version that cannot be had.
    #[error("manifest asks for a version of RAUC that cannot be promised")]
    MinVersion(#[source] MinVersionError),
    /// An index covers whole blocks only.
    #[error("size of image file {name:?} ({size}) is not a multiple of 4096 bytes")]
    ImageUnaligned {
        /// The file.
        name: String,
        /// Its size in bytes.
        size: u64,
    },
    /// The index of an image could not be made.
    #[error("cannot make the block-hash-index of image file {name:?}")]
    Index {
        /// The file.
        name: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A method of `convert` that nobody knows.
    #[error("image file {name:?} has the unknown converter {method:?}")]
    UnknownConverter {
        /// The file.
        name: String,
        /// The method.
        method: String,
    },
    /// A program failed.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The directory to work in cannot be used.
    #[error("cannot work in {path}", path = path.display())]
    Work {
        /// The path.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The payload could not be encrypted.
    #[error("cannot encrypt the payload")]
    Encrypt(#[source] LibraryFault),
    /// The keyring refuses the signer.
    #[error("signer is refused by the keyring for signing")]
    PostCheck(#[source] SignatureError),
    /// The output lies in the directory that is packed.
    #[error("output {path} lies inside the content directory", path = path.display())]
    OutputInContent {
        /// The output.
        path: PathBuf,
    },
    /// The output exists, or cannot be written.
    #[error("cannot write bundle {path}", path = path.display())]
    Output {
        /// The output.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Packing failed.
    #[error("cannot pack the content")]
    Pack(#[source] WriteSquashfsError),
    /// The hash tree could not be built.
    #[error("cannot build the hash tree")]
    Tree(#[source] VerityBuildError),
    /// The payload is too long for its format.
    #[error("payload of {found} is too long for a plain bundle")]
    TooLong {
        /// Its length.
        found: ByteLen,
    },
    /// Signing failed.
    #[error("cannot sign the bundle")]
    Sign(#[source] SignError),
}

impl CreateError {
    /// A way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Output { source, .. } if source.kind() == io::ErrorKind::AlreadyExists => {
                Some("remove the old bundle or choose another name; bundles are not overwritten")
            }
            Self::OutputInContent { .. } => Some("write the bundle beside the content directory"),
            Self::TooLong { .. } => Some("use format=verity, which has no such limit"),
            Self::MissingFile { .. } => Some("put the file beside manifest.raucm"),
            Self::ImageUnaligned { .. } => {
                Some("pad the image to whole blocks of 4096 bytes, or leave out adaptive")
            }
            Self::Sign(refused) => refused.hint(),
            Self::PostCheck(refused) => refused.hint(),
            Self::Program(refused) => refused.hint(),
            Self::NoManifest { .. }
            | Self::Manifest(_)
            | Self::MinVersion(_)
            | Self::Index { .. }
            | Self::UnknownConverter { .. }
            | Self::Work { .. }
            | Self::Encrypt(_)
            | Self::ReadContent { .. }
            | Self::ForbiddenContent { .. }
            | Self::Unsupported { .. }
            | Self::Output { .. }
            | Self::Pack(_)
            | Self::Tree(_) => None,
        }
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
