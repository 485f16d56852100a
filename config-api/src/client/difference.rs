// SPDX-License-Identifier: MIT OR Apache-2.0
//! What would change on a device if one configuration took another's place: which files of the
//! rendered tree, which parts of the system, and which services start anew, by the rule that the
//! device itself goes by ([`crate::appliers::causes`]). Names, never contents: these may be secrets.

use crate::CONFIG_DIR;
use crate::activate::{ActivationPlan, ServiceUnit};
use crate::appliers::{
    Cause, RuntimeUnits, Unit, UnitMode, UpdateWay, causes, plan_agents, read_settings,
};
use crate::input::Spool;
use crate::tree::{Content, Tree};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// The contents of a bundle's `files/`, by their paths.
pub type PayloadDigests = BTreeMap<String, [u8; 32]>;

/// One of the two configurations.
#[derive(Clone, Copy, Debug)]
pub struct Side<'t> {
    /// What it becomes.
    pub tree: &'t Tree,
    /// What it brings in `files/`; nothing where that is not known.
    pub payload: Option<&'t PayloadDigests>,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileAct {
    /// It is new.
    Added,
    /// It goes.
    Removed,
    /// It has another content.
    Changed,
}

/// A file that is another afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileChange {
    /// What becomes of it.
    pub act: FileAct,
    /// Below `/data/config`.
    pub path: String,
}

/// What becomes of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceAct {
    /// It is new.
    Starts,
    /// It starts anew.
    Restarts,
    /// It goes.
    Stops,
}

/// A service that does not simply run on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ServiceChange {
    /// What becomes of it.
    pub act: ServiceAct,
    /// Its name.
    pub service: String,
    /// Who runs it.
    pub mode: UnitMode,
    /// Why.
    pub causes: Vec<String>,
}

/// A difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Files, by their paths.
    pub files: Vec<FileChange>,
    /// Whether `files/` of one side is not known.
    pub payload_unknown: bool,
    /// Parts of the system that are applied anew.
    pub parts: Vec<&'static str>,
    /// Services.
    pub services: Vec<ServiceChange>,
    /// The device's address on its LAN before and after, where it moves.
    pub moves: Option<(String, String)>,
    /// Who tells of updates before and after, where that is somebody else.
    pub told_by: Option<(&'static str, &'static str)>,
}

impl Difference {
    /// Whether no file of the one is another in the other.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.payload_unknown
    }
}

/// The list of units.
const RUNTIME: &str = "quadlet-runtime.json";

/// The parts of the system that read these files.
const PARTS: [(&str, &[&str]); 4] = [
    ("accounts", &["users.json", "ssh-authorized-keys/", "admin-signers"]),
    ("network", &["host-network.json", "lan-settings.json"]),
    ("firewall", &["firewall-inbound.json"]),
    ("updates", &["os-upgrade.json"]),
];

/// What is different.
#[must_use]
pub fn compare(before: Side<'_>, after: Side<'_>) -> Difference {
    let (old, new) = (leaves(before), leaves(after));
    let paths: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let act = |path: &str| match (old.get(path), new.get(path)) {
        (None, Some(_)) => Some(FileAct::Added),
        (Some(_), None) => Some(FileAct::Removed),
        (Some(one), Some(other)) if one != other => Some(FileAct::Changed),
        (Some(_) | None, _) => None,
    };
    let files: Vec<FileChange> = paths
        .into_iter()
        .filter_map(|path| Some(FileChange { act: act(path)?, path: path.to_owned() }))
        .collect();
    let names = |part: &[&str]| {
        files.iter().any(|file| part.iter().any(|name| file.path.starts_with(name)))
    };
    let parts = PARTS.iter().filter(|(_, files)| names(files)).map(|(part, _)| *part).collect();
    // A device that has no `files/` and gets none is told by nobody; most have none.
    let payload_unknown = before.payload.is_none() != after.payload.is_none()
        && [before.tree, after.tree].into_iter().any(uses_files);
    if files.is_empty() && !payload_unknown {
        // What starts anew with every configuration does so with none that is another.
        return Difference::default();
    }
    let files_differ = payload_unknown || files.iter().any(|file| file.path.starts_with("files/"));
    Difference {
        services: services(before.tree, after.tree, files_differ),
        moves: moves(before.tree, after.tree),
        told_by: told_by(before.tree, after.tree),
        files,
        payload_unknown,
        parts,
    }
}

/// Reads the contents of `files/` once.
///
/// # Errors
/// When the spool cannot be read.
pub fn payload_digests(tree: &Tree, spool: &mut Spool) -> io::Result<PayloadDigests> {
    let mut digests = PayloadDigests::new();
    for (path, entry) in tree.iter() {
        if let Content::Payload { member, .. } = &entry.content {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(spool.open(*member)?)?;
            digests.insert(path.to_owned(), *hasher.finalize().as_bytes());
        }
    }
    Ok(digests)
}

