// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does `rauc status` show the system? Every output format of RAUC, from a value; pure.

use crate::rauc::info_view::long_size;
use crate::rauc::json::Json;
use crate::rauc::paint::{BLUE, BOLD, GREEN, PLAIN, RED};
use crate::rauc::shell_text::ShellText;
use crate::rauc::status_view::{BUNDLE_KEYS, InstalledView, RepositoryView, SlotView, StatusView};
use atomix_repart::one_line;
use std::fmt::Write as _;

/// An output format of `rauc status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFormat {
    /// For people.
    Readable,
    /// For `eval`.
    Shell,
    /// On one line.
    Json,
    /// On many lines.
    JsonPretty,
}

impl StatusFormat {
    /// The format of RAUC's name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "readable" => Self::Readable,
            "shell" => Self::Shell,
            "json" => Self::Json,
            "json-pretty" => Self::JsonPretty,
            _ => return None,
        })
    }
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The slots.
    Short,
    /// What was installed too.
    Full,
}

/// The system in `format`, without a line end.
#[must_use]
pub fn render(view: &StatusView, format: StatusFormat, detail: Detail, is_utf8: bool) -> String {
    let text = match format {
        StatusFormat::Readable => readable(view, detail, is_utf8),
        StatusFormat::Shell => shell(view, detail),
        StatusFormat::Json => json(view, detail).compact(),
        StatusFormat::JsonPretty => json(view, detail).pretty(),
    };
    text.trim_end().to_owned()
}

// Writing to a String cannot fail: the results of `write!` below are dropped for that reason.
fn readable(view: &StatusView, detail: Detail, is_utf8: bool) -> String {
    let mut to = "=== System Info ===\n".to_owned();
    let name = |slot: Option<&SlotView>| slot.map_or("(null)".to_owned(), |s| one_line(&s.name));
    let _ = writeln!(to, "Compatible:     {}", one_line(&view.compatible));
    let _ = writeln!(to, "Variant:        {}", one_line(&view.variant));
    let _ = writeln!(to, "System Version: {}", one_line(&view.system_version));
    let boot_slot = one_line(&view.boot_slot);
    let _ = writeln!(to, "Booted from:    {} ({boot_slot})\n", name(view.booted()));
    to.push_str("=== Bootloader ===\n");
    let _ = match view.primary() {
        Some(slot) => {
            let bootname = one_line(slot.bootname.as_deref().unwrap_or("(null)"));
            writeln!(to, "Activated: {} ({bootname})\n", one_line(&slot.name))
        }
        None => writeln!(to, "Activated: none\n"),
    };
    to.push_str("=== Slot States ===\n");
    for tree in view.trees() {
        for slot in tree {
            let is_primary = view.primary.as_ref() == Some(&slot.name);
            readable_slot(&mut to, slot, mark(slot, is_primary, is_utf8));
            if detail == Detail::Full {
                readable_installed(&mut to, &slot.installed);
            }
            to.push('\n');
        }
        to.push('\n');
    }
    if !view.repositories.is_empty() {
        to.push_str("=== Artifact Repo States ===\n");
        for repository in &view.repositories {
            readable_repository(&mut to, repository);
            to.push('\n');
        }
    }
    to
}

fn mark(slot: &SlotView, is_primary: bool, is_utf8: bool) -> String {
    match (&slot.bootname, is_primary, is_utf8) {
        (None, _, _) => " ".to_owned(),
        (Some(_), true, true) => "\u{23fa}".to_owned(),
        (Some(_), false, true) => "\u{25cb}".to_owned(),
        (Some(_), true, false) => format!("{BOLD}x{PLAIN}"),
        (Some(_), false, false) => "o".to_owned(),
    }
}

