// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration with one part changed: everything else of the file, its comments and its
//! order included, stays as its author wrote it. Pure; whether the result is valid is decided by
//! whoever validates it.

use crate::jobs::ReportedFault;
use crate::protocol::{
    Change, ContainerBody, FirewallPatch, ItemName, NetworkPatch, Section, SectionScalar,
    SectionValue, UserBody,
};
use serde_json::Value as Json;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// Deepest nesting of a change; a configuration has five levels.
const MAX_DEPTH: usize = 8;

/// Why a change cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The configuration in force cannot be read.
    #[error("the configuration in force cannot be read")]
    Unreadable(#[source] Box<toml_edit::TomlError>),
    /// What is to be removed is not there.
    #[error("there is no {path}")]
    Missing {
        /// The key.
        path: String,
    },
    /// Something that TOML, or this file, has no place for.
    #[error("the change cannot be written as TOML")]
    Invalid(ReportedFault),
}

/// Makes the change in the text of a `config.toml`.
///
/// # Errors
/// [`EditError`].
pub fn apply_change(text: &str, change: &Change) -> Result<String, EditError> {
    let mut document: DocumentMut =
        text.parse().map_err(|error| EditError::Unreadable(Box::new(error)))?;
    let root = document.as_table_mut();
    match change {
        Change::PutUser { name, body } => put(root, &["users"], name, user(body))?,
        Change::DeleteUser { name } => delete(root, &["users"], name)?,
        Change::PatchNetwork { body } => patch_network(root, body)?,
        Change::PutFirewall { body } => put_firewall(root, body)?,
        Change::PutContainer { name, body } => {
            put(root, &["containers", "container"], name, container(body))?;
        }
        Change::DeleteContainer { name } => delete(root, &["containers", "container"], name)?,
        Change::PutContainerNetwork { name, body } => {
            let table = sections(&[("Network", Some(&body.network))]);
            put(root, &["containers", "network"], name, table)?;
        }
        Change::DeleteContainerNetwork { name } => {
            delete(root, &["containers", "network"], name)?;
        }
        Change::PutContainerVolume { name, body } => {
            let table = sections(&[("Volume", Some(&body.volume))]);
            put(root, &["containers", "volume"], name, table)?;
        }
        Change::DeleteContainerVolume { name } => delete(root, &["containers", "volume"], name)?,
    }
    Ok(document.to_string())
}

fn user(body: &UserBody) -> Table {
    let mut table = Table::new();
    table.insert("isAdmin", body.is_admin.into());
    if let Some(key) = &body.ssh_key {
        table.insert("ssh_key", key.into());
    }
    if let Some(shell) = &body.shell {
        table.insert("shell", shell.into());
    }
    table
}

fn container(body: &ContainerBody) -> Table {
    let mut table = sections(&[
        ("Unit", body.unit.as_ref()),
        ("Container", Some(&body.container)),
        ("Install", body.install.as_ref()),
    ]);
    table.insert("privileged", body.privileged.into());
    table
}

fn sections(sections: &[(&str, Option<&Section>)]) -> Table {
    let mut table = Table::new();
    for (name, section) in sections {
        let Some(section) = section else { continue };
        let mut directives = Table::new();
        for (directive, value) in &section.0 {
            directives.insert(directive, Item::Value(directive_value(value)));
        }
        table.insert(name, Item::Table(directives));
    }
    table
}

fn directive_value(value: &SectionValue) -> Value {
    match value {
        SectionValue::Once(one) => scalar(one),
        SectionValue::Several(values) => Value::Array(values.iter().map(scalar).collect()),
    }
}

fn scalar(value: &SectionScalar) -> Value {
    match value {
        SectionScalar::Flag(flag) => (*flag).into(),
        SectionScalar::Number(number) => (*number).into(),
        SectionScalar::Text(text) => text.into(),
    }
}

/// The table at `path`, made where it is missing.
fn reach<'t>(
    root: &'t mut dyn TableLike,
    path: &[&str],
) -> Result<&'t mut dyn TableLike, EditError> {
    let mut table = root;
    for (depth, name) in path.iter().enumerate() {
        let item = table.entry(name).or_insert_with(|| {
            let mut made = Table::new();
            // Its header is written only when keys of its own follow.
            made.set_implicit(true);
            Item::Table(made)
        });
        let so_far = path.iter().take(depth + 1).copied().collect::<Vec<_>>().join(".");
        table = item.as_table_like_mut().ok_or_else(|| invalid(&so_far, "not a table"))?;
    }
    Ok(table)
}

