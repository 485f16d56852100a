// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is the bundle at this address, for certain, before any of its content is fetched?
//!
//! Of a bundle on a server only the trailer, the signature and the manifest in it are read: a few
//! KiB by three requests. What was looked at is the bundle that is installed then: the same file on
//! the same server, known by its marks, its signature verified.

use crate::http::{HttpError, HttpMirrors, HttpOptions, Length, NOT_SIGNED, shown_url};
use crate::{
    BundleError, CheckTime, DecryptionIdentity, Keyring, Limits, PayloadAlignment, Source,
    UntrustedBundle, VerifiedBundle,
};
use std::sync::Arc;
use storage::{ByteLen, Digest};

/// Which bundle is looked for, as far as that is known. A place that has another one is left for the
/// next: a former one is signed as truly as the new one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// SHA-256 of its manifest.
    pub manifest: Option<Digest>,
    /// Its version.
    pub version: Option<String>,
    /// Length of the whole file.
    pub size: Option<ByteLen>,
}

impl Wanted {
    /// What tells a bundle from the wanted one, in words.
    #[must_use]
    pub fn difference(&self, bundle: &VerifiedBundle, size: ByteLen) -> Option<String> {
        let (found, version) = (bundle.manifest_digest(), &bundle.manifest().update.version);
        if self.manifest.is_some_and(|wanted| wanted != found) {
            return Some(format!("its bundle is {found}, another than the one that is wanted"));
        }
        if self.version.is_some() && self.version != *version {
            let version = version.as_ref().map_or("no version".to_owned(), |it| format!("{it:?}"));
            return Some(format!("its bundle is another than the one that is wanted: {version}"));
        }
        let other = self.size.filter(|wanted| *wanted != size)?;
        Some(format!("its bundle has {size} instead of {other}"))
    }
}

/// How a bundle on a server is judged.
pub struct RemoteRules<'a> {
    /// What is read at all. Payloads must be aligned, whatever it says of that.
    pub limits: Limits,
    /// Who may sign.
    pub keyring: &'a Keyring,
    /// When certificates must be valid.
    pub time: CheckTime,
    /// The key that opens encrypted bundles. Asked for only where one is needed: loading a key from
    /// a token may spend one of the few tries of its PIN.
    pub identity: &'a dyn Fn() -> Result<Option<DecryptionIdentity>, BoxedCause>,
    /// What it should be. Where no place has that, what the last one has is what is there.
    pub wanted: Wanted,
}

/// Why a key cannot be had.
pub type BoxedCause = Box<dyn std::error::Error + Send + Sync>;

/// Why a bundle on a server cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// It cannot be fetched.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The key that would open it cannot be had.
    #[error("cannot load the key that opens {url}")]
    Key {
        /// Where the bundle is.
        url: String,
        /// The cause.
        #[source]
        source: BoxedCause,
    },
    /// It is not true, or not whole.
    #[error("cannot use {url}")]
    Bundle {
        /// Where the bundle is.
        url: String,
        /// The cause.
        #[source]
        source: BundleError,
    },
}

/// What a look at a bundle on a server says; a signature covers all of it but the size and marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFacts {
    /// SHA-256 of the manifest: what the bundle is known by.
    pub manifest: Digest,
    /// The version in the manifest.
    pub version: Option<String>,
    /// The `compatible` in the manifest.
    pub compatible: String,
    /// Length of the whole file.
    pub size: ByteLen,
    /// Where it was found after all redirects, without credentials.
    pub effective_url: String,
    /// The entity tag, where the server has one.
    pub etag: Option<String>,
    /// The date of the last change, as the server writes it.
    pub last_modified: Option<String>,
}

/// A verified bundle on a server.
#[derive(Debug)]
pub struct RemoteBundle {
    bundle: VerifiedBundle,
    source: Arc<HttpMirrors>,
}

impl RemoteBundle {
    /// The bundle; its content is fetched when it is read.
    #[must_use]
    pub const fn bundle(&self) -> &VerifiedBundle {
        &self.bundle
    }

    /// The bundle alone.
    #[must_use]
    pub fn into_bundle(self) -> VerifiedBundle {
        self.bundle
    }

    /// Where its bytes come from, for what they have cost.
    #[must_use]
    pub const fn source(&self) -> &Arc<HttpMirrors> {
        &self.source
    }

    /// What is known of it.
    #[must_use]
    pub fn facts(&self) -> RemoteFacts {
        let (update, now) = (&self.bundle.manifest().update, self.source.current());
        RemoteFacts {
            manifest: self.bundle.manifest_digest(),
            version: update.version.clone(),
            compatible: update.compatible.clone(),
            size: self.source.len(),
            effective_url: shown_url(&now.effective_url()),
            etag: now.etag().map(str::to_owned),
            last_modified: now.last_modified().map(str::to_owned),
        }
    }
}

/// Looks at the bundle at `urls`: the first is its place, the others are mirrors of it. A mirror
/// whose signature does not hold, or that has another bundle than the wanted one, is left for the
/// next. The length of the file is settled only by a bundle that is taken.
///
/// # Errors
/// [`RemoteError`]; of several mirrors the failure of the last that answered.
pub fn look(
    urls: &[String],
    options: &HttpOptions,
    rules: &RemoteRules<'_>,
) -> Result<RemoteBundle, RemoteError> {
    let source = Arc::new(HttpMirrors::open(urls, options)?);
    source.settle(Length::Open);
    loop {
        let copy = source.copy();
        match verify(&source, rules) {
            // Each copy is left once, so this ends.
            Err(RemoteError::Bundle { .. }) if source.copy() != copy => {}
            // A server that lost bytes says more by its own failure, and was left for it already.
            Err(RemoteError::Bundle { source: cause, .. })
                if !matches!(cause, BundleError::Source(_))
                    && source.leave_for(copy, NOT_SIGNED) => {}
            Err(failure) => return Err(failure),
            Ok(bundle) => {
                let other = rules.wanted.difference(&bundle, source.len());
                let copy = source.copy();
                if other.is_some_and(|cause| source.leave_for(copy, &cause)) {
                    continue;
                }
                source.settle(Length::Pinned);
                return Ok(RemoteBundle { bundle, source });
            }
        }
    }
}

fn verify(
    source: &Arc<HttpMirrors>,
    rules: &RemoteRules<'_>,
) -> Result<VerifiedBundle, RemoteError> {
    let url = || shown_url(source.current().name());
    let failed = |cause| RemoteError::Bundle { url: url(), source: cause };
    let limits = Limits { alignment: PayloadAlignment::Required, ..rules.limits };
    let bytes: Arc<dyn Source> = Arc::<HttpMirrors>::clone(source);
    let mut untrusted = UntrustedBundle::open(bytes, &limits).map_err(failed)?;
    if untrusted.is_encrypted() {
        let identity = (rules.identity)();
        let identity = identity.map_err(|source| RemoteError::Key { url: url(), source })?;
        if let Some(identity) = identity {
            untrusted = untrusted.decrypt(&identity).map_err(failed)?;
        }
    }
    untrusted.verify(rules.keyring, rules.time).map_err(failed)
}
