// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this a list of components as both ways of building an image promise it? CycloneDX 1.5 with no
//! time and no serial number; every component told apart, named, with its version, and with a hash
//! wherever a package URL says that there is one thing to compare, and each crate with its licence
//! and its place in the graph of who uses whom.
//!
//! One judge for Nix' list and for that of `atomix image build --recipe`: the form is the same.

use crate::program::Program;
use crate::python::python_with;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What a document has; `serialNumber` and `metadata.timestamp` would differ in each build.
const DOCUMENT: [&str; 6] =
    ["bomFormat", "components", "dependencies", "metadata", "specVersion", "version"];

/// What the image itself is told by.
const IMAGE: [&str; 4] = ["bom-ref", "name", "type", "version"];

/// What a component without a package URL has.
const PLAIN: [&str; 4] = IMAGE;

/// What one with a package URL has.
const HASHED: [&str; 6] = ["bom-ref", "hashes", "name", "purl", "type", "version"];

/// The kinds of components that there are.
const TYPES: [&str; 4] = ["application", "file", "firmware", "library"];

/// What a file that a builder brought along has.
const BROUGHT: [&str; 4] = ["bom-ref", "hashes", "name", "type"];

/// What firmware has whose bytes were at hand.
const FIRMWARE: [&str; 5] = ["bom-ref", "hashes", "name", "type", "version"];

/// How a crate is referred to.
const CRATE: &str = "pkg:cargo/";

/// Digits of a SHA-256.
const HASH_DIGITS: usize = 64;

/// Says what CycloneDX' own schema does not allow, and nothing else.
const BY_SCHEMA: &str = "import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
wrong = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(wrong and str(wrong)[:2000])
";

/// Holds the list in a file to the schema that CycloneDX publishes.
///
/// # Errors
/// With what the schema does not allow.
pub fn judge_by_schema(list: &Path) -> Result<()> {
    let python = python_with("cyclonedx", include_str!("../cyclonedx.txt"))?;
    let program = Program::new(&python.display().to_string()).args(["-c", BY_SCHEMA]).arg(list);
    program.run().context("the list of components is none by CycloneDX' schema")
}

/// Reads a list and judges its form; its components.
///
/// # Errors
/// When it is none, or not of that form.
pub fn judge(text: &str) -> Result<Vec<Value>> {
    let document: Value =
        serde_json::from_str(text).context("the list of components is no JSON")?;
    has_exactly(&document, &DOCUMENT)?;
    ensure!(document["bomFormat"] == "CycloneDX", "of another format");
    ensure!(document["specVersion"] == "1.5", "of version {}", document["specVersion"]);
    ensure!(document["version"] == 1, "its edition is {}", document["version"]);
    has_exactly(&document["metadata"], &["component"])?;
    let image = &document["metadata"]["component"];
    has_exactly(image, &IMAGE)?;
    ensure!(image["type"] == "operating-system" && image["bom-ref"] == image["name"], "{image}");
    let components = document["components"].as_array().context("no components")?;
    ensure!(!components.is_empty(), "no components");
    let mut references = BTreeSet::from([image["bom-ref"].as_str().unwrap_or_default()]);
    for component in components {
        one(component).with_context(|| component.to_string())?;
        let reference = component["bom-ref"].as_str().unwrap_or_default();
        ensure!(references.insert(reference), "two components are called {reference}");
    }
    graph(&document["dependencies"], image["bom-ref"].as_str().unwrap_or_default(), &references)?;
    Ok(components.clone())
}

/// Every end of an edge is a component, and every crate is there because the image needs it.
fn graph(list: &Value, image: &str, references: &BTreeSet<&str>) -> Result<()> {
    let mut uses = BTreeMap::new();
    for entry in list.as_array().context("no graph")? {
        has_exactly(entry, &["dependsOn", "ref"])?;
        let user = entry["ref"].as_str().unwrap_or_default();
        let used = entry["dependsOn"].as_array().context("an entry of the graph without edges")?;
        let used: BTreeSet<&str> = used.iter().filter_map(Value::as_str).collect();
        let strange = used.iter().chain([&user]).find(|end| !references.contains(*end));
        ensure!(strange.is_none(), "{strange:?} is in the graph and no component");
        ensure!(uses.insert(user, used).is_none(), "{user} is twice in the graph");
    }
    let mut reached = BTreeSet::new();
    let mut ahead = vec![image];
    while let Some(user) = ahead.pop() {
        if reached.insert(user) {
            ahead.extend(uses.get(user).into_iter().flatten());
        }
    }
    let is_lost = |one: &&&str| {
        one.starts_with(CRATE) && !(reached.contains(**one) && uses.contains_key(**one))
    };
    let lost = references.iter().find(is_lost);
    ensure!(lost.is_none(), "nothing in the image needs {lost:?}");
    Ok(())
}

/// A licence as SPDX says it, or by a name where nobody has said it so.
fn licences(list: &Value) -> Result<()> {
    let list = list.as_array().filter(|list| !list.is_empty()).context("no licences")?;
    for licence in list {
        let said = licence["expression"].as_str().or(licence["license"]["name"].as_str());
        let said = said.filter(|text| !text.is_empty() && !text.contains('/'));
        ensure!(said.is_some(), "an odd licence: {licence}");
    }
    Ok(())
}

