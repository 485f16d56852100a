// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this bundle true, and what is in it? From untrusted file to verified images.
//!
//! Trust is a type. An [`UntrustedBundle`] has been looked at as far as trailer and CMS structure
//! reach and can do one thing: be verified. Only that makes a [`VerifiedBundle`], and only that
//! hands out images. Everything it hands out was compared with the signature, block by block,
//! when it was read, not when the bundle was opened.
//!
//! There is no other way to have one, and none to change one:
//!
//! ```compile_fail,E0451
//! fn forge(true_one: bundle::VerifiedBundle) -> bundle::VerifiedBundle {
//!     bundle::VerifiedBundle { manifest: bundle::Manifest::default(), ..true_one }
//! }
//! ```

mod content;

use crate::cms::{Covers, UntrustedSignature, VerifiedSignature};
use crate::crypt::SectorCipher;
use crate::envelope::{DecryptionIdentity, Envelope, RecipientFacts, is_envelope, open_envelope};
use crate::payload::{Payload, PayloadCursor};
use crate::pinned::PinnedPayload;
use crate::trailer::{Trailer, read_signature};
use crate::verity_reader::VerityReader;
use crate::{
    BundleError, BundleFormat, CheckTime, Keyring, Limits, Manifest, ManifestError, ManifestUse,
    Notice, PayloadAlignment, Signer, Source, SquashfsError, SquashfsFiles,
};
use content::open_files;
use openssl::hash::MessageDigest;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};
use storage::{ByteLen, Digest};

/// Where a plain bundle keeps its manifest.
const MANIFEST_FILE: &str = "manifest.raucm";
/// Largest manifest read out of a plain bundle; what the parser takes too.
const MAX_MANIFEST: ByteLen = ByteLen::kib(256);

/// A bundle of which nothing is known but where its signature stands.
pub struct UntrustedBundle {
    source: Arc<dyn Source>,
    trailer: Trailer,
    cms: Vec<u8>,
    envelope: Option<Vec<RecipientFacts>>,
    limits: Limits,
}

/// Whether the signature of a bundle came encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelopment {
    /// As every plain and verity bundle, and a crypt bundle that is not finished.
    Open,
    /// For the keys of its recipients only.
    Encrypted,
}

impl std::fmt::Debug for UntrustedBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UntrustedBundle")
            .field("source", &self.source.name())
            .field("trailer", &self.trailer)
            .finish_non_exhaustive()
    }
}

/// A bundle whose signer the keyring vouches for.
pub struct VerifiedBundle {
    format: BundleFormat,
    manifest: Manifest,
    manifest_digest: Digest,
    signer: Signer,
    notices: Vec<Notice>,
    envelopment: Envelopment,
    payload_len: ByteLen,
    payload: Arc<Payload>,
    /// The cursor waits here until the first image is asked for: the signature of a bundle can
    /// be shown although its file system is damaged.
    cursor: std::sync::Mutex<Option<PayloadCursor>>,
    files: OnceLock<SquashfsFiles>,
}

impl std::fmt::Debug for VerifiedBundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedBundle")
            .field("format", &self.format)
            .field("manifest_digest", &self.manifest_digest)
            .field("signer", &self.signer)
            .finish_non_exhaustive()
    }
}

/// What a bundle says of itself, believed by nobody. Cannot be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnverifiedInfo {
    /// Layout.
    pub format: BundleFormat,
    /// The manifest as found.
    pub manifest: Manifest,
    /// SHA-256 of its text.
    pub manifest_digest: Digest,
    /// Size of file system and hash tree.
    pub payload_len: ByteLen,
    /// Whether the signature came encrypted.
    pub envelopment: Envelopment,
}