fn readable_slot(to: &mut String, slot: &SlotView, mark: String) {
    let indent = if slot.parent.is_some() { "   " } else { " " };
    // RAUC colours active slots, and booted ones a second time.
    let active = if slot.is_active() { GREEN } else { "" };
    let is_booted = slot.state == "booted";
    let booted = if is_booted { GREEN } else { "" };
    let bold = if is_booted { BOLD } else { "" };
    let (name, device) = (one_line(&slot.name), one_line(&slot.device));
    let _ = write!(
        to,
        "{mark}{indent}{active}{booted}{BOLD}[{name}]{PLAIN} ({device}, {}, {bold}{}{PLAIN})",
        slot.slot_type, slot.state
    );
    if let Some(bootname) = &slot.bootname {
        let _ = write!(to, "\n      bootname: {BLUE}{}{PLAIN}", one_line(bootname));
    }
    if let Some(description) = &slot.description {
        let _ = write!(to, "\n      description: {}", one_line(description));
    }
    if let Some(place) = &slot.mount_point {
        let _ = write!(to, "\n      mounted: {}", one_line(place));
    }
    if slot.bootname.is_some() {
        let colour = if slot.boot_status == "good" { GREEN } else { RED };
        let _ = write!(to, "\n      boot status: {colour}{}{PLAIN}", slot.boot_status);
    }
}

fn readable_installed(to: &mut String, known: &InstalledView) {
    to.push_str("\n      slot status:\n          bundle:");
    for (key, value) in BUNDLE_KEYS.iter().zip(&known.bundle) {
        let value = match value {
            Some(value) => one_line(value),
            None if *key == "compatible" => "(null)".to_owned(),
            None => continue,
        };
        let _ = write!(to, "\n              {key}={value}");
    }
    if let Some((digest, size)) = &known.checksum {
        let _ = write!(
            to,
            "\n          checksum:\n              sha256={}\n              size={}",
            one_line(digest),
            long_size(*size)
        );
    }
    to.push_str("\n          installed:");
    let stamp = |to: &mut String, (at, count): &(String, u32)| {
        let at = one_line(at);
        let _ = write!(to, "\n              timestamp={at}\n              count={count}");
    };
    if let Some(installed) = &known.installed {
        stamp(to, installed);
    }
    if let Some(transaction) = &known.transaction {
        let _ = write!(to, "\n              transaction={}", one_line(transaction));
    }
    if let Some(activated) = &known.activated {
        to.push_str("\n          activated:");
        stamp(to, activated);
    }
    if let Some(status) = &known.status {
        let _ = write!(to, "\n          status={}", one_line(status));
    }
}

fn readable_repository(to: &mut String, repository: &RepositoryView) {
    let name = repository.name.as_deref().map(one_line).unwrap_or_default();
    let path = repository.path.as_deref().map(one_line).unwrap_or_default();
    let _ = writeln!(to, "{BOLD}[{name}]{PLAIN} ({path})");
    if let Some(kind) = &repository.repository_type {
        let _ = writeln!(to, "  type: {kind}");
    }
    if let Some(class) = &repository.parent_class {
        let _ = writeln!(to, "  parent class: {}", one_line(class));
    }
    let none = if repository.artifacts.is_empty() { " (none)" } else { "" };
    let _ = writeln!(to, "  artifacts:{none}");
    for artifact in &repository.artifacts {
        let name = artifact.name.as_deref().map(one_line).unwrap_or_default();
        let _ = writeln!(to, "    {BOLD}[{name}]{PLAIN}");
        for instance in &artifact.instances {
            if let Some(checksum) = &instance.checksum {
                let _ = writeln!(to, "      checksum: {}", one_line(checksum));
            }
            let references = one_line(&instance.references.join(" "));
            let _ = match (&repository.parent_class, instance.references.is_empty()) {
                (None, false) => writeln!(to, "        active"),
                (None, true) => writeln!(to, "        inactive"),
                (Some(_), false) => writeln!(to, "        references: '{references}'"),
                (Some(_), true) => writeln!(to, "        references: (none)"),
            };
        }
    }
}

/// `1 2 3` up to `count`.
fn numbers(count: usize) -> String {
    (1..=count).map(|number| number.to_string()).collect::<Vec<_>>().join(" ")
}

