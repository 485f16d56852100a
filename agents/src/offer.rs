// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a server offer? Every way to be told of an update ends in one of these.

use bootctl::BundleId;
use bundle::UnixTime;
use openssl::sha::Sha256;
use serde::{Deserialize, Serialize};
use storage::{ByteLen, Digest};

/// Whether the device's memory of failures counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// As the policy says.
    #[default]
    Ordinary,
    /// Now, also what failed here before. Says nothing about older versions.
    Forced,
}

/// Which part of the fleet, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// Nobody before.
    pub begins: UnixTime,
    /// From then on everybody; before, ever more.
    pub ends: UnixTime,
    /// Of a hundred devices, most that may take it while the rollout stands there.
    pub percent: u8,
}

/// An update that a server knows of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The version that the server claims.
    pub version: String,
    /// The bundle's manifest, where the server says so: what it is known by.
    pub manifest: Option<Digest>,
    /// SHA-256 of the whole file, where the server says so.
    pub file: Option<Digest>,
    /// Length of the whole file, where the server says so.
    pub size: Option<ByteLen>,
    /// Where it is, best first; never empty.
    pub urls: Vec<String>,
    /// Devices whose version is older than this do not take it directly.
    pub min_version: Option<String>,
    /// Where it is still being rolled out.
    pub rollout: Option<Rollout>,
    /// Not taken after this, also when it waited for a window in the meantime.
    pub expires: Option<UnixTime>,
    /// See there.
    pub urgency: Urgency,
    /// SHA-256 of the signed document that makes it: its force counts once. An offer of a server
    /// that is told how each ends (hawkBit) has none.
    pub document: Option<Digest>,
}

impl Offer {
    /// What a file that was fetched for this offer is known by, with the server's mark for it: its
    /// version and its first place. A server that gives marks changes them with the file; of one that
    /// gives none it is believed that another file has another version or place.
    #[must_use]
    pub fn digest(&self, mark: Option<&str>) -> Digest {
        let mut all = Sha256::new();
        for part in [Some(&*self.version), self.urls.first().map(String::as_str), mark] {
            // No part can be taken for the end of another, nor none for an empty one.
            let len = part.map_or(0, |part| (part.len() as u64).saturating_add(1));
            all.update(&len.to_be_bytes());
            all.update(part.unwrap_or_default().as_bytes());
        }
        Digest::from_bytes(all.finish())
    }
}

/// What the beginning of the bundle at one of the places says: a signature covers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// SHA-256 of its manifest.
    pub manifest: Digest,
    /// The version in the manifest.
    pub version: Option<String>,
    /// The `compatible` in the manifest.
    pub compatible: String,
    /// Length of the file.
    pub size: ByteLen,
    /// Predicted bytes over the network, with what the slots already hold taken off.
    pub transfer: ByteLen,
}

impl Looked {
    /// What the device remembers it by.
    #[must_use]
    pub fn id(&self) -> BundleId {
        self.manifest.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Fails when a file that was fetched for one offer is taken for another's.
    #[test]
    fn another_version_place_or_mark_is_another_file() {
        let digest = |version: &str, url: &str, mark: Option<&str>| {
            let offer = Offer {
                version: version.to_owned(),
                manifest: None,
                file: None,
                size: None,
                urls: vec![url.to_owned(), "https://mirror.example/b".to_owned()],
                min_version: None,
                rollout: None,
                expires: None,
                urgency: Urgency::Ordinary,
                document: None,
            };
            offer.digest(mark)
        };
        let all = [
            digest("2.0", "https://u.example/b", None),
            digest("2.0", "https://u.example/b", Some("")),
            digest("2.0", "https://u.example/b", Some("\"a\"")),
            digest("2.1", "https://u.example/b", None),
            digest("2.0", "https://u.example/c", None),
            digest("2.0h", "ttps://u.example/b", None),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
        assert_eq!(all[0], digest("2.0", "https://u.example/b", None));
    }
}
