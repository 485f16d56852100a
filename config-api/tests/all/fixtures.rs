// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fixtures: what the reference accepts we accept and render to the same bytes; what it
//! refuses we refuse, and name the same key.

use config_api::input::{Limits, Origin, Spool, read_input};
use config_api::model::{Faults, validate};
use config_api::render::render;
use config_api::tree::{Content, Tree};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

struct Fixture {
    name: String,
    input: PathBuf,
    expected: Value,
}

fn fixtures() -> Vec<Fixture> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.is_dir() {
            continue;
        }
        let expected = std::fs::read(dir.join("expected.json")).unwrap();
        let input = ["input.toml", "input.tar.gz", "input.tar.zst"];
        let input = input.iter().map(|name| dir.join(name)).find(|path| path.exists()).unwrap();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        all.push(Fixture { name, input, expected: serde_json::from_slice(&expected).unwrap() });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 66);
    all
}

fn compare(name: &str, tree: &Tree, spool: &mut Spool, expected: &Value, wrong: &mut Vec<String>) {
    let mut files: BTreeMap<&str, &Value> = BTreeMap::new();
    for (path, file) in expected["tree"].as_object().unwrap() {
        files.insert(path, file);
    }
    let mut directories = 0;
    for (path, entry) in tree.iter() {
        let mode = format!("{:04o}", entry.mode);
        let bytes = match &entry.content {
            Content::Directory => {
                directories += 1;
                if expected["directories"][path] != mode.as_str() {
                    wrong.push(format!("{name}: directory {path} {mode}"));
                }
                continue;
            }
            Content::Bytes(bytes) => bytes.clone(),
            Content::Payload { member, len } => {
                let mut bytes = Vec::new();
                spool.open(*member).unwrap().read_to_end(&mut bytes).unwrap();
                assert_eq!(bytes.len() as u64, *len);
                bytes
            }
        };
        let Some(file) = files.remove(path) else {
            wrong.push(format!("{name}: {path} is not expected"));
            continue;
        };
        if file["mode"] != mode.as_str() || file["text"].as_str().unwrap().as_bytes() != bytes {
            let text = String::from_utf8_lossy(&bytes);
            wrong.push(format!("{name}: {path} {mode}: {text}\n!= {file}"));
        }
    }
    assert_eq!(directories, expected["directories"].as_object().unwrap().len(), "{name}");
    wrong.extend(files.keys().map(|path| format!("{name}: {path} is missing")));
}

/// The reference names its key in the words of its message; one of our faults names the same.
fn check_key(name: &str, message: &Value, faults: &Faults, wrong: &mut Vec<String>) {
    let message = message.as_str().unwrap();
    let syntax = message.starts_with("invalid TOML");
    let named = faults.list().iter().any(|fault| {
        let short = fault.path.strip_prefix("containers.").unwrap_or(&fault.path);
        let whole = short.rsplit_once('[').map_or(short, |(key, _)| key);
        let (parent, key) = whole.rsplit_once('.').unwrap_or(("config", whole));
        message.contains(whole)
            || (message.contains(parent) && message.contains(key))
            || (parent == "users" && message.contains(key))
            || (whole == "volume.web" && message.contains("web.volume"))
    });
    if !syntax && !named {
        wrong.push(format!("{name}: {message}: {:?}", faults.list()));
    }
}

#[test]
fn fixtures_are_judged_and_rendered_as_the_reference_does() {
    let mut wrong = Vec::new();
    for fixture in fixtures() {
        let name = &fixture.name;
        let ok = fixture.expected["verdict"] == "ok";
        let mut spool = Spool::new(tempfile::tempfile().unwrap());
        let file = std::fs::File::open(&fixture.input).unwrap();
        let origin = Origin::File(fixture.input.to_str().unwrap());
        let input = match read_input(origin, file, &Limits::default(), &mut spool) {
            Ok(input) => input,
            Err(error) if ok => panic!("{name}: {error}"),
            Err(error) => {
                assert!(name.contains("bundle"), "{name}: {error}");
                continue;
            }
        };
        match validate(&input.config_toml) {
            Ok(checked) if ok => {
                let tree =
                    render(&checked.config, &input.config_toml, &input.payload, "/data/config");
                compare(name, &tree, &mut spool, &fixture.expected, &mut wrong);
                let warnings = serde_json::to_value(&checked.warnings).unwrap();
                let has_note =
                    checked.notes.iter().any(|note| note.contains("SetWorkingDirectory"));
                if has_note != (name.starts_with("002") || name.starts_with("022")) {
                    wrong.push(format!("{name}: {:?}", checked.notes));
                }
                if warnings != fixture.expected["warnings"] {
                    wrong.push(format!("{name}: {warnings}"));
                }
            }
            Ok(_) => wrong.push(format!("{name}: accepted, not {}", fixture.expected["message"])),
            Err(faults) if ok => wrong.push(format!("{name}: {faults}: {:#?}", faults.list())),
            Err(faults) => check_key(name, &fixture.expected["message"], &faults, &mut wrong),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
