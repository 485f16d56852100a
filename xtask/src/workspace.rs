// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rules that the checkout holds itself to, checked over `cargo metadata` of both workspaces (the
//! rooms' and the fuzz targets'), offline: rooms use only rooms below them, every package has a
//! licence that we may ship and stands there in one version, and all come from one registry. No file
//! of tests is forgotten.

use crate::error::TaskError;
use crate::policy::Policy;
use crate::program::Program;
use crate::test_modules;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The rooms, lowest first: a room may use only rooms that stand before it.
const ROOMS: [&str; 13] = [
    "programs",
    "storage",
    "uboot",
    "bundle",
    "bootctl",
    "repart",
    "atomix-repart",
    "verifier",
    "updater",
    "config-api",
    "agents",
    "board-rock64",
    "atomix",
];

/// Packages that stand outside the house: they may use every room, and no room may use them.
const OUTSIDE: [&str; 12] = [
    "xtask",
    "conformance",
    "ddi",
    "e2e",
    "fleet",
    "gateway",
    "model",
    "nix-checks",
    "powercut",
    "quadlet",
    "roundtrip",
    "atomix-fuzz",
];

/// The program of the initrd, and what it must not drag in: TLS, D-Bus, asynchronous runtimes. Each
/// stands for the many crates that come along with it.
const LIGHT: &str = "atomix-repart";
const HEAVY: [&str; 14] = [
    "async-executor",
    "async-io",
    "async-std",
    "bundle",
    "futures-util",
    "native-tls",
    "openssl",
    "openssl-sys",
    "polling",
    "ring",
    "rustls",
    "smol",
    "tokio",
    "zbus",
];

/// The system that the initrd's program is for.
const TARGET: &str = "aarch64-unknown-linux-gnu";

/// The manifests of the workspaces.
const WORKSPACES: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// Checks all rules.
pub fn check() -> Result<(), TaskError> {
    let policy = Policy::read()?;
    let mut violations = BTreeSet::new();
    let mut duplicates = BTreeSet::new();
    let mut registries = BTreeSet::new();
    for manifest in WORKSPACES {
        let arguments = ["metadata", "--format-version", "1", "--manifest-path", manifest];
        let printed = Program::new("cargo", &arguments).output()?;
        let metadata: Value = serde_json::from_slice(&printed)?;
        let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
        violations.extend(packages.iter().flat_map(|package| check_package(package, &policy)));
        registries
            .extend(packages.iter().filter_map(|one| one["source"].as_str()).map(str::to_owned));
        duplicates.extend(duplicates_of(packages));
    }
    violations.extend(check_light(&resolved_for(TARGET)?));
    violations.extend(check_registries(&registries));
    violations.extend(check_duplicates(&duplicates, &policy));
    violations.extend(test_modules::forgotten(Path::new("."))?);
    let violations: Vec<String> = violations.into_iter().collect();
    if violations.is_empty() { Ok(()) } else { Err(TaskError::Rules { violations }) }
}

fn check_package(package: &Value, policy: &Policy) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    let licence = package["license"].as_str().unwrap_or_default();
    let mut violations = Vec::new();
    if !policy.licence_allowed(name, licence) {
        violations.push(format!("{name}: licence {licence:?} is not on the list of deny.toml"));
    }
    match package["source"].as_str() {
        None => check_ours(name, package, &mut violations),
        Some(source) if source.starts_with("registry+") => {}
        Some(source) => violations.push(format!("{name}: comes from {source}")),
    }
    violations
}

/// A package of this checkout.
fn check_ours(name: &str, package: &Value, violations: &mut Vec<String>) {
    let own = ROOMS.iter().position(|room| *room == name);
    if own.is_none() && !OUTSIDE.contains(&name) {
        violations.push(format!("{name} has no place among the rooms (xtask/src/workspace.rs)"));
    }
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let used = dependency["name"].as_str().unwrap_or_default();
        if dependency["req"].as_str() == Some("*") && dependency["path"].is_null() {
            violations.push(format!("{name}: {used} has no version"));
        }
        // Cargo names a registry here only when it is not the default one.
        if let Some(registry) = dependency["registry"].as_str() {
            violations.push(format!("{name}: {used} comes from the registry {registry}"));
        }
        if dependency["kind"].as_str() == Some("dev") {
            continue;
        }
        let Some(own) = own else { continue };
        let other = ROOMS.iter().position(|room| *room == used);
        if OUTSIDE.contains(&used) || other.is_some_and(|other| other >= own) {
            violations.push(format!("{name} uses {used}, which is not below it"));
        }
    }
}

