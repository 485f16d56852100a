// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an action of the server's want installed, and when?
//!
//! A deployment may have chunks for many programs of a device, each with many artifacts. Exactly one
//! of all has to be a bundle by its name; which one is never guessed. The server's hashes and its
//! length are compared with what was fetched or looked at, although the bundle's own signature is
//! what protects: a difference means that server and artifact do not belong together.

use super::base::{Link, json};
use super::error::DdiError;
use super::feedback::shorten;
use super::hashes::{FileHashes, Hashes};
use super::limits::{MAX_HISTORY, MAX_NAME_CHARS, MAX_PARTS};
use super::server::{ActionId, Home, Resource, Server, parse_id};
use crate::json::Members;
use crate::offer::{Offer, Urgency};
use serde::{Deserialize, Serialize};
use storage::{ByteLen, Digest};

/// How the server wants a part of the work done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Handling {
    /// Not now.
    Skip,
    /// As the device sees fit.
    #[default]
    Attempt,
    /// Whatever the device's owner prefers.
    Forced,
}

/// Whether the server's window is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// Install now.
    Available,
    /// Install later.
    Unavailable,
}

/// What may be done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permission {
    /// Install.
    Install,
    /// Fetch, where bundles are stored; nothing else.
    Fetch,
    /// Nothing: it is only announced.
    Wait,
}

/// An update that an action wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    /// The action.
    pub id: ActionId,
    /// See there.
    pub download: Handling,
    /// See there.
    pub update: Handling,
    /// See there.
    pub window: Option<Window>,
    /// The one bundle.
    pub artifact: Artifact,
    /// What the server remembers of the action, newest first: `actionHistory`.
    pub history: Vec<String>,
}

/// The bundle. Its address is not kept over a restart: the server gives a new one, and some are
/// secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Its name.
    pub file: String,
    /// The version of its chunk.
    pub version: String,
    /// Its address.
    #[serde(skip)]
    pub url: String,
    /// Whether the device's credentials go there.
    #[serde(skip)]
    pub home: Home,
    /// Its length.
    #[serde(with = "super::kept::length")]
    pub size: Option<ByteLen>,
    /// Its hashes.
    pub hashes: Hashes,
}

impl Deployment {
    /// What may be done at once.
    #[must_use]
    pub fn permission(&self) -> Permission {
        let closed = self.window == Some(Window::Unavailable);
        match (self.download, self.update) {
            (Handling::Skip, _) => Permission::Wait,
            (Handling::Attempt | Handling::Forced, Handling::Skip) => Permission::Fetch,
            (Handling::Attempt | Handling::Forced, Handling::Attempt | Handling::Forced) => {
                if closed {
                    Permission::Fetch
                } else {
                    Permission::Install
                }
            }
        }
    }

    /// As an offer, for the judgement that all ways to be told share.
    #[must_use]
    pub fn offer(&self) -> Offer {
        // A forced download is fetched, no more: it neither shortens a trial nor opens a window.
        let is_forced = self.update == Handling::Forced;
        Offer {
            version: self.artifact.version.clone(),
            manifest: None,
            file: self.artifact.sha256(),
            size: self.artifact.size,
            urls: vec![self.artifact.url.clone()],
            min_version: None,
            rollout: None,
            expires: None,
            urgency: if is_forced { Urgency::Forced } else { Urgency::Ordinary },
            document: None,
        }
    }
}

