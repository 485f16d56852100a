// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this bundle install? The manifest as a value; reading and writing its text are in
//! `manifest_parse` and `manifest_encode`, the rules that tie fields together in `manifest_rules`.
//!
//! The text is a key file (`manifest.raucm`). Unknown groups and keys are refused, as RAUC does:
//! a reader that skips what it does not know would skip a condition. `[rollout]` alone is reserved
//! and ignored. Text that is accepted once is accepted again after it was encoded.

use crate::ImageType;
use std::collections::BTreeMap;
use std::fmt;
use storage::{ByteLen, Digest};

/// The layout of a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BundleFormat {
    /// One detached signature over the whole payload.
    #[default]
    Plain,
    /// Signed manifest with the root of a hash tree.
    Verity,
    /// As verity, with an encrypted payload.
    Crypt,
}

impl BundleFormat {
    /// RAUC's name of the format.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Verity => "verity",
            Self::Crypt => "crypt",
        }
    }

    /// The format of RAUC's name, or `None`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plain, Self::Verity, Self::Crypt].into_iter().find(|known| known.name() == name)
    }
}

impl fmt::Display for BundleFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where a manifest comes from; decides which fields must and must not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestUse {
    /// Written by a person, before a bundle is built: nothing computed is in it.
    Input,
    /// From the file system of a plain bundle.
    Internal,
    /// From the signature of a verity or crypt bundle.
    External,
}

/// A manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// `[update]`.
    pub update: Update,
    /// `[bundle] format`.
    pub format: BundleFormat,
    /// `[bundle] verity-*`; in bundles of format verity and crypt.
    pub verity: Option<VerityParams>,
    /// `[bundle] crypt-key`; in bundles of format crypt.
    pub crypt_key: Option<CryptKey>,
    /// `[handler]`.
    pub handler: Option<Handler>,
    /// `[hooks]`.
    pub hooks: Hooks,
    /// `[image.*]` in the order of the text.
    pub images: Vec<Image>,
    /// `[meta.LABEL]`.
    pub meta: BTreeMap<String, BTreeMap<String, String>>,
}

/// What the update is and for what it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Update {
    /// The hardware it is for.
    pub compatible: String,
    /// Its version.
    pub version: Option<String>,
    /// A line for people.
    pub description: Option<String>,
    /// Its build.
    pub build: Option<String>,
    /// The oldest RAUC that may install it.
    pub min_rauc_version: Option<String>,
}

/// The hash tree of a verity bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerityParams {
    /// Root hash.
    pub hash: Digest,
    /// What is hashed before every block.
    pub salt: [u8; 32],
    /// Bytes of the tree.
    pub size: ByteLen,
}

/// The key of a crypt bundle's payload. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct CryptKey(pub [u8; 32]);

impl fmt::Debug for CryptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CryptKey(..)")
    }
}

/// A program in the bundle that replaces the whole installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handler {
    /// File in the bundle.
    pub filename: String,
    /// Arguments, shell-quoted as in the text.
    pub args: Option<String>,
}

/// The hook program of a bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// File in the bundle.
    pub filename: Option<String>,
    /// Which hooks it has for the bundle as a whole.
    pub hooks: Vec<BundleHook>,
}

/// A hook for the bundle as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BundleHook {
    /// Decides whether the bundle may be installed.
    InstallCheck,
}

/// A hook for one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlotHook {
    /// Before the slot is written.
    PreInstall,
    /// Instead of writing.
    Install,
    /// After the slot was written.
    PostInstall,
}

impl SlotHook {
    /// Every hook.
    pub const ALL: [Self; 3] = [Self::PreInstall, Self::Install, Self::PostInstall];

    /// RAUC's name of the hook.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreInstall => "pre-install",
            Self::Install => "install",
            Self::PostInstall => "post-install",
        }
    }
}

/// Whether an image's type was written down or derived from its file name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TypeOrigin {
    /// Derived.
    #[default]
    Derived,
    /// `type=` in the manifest.
    Explicit,
}

/// An image of the bundle.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Slot class, or the artifact repository.
    pub class: String,
    /// System variant it is for.
    pub variant: Option<String>,
    /// Artifact name, when it is one.
    pub artifact: Option<String>,
    /// File in the bundle.
    pub filename: Option<String>,
    /// Its type; `None` only where an install hook does the work.
    pub image_type: Option<ImageType>,
    /// Where the type comes from.
    pub type_origin: TypeOrigin,
    /// SHA-256 of the file; in bundles.
    pub sha256: Option<Digest>,
    /// Size of the file; in bundles.
    pub size: Option<ByteLen>,
    /// Hooks to run.
    pub hooks: Vec<SlotHook>,
    /// Adaptive methods, by name.
    pub adaptive: Vec<String>,
    /// Artifact converters.
    pub convert: Vec<String>,
    /// What the converters made.
    pub converted: Vec<String>,
}

impl Image {
    /// The group's name in the manifest.
    #[must_use]
    pub fn group(&self) -> String {
        let mut name = format!("image.{}", self.class);
        for (mark, part) in [('/', &self.artifact), ('.', &self.variant)] {
            if let Some(part) = part {
                name.push(mark);
                name.push_str(part);
            }
        }
        name
    }
}
