// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is generated of the types and checked in is fresh: `docs/config.schema.json` and the table
//! of directives in `docs/config.md`. `ATOMIX_WRITE_GENERATED=1` writes both.
//!
//! The schema accepts every fixture that is valid, and refuses those whose fault is one of keys,
//! kinds or bounds.

use config_api::quadlet::SECTIONS;
use config_api::schema::{config_schema, config_schema_text};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn is_fresh(path: &Path, wanted: &str) {
    if std::env::var_os("ATOMIX_WRITE_GENERATED").is_some() {
        std::fs::write(path, wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap();
    assert!(found == wanted, "{} is not fresh: ATOMIX_WRITE_GENERATED=1", path.display());
}

#[test]
fn the_schema_that_is_checked_in_is_fresh() {
    is_fresh(&docs("config.schema.json"), &config_schema_text());
}

const BEGIN: &str = "<!-- generated: directives -->\n";
const END: &str = "<!-- end of generated -->\n";

#[test]
fn the_table_of_directives_that_is_checked_in_is_fresh() {
    let mut table = String::from("\n| section | directives |\n|---|---|\n");
    for directives in SECTIONS {
        let names = |privileged: bool| {
            let specs = directives.specs.iter().filter(|spec| spec.privileged == privileged);
            let names = specs.map(|spec| {
                let list = if spec.many { "" } else { "¹" };
                format!("`{}`{list}", spec.name)
            });
            names.collect::<Vec<_>>().join(" ")
        };
        table.push_str(&format!("| `[{}]` | {} |\n", directives.section, names(false)));
        if !names(true).is_empty() {
            let section = directives.section;
            table.push_str(&format!("| `[{section}]`, privileged only | {} |\n", names(true)));
        }
    }
    table.push('\n');
    let path = docs("config.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    is_fresh(&path, &format!("{before}{BEGIN}{table}{END}{after}"));
}

/// The part of JSON Schema that ours uses; patterns are judged by their presence alone elsewhere.
fn accepts(schema: &Value, value: &Value) -> bool {
    if let Value::Bool(all) = schema {
        return *all;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let whole = config_schema();
        return accepts(whole.pointer(target.trim_start_matches('#')).unwrap(), value);
    }
    let rule = |key: &str| schema.get(key);
    let type_is = |name: &Value| match name.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("{other}"),
    };
    let each = |key: &str| rule(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let number = |key: &str| rule(key).and_then(Value::as_i64);
    let types = rule("type").map(|types| types.as_array().cloned().unwrap_or(vec![types.clone()]));
    types.is_none_or(|types| types.iter().any(type_is))
        && rule("const").is_none_or(|wanted| wanted == value)
        && rule("enum").is_none_or(|all| all.as_array().unwrap().contains(value))
        && rule("not").is_none_or(|not| !accepts(not, value))
        && (rule("anyOf").is_none() || each("anyOf").iter().any(|one| accepts(one, value)))
        && number("minimum").is_none_or(|least| value.as_i64().is_none_or(|n| n >= least))
        && number("maximum").is_none_or(|most| value.as_i64().is_none_or(|n| n <= most))
        && accepts_members(schema, value)
        && rule("if").is_none_or(|when| {
            let branch = if accepts(when, value) { "then" } else { "else" };
            rule(branch).is_none_or(|branch| accepts(branch, value))
        })
}

fn accepts_members(schema: &Value, value: &Value) -> bool {
    let least = |key: &str| schema.get(key).and_then(Value::as_u64).unwrap_or(0);
    if let Some(items) = value.as_array() {
        let len = items.len() as u64;
        let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let rule = schema.get("items").cloned().unwrap_or(Value::Bool(true));
        return len >= least("minItems")
            && len <= most
            && items.iter().all(|item| accepts(&rule, item));
    }
    let Some(fields) = value.as_object() else { return true };
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let other = schema.get("additionalProperties").cloned().unwrap_or(Value::Bool(true));
    fields.len() as u64 >= least("minProperties")
        && required.iter().all(|key| fields.contains_key(key.as_str().unwrap()))
        && fields.iter().all(|(key, value)| {
            let known = schema.get("properties").and_then(|all| all.get(key));
            accepts(known.unwrap_or(&other), value)
        })
}

#[test]
fn the_schema_accepts_what_is_valid_and_refuses_wrong_keys_kinds_and_bounds() {
    let schema = config_schema();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut judged = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let dir = entry.unwrap().path();
        let name = dir.file_name().unwrap().to_str().unwrap().to_owned();
        let Ok(text) = std::fs::read_to_string(dir.join("input.toml")) else { continue };
        let Ok(value) = toml::from_str::<Value>(&text) else { continue };
        let expected = std::fs::read_to_string(dir.join("expected.json")).unwrap();
        let message = serde_json::from_str::<Value>(&expected).unwrap()["message"].to_string();
        let by_schema = [
            "unsupported keys",
            "missing required keys at config",
            "expected ",
            "unexpected value",
            "version must be",
            "must remain true",
            "reserved bootstrap",
        ];
        if message == "null" {
            assert!(accepts(&schema, &value), "{name}");
            judged += 1;
        } else if by_schema.iter().any(|start| message.contains(start)) {
            assert!(!accepts(&schema, &value), "{name}: {message}");
            judged += 1;
        }
    }
    assert!(judged >= 36, "{judged}");
    for (file, is_valid) in [
        ("server_url = \"https://u\"", true),
        ("server_url = \"https://u\"\nmode = \"poll\"\nmetadata = \"signed\"", true),
        ("mode = \"hawkbit\"\nhawkbit = { url = \"https://h\" }", true),
        ("mode = \"poll\"", false),
        ("mode = \"hawkbit\"", false),
        ("server_url = \"https://u\"\nhawkbit = { url = \"https://h\" }", false),
        ("mode = \"hawkbit\"\nhawkbit = { url = \"https://h\" }\ninterval = \"1h\"", false),
        ("server_url = \"https://u\"\npolicy = { rate_limit_kib = 7 }", false),
    ] {
        let value: Value = toml::from_str(file).unwrap();
        assert_eq!(accepts(&schema["properties"]["os_upgrade"], &value), is_valid, "{file}");
    }
    let rootless = "[containers.container.web]\nprivileged = false\n\
                    [containers.container.web.Container]\nImage = \"x\"\nPodmanArgs = \"y\"";
    let container = &schema["properties"]["containers"];
    let value: Value = toml::from_str(rootless).unwrap();
    assert!(!accepts(container, &value["containers"]));
    let value: Value = toml::from_str(&rootless.replace("false", "true")).unwrap();
    assert!(accepts(container, &value["containers"]));
}
