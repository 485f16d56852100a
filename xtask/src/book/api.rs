// SPDX-License-Identifier: MIT OR Apache-2.0
//! The config API as a page to read, made from its description (`docs/openapi.json`, which is made
//! from the types that answer).

use crate::error::TaskError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;

const HEAD: &str = "<!-- Generated from openapi.json. UPDATE=1 cargo xtask test book writes it anew. -->
# Routes of the config API

For programs there is [the description](openapi.json) itself, also at `GET /schema/openapi.json` of a device. What is
signed, and who may ask before there is a configuration: [the config API](config-api.md).

";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The page.
pub fn page(description: &str) -> Result<String, TaskError> {
    let description: Value = serde_json::from_str(description)?;
    let mut page = String::from(HEAD);
    page.push_str("## Routes\n\n`S`: signed by an administrator; `s`: signed where the device has a configuration.\n\n");
    page.push_str("| | route | signed | body | answer | |\n|---|---|---|---|---|---|\n");
    let mut refusals = BTreeMap::new();
    for (path, item) in members(&description["paths"]) {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                route(&mut page, method, path, operation);
                statuses(operation, &mut refusals);
            }
        }
    }
    page.push_str("\n## Statuses\n\nAll but 200 and 202 have an `ErrorBody`.\n\n| status | what it says |\n|---|---|\n");
    for (status, words) in &refusals {
        line(&mut page, &format!("| {status} | {} |", words.join("; or: ")));
    }
    page.push_str("\n## Bodies\n");
    for (name, schema) in members(&description["components"]["schemas"]) {
        body(&mut page, name, schema);
    }
    Ok(page)
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// A text on one line of a table.
fn cell(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn line(page: &mut String, line: &str) {
    // Writing into a text cannot fail.
    let _infallible = writeln!(page, "{line}");
}

fn route(page: &mut String, method: &str, path: &str, operation: &Value) {
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let signature = parameters.iter().find(|one| text(one, "name") == "x-atomixos-signature");
    let signed = match signature.map(|one| one["required"] == true) {
        Some(true) => "S",
        Some(false) => "s",
        None => "",
    };
    let query: Vec<String> = parameters
        .iter()
        .filter(|one| text(one, "in") == "query")
        .map(|one| format!(" `?{}`", text(one, "name")))
        .collect();
    let answer = members(&operation["responses"]).find(|(status, _)| status.starts_with('2'));
    let answer = answer.map(|(status, answer)| format!("{status} {}", content(answer)));
    line(
        page,
        &format!(
            "| {} | `{path}`{} | {signed} | {} | {} | {} |",
            method.to_uppercase(),
            query.concat(),
            content(&operation["requestBody"]),
            answer.unwrap_or_default(),
            cell(&format!("{} {}", text(operation, "summary"), text(operation, "description"))),
        ),
    );
}

/// What a body is: the name of its schema, else its type.
fn content(body: &Value) -> String {
    let Some((kind, media)) = members(&body["content"]).next() else { return String::new() };
    let name = kind_of(&media["schema"]);
    if name.starts_with('[') { name } else { format!("`{kind}`") }
}

fn statuses(operation: &Value, into: &mut BTreeMap<String, Vec<String>>) {
    for (status, answer) in members(&operation["responses"]) {
        let words = cell(text(answer, "description"));
        let known = into.entry(status.to_owned()).or_default();
        if !known.contains(&words) {
            known.push(words);
        }
    }
}

fn body(page: &mut String, name: &str, schema: &Value) {
    line(page, &format!("\n### {name}\n\n{}\n", text(schema, "description")));
    if schema["properties"].as_object().is_none_or(serde_json::Map::is_empty) {
        line(page, &kind_of(schema));
        return;
    }
    page.push_str("| member | type | |\n|---|---|---|\n");
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (member, facts) in members(&schema["properties"]) {
        let may = if required.iter().any(|one| one == member) { "" } else { "May be absent." };
        let words = cell(&format!("{} {may}", text(facts, "description")));
        line(page, &format!("| `{member}` | {} | {words} |", kind_of(facts)));
    }
}

/// The type of a value, in words.
fn kind_of(schema: &Value) -> String {
    if let Some(name) = text(schema, "$ref").rsplit('/').next().filter(|name| !name.is_empty()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{}`", word.as_str().unwrap_or("null")))
            .collect::<Vec<_>>()
            .join(", ");
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(kinds) = schema[key].as_array() {
            return kinds.iter().map(kind_of).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        Value::String(kind) if kind == "array" => format!("list of {}", kind_of(&schema["items"])),
        Value::String(kind) => kind.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_a_line_and_a_body_a_table() {
        let page = page(
            r##"{"paths": {"/api/x/{name}": {"put": {"summary": "Set | x.", "parameters": [
                {"name": "x-atomixos-signature", "in": "header", "required": true},
                {"name": "wait", "in": "query"}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/c/X"}}}},
                "responses": {"202": {"description": "Accepted", "content": {"text/plain": {"schema": {"type": "string"}}}},
                              "404": {"description": "None"}}}}},
              "components": {"schemas": {"X": {"description": "An x.", "required": ["a"],
                "properties": {"a": {"type": "array", "items": {"type": "integer"}}, "b": {"enum": ["u", "v"]}}}}}}"##,
        )
        .unwrap();
        for wanted in [
            "| PUT | `/api/x/{name}` `?wait` | S | [X](#x) | 202 `text/plain` | Set \\| x. |\n",
            "| 404 | None |\n",
            "### X\n\nAn x.\n\n| member | type | |\n",
            "| `a` | list of integer |  |\n",
            "| `b` | `u`, `v` | May be absent. |\n",
        ] {
            assert!(page.contains(wanted), "{wanted}\n{page}");
        }
    }
}
