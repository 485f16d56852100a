// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is this device's place at the server, and which of the links that it sends are followed?
//!
//! What carries the device's token goes to the server that its owner named and to no other. A link
//! of the interface itself is therefore taken for its path alone: hawkBit behind a proxy that does
//! not tell it of TLS sends links of another scheme or host, and they work nevertheless. An artifact
//! may lie anywhere; the token goes along only where that is the same server.

use super::error::DdiError;
use crate::place::{Origin, PlaceError, Transport};
use bundle::http::HttpUrl;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest name of a tenant or a device; hawkBit has 40 and 256.
const MAX_ID_CHARS: usize = 256;

/// An action of the server's. gooseBit numbers one of its own -1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActionId(pub i64);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The place of a device at a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    origin: Origin,
    device: HttpUrl,
}

/// Which part of the interface a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// An update.
    Deployment,
    /// The end of an update.
    Cancel,
    /// An update that wants a yes first.
    Confirmation,
}

impl Resource {
    /// Its word in links and addresses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deploymentBase",
            Self::Cancel => "cancelAction",
            Self::Confirmation => "confirmationBase",
        }
    }
}

/// A link to an action: which, and the word by which the server tells that it changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionLink {
    /// The action.
    pub id: ActionId,
    /// The value of `c`, where there is one: another one, and the action has changed.
    pub change: Option<i64>,
}

impl Server {
    /// `url` of the server, up to what the tenant's name follows.
    ///
    /// # Errors
    /// [`DdiError::Server`] for an address that cannot be one; [`DdiError::Name`] for a tenant or
    /// device that would lead elsewhere.
    pub fn new(
        url: &str,
        transport: Transport,
        (tenant, device): (&str, &str),
    ) -> Result<Self, DdiError> {
        let origin =
            Origin::server(url, transport).map_err(|source| DdiError::Server { source })?;
        let mut at = origin.url().clone();
        for name in [tenant, "controller", "v1", device] {
            let is_plain = !name.is_empty()
                && name.chars().count() <= MAX_ID_CHARS
                && !name.contains(|c: char| c == '/' || c.is_whitespace());
            let next = if is_plain { at.file(name).ok() } else { None };
            at = next.ok_or_else(|| DdiError::Name { name: super::feedback::shorten(name, 80) })?;
        }
        Ok(Self { origin, device: at })
    }

    /// The address that is polled.
    #[must_use]
    pub fn poll(&self) -> String {
        self.device.without_user()
    }

    /// Where an action is described, with the last messages that the server has of it.
    #[must_use]
    pub fn action(&self, resource: Resource, link: &ActionLink, history: usize) -> String {
        let mut query = Vec::new();
        if let Some(change) = link.change {
            query.push(format!("c={change}"));
        }
        if history > 0 && resource != Resource::Cancel {
            query.push(format!("actionHistory={history}"));
        }
        let base = format!("{}/{}/{}", self.poll(), resource.word(), link.id);
        if query.is_empty() { base } else { format!("{base}?{}", query.join("&")) }
    }

    /// Where feedback about an action goes.
    #[must_use]
    pub fn feedback(&self, resource: Resource, id: ActionId) -> String {
        format!("{}/{}/{id}/feedback", self.poll(), resource.word())
    }

    /// Where the device's attributes go.
    #[must_use]
    pub fn attributes(&self) -> String {
        format!("{}/configData", self.poll())
    }

    /// Which action a link names.
    ///
    /// # Errors
    /// [`DdiError::Link`] when it does not end as links of that kind do.
    pub fn parse_link(&self, resource: Resource, href: &str) -> Result<ActionLink, DdiError> {
        let refuse = || DdiError::Link { kind: resource.word() };
        let url = self.origin.url().join(href).map_err(|_| refuse())?.without_user();
        let (path, query) = url.split_once('?').unwrap_or((&url, ""));
        let mut parts = path.rsplit('/');
        let (id, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if kind != resource.word() {
            return Err(refuse());
        }
        let id = parse_id(id).ok_or_else(refuse)?;
        let change = query.split('&').find_map(|pair| pair.strip_prefix("c="));
        let change = change.map(|text| text.parse().map_err(|_| refuse())).transpose()?;
        Ok(ActionLink { id, change })
    }

    /// The address of an artifact, and whether it is this server's.
    ///
    /// A server on HTTPS whose artifacts are on HTTP of the same host stands behind a proxy that did
    /// not tell it: it is asked on HTTPS. Any other artifact on HTTP of a server on HTTPS is refused.
    ///
    /// # Errors
    /// [`DdiError::Artifact`].
    pub fn artifact(&self, href: &str) -> Result<(String, Home), DdiError> {
        let ours = self.origin.url();
        let refuse = |source: PlaceError| DdiError::Artifact { source };
        let named = ours.join(href).map_err(|odd| refuse(odd.into()))?;
        let is_behind_proxy = ours.is_https() && !named.is_https() && named.host() == ours.host();
        let url = if is_behind_proxy {
            let text = named.without_user();
            let place = text.split_once("://").map_or("", |(_, place)| place);
            let path = place.find('/').and_then(|at| place.get(at..)).unwrap_or("/");
            ours.join(path).map_err(|odd| refuse(odd.into()))?
        } else {
            self.origin.resolve(href).map_err(refuse)?
        };
        let home = self.home_of(&url);
        Ok((url.without_user(), home))
    }

    /// Whose server this address is on: who fetches an offered artifact sends credentials, and
    /// shows the device's certificate, to [`Home::Ours`] alone.
    #[must_use]
    pub fn home(&self, url: &str) -> Home {
        HttpUrl::parse(url).map_or(Home::Elsewhere, |url| self.home_of(&url))
    }

    fn home_of(&self, url: &HttpUrl) -> Home {
        if url.same_origin(self.origin.url()) { Home::Ours } else { Home::Elsewhere }
    }
}

/// Whose server an artifact lies on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Home {
    /// The one of the actions: the device's credentials go along.
    Ours,
    /// Another: nothing goes along.
    #[default]
    Elsewhere,
}

