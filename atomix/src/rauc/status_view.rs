// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the service tell of the system? Its answers on D-Bus as values, for the formats of
//! `rauc status`. A service of another version may leave out or add keys.

use std::collections::HashMap;
use zbus::zvariant::{OwnedValue, Value};

/// Everything that `rauc status` shows. Unset properties are empty, as on D-Bus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// Match string of the system.
    pub compatible: String,
    /// Its variant.
    pub variant: String,
    /// Its version.
    pub system_version: String,
    /// What it was booted from.
    pub boot_slot: String,
    /// Name of the slot that boots next.
    pub primary: Option<String>,
    /// In the service's order.
    pub slots: Vec<SlotView>,
    /// In the service's order.
    pub repositories: Vec<RepositoryView>,
}

/// A slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotView {
    /// `CLASS.INDEX`.
    pub name: String,
    /// Its class.
    pub class: String,
    /// Its device.
    pub device: String,
    /// Its type.
    pub slot_type: String,
    /// The boot loader's name for it.
    pub bootname: Option<String>,
    /// `booted`, `active` or `inactive`.
    pub state: String,
    /// Text for people.
    pub description: Option<String>,
    /// The slot it belongs to.
    pub parent: Option<String>,
    /// Where it is mounted.
    pub mount_point: Option<String>,
    /// `good`, `bad` or `unknown`.
    pub boot_status: String,
    /// What was installed.
    pub installed: InstalledView,
}

/// What is known of a slot's content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstalledView {
    /// `bundle.compatible` and so on, in RAUC's order.
    pub bundle: [Option<String>; 5],
    /// `ok`, `failed` or `pending`.
    pub status: Option<String>,
    /// Digest of the image, with its size.
    pub checksum: Option<(String, u64)>,
    /// Identity of the install.
    pub transaction: Option<String>,
    /// When, and how often.
    pub installed: Option<(String, u32)>,
    /// When, and how often.
    pub activated: Option<(String, u32)>,
}

/// The keys of [`InstalledView::bundle`].
pub const BUNDLE_KEYS: [&str; 5] = ["compatible", "version", "description", "build", "hash"];

/// An artifact repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryView {
    /// Its name.
    pub name: Option<String>,
    /// Text for people.
    pub description: Option<String>,
    /// Its directory.
    pub path: Option<String>,
    /// Its type.
    pub repository_type: Option<String>,
    /// The slot class it goes with.
    pub parent_class: Option<String>,
    /// By name.
    pub artifacts: Vec<ArtifactView>,
}

/// An artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactView {
    /// Its name.
    pub name: Option<String>,
    /// Its contents.
    pub instances: Vec<InstanceView>,
}

/// A content of an artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceView {
    /// Its digest.
    pub checksum: Option<String>,
    /// Who uses it.
    pub references: Vec<String>,
}

/// A dictionary as it comes from D-Bus.
pub type Variants = HashMap<String, OwnedValue>;

/// A text of a dictionary.
#[must_use]
pub fn text(dict: &Variants, key: &str) -> Option<String> {
    let Value::Str(text) = &**dict.get(key)? else { return None };
    Some(text.to_string())
}

fn number(dict: &Variants, key: &str) -> u64 {
    match dict.get(key).map(|value| &**value) {
        Some(Value::U64(number)) => *number,
        Some(Value::U32(number)) => u64::from(*number),
        _ => 0,
    }
}

fn dicts(dict: &Variants, key: &str) -> Vec<Variants> {
    let value = dict.get(key).and_then(|value| value.try_clone().ok());
    value.and_then(|value| Vec::<Variants>::try_from(value).ok()).unwrap_or_default()
}

impl SlotView {
    /// From an entry of `GetSlotStatus`.
    #[must_use]
    pub fn read(name: String, dict: &Variants) -> Self {
        let text = |key| text(dict, key);
        let stamp = |timestamp, count| {
            let count = u32::try_from(number(dict, count)).unwrap_or(u32::MAX);
            text(timestamp).map(|timestamp| (timestamp, count))
        };
        Self {
            name,
            class: text("class").unwrap_or_default(),
            device: text("device").unwrap_or_default(),
            slot_type: text("type").unwrap_or_default(),
            bootname: text("bootname"),
            state: text("state").unwrap_or_default(),
            description: text("description"),
            parent: text("parent"),
            mount_point: text("mountpoint"),
            boot_status: text("boot-status").unwrap_or_else(|| "unknown".to_owned()),
            installed: InstalledView {
                bundle: BUNDLE_KEYS.map(|key| self::text(dict, &format!("bundle.{key}"))),
                status: text("status"),
                checksum: text("sha256").map(|digest| (digest, number(dict, "size"))),
                transaction: text("installed.transaction"),
                installed: stamp("installed.timestamp", "installed.count"),
                activated: stamp("activated.timestamp", "activated.count"),
            },
        }
    }

    /// Whether it is in use by the running system.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.state == "active" || self.state == "booted"
    }
}

impl RepositoryView {
    /// From an entry of `GetArtifactStatus`.
    #[must_use]
    pub fn read(dict: &Variants) -> Self {
        let artifacts = dicts(dict, "artifacts");
        Self {
            name: text(dict, "name"),
            description: text(dict, "description"),
            path: text(dict, "path"),
            repository_type: text(dict, "type"),
            parent_class: text(dict, "parent-class"),
            artifacts: artifacts.iter().map(ArtifactView::read).collect(),
        }
    }
}

impl ArtifactView {
    fn read(dict: &Variants) -> Self {
        let instance = |dict: &Variants| {
            let references = dict.get("references").and_then(|value| value.try_clone().ok());
            InstanceView {
                checksum: text(dict, "checksum"),
                references: references
                    .and_then(|value| Vec::<String>::try_from(value).ok())
                    .unwrap_or_default(),
            }
        };
        let instances = dicts(dict, "instances");
        Self { name: text(dict, "name"), instances: instances.iter().map(instance).collect() }
    }
}

impl StatusView {
    /// The booted slot.
    #[must_use]
    pub fn booted(&self) -> Option<&SlotView> {
        self.slots.iter().find(|slot| slot.state == "booted")
    }

    /// The primary slot.
    #[must_use]
    pub fn primary(&self) -> Option<&SlotView> {
        self.slots.iter().find(|slot| Some(&slot.name) == self.primary.as_ref())
    }

    /// The slots without a parent, each with its children.
    #[must_use]
    pub fn trees(&self) -> Vec<Vec<&SlotView>> {
        // RAUC sorts what people read, and not what programs read.
        let mut sorted: Vec<&SlotView> = self.slots.iter().collect();
        sorted.sort_by(|one, other| one.name.cmp(&other.name));
        let roots = sorted.iter().copied().filter(|slot| slot.parent.is_none());
        let tree = |root: &'_ SlotView| {
            let name = root.name.clone();
            self.slots
                .iter()
                .filter(move |slot| slot.name == name || slot.parent.as_ref() == Some(&name))
        };
        roots
            .map(|root| {
                let mut slots: Vec<&SlotView> = tree(root).collect();
                slots.sort_by_key(|slot| slot.parent.is_some());
                slots
            })
            .collect()
    }
}
