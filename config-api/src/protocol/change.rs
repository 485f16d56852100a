// SPDX-License-Identifier: MIT OR Apache-2.0
//! One part of a configuration, changed: the bodies of the typed routes, with the contract's
//! names. Unknown keys are refused. Whether the whole is valid afterwards is the model's business.

use super::Section;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The name of a user, container, network or volume, as far as a path can carry it. What each of
/// them may be called is the model's business.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ItemName(String);

impl ItemName {
    /// Takes 1 to 64 letters, digits, `_` and `-`.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        ((1..=64).contains(&text.len()) && text.bytes().all(known)).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ItemName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| serde::de::Error::custom("not a name"))
    }
}

/// A user as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserBody {
    /// Whether the user administers the device.
    pub is_admin: bool,
    /// One OpenSSH public key line; absent or empty for a user without one.
    #[serde(default, rename = "ssh_key", skip_serializing_if = "Option::is_none")]
    pub ssh_key: Option<String>,
    /// `bash`, `sh` or `zsh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<String>,
}

/// A container as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ContainerBody {
    /// Whether it runs as root on the host's network.
    pub privileged: bool,
    /// Its section `[Container]`.
    #[serde(rename = "Container")]
    pub container: Section,
    /// Its section `[Unit]`.
    #[serde(default, rename = "Unit", skip_serializing_if = "Option::is_none")]
    pub unit: Option<Section>,
    /// Its section `[Install]`.
    #[serde(default, rename = "Install", skip_serializing_if = "Option::is_none")]
    pub install: Option<Section>,
}

/// A network of containers as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkBody {
    /// Its section `[Network]`.
    #[serde(rename = "Network")]
    pub network: Section,
}

/// A volume of containers as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct VolumeBody {
    /// Its section `[Volume]`.
    #[serde(rename = "Volume")]
    pub volume: Section,
}

/// Keys of `[network]` to be set; `null` removes one, tables are merged, lists are replaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkPatch {
    /// Name servers of the device.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "server", schema(value_type = Option<Vec<String>>))]
    pub dns_servers: Option<serde_json::Value>,
    /// Domains that names are looked for in.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "server", schema(value_type = Option<Vec<String>>))]
    pub dns_search_domains: Option<serde_json::Value>,
    /// The way out.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "server", schema(value_type = Option<String>))]
    pub default_gateway: Option<serde_json::Value>,
    /// Interfaces by name.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub interfaces: Option<serde_json::Value>,
    /// The LAN's addresses and names.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub dnsmasq: Option<serde_json::Value>,
    /// Time servers.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub ntp: Option<serde_json::Value>,
    /// Open ports.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[cfg_attr(feature = "server", schema(value_type = Option<Object>))]
    pub firewall: Option<serde_json::Value>,
}

impl NetworkPatch {
    /// The keys that are there, with what they are to become.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &serde_json::Value)> {
        [
            ("dns_servers", &self.dns_servers),
            ("dns_search_domains", &self.dns_search_domains),
            ("default_gateway", &self.default_gateway),
            ("interfaces", &self.interfaces),
            ("dnsmasq", &self.dnsmasq),
            ("ntp", &self.ntp),
            ("firewall", &self.firewall),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| (name, value)))
    }
}

/// A key that is there with `null` is another thing than one that is absent.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(deserializer).map(Some)
}

/// Ports of one side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InboundPorts {
    /// TCP ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<Vec<u16>>,
    /// UDP ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<Vec<u16>>,
}

/// Ports of both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct InboundScopes {
    /// Towards the internet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wan: Option<InboundPorts>,
    /// Towards the LAN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lan: Option<InboundPorts>,
}

/// The firewall's open ports as a whole: what is absent is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FirewallPatch {
    /// Ports that are open from outside.
    pub inbound: InboundScopes,
}

/// A change of one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "part", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// Sets a user.
    PutUser {
        /// Its name.
        name: ItemName,
        /// What it becomes.
        body: UserBody,
    },
    /// Removes a user.
    DeleteUser {
        /// Its name.
        name: ItemName,
    },
    /// Merges into `[network]`.
    PatchNetwork {
        /// The keys.
        body: NetworkPatch,
    },
    /// Sets the open ports.
    PutFirewall {
        /// The ports.
        body: FirewallPatch,
    },
    /// Sets a container.
    PutContainer {
        /// Its name.
        name: ItemName,
        /// What it becomes.
        body: ContainerBody,
    },
    /// Removes a container.
    DeleteContainer {
        /// Its name.
        name: ItemName,
    },
    /// Sets a network of containers.
    PutContainerNetwork {
        /// Its name.
        name: ItemName,
        /// What it becomes.
        body: NetworkBody,
    },
    /// Removes a network of containers.
    DeleteContainerNetwork {
        /// Its name.
        name: ItemName,
    },
    /// Sets a volume of containers.
    PutContainerVolume {
        /// Its name.
        name: ItemName,
        /// What it becomes.
        body: VolumeBody,
    },
    /// Removes a volume of containers.
    DeleteContainerVolume {
        /// Its name.
        name: ItemName,
    },
}
