// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a release: after its signature held, and before anything in it counts.

use crate::json::{At, Json, JsonError, JsonLimits};
use crate::place::check_text;
use crate::release::{KIND, MAX_NAME_BYTES, MAX_RELEASE, MAX_URLS, VERSION, parse_release_time};
use crate::{Release, Rollout, Sequence, Urgency};
use bundle::UnixTime;
use storage::{ByteLen, Digest};
use updater::BundleVersion;

/// The document has three levels; what stands below `x-…` may have some more.
const LIMITS: JsonLimits = JsonLimits { depth: 8, values: 512 };

/// Why signed content is no release.
#[derive(Debug, thiserror::Error)]
pub enum ReadReleaseError {
    /// It cannot be read, or breaks a rule of its form.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Longer than any release.
    #[error("it has {found} bytes, more than the {limit} of a release", limit = MAX_RELEASE.get())]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// Signed by the same, for something else.
    #[error("it is a document of another kind than {KIND:?}")]
    OtherKind,
    /// Of a later program.
    #[error("it has version {found} of the format; this program reads version {VERSION}")]
    OtherVersion {
        /// Its version.
        found: u64,
    },
}

impl Release {
    /// Reads the JSON of a release.
    ///
    /// # Errors
    /// [`ReadReleaseError`].
    pub fn parse(content: &[u8]) -> Result<Self, ReadReleaseError> {
        if content.len() as u64 > MAX_RELEASE.get() {
            return Err(ReadReleaseError::TooLong { found: content.len() });
        }
        let json = Json::parse(content, LIMITS)?;
        let root = At::root(&json, "release");
        // Before the rest, which another kind or version has in another form.
        if root.get("kind")?.text()? != KIND {
            return Err(ReadReleaseError::OtherKind);
        }
        let found = root.get("version")?.whole()?;
        if found != VERSION {
            return Err(ReadReleaseError::OtherVersion { found });
        }
        Ok(release(&root)?)
    }
}

fn release(root: &At<'_>) -> Result<Release, JsonError> {
    root.only(&[
        "kind",
        "version",
        "product",
        "sequence",
        "issued",
        "expires",
        "bundle",
        "min_version",
        "rollout",
        "forced",
    ])?;
    let (issued, expires) = (moment(&root.get("issued")?)?, moment(&root.get("expires")?)?);
    if expires <= issued {
        return Err(root.get("expires")?.breaks("is not after release.issued"));
    }
    let sequence = root.get("sequence")?;
    let bundle = root.get("bundle")?;
    bundle.only(&["version", "manifest", "sha256", "size", "urls"])?;
    let size = bundle.get("size")?;
    let min_version = match root.find("min_version")? {
        None => None,
        Some(version) => Some(ordered_version(&version)?),
    };
    let forced = match root.find("forced")? {
        None => false,
        Some(forced) => forced.truth()?,
    };
    Ok(Release {
        product: name(&root.get("product")?)?,
        sequence: Sequence::new(sequence.whole()?)
            .ok_or_else(|| sequence.breaks("is not a number from 1 to 9007199254740991"))?,
        issued,
        expires,
        version: name(&bundle.get("version")?)?,
        manifest: digest(&bundle.get("manifest")?)?,
        file: digest(&bundle.get("sha256")?)?,
        size: match size.whole()? {
            0 => return Err(size.breaks("is 0")),
            bytes => ByteLen::new(bytes),
        },
        urls: urls(&bundle.get("urls")?)?,
        min_version,
        rollout: root.find("rollout")?.as_ref().map(rollout).transpose()?,
        urgency: if forced { Urgency::Forced } else { Urgency::Ordinary },
    })
}

/// Whether a product's name or a version can stand in a release.
pub(crate) fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !text.is_empty()
        && text.len() <= MAX_NAME_BYTES
        && text.bytes().all(plain)
        && text.trim_ascii() == text
}

fn name(at: &At<'_>) -> Result<String, JsonError> {
    let text = at.text()?;
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(at.breaks("is not 1 to 128 printable ASCII characters without a blank at either end"))
}

fn ordered_version(at: &At<'_>) -> Result<String, JsonError> {
    let text = name(at)?;
    match text.parse::<BundleVersion>() {
        Ok(_) => Ok(text),
        Err(_) => Err(at.breaks("is not a version of the form 1, 1.2, 1.2.3 or 1.2.3-pre")),
    }
}

fn moment(at: &At<'_>) -> Result<UnixTime, JsonError> {
    let rule = "is not a time of the form 2026-11-22T18:00:00Z";
    parse_release_time(at.text()?).ok_or_else(|| at.breaks(rule))
}

fn digest(at: &At<'_>) -> Result<Digest, JsonError> {
    let text = at.text()?;
    let digest: Option<Digest> = text.parse().ok();
    digest
        .filter(|digest| digest.to_string() == text)
        .ok_or_else(|| at.breaks("is not 64 lower-case hexadecimal digits"))
}

fn urls(at: &At<'_>) -> Result<Vec<String>, JsonError> {
    let list = at.list()?;
    if list.is_empty() || list.len() > MAX_URLS {
        return Err(at.breaks("does not have 1 to 16 places"));
    }
    let mut urls = Vec::new();
    for url in list {
        let text = url.text()?;
        // Where it leads is judged by whoever knows where the document came from.
        check_text(text).map_err(|_| url.breaks("is not a URL or a relative name of one"))?;
        urls.push(text.to_owned());
    }
    Ok(urls)
}

fn rollout(at: &At<'_>) -> Result<Rollout, JsonError> {
    at.only(&["begins", "ends", "percent"])?;
    let (begins, ends) = (moment(&at.get("begins")?)?, moment(&at.get("ends")?)?);
    if ends < begins {
        return Err(at.get("ends")?.breaks("is before release.rollout.begins"));
    }
    let percent = at.get("percent")?;
    match u8::try_from(percent.whole()?) {
        Ok(number @ 0..=100) => Ok(Rollout { begins, ends, percent: number }),
        Ok(_) | Err(_) => Err(percent.breaks("is greater than 100")),
    }
}

#[cfg(test)]
mod tests;