fn shell(view: &StatusView, detail: Detail) -> String {
    let mut text = ShellText::default();
    let primary = view.primary().map_or("(null)", |slot| &slot.name);
    text.set("RAUC_SYSTEM_COMPATIBLE", &view.compatible);
    text.set("RAUC_SYSTEM_VARIANT", &view.variant);
    text.set("RAUC_SYSTEM_VERSION", &view.system_version);
    text.set("RAUC_SYSTEM_BOOTED_BOOTNAME", &view.boot_slot);
    text.set("RAUC_BOOT_PRIMARY", primary);
    let names: Vec<&str> = view.slots.iter().map(|slot| slot.name.as_str()).collect();
    text.set("RAUC_SYSTEM_SLOTS", &names.join(" "));
    text.set("RAUC_SLOTS", &numbers(names.len()));
    for (at, slot) in view.slots.iter().enumerate() {
        let number = at + 1;
        let status = if slot.bootname.is_some() { &*slot.boot_status } else { "" };
        for (name, value) in [
            ("STATE", &*slot.state),
            ("CLASS", &slot.class),
            ("DEVICE", &slot.device),
            ("TYPE", &slot.slot_type),
            ("BOOTNAME", slot.bootname.as_deref().unwrap_or_default()),
            ("PARENT", slot.parent.as_deref().unwrap_or_default()),
            ("MOUNTPOINT", slot.mount_point.as_deref().unwrap_or_default()),
            ("BOOT_STATUS", status),
        ] {
            text.set_at(&format!("RAUC_SLOT_{name}"), number, value);
        }
        if detail == Detail::Full {
            shell_installed(&mut text, number, &slot.installed);
        }
    }
    shell_repositories(&mut text, &view.repositories);
    text.finish()
}

fn shell_installed(text: &mut ShellText, number: usize, known: &InstalledView) {
    let mut set = |name: &str, value: &str| {
        text.set_at(&format!("RAUC_SLOT_STATUS_{name}"), number, value);
    };
    for (key, value) in BUNDLE_KEYS.iter().zip(&known.bundle) {
        let key = key.to_ascii_uppercase();
        set(&format!("BUNDLE_{key}"), value.as_deref().unwrap_or_default());
    }
    let (digest, size) = known.checksum.clone().unwrap_or_default();
    set("CHECKSUM_SHA256", &digest);
    set("CHECKSUM_SIZE", &size.to_string());
    for (name, stamp) in [("INSTALLED", &known.installed), ("ACTIVATED", &known.activated)] {
        let (at, count) = stamp.clone().unwrap_or_default();
        set(&format!("{name}_TIMESTAMP"), &at);
        set(&format!("{name}_COUNT"), &count.to_string());
    }
    set("STATUS", known.status.as_deref().unwrap_or_default());
}

fn shell_repositories(text: &mut ShellText, repositories: &[RepositoryView]) {
    for (at, repository) in repositories.iter().enumerate() {
        let number = at + 1;
        for (name, value) in [
            ("NAME", &repository.name),
            ("PATH", &repository.path),
            ("TYPE", &repository.repository_type),
            ("PARENT_CLASS", &repository.parent_class),
        ] {
            if let Some(value) = value {
                text.set_at(&format!("RAUC_REPO_{name}"), number, value);
            }
        }
        for (at, artifact) in repository.artifacts.iter().enumerate() {
            let place = format!("{number}_{}", at + 1);
            let name = artifact.name.as_deref().unwrap_or_default();
            text.set(&format!("RAUC_REPO_ARTIFACT_NAME_{place}"), name);
            for (at, instance) in artifact.instances.iter().enumerate() {
                let start = "RAUC_REPO_ARTIFACT_INSTANCE";
                let place = format!("{place}_{}", at + 1);
                let checksum = instance.checksum.as_deref().unwrap_or_default();
                text.set(&format!("{start}_CHECKSUM_{place}"), checksum);
                if repository.parent_class.is_some() {
                    let references = instance.references.join(" ");
                    text.set(&format!("{start}_REFERENCES_{place}"), &references);
                } else {
                    let active = if instance.references.is_empty() { "0" } else { "1" };
                    text.set(&format!("{start}_ACTIVE_{place}"), active);
                }
            }
            let count = numbers(artifact.instances.len());
            text.set(&format!("RAUC_REPO_ARTIFACT_INSTANCES_{place}"), &count);
        }
        text.set_at("RAUC_REPO_ARTIFACTS", number, &numbers(repository.artifacts.len()));
    }
    text.set("RAUC_REPOS", &numbers(repositories.len()));
}