impl UntrustedBundle {
    /// Reads trailer and CMS structure, and nothing else.
    ///
    /// # Errors
    /// [`BundleError::Source`] or [`BundleError::Trailer`].
    pub fn open(source: Arc<dyn Source>, limits: &Limits) -> Result<Self, BundleError> {
        let (trailer, cms) = read_signature(source.as_ref(), limits)?;
        let found = trailer.payload_bytes;
        if limits.alignment == PayloadAlignment::Required && !found.is_multiple_of(4096) {
            return Err(BundleError::PayloadUnaligned { found });
        }
        Ok(Self { source, trailer, cms, envelope: None, limits: *limits })
    }

    /// The CMS structure, for `extract-signature`: as found, or what [`Self::decrypt`] found in it.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.cms
    }

    /// Whether the signature must be decrypted before it can be verified.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        is_envelope(&self.cms)
    }

    /// Replaces an encrypted signature by what is in it; a signature in clear stays. Nothing is
    /// known about it then that was not before: it still has to be verified.
    ///
    /// # Errors
    /// [`BundleError::Envelope`].
    pub fn decrypt(self, identity: &DecryptionIdentity) -> Result<Self, BundleError> {
        if !self.is_encrypted() {
            return Ok(self);
        }
        let envelope = Some(Envelope::parse(&self.cms)?.facts());
        let cms = open_envelope(&self.cms, identity)?;
        Ok(Self { cms, envelope, ..self })
    }

    /// For whom the signature is, or was, encrypted; empty when it never was.
    ///
    /// # Errors
    /// [`BundleError::Envelope`].
    pub fn recipients(&self) -> Result<Vec<RecipientFacts>, BundleError> {
        match &self.envelope {
            Some(known) => Ok(known.clone()),
            None if self.is_encrypted() => Ok(Envelope::parse(&self.cms)?.facts()),
            None => Ok(Vec::new()),
        }
    }

    /// Where the payload ends and the signature begins.
    #[must_use]
    pub fn payload_len(&self) -> ByteLen {
        ByteLen::new(self.trailer.payload_bytes)
    }

    pub(crate) fn source(&self) -> &Arc<dyn Source> {
        &self.source
    }

    pub(crate) fn envelopment(&self) -> Envelopment {
        match self.envelope {
            Some(_) => Envelopment::Encrypted,
            None => Envelopment::Open,
        }
    }

    /// Verifies signer and signature; for plain bundles also the whole payload. The manifest is
    /// parsed after its signature held.
    ///
    /// # Errors
    /// [`BundleError`]; nothing was parsed beyond the CMS structure if it is a
    /// [`BundleError::Signature`].
    pub fn verify(self, keyring: &Keyring, time: CheckTime) -> Result<VerifiedBundle, BundleError> {
        let verified = UntrustedSignature::parse(&self.cms)?.verify(keyring, time)?;
        let VerifiedSignature { signer, covers, mut notices } = verified;
        notices.extend(self.alignment_notice());
        let (payload_len, envelopment) = (self.payload_len(), self.envelopment());
        match covers {
            Covers::Content(text) => {
                let manifest = self.external_manifest(&text)?;
                let payload = Arc::new(self.verity_payload(&manifest)?);
                let cursor = PayloadCursor::new(Arc::clone(&payload));
                Ok(VerifiedBundle {
                    format: manifest.format,
                    manifest,
                    manifest_digest: sha256(&text),
                    signer,
                    notices,
                    envelopment,
                    payload_len,
                    payload,
                    cursor: std::sync::Mutex::new(Some(cursor)),
                    files: OnceLock::new(),
                })
            }
            Covers::Detached { digest, expected } => {
                self.refuse_envelope_of(BundleFormat::Plain)?;
                let (pinned, found) = self.plain_payload(digest)?;
                if !same_digest(&found, &expected) {
                    return Err(BundleError::PayloadDigest);
                }
                let payload = Arc::new(Payload::Pinned(pinned));
                let (files, text) = plain_manifest(&payload)?;
                Ok(VerifiedBundle {
                    format: BundleFormat::Plain,
                    manifest: Manifest::parse(&text, ManifestUse::Internal)?,
                    manifest_digest: sha256(&text),
                    signer,
                    notices,
                    envelopment,
                    payload_len,
                    payload,
                    cursor: std::sync::Mutex::new(None),
                    files: OnceLock::from(files),
                })
            }
        }
    }

    /// What the bundle says of itself, for people who asked not to verify. For plain bundles this
    /// parses the file system of strangers: never call it on a device's own behalf.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn inspect_unverified(self) -> Result<UnverifiedInfo, BundleError> {
        let content = UntrustedSignature::parse(&self.cms)?.unverified_content();
        let (text, manifest) = match content {
            Some(text) => {
                let manifest = self.external_manifest(&text)?;
                (text, manifest)
            }
            None => {
                let (pinned, _) = self.plain_payload(MessageDigest::sha256())?;
                let text = plain_manifest(&Arc::new(Payload::Pinned(pinned)))?.1;
                let manifest = Manifest::parse(&text, ManifestUse::Internal)?;
                (text, manifest)
            }
        };
        Ok(UnverifiedInfo {
            format: manifest.format,
            manifest_digest: sha256(&text),
            manifest,
            payload_len: self.payload_len(),
            envelopment: self.envelopment(),
        })
    }

    /// Manifest and files of a bundle in which nobody believes, for a maker of bundles who asked
    /// not to verify. The hash tree of a verity bundle is compared all the same.
    pub(crate) fn unverified_files(self) -> Result<(Manifest, SquashfsFiles), BundleError> {
        match UntrustedSignature::parse(&self.cms)?.unverified_content() {
            Some(text) => {
                let manifest = self.external_manifest(&text)?;
                let payload = Arc::new(self.verity_payload(&manifest)?);
                Ok((manifest, open_files(PayloadCursor::new(payload))?))
            }
            None => {
                let (pinned, _) = self.plain_payload(MessageDigest::sha256())?;
                let (files, text) = plain_manifest(&Arc::new(Payload::Pinned(pinned)))?;
                Ok((Manifest::parse(&text, ManifestUse::Internal)?, files))
            }
        }
    }

    fn external_manifest(&self, text: &[u8]) -> Result<Manifest, BundleError> {
        let manifest = Manifest::parse(text, ManifestUse::External)?;
        self.refuse_envelope_of(manifest.format)?;
        Ok(manifest)
    }

    /// An encrypted signature over a payload in clear would mislead whoever trusts in it.
    fn refuse_envelope_of(&self, format: BundleFormat) -> Result<(), BundleError> {
        match (self.envelopment(), format) {
            (Envelopment::Encrypted, BundleFormat::Plain | BundleFormat::Verity) => {
                Err(BundleError::EncryptedOther { format })
            }
            (Envelopment::Open, _) | (Envelopment::Encrypted, BundleFormat::Crypt) => Ok(()),
        }
    }

    fn alignment_notice(&self) -> Option<Notice> {
        let bytes = self.trailer.payload_bytes;
        (!bytes.is_multiple_of(4096)).then_some(Notice::PayloadUnaligned { bytes })
    }

    fn verity_payload(&self, manifest: &Manifest) -> Result<Payload, BundleError> {
        // The rules of ManifestUse::External demand what the format needs.
        let missing = |key| ManifestError::Missing { group: "bundle".to_owned(), key };
        let params = manifest.verity.ok_or_else(|| missing("verity-hash"))?;
        let cipher = match (manifest.format, &manifest.crypt_key) {
            (BundleFormat::Crypt, Some(key)) => Some(SectorCipher::new(key.clone())),
            (BundleFormat::Crypt, None) => return Err(missing("crypt-key").into()),
            (BundleFormat::Plain | BundleFormat::Verity, _) => None,
        };
        let source = Arc::clone(&self.source);
        let reader = VerityReader::new(source, self.trailer.payload_bytes, params)?;
        let reader = Box::new(reader);
        Ok(Payload::Verity { reader, checked: OnceLock::new(), cipher })
    }

    fn plain_payload(
        &self,
        digest: MessageDigest,
    ) -> Result<(PinnedPayload, Vec<u8>), BundleError> {
        let found = self.trailer.payload_bytes;
        let limit = self.limits.max_plain_payload.get();
        if self.source.is_remote() {
            return Err(BundleError::PlainStreamed);
        }
        if found > limit {
            return Err(BundleError::PlainTooLarge { found, limit });
        }
        PinnedPayload::read(Arc::clone(&self.source), found, digest)
    }
}

