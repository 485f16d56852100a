// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which components are in an image? CycloneDX 1.5, without time and serial number, so that the same
//! image has the same list. Who made the root file system says what is in it: a recipe the packages,
//! Nix the paths of the closure.

use crate::recipe::{RecipeError, tree};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// Longest file of components: a closure has some thousand paths.
const LIST_MAX_BYTES: u64 = 64 << 20;

/// A package that was unpacked.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Unpacked {
    /// Its name.
    pub name: String,
    /// Debian's version of it.
    pub version: String,
    /// The machines it is for, or `all`.
    pub architecture: String,
    /// Of the archive, in hexadecimal digits.
    pub sha256: String,
}

/// A file that its builder brought along.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Brought {
    /// Its place on the device, or what kind of firmware it is.
    pub name: String,
    /// Of its content, in hexadecimal digits.
    pub sha256: String,
}

/// The crates of the program that is put in, as `cargo xtask` lists them.
const CRATES: &str = include_str!("../../dist/crates/atomix.json");

/// The part of a lock file that is read.
#[derive(Debug, Default, Deserialize)]
pub struct Lock {
    #[serde(default)]
    package: Vec<Crate>,
}

#[derive(Debug, Deserialize)]
struct Crate {
    name: String,
    version: String,
    checksum: Option<String>,
}

/// What an image is made of, and the graph of what uses what.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Components {
    /// Each with at least `type`, `bom-ref` and `name`.
    components: Vec<Value>,
    /// Who needs whom: `ref` and `dependsOn`.
    dependencies: Vec<Value>,
    /// What the image itself needs.
    programs: Vec<String>,
}

impl Components {
    /// The crates of this program.
    ///
    /// # Errors
    /// When what was built in is no list.
    pub fn own() -> Result<Self, serde_json::Error> {
        serde_json::from_str(CRATES)
    }

    /// Those that a builder lists in a file.
    ///
    /// # Errors
    /// [`RecipeError`] when it is no such list, or one names what it does not have.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let refused = |what: String| RecipeError::File {
            path: path.to_owned(),
            what,
            hint: "it is JSON with `components`, `dependencies` and `programs`; docs/building.md has them",
        };
        let text = tree::read_text(path, LIST_MAX_BYTES)?;
        let listed: Self = serde_json::from_str(&text)
            .map_err(|source| refused(format!("is no list of components: {source}")))?;
        listed.fault().map_or(Ok(listed), |fault| Err(refused(fault)))
    }

    /// What a reader of the document could make nothing of.
    fn fault(&self) -> Option<String> {
        let mut known = BTreeSet::new();
        for one in &self.components {
            let reference = one["bom-ref"].as_str().unwrap_or_default();
            if reference.is_empty() || !["type", "name"].iter().all(|key| one[key].is_string()) {
                return Some(format!("has a component without type, bom-ref or name: {one}"));
            }
            if !known.insert(reference) {
                return Some(format!("has the component {reference} twice"));
            }
        }
        let used = self.dependencies.iter().flat_map(|one| {
            let needed = one["dependsOn"].as_array().into_iter().flatten();
            std::iter::once(&one["ref"]).chain(needed).map(|word| word.as_str().unwrap_or_default())
        });
        let mut used = self.programs.iter().map(String::as_str).chain(used);
        used.find(|one| !known.contains(one))
            .map(|one| format!("has {one:?} in its graph and no such component"))
    }

    /// The same with packages of Debian.
    #[must_use]
    pub fn with_packages(self, packages: &[Unpacked]) -> Self {
        self.with(packages.iter().map(of_package))
    }

    /// The same with files that no package has.
    #[must_use]
    pub fn with_files(self, files: &[Brought]) -> Self {
        self.with(files.iter().map(|Brought { name, sha256 }| {
            json!({"type": "file", "bom-ref": format!("file:{name}"), "name": name, "hashes": hashes(sha256)})
        }))
    }

    /// The same with files of firmware, whose version nobody says.
    #[must_use]
    pub fn with_firmware(self, files: &[Brought]) -> Self {
        self.with(files.iter().map(|Brought { name, sha256 }| {
            json!({
                "type": "firmware", "bom-ref": format!("firmware:{name}"), "name": name,
                "version": "unknown", "hashes": hashes(sha256),
            })
        }))
    }

    fn with(mut self, others: impl Iterator<Item = Value>) -> Self {
        for one in others {
            self.programs.extend(one["bom-ref"].as_str().map(str::to_owned));
            self.components.push(one);
        }
        self
    }

    /// The document of the image of this name.
    #[must_use]
    pub fn document(self, name: &str, version: &str) -> Value {
        let mut dependencies = vec![json!({"ref": name, "dependsOn": self.programs})];
        dependencies.extend(self.dependencies);
        json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "component": {
                "type": "operating-system", "bom-ref": name, "name": name, "version": version,
            }},
            "components": self.components,
            "dependencies": dependencies,
        })
    }

    /// The first crate of a registry that is not so in this lock file: the program that is put in
    /// would be another than the one that lists its crates.
    #[must_use]
    pub fn strange_to(&self, lock: &Lock) -> Option<String> {
        let is_locked = |one: &Value| {
            lock.package.iter().any(|package| {
                one["name"] == package.name
                    && one["version"] == package.version
                    && package
                        .checksum
                        .as_ref()
                        .is_some_and(|sum| one["hashes"][0]["content"] == *sum)
            })
        };
        let strange =
            self.components.iter().find(|one| one["purl"].is_string() && !is_locked(one))?;
        Some(format!("{} {}", strange["name"], strange["version"]).replace('"', ""))
    }
}

