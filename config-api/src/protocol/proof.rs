// SPDX-License-Identifier: MIT OR Apache-2.0
//! On what grounds does a request ask the helper? It is not enough that the HTTP process says who
//! asked: whoever takes that process over would be every administrator. What an administrator
//! signed travels on, and the helper judges it again, with nonces of its own.

use super::{Change, FileName, ItemName, Upload};
use crate::jobs::JobId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// A signed request's head, as it came; what is absent is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// `Content-Type`.
    pub content_type: String,
    /// `X-Config-Filename`.
    pub file_name: String,
    /// `If-Match`.
    pub if_match: String,
    /// The nonce.
    pub nonce: String,
    /// The armored signature in base64.
    pub signature: String,
    /// The body's SHA-256, in hexadecimal.
    pub sha256: String,
}

/// Why somebody may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Grounds {
    /// The device has no configuration: refused as soon as there is one.
    FirstClaim,
    /// The search of the first boot found it: refused as soon as there is a configuration.
    FirstBoot {
        /// Where it was found, for people.
        place: String,
        /// Whether a person at the console asked for it.
        asked: bool,
    },
    /// An administrator signed it.
    Signed {
        /// What was signed.
        proof: Box<Proof>,
    },
}

/// Least and longest time that an operator may want for his confirmation, in seconds.
pub const CONFIRM_SECS: RangeInclusive<u32> = 10..=3600;

/// A query that a change does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the query may say confirm_within, and from 10 to 3600 seconds")]
pub struct WrongQuery;

/// How long the operator wants to have for his confirmation: `confirm_within` of the query, which is
/// signed with the path. Whatever else stands there is refused, since a word that is misspelt
/// would lose him his way back.
///
/// # Errors
/// [`WrongQuery`].
pub fn parse_confirm_within(query: Option<&str>) -> Result<Option<u32>, WrongQuery> {
    let Some(query) = query.filter(|query| !query.is_empty()) else { return Ok(None) };
    let digits = query.strip_prefix("confirm_within=").ok_or(WrongQuery)?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    let secs = digits.parse().ok().filter(|secs| is_number && CONFIRM_SECS.contains(secs));
    secs.map(Some).ok_or(WrongQuery)
}

impl Proof {
    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether it is about a configuration that is this upload.
    #[must_use]
    pub fn is_for_upload(&self, upload: &Upload) -> bool {
        self.method == "POST"
            && self.path() == "/api/config"
            && self.sha256.eq_ignore_ascii_case(&upload.sha256)
            && FileName::new(&self.file_name) == upload.file_name
    }

    /// The change that it is about, if its body is the one that was signed.
    #[must_use]
    pub fn change(&self, body: &str) -> Option<Change> {
        let digest = openssl::sha::sha256(body.as_bytes());
        let is_signed = self.sha256.eq_ignore_ascii_case(&hex::encode(digest));
        is_signed.then(|| Change::of_request(&self.method, &self.target, body.as_bytes())).flatten()
    }

    /// Whether it is about reading the configuration.
    #[must_use]
    pub fn is_for_export(&self) -> bool {
        let paths = ["/api/config/export", "/api/config/current"];
        matches!(self.method.as_str(), "GET" | "HEAD") && paths.contains(&self.path())
    }

    /// Whether it confirms this job.
    #[must_use]
    pub fn is_for_confirmation(&self, job: JobId) -> bool {
        let id = self.path().strip_prefix("/api/jobs/");
        let id = id.and_then(|rest| rest.strip_suffix("/confirm"));
        self.method == "POST" && id.and_then(JobId::parse) == Some(job)
    }

    /// Whether the operator wants this time for his confirmation: one that was taken over could
    /// leave him without.
    #[must_use]
    pub fn is_for_confirmation_within(&self, secs: Option<u32>) -> bool {
        let query = self.target.split_once('?').map(|(_, query)| query);
        parse_confirm_within(query) == Ok(secs)
    }

    /// Whether it is for the configuration with this tag, or for any.
    #[must_use]
    pub fn is_for_tag(&self, tag: Option<&str>) -> bool {
        match tag {
            Some(tag) => self.if_match == format!("\"{tag}\""),
            None => matches!(self.if_match.as_str(), "" | "*"),
        }
    }
}

impl Change {
    /// What a request of the typed routes asks for. Names stand in the target as they are.
    #[must_use]
    pub fn of_request(method: &str, target: &str, body: &[u8]) -> Option<Self> {
        let path = target.split('?').next()?.strip_prefix("/api/config/")?;
        let (part, name) = match path.split_once('/') {
            Some((part, name)) => (part, Some(ItemName::new(name)?)),
            None => (path, None),
        };
        Some(match (method, part, name) {
            ("PUT", "users", Some(name)) => Self::PutUser { name, body: read(body)? },
            ("DELETE", "users", Some(name)) => Self::DeleteUser { name },
            ("PATCH", "network", None) => Self::PatchNetwork { body: read(body)? },
            ("PUT", "firewall", None) => Self::PutFirewall { body: read(body)? },
            ("PUT", "containers", Some(name)) => Self::PutContainer { name, body: read(body)? },
            ("DELETE", "containers", Some(name)) => Self::DeleteContainer { name },
            ("PUT", "container-networks", Some(name)) => {
                Self::PutContainerNetwork { name, body: read(body)? }
            }
            ("DELETE", "container-networks", Some(name)) => Self::DeleteContainerNetwork { name },
            ("PUT", "container-volumes", Some(name)) => {
                Self::PutContainerVolume { name, body: read(body)? }
            }
            ("DELETE", "container-volumes", Some(name)) => Self::DeleteContainerVolume { name },
            _ => return None,
        })
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}
