// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this request for us, and from nobody else's page? A browser can be led to send requests here
//! by any page that it shows; only names that are ours, or an address, may stand in `Host` (no
//! foreign name can be made to point here and be believed), and a page's origin must be ours.

use std::net::{IpAddr, Ipv6Addr};

/// Names that a device has before anybody named it.
const FIRST_NAMES: [&str; 4] = ["localhost", "gateway", "atomixos", "atomixos.local"];

/// Why a request is turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No host, or one that is not ours.
    #[error("the header Host names another device")]
    Host,
    /// A page of somebody else's sends it.
    #[error("another site's page sends this request")]
    Origin,
}

/// The names that are ours.
#[derive(Clone, Debug, Default)]
pub struct HostRule {
    names: Vec<String>,
}

impl HostRule {
    /// The device's own names on its LAN, or its first names while it has none. Never a whole
    /// domain: `evil.local` is not us.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        let own = names.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        let first = FIRST_NAMES.iter().map(|name| (*name).to_owned());
        let mut all: Vec<String> = first.take(1).collect();
        if names.is_empty() {
            all.extend(FIRST_NAMES.iter().skip(1).map(|name| (*name).to_owned()));
        }
        all.extend(own);
        Self { names: all }
    }

    /// Lets a request in. `origin` and `referer` as they came, `site` is `Sec-Fetch-Site`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn admit(
        &self,
        host: Option<&str>,
        origin: Option<&str>,
        referer: Option<&str>,
        site: Option<&str>,
    ) -> Result<(), Refused> {
        let host = host.ok_or(Refused::Host)?;
        let (name, _) = split_host(host).ok_or(Refused::Host)?;
        if !self.is_ours(name) {
            return Err(Refused::Host);
        }
        let own = format!("http://{}", host.to_ascii_lowercase());
        let is_own = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.strip_prefix(&own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let foreign = origin.is_some_and(|origin| !is_own(origin))
            || referer.is_some_and(|referer| !is_own(referer))
            || site.is_some_and(|site| site != "same-origin" && site != "none");
        if foreign { Err(Refused::Origin) } else { Ok(()) }
    }

    fn is_ours(&self, name: &str) -> bool {
        let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bare {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => {
                name.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4())
                    || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            }
        }
    }
}

/// Host and port of the header `Host`.
fn split_host(host: &str) -> Option<(&str, Option<u16>)> {
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, rest) = host.split_at_checked(end)?;
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        Some(port) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(port.parse().ok()?)
        }
        None | Some(_) => return None,
    };
    (!name.is_empty()).then_some((name, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(names: &[&str]) -> HostRule {
        HostRule::new(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    fn host(rule: &HostRule, host: &str) -> bool {
        rule.admit(Some(host), None, None, None).is_ok()
    }

    #[test]
    fn addresses_and_own_names_are_ours_and_no_other_name_is() {
        let first = rule(&[]);
        for ours in ["172.20.30.1:8080", "172.20.30.1", "[fe80::1]:8080", "ATOMIXOS.local:8080"] {
            assert!(host(&first, ours), "{ours}");
        }
        let foreign =
            ["evil.local", "evil.local:8080", "", ":8080", "a.b:x", "[fe80::1", "fe80::1", "1.2.3"];
        for foreign in foreign {
            assert!(!host(&first, foreign), "{foreign}");
        }
        let named = rule(&["hall3", "Hall3.plant.example."]);
        assert!(host(&named, "hall3.plant.example:8080") && host(&named, "localhost"));
        assert!(!host(&named, "atomixos.local"), "somebody else's by now");
        assert_eq!(named.admit(None, None, None, None), Err(Refused::Host));
    }

    #[test]
    fn another_sites_page_is_turned_away_whatever_tells_it() {
        let rule = rule(&[]);
        let admit = |origin, referer, site| rule.admit(Some("gateway:8080"), origin, referer, site);
        assert_eq!(admit(Some("http://gateway:8080"), None, Some("same-origin")), Ok(()));
        assert_eq!(admit(None, Some("http://gateway:8080/page"), Some("none")), Ok(()));
        for origin in ["null", "http://gateway", "https://gateway:8080", "http://gateway:80800"] {
            assert_eq!(admit(Some(origin), None, None), Err(Refused::Origin), "{origin}");
        }
        assert_eq!(admit(None, Some("http://evil/"), None), Err(Refused::Origin));
        assert_eq!(admit(None, None, Some("cross-site")), Err(Refused::Origin));
        assert_eq!(admit(None, None, Some("same-site")), Err(Refused::Origin));
    }
}
