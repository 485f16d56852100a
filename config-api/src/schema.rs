// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does an editor or a form need to know of a `config.toml`? A JSON Schema (draft 2020-12),
//! made of the same tables and constants that validation reads.
//!
//! A schema cannot say everything: it accepts every valid file, and refuses those whose keys, kinds
//! and bounds are wrong. [`crate::model::validate`] judges.

mod updates;

use crate::model::schema_facts as facts;
use crate::model::{Shell, UnitKind};
use crate::quadlet::{Directives, SECTIONS, Spec, ValueKind};
use serde_json::{Map, Value, json};

/// Where the schema says that it is at home; nothing is fetched from there.
const ID: &str = "https://atomixos.dev/schemas/config.schema.json";

/// The schema of version 1.
#[must_use]
pub fn config_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "config.toml, version 1",
        "type": "object",
        "additionalProperties": false,
        "required": facts::REQUIRED_ROOT_KEYS,
        "properties": {
            "version": { "const": 1 },
            "users": users(),
            "network": network(),
            "activation": activation(),
            "os_upgrade": updates::os_upgrade(),
            "containers": containers(),
        },
        "$defs": definitions(),
    })
}

/// The schema as it is checked in: two spaces per level, a line end at the end.
#[must_use]
pub fn config_schema_text() -> String {
    format!("{:#}\n", config_schema())
}

/// An object with these properties and no others.
fn closed(required: &[&str], properties: Value) -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    })
}

/// An object whose keys are names.
fn named(pattern: &str, least: usize, each: &Value) -> Value {
    json!({
        "type": "object",
        "minProperties": least,
        "propertyNames": { "pattern": pattern },
        "additionalProperties": each,
    })
}

fn texts(least: usize) -> Value {
    json!({ "type": "array", "minItems": least, "items": { "type": "string" } })
}

fn users() -> Value {
    let shells: Vec<&str> = Shell::ALL.iter().map(|shell| shell.as_str()).collect();
    let user = closed(
        &[],
        json!({
            "isAdmin": { "type": "boolean", "default": false },
            "ssh_key": { "type": "string", "default": "" },
            "shell": { "enum": shells },
        }),
    );
    named("^[a-z_][a-z0-9_-]{0,31}$", 1, &user)
}

fn network() -> Value {
    let interface = closed(
        &["mode"],
        json!({
            "mode": { "enum": ["dhcp", "static"] },
            "address": { "type": "string" },
            "gateway": { "type": "string" },
            "dns_servers": texts(1),
            "dns_search_domains": texts(1),
        }),
    );
    let port = json!({ "type": "integer", "minimum": 1, "maximum": u16::MAX });
    let ports = json!({ "type": "array", "items": port });
    let mut wan = ports.clone();
    wan["items"]["not"] = json!({ "enum": crate::model::RESERVED_WAN_TCP });
    let side = |tcp: &Value| closed(&[], json!({ "tcp": tcp, "udp": ports }));
    let inbound = closed(&[], json!({ "wan": side(&wan), "lan": side(&ports) }));
    let dnsmasq = json!({
        "enable": { "const": true },
        "interface": { "const": "eth1" },
        "gateway_cidr": { "type": "string", "default": facts::default_gateway() },
        "dhcp_start": { "type": "string", "default": facts::DEFAULT_START.to_string() },
        "dhcp_end": { "type": "string", "default": facts::DEFAULT_END.to_string() },
        "domain": { "type": "string", "default": facts::DEFAULT_DOMAIN },
        "hostname_pattern": { "type": "string", "default": "" },
        "gateway_aliases": texts(0),
    });
    closed(
        &[],
        json!({
            "dns_servers": texts(1),
            "dns_search_domains": texts(1),
            "default_gateway": { "type": "string" },
            "interfaces": named("^eth[0-9]{1,12}$", 0, &interface),
            "dnsmasq": closed(&[], dnsmasq),
            "ntp": closed(&[], json!({ "servers": texts(1) })),
            "firewall": closed(&[], json!({ "inbound": inbound })),
        }),
    )
}

fn activation() -> Value {
    let seconds = |least: u16, most: u16, default: u16| json!({ "type": "integer", "minimum": least, "maximum": most, "default": default });
    let timeout = seconds(1, facts::MAX_TIMEOUT_SECS, facts::DEFAULT_TIMEOUT_SECS);
    closed(
        &["required"],
        json!({
            "required": texts(1),
            "timeout_seconds": timeout,
            "settle_seconds": seconds(0, facts::MAX_SETTLE_SECS, 0),
            "restart": texts(0),
            "allow_degraded": texts(0),
            "strategy": { "const": facts::STRATEGY },
        }),
    )
}

