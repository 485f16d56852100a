// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which names does the contract allow? Each kind is a type whose values were checked.

use std::fmt;

/// Declares a checked text.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

checked_text!(
    /// A DNS name in lower case without a dot at its end.
    DnsName
);
checked_text!(
    /// A host name or address of a time server, as it was written.
    NtpServer
);
checked_text!(
    /// An account's name.
    UserName
);
checked_text!(
    /// A network interface, `eth` and a number.
    InterfaceName
);
checked_text!(
    /// The name of a container that the file declares.
    ContainerName
);
checked_text!(
    /// The name of a container, network, volume or build.
    UnitName
);

/// Names longer than the kernel's `IFNAMSIZ` less one are no interface.
const MAX_INTERFACE_CHARS: usize = 15;

/// With its suffix a unit's name has to fit a file's name with room for `-volume.service`.
const MAX_UNIT_CHARS: usize = 128;

/// Space around a value, as the reference trims it: Unicode's white space and the four separators
/// of ASCII.
pub(crate) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}'))
}

/// Whether `name` is a DNS name: labels of letters, digits and inner hyphens; at most 253 in all.
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        bytes.len() <= 63
            && edge(bytes.first())
            && edge(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

impl DnsName {
    /// Takes a name as it was written: space around it, dots at its end and capitals are dropped.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = trim(text).trim_end_matches('.');
        is_dns_name(name).then(|| Self(name.to_ascii_lowercase()))
    }
}

impl NtpServer {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let name = trim(text);
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        let good = is_address || is_dns_name(name.trim_end_matches('.'));
        good.then(|| Self(name.to_owned()))
    }
}

impl InterfaceName {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let digits = text.strip_prefix("eth").unwrap_or_default();
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err("is no interface of this board: eth and a number");
        }
        if text.len() > MAX_INTERFACE_CHARS {
            return Err("is longer than the kernel's names of interfaces");
        }
        Ok(Self(text.to_owned()))
    }
}

impl UserName {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut bytes = text.bytes();
        let first = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let rest = bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-')
        });
        if !first || !rest || text.len() > 32 {
            return Err("is no name of a user");
        }
        if is_reserved_user(text) {
            return Err("is reserved: the system has an account or group of this name");
        }
        Ok(Self(text.to_owned()))
    }
}

/// The accounts and groups that the image has; `useradd` fails on either.
const RESERVED_USERS: [&str; 37] = [
    "adm",
    "appsvc",
    "atomix-config",
    "audio",
    "bin",
    "cdrom",
    "chrony",
    "daemon",
    "dialout",
    "disk",
    "dnsmasq",
    "floppy",
    "input",
    "keys",
    "kmem",
    "kvm",
    "lp",
    "messagebus",
    "nixbld",
    "nobody",
    "nogroup",
    "nscd",
    "podman",
    "polkitd",
    "polkituser",
    "render",
    "root",
    "sgx",
    "shadow",
    "sshd",
    "tape",
    "tty",
    "users",
    "utmp",
    "uucp",
    "video",
    "wheel",
];

/// Their names, and those of the ranges that the system hands out itself: systemd's accounts and
/// the numbered builders of Nix.
fn is_reserved_user(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    RESERVED_USERS.contains(&name)
        || name.starts_with("systemd-")
        || name.strip_prefix("nixbld").is_some_and(digits)
}

impl UnitName {
    /// The shape alone; what a name would shadow is judged by `quadlet::reserved`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if text.is_empty() || !text.bytes().all(good) {
            return Err("is no name of a unit: letters, digits, _ and -");
        }
        if text.starts_with('-') {
            return Err("begins with -");
        }
        if text.len() > MAX_UNIT_CHARS {
            return Err("is longer than 128 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

impl ContainerName {
    /// The name of a container that `declared` has.
    pub(crate) fn of(declared: &UnitName) -> Self {
        Self(declared.0.clone())
    }
}

/// Whether a hostname pattern gives DNS names.
pub(crate) fn is_hostname_pattern(pattern: &str) -> bool {
    is_dns_name(pattern.replace("{mac}", "0123456789ab").trim_end_matches('.'))
}

/// Whether a server's name in an address is a DNS name.
pub(crate) fn is_host(name: &str) -> bool {
    is_dns_name(name.trim_end_matches('.'))
}