fn json(view: &StatusView, detail: Detail) -> Json {
    let slots = view.slots.iter().map(|slot| json_slot(slot, detail)).collect();
    let repositories = view.repositories.iter().map(json_repository).collect();
    Json::object(vec![
        ("compatible", Json::from(&*view.compatible)),
        ("variant", Json::from(&*view.variant)),
        ("system_version", Json::from(&*view.system_version)),
        ("booted", Json::from(&*view.boot_slot)),
        ("boot_primary", Json::maybe(view.primary().map(|slot| &*slot.name))),
        ("slots", Json::List(slots)),
        ("artifact-repositories", Json::List(repositories)),
    ])
}

fn json_slot(slot: &SlotView, detail: Detail) -> Json {
    let boot_status = slot.bootname.as_ref().map(|_| &*slot.boot_status);
    let mut members = vec![
        ("class", Json::from(&*slot.class)),
        ("device", Json::from(&*slot.device)),
        ("type", Json::from(&*slot.slot_type)),
        ("bootname", Json::maybe(slot.bootname.as_deref())),
        ("state", Json::from(&*slot.state)),
        ("parent", Json::maybe(slot.parent.as_deref())),
        ("mountpoint", Json::maybe(slot.mount_point.as_deref())),
        ("boot_status", Json::maybe(boot_status)),
    ];
    if detail == Detail::Full {
        members.push(("slot_status", json_installed(&slot.installed)));
    }
    Json::object(vec![(slot.name.clone(), Json::object(members))])
}

fn json_installed(known: &InstalledView) -> Json {
    let mut bundle = Vec::new();
    for (key, value) in BUNDLE_KEYS.iter().zip(&known.bundle) {
        if value.is_some() || *key == "compatible" {
            bundle.push((*key, Json::maybe(value.as_deref())));
        }
    }
    let mut members = vec![("bundle", Json::object(bundle))];
    if let Some((digest, size)) = &known.checksum {
        let checksum =
            vec![("sha256", Json::from(&**digest)), ("size", Json::Number((*size).into()))];
        members.push(("checksum", Json::object(checksum)));
    }
    for (key, stamp) in [("installed", &known.installed), ("activated", &known.activated)] {
        if let Some((at, count)) = stamp {
            let stamp =
                vec![("timestamp", Json::from(&**at)), ("count", Json::Number((*count).into()))];
            members.push((key, Json::object(stamp)));
        }
    }
    if let Some(status) = &known.status {
        members.push(("status", Json::from(&**status)));
    }
    Json::object(members)
}

fn json_repository(repository: &RepositoryView) -> Json {
    let mut members = Vec::new();
    for (key, value) in [
        ("name", &repository.name),
        ("description", &repository.description),
        ("path", &repository.path),
        ("type", &repository.repository_type),
        ("parent-class", &repository.parent_class),
    ] {
        if let Some(value) = value {
            members.push((key, Json::from(&**value)));
        }
    }
    let artifacts = repository.artifacts.iter().map(|artifact| {
        let instances = artifact.instances.iter().map(|instance| {
            Json::object(vec![
                ("checksum", Json::maybe(instance.checksum.as_deref())),
                ("references", Json::texts(&instance.references)),
            ])
        });
        Json::object(vec![
            ("name", Json::maybe(artifact.name.as_deref())),
            ("instances", Json::List(instances.collect())),
        ])
    });
    members.push(("artifacts", Json::List(artifacts.collect())));
    Json::object(members)
}

#[cfg(test)]
#[path = "status_text_tests.rs"]
mod tests;