fn containers() -> Value {
    let name = "^[A-Za-z0-9_][A-Za-z0-9_-]{0,127}$";
    let mut properties = Map::new();
    for kind in UnitKind::ALL {
        let (least, unit) = match kind {
            UnitKind::Container => (1, container()),
            UnitKind::Network | UnitKind::Volume | UnitKind::Build => {
                let section = kind.section();
                (0, closed(&[section], json!({ section: section_of(section, &[]) })))
            }
        };
        properties.insert(kind.as_str().to_owned(), named(name, least, &unit));
    }
    closed(&["container"], Value::Object(properties))
}

fn container() -> Value {
    let mut unit = closed(
        &["privileged", "Container"],
        json!({
            "privileged": { "type": "boolean" },
            "Container": section_of("Container", &["Image"]),
            "Unit": section_of("Unit", &[]),
            "Install": section_of("Install", &[]),
        }),
    );
    let container = SECTIONS.iter().filter(|directives| directives.section == "Container");
    let specs = container.flat_map(|directives| directives.specs);
    let barred: Map<String, Value> = specs
        .filter(|spec| spec.privileged)
        .map(|spec| (spec.name.to_owned(), Value::Bool(false)))
        .collect();
    unit["if"] = json!({ "properties": { "privileged": { "const": false } } });
    unit["then"] = json!({ "properties": { "Container": { "properties": barred } } });
    unit
}

fn section_of(section: &str, required: &[&str]) -> Value {
    let found = SECTIONS.iter().filter(|directives: &&Directives| directives.section == section);
    let specs = found.flat_map(|directives| directives.specs);
    let properties: Map<String, Value> =
        specs.map(|spec| (spec.name.to_owned(), directive(spec))).collect();
    closed(required, Value::Object(properties))
}

fn directive(spec: &Spec) -> Value {
    let is_single = !spec.many || spec.kind == ValueKind::Image;
    let often = if is_single { Often::Once } else { Often::Many };
    match spec.kind {
        ValueKind::OneOf(words) => one_or_list(&one_of(words), often),
        ValueKind::Boolean => often.refer("truth"),
        ValueKind::Number => often.refer("number"),
        ValueKind::Image => often.refer("string"),
        ValueKind::Text
        | ValueKind::Words
        | ValueKind::Name
        | ValueKind::Zone
        | ValueKind::Address
        | ValueKind::Tag
        | ValueKind::Port
        | ValueKind::Volume
        | ValueKind::Mount
        | ValueKind::Device
        | ValueKind::HostPath
        | ValueKind::EnvironmentFile
        | ValueKind::BuildSource
        | ValueKind::VolumeSource
        | ValueKind::VolumeOptions
        | ValueKind::Options
        | ValueKind::Label
        | ValueKind::Annotation
        | ValueKind::Group
        | ValueKind::UserNamespace
        | ValueKind::Secret
        | ValueKind::Sysctl
        | ValueKind::Units(_)
        | ValueKind::PodmanArgs
        | ValueKind::Forced => often.refer("scalar"),
    }
}

/// Whether a list may have more than one member.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Often {
    Once,
    Many,
}

impl Often {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Many => "many",
        }
    }

    /// A reference to one of [`definitions`].
    fn refer(self, kind: &str) -> Value {
        json!({ "$ref": format!("#/$defs/{kind}_{}", self.as_str()) })
    }
}

/// A value, or a list of it.
fn one_or_list(one: &Value, often: Often) -> Value {
    let mut list = json!({ "type": "array", "minItems": 1, "items": one });
    if often == Often::Once {
        list["maxItems"] = json!(1);
    }
    json!({ "anyOf": [one, list] })
}

fn one_of(words: &[&str]) -> Value {
    let truths = [true, false].into_iter().filter(|truth| words.contains(&truth_word(*truth)));
    let all: Vec<Value> =
        words.iter().map(|word| json!(word)).chain(truths.map(Value::Bool)).collect();
    json!({ "enum": all })
}

const fn truth_word(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// What a value may be before it is read, by the kinds that a schema can tell apart.
fn definitions() -> Value {
    let words = "true|false|yes|no|on|off|1|0";
    let any_case: String = words
        .chars()
        .map(|c| match c {
            'a'..='z' => format!("[{}{c}]", c.to_ascii_uppercase()),
            _ => c.to_string(),
        })
        .collect();
    let kinds = [
        ("string", json!({ "type": "string", "minLength": 1 })),
        ("scalar", json!({ "type": ["string", "integer", "boolean"] })),
        (
            "number",
            json!({ "anyOf": [{ "type": "integer" }, { "type": "string", "pattern": "^-?[0-9]+$" }] }),
        ),
        (
            "truth",
            json!({ "anyOf": [
                { "type": "boolean" },
                { "enum": [0, 1] },
                { "type": "string", "pattern": format!("^({any_case})$") },
            ] }),
        ),
    ];
    let mut all = Map::new();
    for (name, kind) in kinds {
        for often in [Often::Once, Often::Many] {
            all.insert(format!("{name}_{}", often.as_str()), one_or_list(&kind, often));
        }
    }
    Value::Object(all)
}
