// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this bundle true?
//!
//! Reads, verifies and writes RAUC's signed update bundles (`.raucb`), without mount, loop device
//! or root. The way in: [`UntrustedBundle::open`], [`UntrustedBundle::verify`],
//! [`VerifiedBundle::open_image`]. Never decides whether a true bundle should be installed, never
//! reads a clock, never writes to a device.

pub mod adaptive;
pub mod casync;
mod cms;
mod cms_shape;
mod cms_sign;
mod create;
mod create_content;
mod create_error;
mod create_extras;
mod create_pack;
mod create_stage;
mod credential;
mod crypt;
mod describe;
mod dev_pki;
mod envelope;
mod error;
mod fakeroot;
pub mod http;
mod image_parts;
mod image_stream;
mod image_type;
mod image_unpack;
pub mod keyfile;
mod keyring;
mod library_fault;
mod manifest;
mod manifest_encode;
mod manifest_parse;
mod manifest_rules;
mod notice;
mod operations;
mod passing_file;
mod payload;
mod pinned;
pub mod pkcs11;
mod private_key;
mod rauc_version;
mod rauc_words;
mod remote;
mod rsa_scheme;
mod signed_document;
mod signer;
mod source;
mod squashfs;
mod squashfs_limits;
mod squashfs_read_ahead;
mod squashfs_tables;
mod squashfs_write;
mod trailer;
mod verified;
mod verity;
mod verity_build;
mod verity_reader;

pub use cms_sign::{SignError, SigningIdentity, sign_attached, sign_detached};
pub use create::{
    CreateProgress, CreateRequest, CreateStep, CreatedBundle, create_bundle, create_bundle_with,
};
pub use create_content::BundleContent;
pub use create_error::CreateError;
pub use create_extras::{CreateExtras, IndexMaker};
pub use credential::{Credential, CredentialAccess, CredentialError, Secret, SecretQuestion};
pub use describe::certificates_text;
pub use dev_pki::{
    DevelopmentPki, DevelopmentPkiError, DevelopmentPkiOptions, Extended, Intermediate,
};
pub use envelope::{
    DecryptionIdentity, EnvelopeError, RecipientFacts, RecipientKind, RecipientName, Recipients,
    SealError,
};
pub use error::{BundleError, ChainFault, ChainFaultKind, SignatureError};
pub use image_parts::ImageParts;
pub use image_stream::ImageStream;
pub use image_type::{ImageType, ParseImageTypeError};
pub use keyring::{
    CheckTime, CrlCheck, Keyring, KeyringError, KeyringOptions, Purpose, TrustAnchors,
};
pub use library_fault::LibraryFault;
pub use manifest::{
    BundleFormat, BundleHook, CryptKey, Handler, Hooks, Image, Manifest, ManifestUse, SlotHook,
    TypeOrigin, Update, VerityParams,
};
pub use manifest_parse::ManifestError;
pub use notice::Notice;
pub use operations::{
    Appending, ConvertImages, ConvertRequest, ImageEncoder, OperationError, PostCheck,
    ResignRequest, Rewritten, Verification, convert_bundle, encrypt_bundle, extract_bundle,
    extract_signature, replace_signature, resign_bundle,
};
pub use rauc_version::{MinVersionError, ParseRaucVersionError, RaucVersion};
pub use rauc_words::rauc_words;
pub use remote::{BoxedCause, RemoteBundle, RemoteError, RemoteFacts, RemoteRules, Wanted, look};
pub use signed_document::{SignedDocument, verify_attached};
pub use signer::{CertificateInfo, Signer, UnixTime};
pub use source::{FileSource, MemorySource, Source, SourceError};
pub use squashfs::{EntryFacts, SquashfsEntry, SquashfsError, SquashfsFile, SquashfsFiles};
pub use squashfs_limits::SquashfsLimits;
pub use squashfs_write::{SquashfsCompression, SquashfsTree, WriteSquashfsError, write_squashfs};
pub use trailer::{Limits, PayloadAlignment, TrailerError};
pub use verified::{Envelopment, UntrustedBundle, UnverifiedInfo, VerifiedBundle};
pub use verity::{BlockKind, VerityError};
pub use verity_build::{HashTree, VerityBuildError, build_tree};