/// Whether it has `files/`, or a unit that reads them.
fn uses_files(tree: &Tree) -> bool {
    let place = format!("{CONFIG_DIR}/files");
    let names_it = |path: &str| {
        let bytes = tree.bytes(path).unwrap_or_default();
        path.starts_with("quadlet/") && String::from_utf8_lossy(bytes).contains(&place)
    };
    tree.iter().any(|(path, _)| path.starts_with("files/") || names_it(path))
}

/// Every file with what it is compared by. Without a payload on one side `files/` is left out.
fn leaves(side: Side<'_>) -> BTreeMap<&str, [u8; 32]> {
    let digest = |path: &str, content: &Content| match content {
        Content::Directory => None,
        Content::Bytes(bytes) => Some(*blake3::hash(bytes).as_bytes()),
        Content::Payload { .. } => side.payload.and_then(|digests| digests.get(path)).copied(),
    };
    side.tree
        .iter()
        .filter_map(|(path, entry)| Some((path, digest(path, &entry.content)?)))
        .collect()
}

fn units(tree: &Tree) -> BTreeMap<Unit, Vec<u8>> {
    let bytes = tree.bytes(RUNTIME).unwrap_or_default();
    // A tree of our own rendering: it has the file, and only units that are ones.
    let listed: RuntimeUnits = read_settings(RUNTIME, bytes).unwrap_or_default();
    let unit = |listed: &crate::appliers::RuntimeUnit| {
        let unit = Unit::parse(listed.mode, &listed.filename)?;
        let content = tree.bytes(&format!("quadlet/{}", listed.filename))?;
        Some((unit, content.to_vec()))
    };
    listed.units.iter().filter_map(unit).collect()
}

fn services(before: &Tree, after: &Tree, files_differ: bool) -> Vec<ServiceChange> {
    let (old, new) = (units(before), units(after));
    let file = |name: &str| after.bytes(name).unwrap_or_default();
    let plan = ActivationPlan::parse(file("activation-policy.json"), file(RUNTIME));
    let listed = plan.map(|plan| plan.restart).unwrap_or_default();
    let mut changes = Vec::new();
    for unit in old.keys().filter(|unit| !new.contains_key(*unit)) {
        changes.push(change(unit, ServiceAct::Stops, Vec::new()));
    }
    for unit in new.keys() {
        let found = causes(unit, &old, &new, files_differ);
        let act = match found.first() {
            Some(Cause::New) => ServiceAct::Starts,
            Some(_) | None => ServiceAct::Restarts,
        };
        let mut causes: Vec<String> = found.iter().map(words).collect();
        let service = ServiceUnit { mode: unit.mode, name: unit.service() };
        if listed.contains(&service) && act == ServiceAct::Restarts {
            causes.push("activation.restart names it".to_owned());
        }
        if !causes.is_empty() {
            changes.push(change(unit, act, causes));
        }
    }
    changes.sort();
    changes
}

fn change(unit: &Unit, act: ServiceAct, causes: Vec<String>) -> ServiceChange {
    ServiceChange { act, service: unit.service(), mode: unit.mode, causes }
}

fn words(cause: &Cause) -> String {
    match cause {
        Cause::New => "it is new".to_owned(),
        Cause::Unit => "its unit is another".to_owned(),
        Cause::Files => "it reads the configuration's files".to_owned(),
        Cause::Through(unit) => format!("it is made with {unit}"),
    }
}

#[derive(serde::Deserialize)]
struct Lan {
    gateway_ip: String,
}

fn moves(before: &Tree, after: &Tree) -> Option<(String, String)> {
    let address = |tree: &Tree| -> Option<String> {
        let lan: Lan = serde_json::from_slice(tree.bytes("lan-settings.json")?).ok()?;
        Some(lan.gateway_ip)
    };
    let (old, new) = (address(before)?, address(after)?);
    (old != new).then_some((old, new))
}