impl VerifiedBundle {
    /// The layout.
    #[must_use]
    pub fn format(&self) -> BundleFormat {
        self.format
    }

    /// The signed manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of the manifest's exact text: the bundle's identity.
    #[must_use]
    pub fn manifest_digest(&self) -> Digest {
        self.manifest_digest
    }

    /// Who signed it.
    #[must_use]
    pub fn signer(&self) -> &Signer {
        &self.signer
    }

    /// What people should hear although the bundle was accepted.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Whether the signature came encrypted.
    #[must_use]
    pub fn envelopment(&self) -> Envelopment {
        self.envelopment
    }

    /// Whoever installs a bundle asks this first: a crypt bundle that was never encrypted carries
    /// its key in clear, and is shown but not installed.
    ///
    /// # Errors
    /// [`BundleError::CryptNotEncrypted`].
    pub fn refuse_unencrypted_crypt(&self) -> Result<(), BundleError> {
        match (self.format, self.envelopment) {
            (BundleFormat::Crypt, Envelopment::Open) => Err(BundleError::CryptNotEncrypted),
            (BundleFormat::Crypt, Envelopment::Encrypted)
            | (BundleFormat::Plain | BundleFormat::Verity, _) => Ok(()),
        }
    }

    /// Size of file system and hash tree.
    #[must_use]
    pub fn payload_len(&self) -> ByteLen {
        self.payload_len
    }

