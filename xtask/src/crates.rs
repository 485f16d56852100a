// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which crates are in the programs of an image? Those that cargo compiles for the board, with the
//! features of that build: never the whole lock file. Written as CycloneDX has components and their
//! graph, so that both ways of building an image only copy them; `cargo tree` is the source, and
//! whoever changes a dependency is told here.
//!
//! What a build script needs is not in a program, and so not listed; what a procedural macro wrote is.

use crate::error::TaskError;
use crate::program::Program;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Lists by their file: the packages that are built together.
const LISTS: [(&str, &[&str]); 2] = [
    ("atomix/dist/crates/atomix.json", &["atomix"]),
    ("atomix/dist/crates/system.json", &["atomix", "atomix-repart", "config-api"]),
];
/// The boards' system.
const TARGET: &str = "aarch64-unknown-linux-gnu";
const LOCK: &str = "Cargo.lock";

/// A crate by name and version.
type Key = (String, String);

#[derive(Debug, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Debug, Deserialize)]
struct Locked {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// What `cargo tree` says.
#[derive(Debug, Default)]
struct Tree {
    licences: BTreeMap<Key, String>,
    uses: BTreeMap<Key, BTreeSet<Key>>,
    roots: BTreeSet<Key>,
}

/// Compares the lists with what cargo says now; with `UPDATE=1` in the environment they are written.
pub fn check() -> Result<(), TaskError> {
    let lock: Lock = toml::from_str(&read(Path::new(LOCK))?)
        .map_err(|source| TaskError::Policy { path: LOCK.into(), source })?;
    let checksums: BTreeMap<Key, String> = lock
        .package
        .into_iter()
        .filter_map(|one| Some(((one.name, one.version), one.checksum?)))
        .collect();
    let mut violations = Vec::new();
    for (path, packages) in LISTS {
        let text = list(&tree_of(packages)?, &checksums);
        if std::env::var_os("UPDATE").is_some() {
            write(Path::new(path), &text)?;
        } else if read(Path::new(path))? != text {
            violations.push(format!(
                "{path} is not what cargo builds: UPDATE=1 cargo xtask test \"workspace rules\""
            ));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(TaskError::Rules { violations }) }
}

fn tree_of(packages: &[&str]) -> Result<Tree, TaskError> {
    let mut words = vec!["tree", "--locked", "--edges", "normal", "--target", TARGET];
    words.extend(["--prefix", "depth", "--no-dedupe", "--format", "|{p}|{l}"]);
    for package in packages {
        words.extend(["--package", package]);
    }
    let printed = Program::new("cargo", &words).output()?;
    Ok(parse_tree(&String::from_utf8_lossy(&printed)))
}

/// Each line is a depth, a crate and its licence, behind the line of what uses it.
fn parse_tree(printed: &str) -> Tree {
    let mut tree = Tree::default();
    let mut above: Vec<Key> = Vec::new();
    for line in printed.lines() {
        let mut fields = line.split('|');
        let depth = fields.next().and_then(|digits| digits.parse::<usize>().ok());
        let mut words = fields.next().unwrap_or_default().split_whitespace();
        let (Some(depth), Some(name), Some(version)) = (depth, words.next(), words.next()) else {
            continue;
        };
        let key = (name.to_owned(), version.trim_start_matches('v').to_owned());
        above.truncate(depth);
        match above.last() {
            Some(user) => tree.uses.entry(user.clone()).or_default().insert(key.clone()),
            None => tree.roots.insert(key.clone()),
        };
        tree.licences.insert(key.clone(), spdx(fields.next().unwrap_or_default()));
        above.push(key);
    }
    tree
}

/// Older crates have a slash where SPDX has `OR`.
fn spdx(licence: &str) -> String {
    licence.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

/// Of what a version may have, a package URL wants `+` alone encoded.
fn reference((name, version): &Key) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

fn list(tree: &Tree, checksums: &BTreeMap<Key, String>) -> String {
    let components = tree.licences.iter().map(|(key, licence)| {
        let kind = if tree.roots.contains(key) { "application" } else { "library" };
        let mut component = json!({
            "type": kind, "bom-ref": reference(key), "name": key.0, "version": key.1,
            "licenses": [{"expression": licence}],
        });
        // Ours have no checksum and no URL: who looked under their name in the registry would find another's.
        if let (Some(checksum), Some(fields)) = (checksums.get(key), component.as_object_mut()) {
            fields.insert("purl".to_owned(), json!(reference(key)));
            let hash = json!([{"alg": "SHA-256", "content": checksum}]);
            fields.insert("hashes".to_owned(), hash);
        }
        component
    });
    let graph = tree.licences.keys().map(|key| {
        let uses: Vec<String> = tree.uses.get(key).into_iter().flatten().map(reference).collect();
        json!({"ref": reference(key), "dependsOn": uses})
    });
    let roots = tree.roots.iter().map(|key| json!(reference(key)));
    format!(
        "{{\n\"components\": [\n{}\n],\n\"dependencies\": [\n{}\n],\n\"programs\": [\n{}\n]\n}}\n",
        lines(components),
        lines(graph),
        lines(roots)
    )
}

fn lines(values: impl Iterator<Item = Value>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(",\n")
}

#[expect(clippy::disallowed_methods, reason = "a maintainer's tool reads its own checkout")]
fn read(path: &Path) -> Result<String, TaskError> {
    std::fs::read_to_string(path)
        .map_err(|source| TaskError::Read { path: path.to_owned(), source })
}

#[expect(clippy::disallowed_methods, reason = "a maintainer's tool writes its own checkout")]
fn write(path: &Path, text: &str) -> Result<(), TaskError> {
    Ok(std::fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_its_crates_and_who_uses_whom() {
        let tree = parse_tree(
            "0|ours v0.1.0 (/here)|MIT\n1|a v1.0.0+x|MIT/Apache-2.0\n2|c v2.0.0 (proc-macro)|ISC\n\
             1|b v1.0.0|ISC\n\n0|other v0.1.0 (/here)|MIT\n1|b v1.0.0|ISC\n",
        );
        let a = ("a".to_owned(), "1.0.0+x".to_owned());
        let text = list(&tree, &BTreeMap::from([(a, "00ff".to_owned())]));
        let list: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(list["components"].as_array().unwrap().len(), 5);
        let a = &list["components"][0];
        assert_eq!(a["purl"], "pkg:cargo/a@1.0.0%2Bx");
        assert_eq!(a["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(a["hashes"][0]["content"], "00ff");
        assert!(list["components"][4].get("purl").is_none());
        let uses: Vec<_> = list["dependencies"].as_array().unwrap().iter().collect();
        assert_eq!(uses[0]["dependsOn"], json!(["pkg:cargo/c@2.0.0"]));
        let ours = uses.iter().find(|one| one["ref"] == "pkg:cargo/ours@0.1.0").unwrap();
        assert_eq!(ours["dependsOn"], json!(["pkg:cargo/a@1.0.0%2Bx", "pkg:cargo/b@1.0.0"]));
        assert_eq!(list["programs"], json!(["pkg:cargo/other@0.1.0", "pkg:cargo/ours@0.1.0"]));
    }
}