/// The number of an action as the server writes it.
pub(super) fn parse_id(text: &str) -> Option<ActionId> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok().map(ActionId)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server() -> Server {
        Server::new("https://h.example/base", Transport::HttpsOnly, ("DEFAULT", "dev-1")).unwrap()
    }

    #[test]
    fn the_device_has_its_place_below_the_address() {
        assert_eq!(server().poll(), "https://h.example/base/DEFAULT/controller/v1/dev-1");
        let link = ActionLink { id: ActionId(5), change: Some(-3) };
        assert_eq!(
            server().action(Resource::Deployment, &link, 9),
            "https://h.example/base/DEFAULT/controller/v1/dev-1/deploymentBase/5?c=-3&actionHistory=9"
        );
        for (url, tenant, device) in [
            ("https://u:p@h", "t", "d"),
            ("https://h?x=1", "t", "d"),
            ("ftp://h", "t", "d"),
            ("http://h", "t", "d"),
            ("https://h", "..", "d"),
            ("https://h", "t", "a/../b"),
            ("https://h", "t", ""),
        ] {
            let made = Server::new(url, Transport::HttpsOnly, (tenant, device));
            assert!(made.is_err(), "{url} {tenant} {device}");
        }
    }

    #[test]
    fn links_of_the_interface_are_taken_for_their_path_alone() {
        let link = |href: &str| server().parse_link(Resource::Deployment, href);
        let wanted = ActionLink { id: ActionId(12), change: Some(-2_127_183_556) };
        for href in [
            "https://h.example/base/DEFAULT/controller/v1/dev-1/deploymentBase/12?c=-2127183556",
            "http://inner:8080/DEFAULT/controller/v1/dev-1/deploymentBase/12?c=-2127183556",
            "/DEFAULT/controller/v1/dev-1/deploymentBase/12?actionHistory=3&c=-2127183556",
        ] {
            assert_eq!(link(href).unwrap(), wanted, "{href}");
        }
        for href in [
            "https://h.example/x/cancelAction/12",
            "https://h.example/deploymentBase/",
            "https://h.example/deploymentBase/twelve",
            "https://h.example/deploymentBase/12?c=x",
            "https://h.example/deploymentBase/99999999999999999999",
            "javascript:alert(1)",
        ] {
            assert!(link(href).is_err(), "{href}");
        }
    }

    #[test]
    fn artifacts_elsewhere_get_no_token_and_plain_http_is_refused() {
        let artifact = |href: &str| server().artifact(href);
        let ours = artifact("https://h.example/base/a.raucb").unwrap();
        assert_eq!(ours, ("https://h.example/base/a.raucb".to_owned(), Home::Ours));
        let moved = artifact("http://h.example:8080/base/a.raucb?x=1").unwrap();
        assert_eq!(moved, ("https://h.example/base/a.raucb?x=1".to_owned(), Home::Ours));
        let cdn = artifact("https://cdn.example/a.raucb").unwrap();
        assert_eq!(cdn.1, Home::Elsewhere);
        for (url, _) in [&ours, &moved, &cdn] {
            let is_ours = url.starts_with("https://h.example/");
            assert_eq!(server().home(url) == Home::Ours, is_ours, "{url}");
        }
        for other in
            ["http://h.example/a", "https://h.example:444/a", "https://h.example.org/", "a"]
        {
            assert_eq!(server().home(other), Home::Elsewhere, "{other}");
        }
        for href in [
            "http://cdn.example/a.raucb",
            "https://u:p@cdn.example/a",
            "https://127.0.0.1/a.raucb",
            "https://169.254.169.254/a.raucb",
            "file:///etc/shadow",
            "ftp://cdn.example/a",
        ] {
            assert!(artifact(href).is_err(), "{href}");
        }
    }
}