impl Artifact {
    /// Whether what was looked at has the length that the server says.
    ///
    /// # Errors
    /// [`DdiError::Differs`].
    pub fn check_size(&self, found: ByteLen) -> Result<(), DdiError> {
        match self.size {
            Some(wanted) if wanted != found => {
                Err(self.differs("length", found.get().to_string(), wanted.get().to_string()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether a whole fetched file is the server's: every hash that the server gave.
    ///
    /// # Errors
    /// [`DdiError::Differs`].
    pub fn check_file(&self, found: &FileHashes) -> Result<(), DdiError> {
        self.check_size(found.size)?;
        match found.difference(&self.hashes) {
            Some((what, found, wanted)) => Err(self.differs(what, found, wanted)),
            None => Ok(()),
        }
    }

    fn differs(&self, what: &'static str, found: String, wanted: String) -> DdiError {
        DdiError::Differs { file: self.file.clone(), what, found, wanted }
    }

    /// SHA-256 of the file, where the server says so.
    fn sha256(&self) -> Option<Digest> {
        self.hashes.sha256.as_deref().and_then(|text| text.parse().ok())
    }
}

#[derive(Deserialize)]
struct RawBase {
    id: String,
    deployment: Option<Members<RawDeployment>>,
    confirmation: Option<Members<RawDeployment>>,
    #[serde(rename = "actionHistory")]
    history: Option<Members<RawHistory>>,
}

#[derive(Deserialize)]
struct RawHistory {
    #[serde(default)]
    messages: Vec<String>,
}

#[derive(Deserialize)]
struct RawDeployment {
    #[serde(default)]
    download: Handling,
    #[serde(default)]
    update: Handling,
    #[serde(rename = "maintenanceWindow")]
    window: Option<Window>,
    chunks: Vec<Members<RawChunk>>,
}

#[derive(Deserialize)]
struct RawChunk {
    version: String,
    encrypted: Option<bool>,
    artifacts: Option<Vec<Members<RawArtifact>>>,
}

#[derive(Deserialize)]
struct RawArtifact {
    filename: String,
    hashes: Option<Members<Hashes>>,
    size: Option<u64>,
    #[serde(rename = "_links")]
    links: Option<Members<RawDownloads>>,
}

#[derive(Deserialize)]
struct RawDownloads {
    download: Option<Members<Link>>,
    #[serde(rename = "download-http")]
    plain: Option<Members<Link>>,
}

/// Reads an update, or one that waits for a yes: both have one form.
///
/// # Errors
/// [`DdiError`]; [`DdiError::NoBundle`] and [`DdiError::ManyBundles`] are the operator's to mend.
pub fn parse_deployment(
    server: &Server,
    (resource, wanted): (Resource, ActionId),
    body: &[u8],
) -> Result<Deployment, DdiError> {
    const WHAT: &str = "a deployment";
    let refuse = |field| DdiError::Field { what: WHAT, field };
    let raw: RawBase = json(WHAT, body)?;
    let id = parse_id(&raw.id).ok_or_else(|| refuse("an id that is no number,"))?;
    if id != wanted {
        return Err(DdiError::OtherAction { wanted: wanted.0, found: id.0 });
    }
    let found = match resource {
        Resource::Confirmation => raw.confirmation,
        Resource::Deployment | Resource::Cancel => raw.deployment,
    };
    let Members(found) = found.ok_or_else(|| refuse("neither chunks nor a word about them"))?;
    let too_many = found.chunks.len() > MAX_PARTS
        || found.chunks.iter().any(|c| c.0.artifacts.as_ref().is_some_and(|a| a.len() > MAX_PARTS));
    if too_many {
        return Err(refuse("more chunks or artifacts"));
    }
    let (download, update, window) = (found.download, found.update, found.window);
    let history = raw.history.map(|Members(history)| history.messages).unwrap_or_default();
    let history = history.iter().take(MAX_HISTORY).map(|text| shorten(text, MAX_NAME_CHARS));
    let artifact = the_bundle(server, id, found.chunks)?;
    Ok(Deployment { id, download, update, window, artifact, history: history.collect() })
}

fn is_bundle(file: &str) -> bool {
    file.len() > ".raucb".len() && file.to_ascii_lowercase().ends_with(".raucb")
}

fn the_bundle(
    server: &Server,
    id: ActionId,
    chunks: Vec<Members<RawChunk>>,
) -> Result<Artifact, DdiError> {
    let mut all = Vec::new();
    for Members(chunk) in chunks {
        for Members(artifact) in chunk.artifacts.unwrap_or_default() {
            all.push((chunk.version.clone(), chunk.encrypted == Some(true), artifact));
        }
    }
    let names = |all: &[(String, bool, RawArtifact)]| {
        let names = all.iter().map(|(_, _, one)| one.filename.as_str()).collect::<Vec<_>>();
        if names.is_empty() {
            "no artifact at all".to_owned()
        } else {
            shorten(&names.join(", "), MAX_NAME_CHARS)
        }
    };
    let everything = names(&all);
    let mut bundles: Vec<_> =
        all.into_iter().filter(|(_, _, one)| is_bundle(&one.filename)).collect();
    if bundles.len() > 1 {
        let (count, found) = (bundles.len(), names(&bundles));
        return Err(DdiError::ManyBundles { action: id.0, count, found });
    }
    let Some((version, is_encrypted, one)) = bundles.pop() else {
        return Err(DdiError::NoBundle { action: id.0, found: everything });
    };
    let file = shorten(&one.filename, MAX_NAME_CHARS);
    if is_encrypted {
        return Err(DdiError::Encrypted { file });
    }
    let links = one.links.and_then(|Members(links)| links.download.or(links.plain));
    let Some(Members(link)) = links else { return Err(DdiError::NoLink { file }) };
    let (url, home) = server.artifact(&link.href)?;
    let Members(hashes) = one.hashes.unwrap_or_default();
    hashes.check_form()?;
    Ok(Artifact {
        file,
        version: shorten(&version, MAX_NAME_CHARS),
        url,
        home,
        size: one.size.map(ByteLen::new),
        hashes,
    })
}
