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
    source: Option<String>,
    checksum: Option<String>,
}

/// The list of components of the image of this name.
#[must_use]
pub fn document(
    name: &str,
    version: &str,
    lock: &Lock,
    packages: &[Unpacked],
    firmware: &[&str],
) -> Value {
    let crates = lock.package.iter().map(of_crate);
    let debian = packages.iter().map(of_package);
    let flashed = firmware.iter().map(|name| {
        json!({"type": "firmware", "bom-ref": format!("firmware:{name}"), "name": name, "version": "unknown"})
    });
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": {
            "type": "operating-system", "bom-ref": name, "name": name, "version": version,
        }},
        "components": crates.chain(debian).chain(flashed).collect::<Vec<_>>(),
    })
}

fn of_crate(package: &Crate) -> Value {
    let purl = format!("pkg:cargo/{}@{}", package.name, encoded(&package.version));
    let mut component = json!({
        "type": "library", "bom-ref": purl, "name": package.name, "version": package.version,
    });
    let registry = package.source.as_ref().is_some_and(|source| source.starts_with("registry+"));
    if let (true, Some(checksum), Some(fields)) =
        (registry, &package.checksum, component.as_object_mut())
    {
        fields.insert("purl".to_owned(), json!(purl));
        fields.insert("hashes".to_owned(), hashes(checksum));
    }
    component
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
        let list = document("atomixos-25.11", "1", &Lock::default(), &[package], &["u-boot.itb"]);
        let first = &list["components"][0];
        assert_eq!(first["purl"], "pkg:deb/debian/libstdc%2B%2B6@1%3A2.0%2Bdfsg~1-1?arch=arm64");
        assert_eq!(first["version"], "1:2.0+dfsg~1-1");
        assert_eq!(list["components"][1]["type"], "firmware");
    }

    #[test]
    fn only_crates_of_a_registry_have_a_url_and_a_hash() {
        let lock = "[[package]]\nname = \"ours\"\nversion = \"1.0.0\"\n[[package]]\nname = \"serde\"\n\
            version = \"1.0.2+x\"\nsource = \"registry+https://example\"\nchecksum = \"00ff\"\n";
        let lock: Lock = toml::from_str(lock).unwrap();
        let list = document("x", "1", &lock, &[], &[]);
        assert!(list["components"][0].get("purl").is_none());
        assert_eq!(list["components"][1]["purl"], "pkg:cargo/serde@1.0.2%2Bx");
        assert_eq!(list["components"][1]["hashes"][0]["content"], "00ff");
    }
}
