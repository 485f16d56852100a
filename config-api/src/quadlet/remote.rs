// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does this value name a place on another machine? Such a place is none of the host's.

use super::Refused;
use std::net::{IpAddr, Ipv6Addr};

/// File systems of other machines. Their kernel modules reach the server themselves.
const FILE_SYSTEMS: [&str; 4] = ["nfs", "nfs4", "cifs", "smb3"];

/// Whether a volume of this type is mounted from another machine.
pub(crate) fn is_remote_type(name: &str) -> bool {
    FILE_SYSTEMS.contains(&name)
}

/// `SERVER:/path` or `//server/share`, as `mount` takes them; the server may stand in the options.
/// Only for the types above: to others `//etc` is a directory of the host.
pub(super) fn is_remote_place(value: &str) -> bool {
    let plain =
        |path: &str| path.chars().all(|c| c.is_ascii_alphanumeric() || "_.,:/@+-=~".contains(c));
    let (server, path) = match value.strip_prefix("//") {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => match value.split_once(":/") {
            Some((server, path)) => (server, path),
            None => return false,
        },
    };
    let may_be_empty = !value.starts_with('/');
    plain(path) && ((server.is_empty() && may_be_empty) || is_server(server))
}

/// An address that Podman downloads: from `https` alone, since whoever is on the way of another
/// one writes the image.
///
/// # Errors
/// What Podman downloads without knowing from whom. `None` where it is no address at all.
pub(super) fn check_download(value: &str) -> Option<Result<(), Refused>> {
    let (scheme, rest) = value.split_once("://")?;
    if scheme != "https" {
        let hint = "begin it with https://: of other addresses nobody knows who answers";
        return Some(Err(Refused::new("is downloaded unprotected", hint)));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.,:/@+-=~#?&%[]".contains(c);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Buildah appends the directory unchecked: it may lead up, or through a link of the repository,
    // to any directory of the machine, which then is what the image is made of.
    if rest.split_once('#').is_some_and(|(_, fragment)| fragment.contains(':')) {
        let hint = "build from the top of the repository, or bring the directory in ${FILES_DIR}";
        return Some(Err(Refused::new("has a directory behind the #, which may lead out", hint)));
    }
    let server = match authority.rsplit_once(':') {
        Some((server, port)) if port.parse::<u16>().is_ok() => server,
        _ => authority,
    };
    if rest.chars().all(plain) && is_server(server) {
        return Some(Ok(()));
    }
    let hint = "https://SERVER/PATH, without a password: every account can read it";
    Some(Err(Refused::new("is no address to download from", hint)))
}

fn is_server(text: &str) -> bool {
    let bracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => crate::model::is_host(text) || text.parse::<IpAddr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_download, is_remote_place};

    #[test]
    fn places_of_other_machines_are_known() {
        for place in ["nas:/export", "192.0.2.5:/a/b", "[2001:db8::5]:/a", ":/export", "//nas/s"] {
            assert!(is_remote_place(place), "{place}");
        }
        for place in ["/etc", "nas", "", "//", "///etc", "a b:/x", "nas:/x y", "./nas:/x", "-n:/x"]
        {
            assert!(!is_remote_place(place), "{place}");
        }
    }

    #[test]
    fn only_protected_addresses_are_downloaded() {
        let good = ["https://git.example/a.git#v1", "https://[2001:db8::1]:8443/x?y=1&z"];
        for address in good {
            assert!(matches!(check_download(address), Some(Ok(()))), "{address}");
        }
        let bad = [
            "http://a.example/x",
            "git://a.example/x",
            "ssh://a/x",
            "https://",
            "https:///x",
            "https://u:p@a.example/x",
            "https://a.example/x y",
            "https://a.example:99999/",
            "https://git.example/a.git#v1:sub",
            "https://git.example/a.git#:../../../../etc",
            "https://git.example/a.git#v1#x:..",
        ];
        for address in bad {
            assert!(matches!(check_download(address), Some(Err(_))), "{address}");
        }
        for path in ["Containerfile", "./a/b", "/srv/x", "git@a.example:x", ""] {
            assert!(check_download(path).is_none(), "{path}");
        }
    }
}
