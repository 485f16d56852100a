// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this release true, is it for this device, and is it the newest?
//!
//! First the signature, over bytes of which nothing was read; then the document; then whether it
//! counts here. Nothing is remembered by this module: what the device has to remember is handed
//! back ([`AcceptedRelease`]) and counts when it is durable.
//!
//! Which time counts. A clock that somebody set: the later of it and the floor. A clock that nobody
//! set proves nothing, so expiry is judged by the floor alone, and certificates by the signing time:
//! they must have been valid when they signed, and those that ended before the floor are refused.

use crate::json::is_web_page;
use crate::release::shown_time;
use crate::{
    Clock, MAX_RELEASE, Offer, Origin, PlaceError, ReadReleaseError, Release, SeenRelease, Sequence,
};
use bundle::{
    CheckTime, Keyring, Notice, SignatureError, SignedDocument, Signer, UnixTime, verify_attached,
};
use openssl::sha::sha256;
use storage::Digest;

/// Why a release is not followed.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// Longer than any release; nothing of it was read.
    #[error("the release has {found} bytes, more than the {limit} allowed", limit = MAX_RELEASE.get())]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Some network answered in the server's place.
    #[error("a web page came instead of a release")]
    WebPage,
    /// Nobody that the keyring trusts has signed it; nothing of it was read.
    #[error("the signature of the release does not hold")]
    Signature(#[from] SignatureError),
    /// A certificate had ended before the newest moment that is proven.
    #[error("the certificate {subject:?} of the release ended before {at}, which is proven", at = shown_time(.floor))]
    CertificateEnded {
        /// Whose.
        subject: String,
        /// The proven moment.
        floor: UnixTime,
    },
    /// A trusted signer signed something else.
    #[error("cannot read the release")]
    Content(#[from] ReadReleaseError),
    /// For other devices.
    #[error("the release is for {found:?}, this device is {wanted:?}")]
    OtherProduct {
        /// This device.
        wanted: String,
        /// What it is for.
        found: String,
    },
    /// An old one again.
    #[error("the release has sequence {found}, and {seen} was seen already")]
    Replayed {
        /// Its number.
        found: Sequence,
        /// The highest that was seen.
        seen: u64,
    },
    /// Another one with the same number.
    #[error("the release differs from the one with the same sequence {sequence} that was seen")]
    Forked {
        /// The number.
        sequence: Sequence,
    },
    /// Nobody has renewed it.
    #[error("the release expired at {end}, it is at least {at}", end = shown_time(.expires), at = shown_time(.now))]
    Expired {
        /// When.
        expires: UnixTime,
        /// By what it was judged.
        now: UnixTime,
    },
    /// A place that is not gone to.
    #[error("the release names a place that is not gone to (release.bundle.urls[{index}])")]
    Place {
        /// Which.
        index: usize,
        /// Cause.
        #[source]
        source: PlaceError,
    },
}

impl ReleaseError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "the URL is that of another file; it has to name a .release",
            Self::WebPage => "the network may want a login first, or the URL is a page's",
            Self::Signature(SignatureError::Chain(_)) | Self::CertificateEnded { .. } => {
                "check clock and keyring; else sign the release with a certificate they trust"
            }
            Self::Signature(_) => "fetch it again; else publish it again",
            Self::Content(ReadReleaseError::OtherVersion { .. }) => {
                "publish it with the version of atomix that the devices have"
            }
            Self::Content(_) => "publish it with `atomix release publish`",
            Self::OtherProduct { .. } => "check the URL that the device asks",
            Self::Replayed { .. } => {
                "an old copy came: check mirrors and caches; else publish a greater sequence"
            }
            Self::Forked { .. } => "publish it again with the next sequence",
            Self::Expired { .. } => "publish it again, also if nothing in it changes",
            Self::Place { source, .. } => source.hint(),
        }
    }
}

/// A release whose signer the keyring vouches for. Only [`VerifiedRelease::open`] makes one:
///
/// ```compile_fail
/// fn forge(release: agents::Release, signer: bundle::Signer) -> agents::VerifiedRelease {
///     let document = storage::Digest::from_bytes([0; 32]);
///     agents::VerifiedRelease { release, document, signer, notices: Vec::new() }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedRelease {
    release: Release,
    document: Digest,
    signer: Signer,
    notices: Vec<Notice>,
}

/// What a device holds a true release against.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its `compatible`.
    pub product: &'a str,
    /// The newest that it has accepted of this product.
    pub seen: Option<&'a SeenRelease>,
    /// Its clock.
    pub clock: &'a Clock,
    /// Where the document came from.
    pub origin: &'a Origin,
}

