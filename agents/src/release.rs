// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a release say? The document that tells a fleet of one bundle, version 1.
//!
//! A file `NAME.release` is a CMS structure in DER that carries its content, signed as bundles are
//! and verified with the same keyring. The content is this JSON, at most [`MAX_RELEASE`] with the
//! signature around it:
//!
//! ```json
//! { "kind": "atomix-release", "version": 1, "product": "rock64", "sequence": 7,
//!   "issued": "2026-11-22T18:00:00Z", "expires": "2026-12-22T18:00:00Z",
//!   "bundle": { "version": "26.11.1", "manifest": "<64 hex>", "sha256": "<64 hex>",
//!               "size": 104857600, "urls": ["rock64-26.11.1.raucb"] },
//!   "min_version": "26.5",
//!   "rollout": { "begins": "2026-11-22T18:00:00Z", "ends": "2026-11-25T18:00:00Z", "percent": 20 },
//!   "forced": false }
//! ```
//!
//! `kind` keeps what the same key signed for another purpose from being taken for a release. The last
//! three may be left out. Members that are not known are refused: they may be a restriction that
//! this program would then not keep. Names that begin with `x-` are free for others and ignored.
//! Times are UTC, to the second, in exactly this form. Everything has one encoding:
//! what is read and encoded again is the same document.

use crate::{Offer, Rollout, Urgency};
use bundle::UnixTime;
use serde::Serialize;
use storage::{ByteLen, Digest};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest document with its signature.
pub const MAX_RELEASE: ByteLen = ByteLen::kib(64);
/// Most places of one bundle.
pub const MAX_URLS: usize = 16;
/// Longest name of a product, longest version.
pub const MAX_NAME_BYTES: usize = 128;

/// What tells this document from others of the same signer.
pub(crate) const KIND: &str = "atomix-release";
/// The version of the format.
pub(crate) const VERSION: u64 = 1;

/// The number of a release: each of a product has a greater one than all before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(u64);

impl Sequence {
    /// The first.
    pub const FIRST: Self = Self(1);
    /// The last: programs that count in floating point would mix up greater ones.
    pub const LAST: Self = Self((1 << 53) - 1);

    /// From 1 to [`Self::LAST`].
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        (Self::FIRST.0..=Self::LAST.0).contains(&number).then_some(Self(number))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The one after; nothing after the last.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::new(self.0.saturating_add(1))
    }
}

impl std::fmt::Display for Sequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A release. Says nothing of whether anybody signed it: see [`crate::VerifiedRelease`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// The `compatible` of the devices that it is for.
    pub product: String,
    /// Its number.
    pub sequence: Sequence,
    /// When it was signed.
    pub issued: UnixTime,
    /// Not to be followed after this.
    pub expires: UnixTime,
    /// The version in the bundle's manifest.
    pub version: String,
    /// SHA-256 of the bundle's manifest.
    pub manifest: Digest,
    /// SHA-256 of the bundle.
    pub file: Digest,
    /// Length of the bundle.
    pub size: ByteLen,
    /// Where it is, best first; relative ones lie beside the document.
    pub urls: Vec<String>,
    /// Devices with an older version do not take it directly.
    pub min_version: Option<String>,
    /// Where it is still being rolled out.
    pub rollout: Option<Rollout>,
    /// Whether devices take it on which it failed.
    pub urgency: Urgency,
}

/// A moment that the document's form of time cannot say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("second {seconds} since 1970 is not in the years 1970 to 9999", seconds = .0.0)]
pub struct UnwritableTime(pub UnixTime);

/// The document as it is written; the order of its members is that of the format.
#[derive(Serialize)]
struct Written<'a> {
    kind: &'static str,
    version: u64,
    product: &'a str,
    sequence: u64,
    issued: String,
    expires: String,
    bundle: WrittenBundle<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<WrittenRollout>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forced: Option<bool>,
}

#[derive(Serialize)]
struct WrittenBundle<'a> {
    version: &'a str,
    manifest: String,
    sha256: String,
    size: u64,
    urls: &'a [String],
}

#[derive(Serialize)]
struct WrittenRollout {
    begins: String,
    ends: String,
    percent: u8,
}

impl Release {
    /// The JSON, to be signed.
    ///
    /// # Errors
    /// [`UnwritableTime`].
    pub fn encode(&self) -> Result<String, UnwritableTime> {
        let rollout = match &self.rollout {
            None => None,
            Some(rollout) => Some(WrittenRollout {
                begins: time_text(rollout.begins)?,
                ends: time_text(rollout.ends)?,
                percent: rollout.percent,
            }),
        };
        let written = Written {
            kind: KIND,
            version: VERSION,
            product: &self.product,
            sequence: self.sequence.get(),
            issued: time_text(self.issued)?,
            expires: time_text(self.expires)?,
            bundle: WrittenBundle {
                version: &self.version,
                manifest: self.manifest.to_string(),
                sha256: self.file.to_string(),
                size: self.size.get(),
                urls: &self.urls,
            },
            min_version: self.min_version.as_deref(),
            rollout,
            forced: (self.urgency == Urgency::Forced).then_some(true),
        };
        // Text and numbers only: nothing in it can fail to be JSON.
        Ok(serde_json::to_string_pretty(&written).unwrap_or_default())
    }

    /// The offer that it makes, with these places.
    pub(crate) fn offer(&self, urls: Vec<String>) -> Offer {
        Offer {
            version: self.version.clone(),
            manifest: Some(self.manifest),
            file: Some(self.file),
            size: Some(self.size),
            urls,
            min_version: self.min_version.clone(),
            rollout: self.rollout,
            expires: Some(self.expires),
            urgency: self.urgency,
            document: None,
        }
    }
}

/// A moment in the document's form.
fn time_text(moment: UnixTime) -> Result<String, UnwritableTime> {
    let refused = || UnwritableTime(moment);
    if moment.0 < 0 {
        // Years before 1970 are in no document of ours; the library would write them.
        return Err(refused());
    }
    let time = OffsetDateTime::from_unix_timestamp(moment.0).map_err(|_| refused())?;
    time.format(&Rfc3339).map_err(|_| refused())
}

/// A moment for messages.
pub(crate) fn shown_time(moment: &UnixTime) -> String {
    time_text(*moment).unwrap_or_else(|_| moment.0.to_string())
}

/// The moment that a text in exactly the document's form says.
#[must_use]
pub fn parse_release_time(text: &str) -> Option<UnixTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let moment = UnixTime(time.unix_timestamp());
    (time_text(moment).as_deref() == Ok(text)).then_some(moment)
}
