// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which components are in an image that came from packages? CycloneDX 1.5, in the form of
//! `nix/sbom.nix`: no time and no serial number, so that the same image has the same list.

use serde::Deserialize;
use serde_json::{Value, json};

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

/// The crates that this program was built from, as components and the graph of who uses whom.
#[derive(Debug, Default, Deserialize)]
pub struct Crates {
    components: Vec<Value>,
    dependencies: Vec<Value>,
    programs: Vec<String>,
}

impl Crates {
    /// Those of this program.
    ///
    /// # Errors
    /// When what was built in is no list.
    pub fn own() -> Result<Self, serde_json::Error> {
        serde_json::from_str(CRATES)
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

/// The list of components of the image of this name.
#[must_use]
pub fn document(
    name: &str,
    version: &str,
    crates: Crates,
    packages: &[Unpacked],
    firmware: &[&str],
) -> Value {
    let debian = packages.iter().map(of_package);
    let flashed = firmware.iter().map(|name| {
        json!({"type": "firmware", "bom-ref": format!("firmware:{name}"), "name": name, "version": "unknown"})
    });
    let others: Vec<Value> = debian.chain(flashed).collect();
    let programs = crates.programs.into_iter().map(Value::from);
    let parts: Vec<Value> =
        programs.chain(others.iter().map(|one| one["bom-ref"].clone())).collect();
    let mut dependencies = vec![json!({"ref": name, "dependsOn": parts})];
    dependencies.extend(crates.dependencies);
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "operating-system", "bom-ref": name, "name": name, "version": version,
        }},
        "components": crates.components.into_iter().chain(others).collect::<Vec<_>>(),
        "dependencies": dependencies,
    })
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
        let list = document("atomixos-25.11", "1", Crates::default(), &[package], &["u-boot.itb"]);
        let first = &list["components"][0];
        assert_eq!(first["purl"], "pkg:deb/debian/libstdc%2B%2B6@1%3A2.0%2Bdfsg~1-1?arch=arm64");
        assert_eq!(first["version"], "1:2.0+dfsg~1-1");
        assert_eq!(list["components"][1]["type"], "firmware");
    }

    #[test]
    fn the_programs_crates_are_those_of_its_lock_file_and_of_no_other() {
        let lock = include_str!("../../../Cargo.lock");
        let crates = Crates::own().unwrap();
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
        let list = document("x", "1", Crates::own().unwrap(), &[], &["u-boot.itb"]);
        let graph = list["dependencies"].as_array().unwrap();
        let program = format!("pkg:cargo/atomix@{}", env!("CARGO_PKG_VERSION"));
        assert_eq!(graph[0], json!({"ref": "x", "dependsOn": [program, "firmware:u-boot.itb"]}));
        let uses = graph.iter().find(|one| one["ref"] == *program).unwrap();
        assert!(uses["dependsOn"].as_array().unwrap().len() > 10, "{uses}");
    }
}
