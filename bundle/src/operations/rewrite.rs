// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles that keep their payload and get another signature.

use super::output::NewFile;
use super::{OperationError, PostCheck, Verification, post_check, size_notice};
use crate::cms::{Covers, UntrustedSignature};
use crate::cms_sign::append_signer;
use crate::create::LARGEST_PLAIN_PAYLOAD;
use crate::envelope::{Envelope, is_envelope};
use crate::pinned::PinnedPayload;
use crate::verity_reader::VerityReader;
use crate::{
    BundleError, BundleFormat, FileSource, Manifest, ManifestError, ManifestUse, Notice,
    Recipients, SignatureError, SigningIdentity, UnixTime, UntrustedBundle, sign_attached,
    sign_detached,
};
use openssl::hash::{Hasher, MessageDigest};
use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use storage::Digest;

/// Bytes copied at once.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Whether the old signature stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Appending {
    /// It is replaced.
    #[default]
    Replace,
    /// The new one stands beside it (`--append`).
    Append,
}

/// How to sign anew.
#[derive(Clone, Copy, Debug)]
pub struct ResignRequest<'a> {
    /// Who signs.
    pub identity: &'a SigningIdentity,
    /// Signing time.
    pub timestamp: UnixTime,
    /// Whether the old signature stays.
    pub appending: Appending,
    /// Whether the bundle that comes in must be true.
    pub verification: Verification<'a>,
    /// What the new signature must satisfy.
    pub post_check: Option<PostCheck<'a>>,
}

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Layout of the bundle.
    pub format: BundleFormat,
    /// Size of the new signature.
    pub signature_bytes: usize,
    /// What people should hear.
    pub notices: Vec<Notice>,
}

/// What the old signature covers, as far as it was judged.
enum Signed {
    Manifest(Vec<u8>),
    Payload { digest: MessageDigest, expected: Option<Vec<u8>> },
}

struct Incoming {
    signed: Signed,
    format: BundleFormat,
    notices: Vec<Notice>,
    verified: bool,
}

impl Incoming {
    /// Judges the signature of `bundle`, not its payload.
    fn of(bundle: &UntrustedBundle, by: Verification<'_>) -> Result<Self, BundleError> {
        let signature = UntrustedSignature::parse(bundle.signature())?;
        let (signed, notices, verified) = match by {
            Verification::By { keyring, time } => {
                let signature = signature.verify(keyring, time)?;
                let signed = match signature.covers {
                    Covers::Content(text) => Signed::Manifest(text),
                    Covers::Detached { digest, expected } => {
                        Signed::Payload { digest, expected: Some(expected) }
                    }
                };
                (signed, signature.notices, true)
            }
            Verification::Skipped => {
                let sha256 = MessageDigest::sha256();
                let signed = match signature.unverified_content() {
                    Some(text) => Signed::Manifest(text),
                    None => Signed::Payload { digest: sha256, expected: None },
                };
                (signed, Vec::new(), false)
            }
        };
        let format = match &signed {
            Signed::Manifest(text) => Manifest::parse(text, ManifestUse::External)?.format,
            Signed::Payload { .. } => BundleFormat::Plain,
        };
        let (found, limit) = (bundle.payload_len().get(), LARGEST_PLAIN_PAYLOAD);
        if format == BundleFormat::Plain && found > limit {
            return Err(BundleError::PlainTooLarge { found, limit });
        }
        Ok(Self { signed, format, notices, verified })
    }
}