/// The graph of what is compiled for one system: the whole graph would count what `uuid` needs in a
/// browser.
fn resolved_for(target: &str) -> Result<Value, TaskError> {
    let arguments = ["metadata", "--format-version", "1", "--filter-platform", target];
    let metadata: Value = serde_json::from_slice(&Program::new("cargo", &arguments).output()?)?;
    Ok(metadata["resolve"].clone())
}

/// Everything that the initrd's program links, by the resolved graph: development dependencies are
/// not in it.
fn check_light(resolve: &Value) -> Vec<String> {
    let mut uses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in resolve["nodes"].as_array().into_iter().flatten() {
        let linked = node["deps"].as_array().into_iter().flatten().filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array();
            kinds.into_iter().flatten().any(|kind| kind["kind"].is_null())
        });
        let linked = linked.filter_map(|dependency| dependency["pkg"].as_str()).collect();
        uses.insert(node["id"].as_str().unwrap_or_default(), linked);
    }
    let Some(start) = uses.keys().find(|id| name_in(id) == LIGHT) else {
        return vec![format!("{LIGHT} is gone: correct the rule about it")];
    };
    let mut open = vec![*start];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(uses.get(id).into_iter().flatten());
        }
    }
    let heavy = seen.into_iter().map(name_in).filter(|name| HEAVY.contains(name));
    heavy.map(|name| format!("{LIGHT} links {name}, which no initrd should carry")).collect()
}

/// The package's name in an identity: `registry+URL#name@1.2.3`, `path+file:///dir/name#1.2.3`.
fn name_in(id: &str) -> &str {
    let (place, fragment) = id.rsplit_once('#').unwrap_or(("", id));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or_default(),
    }
}

/// Our own manifests ask the default registry alone, and its packages can only name packages of
/// the same; so two sources mean that one crept in on another way.
fn check_registries(sources: &BTreeSet<String>) -> Option<String> {
    let listed = || sources.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    (sources.len() > 1).then(|| format!("packages come from more than one source: {}", listed()))
}

/// The packages that stand in several versions, as name and version, all but the newest.
fn duplicates_of(packages: &[Value]) -> Vec<(String, String)> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        versions.entry(text("name")).or_default().push(text("version"));
    }
    let mut older = Vec::new();
    for (name, mut versions) in versions {
        versions.sort_by_key(|version| numbers(version));
        versions.pop();
        older.extend(versions.into_iter().map(|version| (name.to_owned(), version.to_owned())));
    }
    older
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