fn one(component: &Value) -> Result<()> {
    let has_url = component.get("purl").is_some();
    let has_hash = component.get("hashes").is_some();
    let mut fields = match component["type"].as_str() {
        Some("file") => BROUGHT.to_vec(),
        Some("firmware") if has_hash => FIRMWARE.to_vec(),
        _ if has_url => HASHED.to_vec(),
        _ => PLAIN.to_vec(),
    };
    let is_crate = component["bom-ref"].as_str().is_some_and(|text| text.starts_with(CRATE));
    if is_crate || component.get("licenses").is_some() {
        fields.push("licenses");
        fields.sort_unstable();
        licences(&component["licenses"])?;
    }
    has_exactly(component, &fields)?;
    for field in PLAIN.into_iter().filter(|field| fields.contains(field)) {
        let text = component[field].as_str().unwrap_or_default();
        ensure!(!text.is_empty(), "{field} is empty or no text");
    }
    ensure!(TYPES.iter().any(|known| component["type"] == *known), "of an unknown type");
    if has_url {
        url(component["purl"].as_str().context("a package URL that is no text")?)?;
    }
    if has_hash {
        let [hash] = component["hashes"].as_array().context("no hashes")?.as_slice() else {
            anyhow::bail!("not one hash");
        };
        has_exactly(hash, &["alg", "content"])?;
        let content = hash["content"].as_str().unwrap_or_default();
        let is_hash = content.len() == HASH_DIGITS
            && content.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        ensure!(hash["alg"] == "SHA-256" && is_hash, "no SHA-256");
    }
    Ok(())
}

/// A package URL: `pkg:TYPE/NAME@VERSION`, with nothing that would end it too early.
fn url(text: &str) -> Result<()> {
    let rest = text.strip_prefix("pkg:").context("no package URL")?;
    let (path, version) = rest.split_once('@').context("a package URL without a version")?;
    let known = path.starts_with("cargo/") || path.starts_with("deb/debian/");
    ensure!(known && !path.ends_with('/') && !version.is_empty(), "an odd package URL");
    let odd = |one: char| !one.is_ascii_graphic() || "@#+".contains(one);
    ensure!(!version.contains(odd), "a character of the package URL is not encoded");
    Ok(())
}

fn has_exactly(value: &Value, wanted: &[&str]) -> Result<()> {
    let fields = value.as_object().context("no object")?;
    let mut found: Vec<&str> = fields.keys().map(String::as_str).collect();
    found.sort_unstable();
    ensure!(found == wanted, "the fields are {found:?}, not {wanted:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,
        "metadata":{"component":{"type":"operating-system","bom-ref":"x","name":"x","version":"1"}},
        "components":[
        {"type":"library","bom-ref":"pkg:cargo/a","name":"ours","version":"1","licenses":[{"expression":"MIT OR ISC"}]},
        {"type":"application","bom-ref":"b","name":"tool","version":"1:2","purl":"pkg:deb/debian/tool@1%3A2?arch=arm64",
         "hashes":[{"alg":"SHA-256","content":"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}]}],
        "dependencies":[{"ref":"x","dependsOn":["pkg:cargo/a"]},{"ref":"pkg:cargo/a","dependsOn":[]}]}"#;

    #[test]
    fn a_list_of_that_form_is_taken_and_every_fault_is_found() {
        assert_eq!(judge(GOOD).unwrap().len(), 2);
        for (from, to) in [
            ("CycloneDX", "SPDX"),
            ("1.5", "1.4"),
            ("\"version\":1,", "\"version\":2,"),
            ("\"version\":1,", "\"version\":1,\"serialNumber\":\"urn:uuid:0\","),
            ("\"metadata\":{", "\"metadata\":{\"timestamp\":\"now\","),
            ("\"bom-ref\":\"b\"", "\"bom-ref\":\"pkg:cargo/a\""),
            ("\"bom-ref\":\"b\"", "\"bom-ref\":\"x\""),
            ("\"name\":\"ours\"", "\"name\":\"\""),
            ("\"type\":\"library\"", "\"type\":\"crate\""),
            ("0123456789abcdef\"", "\""),
            ("0123456789abcdef\"", "0123456789ABCDEF\""),
            ("1%3A2?", "1@2?"),
            ("1%3A2?", "1+2?"),
            ("pkg:deb/debian/tool@", "pkg:rpm/tool@"),
            ("MIT OR ISC", "MIT/ISC"),
            (",\"licenses\":[{\"expression\":\"MIT OR ISC\"}]", ""),
            ("[\"pkg:cargo/a\"]", "[]"),
            ("[\"pkg:cargo/a\"]", "[\"pkg:cargo/z\"]"),
            ("{\"ref\":\"x\"", "{\"ref\":\"pkg:cargo/a\""),
            (",{\"ref\":\"pkg:cargo/a\",\"dependsOn\":[]}", ""),
        ] {
            assert!(GOOD.contains(from), "{from}");
            assert!(judge(&GOOD.replacen(from, to, 1)).is_err(), "{from} as {to}");
        }
    }
}