    /// Whether its bytes come from a server: reading them twice fetches them twice.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        self.payload.is_remote()
    }

    /// Length of what [`VerifiedBundle::check_payload`] reads: the file system without its hash
    /// tree, and nothing of a plain bundle.
    #[must_use]
    pub fn check_len(&self) -> ByteLen {
        ByteLen::new(self.payload.check_bytes())
    }

    /// Reads all of the file system and compares every block with the signed hash tree, so that
    /// damage anywhere is found before anything is written. Reading it again later is cheaper:
    /// it is compared with the record of this pass. A plain bundle was read when it was verified.
    /// `progress` is told the bytes of each step.
    ///
    /// # Errors
    /// [`BundleError::Verity`] or [`BundleError::Source`].
    pub fn check_payload(&self, progress: &mut dyn FnMut(u64)) -> Result<(), BundleError> {
        let mut go_on = |bytes| {
            progress(bytes);
            ControlFlow::Continue(())
        };
        self.payload.check(&mut go_on).map(drop)
    }

    /// As [`VerifiedBundle::check_payload`], and ends early when `progress` says so.
    ///
    /// # Errors
    /// As [`VerifiedBundle::check_payload`].
    pub fn check_payload_until(
        &self,
        progress: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, BundleError> {
        self.payload.check(progress)
    }
}

fn plain_manifest(payload: &Arc<Payload>) -> Result<(SquashfsFiles, Vec<u8>), BundleError> {
    let files = open_files(PayloadCursor::new(Arc::clone(payload)))?;
    let text = files.read_file(MANIFEST_FILE, MAX_MANIFEST).map_err(squashfs_cause)?;
    Ok((files, text))
}

/// A failed block check below the file system is the cause, not the file system.
pub(crate) fn squashfs_cause(refused: SquashfsError) -> BundleError {
    if let SquashfsError::Read(source) = refused {
        return source
            .downcast::<BundleError>()
            .unwrap_or_else(|source| BundleError::Squashfs(SquashfsError::Read(source)));
    }
    BundleError::Squashfs(refused)
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::from_bytes(openssl::sha::sha256(bytes))
}

/// Equal lengths and equal bytes; an empty digest equals nothing.
fn same_digest(found: &[u8], expected: &[u8]) -> bool {
    !found.is_empty() && found == expected
}