/// Copies the payload; its digests by `digest` and by SHA-256.
fn copy_payload(
    bundle: &UntrustedBundle,
    output: &mut NewFile,
    path: &Path,
    digest: MessageDigest,
) -> Result<(Vec<u8>, Digest), OperationError> {
    let failed = |source| OperationError::Output { path: path.to_owned(), source };
    let library = |cause: openssl::error::ErrorStack| {
        OperationError::Bundle(SignatureError::Library(cause.into()).into())
    };
    let mut hasher = Hasher::new(digest).map_err(library)?;
    let mut sha256 = openssl::sha::Sha256::new();
    let (total, mut at) = (bundle.payload_len().get(), 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    while at < total {
        let len = usize::try_from(total - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let bytes = chunk.get_mut(..len).unwrap_or_default();
        bundle.source().read_at(at, bytes).map_err(BundleError::from)?;
        output.file().write_all(bytes).map_err(failed)?;
        hasher.update(bytes).map_err(library)?;
        sha256.update(bytes);
        at += len as u64;
    }
    let found = hasher.finish().map_err(library)?.to_vec();
    Ok((found, Digest::from_bytes(sha256.finish())))
}

/// Compares the copy with what the old signature covers.
fn check_copy(
    incoming: &Incoming,
    output: &mut NewFile,
    path: &Path,
    payload_bytes: u64,
    found: &[u8],
) -> Result<(), OperationError> {
    match &incoming.signed {
        Signed::Manifest(text) if incoming.verified => {
            let manifest =
                Manifest::parse(text, ManifestUse::External).map_err(BundleError::from)?;
            let copy = output.file().try_clone();
            let copy =
                copy.map_err(|source| OperationError::Output { path: path.to_owned(), source })?;
            verify_whole_payload(copy, path, payload_bytes, &manifest)?;
        }
        Signed::Payload { expected: Some(expected), .. }
            if found.is_empty() || found != expected.as_slice() =>
        {
            return Err(BundleError::PayloadDigest.into());
        }
        Signed::Manifest(_) | Signed::Payload { .. } => {}
    }
    Ok(())
}

/// Compares all of a file's payload with its manifest's hash tree. For the copy of a payload, which
/// nobody else can change: the file has no name yet.
fn verify_whole_payload(
    file: File,
    path: &Path,
    payload_bytes: u64,
    manifest: &Manifest,
) -> Result<(), BundleError> {
    let missing = ManifestError::Missing { group: "bundle".to_owned(), key: "verity-hash" };
    let params = manifest.verity.ok_or(missing)?;
    let source: Arc<dyn crate::Source> = Arc::new(FileSource::of_file(file, path)?);
    let reader = VerityReader::new(source, payload_bytes, params)?;
    PinnedPayload::check(&reader, &mut |_| ControlFlow::Continue(()))?;
    Ok(())
}

fn finish(mut output: NewFile, path: &Path, signature: &[u8]) -> Result<(), OperationError> {
    let failed = |source| OperationError::Output { path: path.to_owned(), source };
    let len = (signature.len() as u64).to_be_bytes();
    output.file().write_all(signature).map_err(failed)?;
    output.file().write_all(&len).map_err(failed)?;
    output.finish().map_err(failed)
}

fn begin(path: &Path) -> Result<NewFile, OperationError> {
    NewFile::begin(path).map_err(|source| OperationError::Output { path: path.to_owned(), source })
}

/// Signs the payload (plain) or the very same manifest (verity, crypt) anew into `path`, which
/// must not exist. A crypt bundle comes out with its signature in clear, to be encrypted again.
///
/// # Errors
/// [`OperationError`].
pub fn resign_bundle(
    bundle: &UntrustedBundle,
    request: &ResignRequest<'_>,
    path: &Path,
) -> Result<Rewritten, OperationError> {
    let mut output = begin(path)?;
    let mut incoming = Incoming::of(bundle, request.verification)?;
    let digest = match &incoming.signed {
        Signed::Manifest(_) => MessageDigest::sha256(),
        Signed::Payload { digest, .. } => *digest,
    };
    let (found, sha256) = copy_payload(bundle, &mut output, path, digest)?;
    check_copy(&incoming, &mut output, path, bundle.payload_len().get(), &found)?;
    if let Some(check) = request.post_check {
        let told = post_check(request.identity, check, request.timestamp);
        incoming.notices.extend(told.map_err(OperationError::PostCheck)?);
    }
    let (identity, time) = (request.identity, request.timestamp);
    let signature = match (&incoming.signed, request.appending) {
        (_, Appending::Append) => append_signer(bundle.signature(), Some(sha256), identity, time),
        (Signed::Manifest(text), Appending::Replace) => sign_attached(text, identity, time),
        (Signed::Payload { .. }, Appending::Replace) => sign_detached(sha256, identity, time),
    };
    let signature = signature.map_err(OperationError::Sign)?;
    incoming.notices.extend(size_notice(&signature));
    finish(output, path, &signature)?;
    Ok(Rewritten {
        format: incoming.format,
        signature_bytes: signature.len(),
        notices: incoming.notices,
    })
}

/// Puts `signature`, a CMS structure that another tool made, on the payload of `bundle` into
/// `path`, which must not exist. With a keyring the new signature must satisfy it.
///
/// # Errors
/// [`OperationError`].
pub fn replace_signature(
    bundle: &UntrustedBundle,
    signature: &[u8],
    verification: Verification<'_>,
    check: Option<PostCheck<'_>>,
    path: &Path,
) -> Result<Rewritten, OperationError> {
    let mut output = begin(path)?;
    let incoming = Incoming::of(bundle, verification)?;
    let mut notices = incoming.notices;
    notices.extend(size_notice(signature));
    let new = judge_foreign(signature, check, &mut notices)?;
    let digest = match &new {
        Some(Covers::Detached { digest, .. }) => *digest,
        Some(Covers::Content(_)) | None => MessageDigest::sha256(),
    };
    let (found, _) = copy_payload(bundle, &mut output, path, digest)?;
    if let Some(Covers::Detached { expected, .. }) = &new
        && *expected != found
    {
        return Err(OperationError::PostCheck(SignatureError::PayloadDigest));
    }
    finish(output, path, signature)?;
    Ok(Rewritten { format: incoming.format, signature_bytes: signature.len(), notices })
}

/// What a signature of another tool covers, when a keyring was there to tell.
fn judge_foreign(
    signature: &[u8],
    check: Option<PostCheck<'_>>,
    notices: &mut Vec<Notice>,
) -> Result<Option<Covers>, OperationError> {
    if is_envelope(signature) {
        Envelope::parse(signature).map_err(BundleError::from)?;
        return match check {
            Some(_) => Err(OperationError::PostCheck(SignatureError::Encrypted)),
            None => Ok(None),
        };
    }
    let parsed = UntrustedSignature::parse(signature).map_err(OperationError::PostCheck)?;
    if !parsed.has_attributes() {
        notices.push(Notice::NoSignedAttributes);
    }
    let Some(check) = check else { return Ok(None) };
    let verified =
        parsed.verify_foreign(check.keyring, check.time).map_err(OperationError::PostCheck)?;
    notices.extend(verified.notices);
    if let Covers::Content(text) = &verified.covers
        && let Err(refused) = Manifest::parse(text, ManifestUse::External)
    {
        notices.push(Notice::UnusableManifest { why: refused.to_string() });
    }
    Ok(Some(verified.covers))
}

/// Encrypts the signature of a crypt bundle, and with it the key of the payload, for `recipients`
/// into `path`, which must not exist. The payload stays as it is.
///
/// # Errors
/// [`OperationError`].
pub fn encrypt_bundle(
    bundle: &UntrustedBundle,
    recipients: &Recipients,
    verification: Verification<'_>,
    path: &Path,
) -> Result<Rewritten, OperationError> {
    let incoming = Incoming::of(bundle, verification)?;
    if incoming.format != BundleFormat::Crypt {
        return Err(OperationError::NotCrypt { format: incoming.format });
    }
    let mut output = begin(path)?;
    let sealed = recipients.seal(bundle.signature()).map_err(OperationError::Seal)?;
    let (found, _) = copy_payload(bundle, &mut output, path, MessageDigest::sha256())?;
    check_copy(&incoming, &mut output, path, bundle.payload_len().get(), &found)?;
    let mut notices = incoming.notices;
    notices.extend(size_notice(&sealed));
    finish(output, path, &sealed)?;
    Ok(Rewritten { format: incoming.format, signature_bytes: sealed.len(), notices })
}