/// A release that counts here, and what is to be remembered before anything is done about it.
#[derive(Clone, Debug)]
pub struct AcceptedRelease {
    /// What it offers, with whole URLs.
    pub offer: Offer,
    /// From now on the newest.
    pub seen: SeenRelease,
    /// From now on the floor of time.
    pub floor: UnixTime,
}

/// The moment by which expiry is judged; `None` where nothing is known of the time.
fn proven_now(clock: &Clock) -> Option<UnixTime> {
    if clock.is_set {
        Some(clock.floor.map_or(clock.now, |floor| floor.max(clock.now)))
    } else {
        clock.floor
    }
}

impl VerifiedRelease {
    /// Verifies and reads a release. Bytes that nobody trusted has signed are not looked at, but for
    /// the first: a page of a network that wants a login is no attack.
    ///
    /// # Errors
    /// [`ReleaseError`] up to `Content`.
    pub fn open(cms: &[u8], keyring: &Keyring, clock: &Clock) -> Result<Self, ReleaseError> {
        if cms.len() as u64 > MAX_RELEASE.get() {
            return Err(ReleaseError::TooLong { found: cms.len() });
        }
        if is_web_page(cms) {
            return Err(ReleaseError::WebPage);
        }
        let time = match (clock.is_set, proven_now(clock)) {
            (true, Some(now)) => CheckTime::At(now),
            (true | false, _) => CheckTime::SigningTime,
        };
        let SignedDocument { content, signer, notices } = verify_attached(cms, keyring, time)?;
        if let Some(floor) = clock.floor
            && let Some(ended) = signer.chain.iter().find(|one| one.not_after < floor)
        {
            return Err(ReleaseError::CertificateEnded { subject: ended.subject.clone(), floor });
        }
        let document = Digest::from_bytes(sha256(&content));
        Ok(Self { release: Release::parse(&content)?, document, signer, notices })
    }

    /// What it says.
    #[must_use]
    pub const fn release(&self) -> &Release {
        &self.release
    }

    /// What a device that accepts it remembers.
    #[must_use]
    pub fn seen(&self) -> SeenRelease {
        SeenRelease {
            product: self.release.product.clone(),
            sequence: self.release.sequence.get(),
            document: self.document,
        }
    }

    /// Who signed it.
    #[must_use]
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// What people should hear although it is true.
    #[must_use]
    pub fn notices(&self) -> &[Notice] {
        &self.notices
    }

    /// Whether it is not to be followed any more, as far as the clock proves.
    ///
    /// # Errors
    /// [`ReleaseError::Expired`].
    pub fn refuse_expired(&self, clock: &Clock) -> Result<(), ReleaseError> {
        let expires = self.release.expires;
        match proven_now(clock) {
            Some(now) if now >= expires => Err(ReleaseError::Expired { expires, now }),
            Some(_) | None => Ok(()),
        }
    }

    /// Judges whether it counts here.
    ///
    /// # Errors
    /// [`ReleaseError`] from `OtherProduct` on.
    pub fn accept(&self, expected: &Expected<'_>) -> Result<AcceptedRelease, ReleaseError> {
        let release = &self.release;
        if release.product != expected.product {
            return Err(ReleaseError::OtherProduct {
                wanted: expected.product.to_owned(),
                found: release.product.clone(),
            });
        }
        self.refuse_older(expected.seen)?;
        self.refuse_expired(expected.clock)?;
        let mut urls = Vec::new();
        for (index, url) in release.urls.iter().enumerate() {
            let place = |source| ReleaseError::Place { index, source };
            urls.push(expected.origin.resolve(url).map_err(place)?.without_user());
        }
        Ok(AcceptedRelease {
            offer: Offer { document: Some(self.document), ..release.offer(urls) },
            seen: self.seen(),
            floor: self.floor(expected.clock.floor),
        })
    }

    fn refuse_older(&self, seen: Option<&SeenRelease>) -> Result<(), ReleaseError> {
        let Some(seen) = seen else { return Ok(()) };
        let found = self.release.sequence;
        if found.get() < seen.sequence {
            return Err(ReleaseError::Replayed { found, seen: seen.sequence });
        }
        if found.get() == seen.sequence && self.document != seen.document {
            return Err(ReleaseError::Forked { sequence: found });
        }
        Ok(())
    }

    /// The earliest of the moments that the signature vouches for: a signer's clock that is ahead
    /// must not carry the floor beyond the end of his own certificate.
    fn floor(&self, before: Option<UnixTime>) -> UnixTime {
        let signed = self.signer.signing_time.unwrap_or(self.release.issued);
        let ends = self.signer.chain.iter().map(|one| one.not_after).min();
        let proven = self.release.issued.min(signed).min(ends.unwrap_or(signed));
        before.map_or(proven, |before| before.max(proven))
    }
}

#[cfg(test)]
mod tests;