/// Every duplicate has its reason in `deny.toml`, and every reason its duplicate.
fn check_duplicates(found: &BTreeSet<(String, String)>, policy: &Policy) -> Vec<String> {
    let unexplained = found
        .iter()
        .filter(|(name, version)| !policy.duplicate_allowed(name, version))
        .map(|(name, version)| format!("{name} {version} stands beside a newer one"));
    let settled = policy
        .skipped()
        .filter(|skipped| {
            !found.iter().any(|(name, version)| **skipped == format!("{name}@{version}"))
        })
        .map(|skipped| format!("deny.toml allows the duplicate {skipped}, which is gone"));
    unexplained.chain(settled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn policy() -> Policy {
        let text = "[licenses]\nallow = [\"MIT\"]\n[bans]\nskip = [{ crate = \"a@1.9.0\" }]\n";
        Policy::parse(text).unwrap()
    }

    fn ours(name: &str, dependency: &Value) -> Value {
        json!({ "name": name, "license": "MIT", "source": null, "dependencies": [dependency] })
    }

    #[test]
    fn a_package_of_ours_without_a_room_is_refused() {
        let serde = json!({ "name": "serde", "req": "^1" });
        let found = check_package(&ours("shed", &serde), &policy());
        assert_eq!(found, ["shed has no place among the rooms (xtask/src/workspace.rs)"]);
        assert!(check_package(&ours("xtask", &serde), &policy()).is_empty());
    }

    #[test]
    fn rooms_use_neither_rooms_above_them_nor_what_stands_outside() {
        for used in ["updater", "bundle", "xtask"] {
            let found = check_package(
                &ours("bundle", &json!({ "name": used, "req": "*", "path": "." })),
                &policy(),
            );
            assert_eq!(found, [format!("bundle uses {used}, which is not below it")]);
        }
        let below = json!({ "name": "storage", "req": "*", "path": "." });
        assert!(check_package(&ours("bundle", &below), &policy()).is_empty());
        let tests = json!({ "name": "updater", "req": "*", "path": ".", "kind": "dev" });
        assert!(check_package(&ours("bundle", &tests), &policy()).is_empty());
    }

    #[test]
    fn other_sources_than_the_one_default_registry_are_refused() {
        let foreign = json!({ "name": "serde", "req": "^1", "registry": "elsewhere" });
        let found = check_package(&ours("storage", &foreign), &policy());
        assert_eq!(found, ["storage: serde comes from the registry elsewhere"]);
        let git = json!({ "name": "x", "license": "MIT", "source": "git+elsewhere" });
        assert_eq!(check_package(&git, &policy()), ["x: comes from git+elsewhere"]);
        let sources = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(check_registries(&sources(&["registry+a"])), None);
        assert!(check_registries(&sources(&["registry+a", "registry+b"])).is_some());
    }

    #[test]
    fn the_initrds_program_links_neither_tls_nor_an_async_runtime_through_anybody() {
        let node = |id: &str, uses: &[(&str, Value)]| {
            let deps: Vec<Value> = uses
                .iter()
                .map(|(pkg, kind)| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] }))
                .collect();
            json!({ "id": id, "deps": deps })
        };
        let own = "path+file:///somewhere/atomix-repart#0.1.0";
        let (between, tls) =
            ("registry+somewhere#between@1.0.0", "registry+somewhere#openssl@0.10.1");
        let check = |kind: Value, used: &str| {
            let nodes = [node(own, &[(between, kind)]), node(between, &[(used, Value::Null)])];
            check_light(&json!({ "nodes": nodes }))
        };
        let found = check(Value::Null, tls);
        assert_eq!(found, ["atomix-repart links openssl, which no initrd should carry"]);
        assert_eq!(check(Value::Null, "path+file:///somewhere/bundle#0.1.0").len(), 1);
        assert!(check("dev".into(), tls).is_empty(), "tests are not linked");
        assert!(check("build".into(), tls).is_empty(), "build scripts are not linked");
        assert!(check(Value::Null, "registry+somewhere#serde@1.0.0").is_empty());
        assert_eq!(check_light(&json!({ "nodes": [] })).len(), 1, "a rule about nothing");
    }

    #[test]
    fn the_rule_finds_the_program_it_is_about() {
        let names =
            ["path+file:///a/atomix-repart#0.1.0", "path+file:///a/dir#atomix-repart@0.1.0"];
        assert_eq!(names.map(name_in), [LIGHT; 2]);
    }

    #[test]
    fn a_duplicate_needs_a_reason_and_a_reason_its_duplicate() {
        let packages = |versions: &[&str]| {
            let packages: Vec<Value> =
                versions.iter().map(|one| json!({ "name": "a", "version": one })).collect();
            duplicates_of(&packages).into_iter().collect::<BTreeSet<_>>()
        };
        assert!(check_duplicates(&packages(&["1.10.0", "1.9.0"]), &policy()).is_empty());
        let found = check_duplicates(&packages(&["2.0.0", "1.9.0", "1.10.0"]), &policy());
        assert_eq!(found, ["a 1.10.0 stands beside a newer one"]);
        let found = check_duplicates(&packages(&["2.0.0"]), &policy());
        assert_eq!(found, ["deny.toml allows the duplicate a@1.9.0, which is gone"]);
    }
}