fn of_package(package: &Unpacked) -> Value {
    let Unpacked { name, version, architecture, sha256 } = package;
    let purl = format!("pkg:deb/debian/{}@{}?arch={architecture}", encoded(name), encoded(version));
    json!({
        "type": "application", "bom-ref": purl, "purl": purl, "name": name, "version": version,
        "hashes": hashes(sha256),
    })
}

fn hashes(sha256: &str) -> Value {
    json!([{ "alg": "SHA-256", "content": sha256 }])
}

/// As a package URL wants it: versions have `:` and `+`.
fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_of_debian_is_a_package_url() {
        let package = Unpacked {
            name: "libstdc++6".to_owned(),
            version: "1:2.0+dfsg~1-1".to_owned(),
            architecture: "arm64".to_owned(),
            sha256: "ab".repeat(32),
        };
        let listed = Components::default().with_packages(&[package]).with_firmware(&[u_boot()]);
        let list = listed.document("atomixos-25.11", "1");
        let first = &list["components"][0];
        assert_eq!(first["purl"], "pkg:deb/debian/libstdc%2B%2B6@1%3A2.0%2Bdfsg~1-1?arch=arm64");
        assert_eq!(first["version"], "1:2.0+dfsg~1-1");
        assert_eq!(list["components"][1]["type"], "firmware");
        assert_eq!(list["components"][1]["hashes"][0]["content"], "cd".repeat(32));
    }

    fn u_boot() -> Brought {
        Brought { name: "u-boot.itb".to_owned(), sha256: "cd".repeat(32) }
    }

    #[test]
    fn the_programs_crates_are_those_of_its_lock_file_and_of_no_other() {
        let lock = include_str!("../../../Cargo.lock");
        let crates = Components::own().unwrap();
        assert_eq!(crates.strange_to(&toml::from_str(lock).unwrap()), None);
        let serde = crates.components.iter().find(|one| one["name"] == "serde").unwrap();
        let checksum = serde["hashes"][0]["content"].as_str().unwrap();
        let other: Lock = toml::from_str(&lock.replace(checksum, &"0".repeat(64))).unwrap();
        let strange = crates.strange_to(&other).unwrap();
        assert!(strange.starts_with("serde 1."), "{strange}");
        assert!(crates.strange_to(&Lock::default()).is_some());
    }

    #[test]
    fn the_image_needs_its_programs_and_packages_and_they_their_crates() {
        let list = Components::own().unwrap().with_firmware(&[u_boot()]).document("x", "1");
        let graph = list["dependencies"].as_array().unwrap();
        let program = format!("pkg:cargo/atomix@{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(graph[0], json!({"ref": "x", "dependsOn": [program, "firmware:u-boot.itb"]}));
        let uses = graph.iter().find(|one| one["ref"] == *program).unwrap();
        assert!(uses["dependsOn"].as_array().unwrap().len() > 10, "{uses}");
    }

    fn read(text: &str) -> Result<Components, RecipeError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("components.json");
        tree::write(&path, text).unwrap();
        Components::read(&path)
    }

    #[test]
    fn a_list_that_cannot_be_one_of_an_image_is_refused_by_name() {
        let good = "{\"components\":[{\"type\":\"application\",\"bom-ref\":\"a\",\"name\":\"a\"}],\
            \"dependencies\":[{\"ref\":\"a\",\"dependsOn\":[]}],\"programs\":[\"a\"]}";
        read(good).unwrap();
        for (from, to, says) in [
            ("\"type\":", "\"tipe\":", "a component without type"),
            ("\"bom-ref\":\"a\"", "\"bom-ref\":\"\"", "a component without type"),
            ("[\"a\"]", "[\"b\"]", "\"b\" in its graph"),
            ("[]", "[\"b\"]", "\"b\" in its graph"),
            ("\"ref\":\"a\"", "\"ref\":1", "\"\" in its graph"),
            (
                "\"name\":\"a\"}]",
                "\"name\":\"a\"},{\"type\":\"x\",\"bom-ref\":\"a\",\"name\":\"b\"}]",
                "a twice",
            ),
            ("\"programs\"", "\"programmes\"", "unknown field"),
            ("}]", "}", "is no list of components"),
        ] {
            assert!(good.contains(from), "{from}");
            let refused = read(&good.replace(from, to)).unwrap_err().to_string();
            assert!(
                refused.contains(says) && refused.contains("components.json"),
                "{to}: {refused}"
            );
        }
    }
}