fn put(
    root: &mut Table,
    path: &[&str],
    name: &ItemName,
    mut table: Table,
) -> Result<(), EditError> {
    let parent = reach(root, path)?;
    match parent.get(name.as_str()) {
        // In an inline table only inline tables have a place.
        Some(Item::Value(_)) => {
            parent.insert(name.as_str(), Item::Value(table.into_inline_table().into()));
        }
        Some(Item::Table(old)) => {
            // The comment above the old one is about this one too, and it keeps its place.
            *table.decor_mut() = old.decor().clone();
            table.set_position(old.position());
            parent.insert(name.as_str(), Item::Table(table));
        }
        Some(Item::None | Item::ArrayOfTables(_)) | None => {
            parent.insert(name.as_str(), Item::Table(table));
        }
    }
    Ok(())
}

fn delete(root: &mut Table, path: &[&str], name: &ItemName) -> Result<(), EditError> {
    let parent = reach(root, path)?;
    match parent.remove(name.as_str()) {
        Some(_) => Ok(()),
        None => Err(EditError::Missing { path: format!("{}.{name}", path.join(".")) }),
    }
}

fn patch_network(root: &mut Table, patch: &NetworkPatch) -> Result<(), EditError> {
    let network = reach(root, &["network"])?;
    for (name, value) in patch.entries() {
        merge(network, name, value, &format!("network.{name}"), 0)?;
    }
    if network.is_empty() {
        root.remove("network");
    }
    Ok(())
}

fn put_firewall(root: &mut Table, patch: &FirewallPatch) -> Result<(), EditError> {
    let value = serde_json::to_value(patch).unwrap_or_default();
    let network = reach(root, &["network"])?;
    network.remove("firewall");
    merge(network, "firewall", &value, "network.firewall", 0)
}

/// Sets one key: `null` removes it, a table is merged into one that is there.
fn merge(
    table: &mut dyn TableLike,
    name: &str,
    value: &Json,
    path: &str,
    depth: usize,
) -> Result<(), EditError> {
    if depth > MAX_DEPTH {
        return Err(invalid(path, "nested too deeply"));
    }
    let Json::Object(entries) = value else {
        match json_value(value, path, depth)? {
            Some(value) => table.insert(name, Item::Value(value)),
            None => table.remove(name),
        };
        return Ok(());
    };
    let is_table = table.get(name).is_some_and(Item::is_table_like);
    if !is_table {
        let fresh = match table.get(name) {
            Some(Item::Value(_)) => Item::Value(InlineTable::new().into()),
            Some(Item::None | Item::Table(_) | Item::ArrayOfTables(_)) | None => {
                Item::Table(Table::new())
            }
        };
        table.insert(name, fresh);
    }
    let inner = table.get_mut(name).and_then(Item::as_table_like_mut);
    let inner = inner.ok_or_else(|| invalid(path, "not a table"))?;
    for (key, value) in entries {
        merge(inner, key, value, &format!("{path}.{key}"), depth + 1)?;
    }
    Ok(())
}

fn json_value(value: &Json, path: &str, depth: usize) -> Result<Option<Value>, EditError> {
    if depth > MAX_DEPTH {
        return Err(invalid(path, "nested too deeply"));
    }
    Ok(Some(match value {
        Json::Null => return Ok(None),
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => return Err(invalid(path, "not a whole number of 64 bits")),
        },
        Json::String(text) => text.into(),
        Json::Array(values) => {
            let mut array = Array::new();
            for value in values {
                let value = json_value(value, path, depth + 1)?;
                array.push(value.ok_or_else(|| invalid(path, "null in a list"))?);
            }
            Value::Array(array)
        }
        Json::Object(entries) => {
            let mut table = InlineTable::new();
            for (key, value) in entries {
                if let Some(value) = json_value(value, path, depth + 1)? {
                    table.insert(key, value);
                }
            }
            Value::InlineTable(table)
        }
    }))
}

fn invalid(path: &str, problem: &str) -> EditError {
    EditError::Invalid(ReportedFault {
        path: path.to_owned(),
        problem: problem.to_owned(),
        ..ReportedFault::default()
    })
}
