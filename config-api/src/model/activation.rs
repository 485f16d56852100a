// SPDX-License-Identifier: MIT OR Apache-2.0
//! When does a new configuration count as working?

use super::config::{Activation, UnitKind};
use super::containers::Declared;
use super::fault::Sink;
use super::name::{ContainerName, trim};
use super::reader::{Item, Table, closest, shortened};

pub(crate) const ACTIVATION_KEYS: [&str; 6] =
    ["required", "timeout_seconds", "settle_seconds", "restart", "allow_degraded", "strategy"];
pub(crate) const DEFAULT_TIMEOUT_SECS: u16 = 300;
pub(crate) const MAX_TIMEOUT_SECS: u16 = 3600;
pub(crate) const MAX_SETTLE_SECS: u16 = 300;

/// The only strategy there is.
pub(crate) const STRATEGY: &str = "rollback";

pub(crate) fn read_activation(
    root: &Table<'_, '_>,
    declared: &Declared,
    sink: &mut Sink,
) -> Option<Activation> {
    let item = root.require("activation", sink)?;
    let table = item.table(sink)?;
    table.only(&ACTIVATION_KEYS, sink);
    let required = table.require("required", sink).and_then(|item| {
        let items = item.filled_list(sink)?;
        Some(read_names(&item, items, declared, sink))
    });
    let names = |key, sink: &mut Sink| {
        let item = table.get(key)?;
        let items = item.list(sink)?;
        Some(read_names(&item, items, declared, sink))
    };
    let restart = names("restart", sink).unwrap_or_default();
    let allow_degraded = names("allow_degraded", sink);
    let number = |key, least, most, default, sink: &mut Sink| match table.get(key) {
        Some(item) => item.number(least, most, sink),
        None => Some(default),
    };
    let timeout = number("timeout_seconds", 1, MAX_TIMEOUT_SECS, DEFAULT_TIMEOUT_SECS, sink);
    let settle = number("settle_seconds", 0, MAX_SETTLE_SECS, 0, sink);
    if let Some(item) = table.get("strategy")
        && item.text(sink).is_some_and(|text| text != STRATEGY)
    {
        item.fault(sink, "is unknown", "the only strategy is rollback");
    }
    let required = required?;
    if let (Some(item), Some(degraded)) = (table.get("allow_degraded"), &allow_degraded) {
        refuse_both(&item, &required, degraded, sink);
    }
    Some(Activation {
        required,
        timeout_seconds: timeout?,
        settle_seconds: settle?,
        restart,
        allow_degraded,
    })
}

fn read_names(
    list: &Item<'_, '_>,
    items: &[super::toml_tree::Node<'_>],
    declared: &Declared,
    sink: &mut Sink,
) -> Vec<ContainerName> {
    list.texts(items, sink, |text, item, sink| {
        let name = declared.container(trim(text));
        if name.is_none() {
            let known = declared.names(UnitKind::Container);
            let hint = match closest(trim(text), known, sink) {
                Some(close) => format!("did you mean {close}?"),
                None => "declare it below [containers.container], or take it away".to_owned(),
            };
            let problem = format!("names no container of this file: {:?}", shortened(text));
            item.fault(sink, problem, hint);
        }
        name
    })
}

fn refuse_both(
    item: &Item<'_, '_>,
    required: &[ContainerName],
    degraded: &[ContainerName],
    sink: &mut Sink,
) {
    let required: std::collections::BTreeSet<_> = required.iter().collect();
    let both: Vec<&str> =
        degraded.iter().filter(|name| required.contains(name)).map(ContainerName::as_str).collect();
    if !both.is_empty() {
        let problem = format!("has containers that are required too: {}", both.join(", "));
        item.fault(sink, shortened(&problem), "a container is either required or may fail");
    }
}