/// The one agent stops and the other starts, which the list of files does not say.
fn told_by(before: &Tree, after: &Tree) -> Option<(&'static str, &'static str)> {
    let way = |tree: &Tree| {
        let plan = plan_agents(tree.bytes("os-upgrade.json")).ok();
        plan.map_or(UpdateWay::Nobody, |plan| plan.way).as_str()
    };
    let (old, new) = (way(before), way(after));
    (old != new).then_some((old, new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Payload;
    use crate::model::validate;
    use crate::render::render;

    const TEXT: &str = r#"version = 1
[users.admin]
isAdmin = true
ssh_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f admin"
[activation]
required = ["web"]
[containers.container.web]
privileged = false
[containers.container.web.Container]
Image = "docker.io/library/nginx:1"
[containers.container.db]
privileged = false
[containers.container.db.Container]
Image = "docker.io/library/postgres:16"
"#;

    fn tree(text: &str) -> Tree {
        let checked = validate(text.as_bytes());
        let checked = checked.unwrap_or_else(|faults| panic!("{:?}", faults.list()));
        render(&checked.config, text.as_bytes(), &Payload::default(), CONFIG_DIR)
    }

    fn between(before: &str, after: &str) -> Difference {
        let (before, after) = (tree(before), tree(after));
        let none = PayloadDigests::new();
        let side = |tree| Side { tree, payload: Some(&none) };
        compare(side(&before), side(&after))
    }

    #[test]
    fn one_image_changes_one_unit_and_restarts_one_service() {
        let found = between(TEXT, &TEXT.replace("postgres:16", "postgres:17"));
        let paths: Vec<&str> = found.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["config.toml", "quadlet/db.container"]);
        let services: Vec<&str> = found.services.iter().map(|one| one.service.as_str()).collect();
        assert_eq!(services, ["db.service"]);
        assert_eq!((found.parts.len(), found.moves.clone()), (0, None));
        assert!(between(TEXT, TEXT).is_empty() && between(TEXT, TEXT).services.is_empty());
    }

    #[test]
    fn a_container_less_stops_and_one_more_starts() {
        let (start, _) = TEXT.split_once("[containers.container.db]").unwrap();
        let acts = |found: &Difference| {
            found.services.iter().map(|one| (one.act, one.service.clone())).collect::<Vec<_>>()
        };
        assert_eq!(acts(&between(TEXT, start)), [(ServiceAct::Stops, "db.service".to_owned())]);
        assert_eq!(acts(&between(start, TEXT)), [(ServiceAct::Starts, "db.service".to_owned())]);
    }

    #[test]
    fn another_address_is_told_with_the_parts_that_read_it() {
        let moved = TEXT.replace(
            "[activation]",
            "[network.dnsmasq]\ngateway_cidr = \"10.9.8.1/24\"\ndhcp_start = \"10.9.8.10\"\n\
             dhcp_end = \"10.9.8.99\"\n[activation]",
        );
        let found = between(TEXT, &moved);
        assert_eq!(found.parts, ["network"]);
        assert_eq!(found.moves, Some(("172.20.30.1".to_owned(), "10.9.8.1".to_owned())));
        let listed =
            TEXT.replace("required = [\"web\"]", "required = [\"web\"]\nrestart = [\"db\"]");
        let found = between(TEXT, &listed);
        assert_eq!(found.services[0].causes, ["activation.restart names it"]);
    }

    #[test]
    fn who_tells_of_updates_is_told_where_it_is_somebody_else() {
        let with = |lines: &str| format!("{TEXT}[os_upgrade]\n{lines}");
        let poll = with("server_url = \"https://u.example\"\n");
        let hawkbit = with(
            "mode = \"hawkbit\"\n[os_upgrade.hawkbit]\nurl = \"https://h.example\"\n\
             target_token_file = \"/data/config/hawkbit/token\"\n",
        );
        let told = |before: &str, after: &str| {
            let found = between(before, after);
            assert_eq!((found.parts, found.services.len()), (vec!["updates"], 0));
            found.told_by
        };
        assert_eq!(told(TEXT, &poll), Some(("nobody", "polling")));
        assert_eq!(told(&poll, &hawkbit), Some(("polling", "hawkBit")));
        assert_eq!(told(&hawkbit, TEXT), Some(("hawkBit", "nobody")));
        assert_eq!(told(&poll, &poll.replace("u.example", "v.example")), None);
    }

    #[test]
    fn one_configuration_is_no_other_even_where_it_names_what_always_starts_anew() {
        let mount = "Image = \"docker.io/library/nginx:1\"\nVolume = \"${FILES_DIR}/a:/a:ro\"";
        let text = TEXT
            .replace("required = [\"web\"]", "required = [\"web\"]\nrestart = [\"db\"]")
            .replace("Image = \"docker.io/library/nginx:1\"", mount);
        assert_eq!(between(&text, &text), Difference::default());
        let causes = |found: &Difference| {
            found.services.iter().flat_map(|one| one.causes.clone()).collect::<Vec<_>>()
        };
        let found = between(&text, &text.replace("isAdmin = true", "isAdmin = true # one"));
        let both = ["activation.restart names it", "it reads the configuration's files"];
        assert_eq!(causes(&found), both, "with any other text they do");
    }

    #[test]
    fn files_that_a_device_does_not_give_out_are_not_called_the_same() {
        let mount = "Image = \"docker.io/library/nginx:1\"\nVolume = \"${FILES_DIR}/a:/a:ro\"";
        let none = PayloadDigests::new();
        for (text, is_unknown) in [
            (TEXT.replace("Image = \"docker.io/library/nginx:1\"", mount), true),
            (TEXT.to_owned(), false),
        ] {
            let tree = tree(&text);
            let before = Side { tree: &tree, payload: None };
            let found = compare(before, Side { tree: &tree, payload: Some(&none) });
            assert_eq!((found.payload_unknown, found.is_empty()), (is_unknown, !is_unknown));
            assert_eq!((found.files.len(), found.services.is_empty()), (0, !is_unknown));
        }
    }
}
