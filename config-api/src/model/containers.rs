// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which units does the file declare, and what do they say?

use super::config::{Directive, Mode, Section, Unit, UnitKind, service_name};
use super::fault::Sink;
use super::name::{ContainerName, UnitName};
use super::reader::{Item, Table, closest, kind_of, shortened};
use super::toml_tree::{Node, Value};
use crate::quadlet::{
    Accepted, Context, Directives, Expansion, HostAccess, Owners, Part, Refused, SECTIONS, Spec,
    ValueKind, check_line, check_value, is_remote_type, publish_on_loopback, shadowed,
};
use std::collections::BTreeMap;

const CONTAINER_KEYS: [&str; 4] = ["privileged", "Container", "Unit", "Install"];

/// The names that the file declares, known before any value is read.
#[derive(Debug, Default)]
pub(crate) struct Declared {
    names: BTreeMap<UnitKind, BTreeMap<String, UnitName>>,
}

impl Declared {
    /// The container of this name.
    pub(crate) fn container(&self, name: &str) -> Option<ContainerName> {
        self.names.get(&UnitKind::Container)?.get(name).map(ContainerName::of)
    }

    pub(crate) fn names(&self, kind: UnitKind) -> impl Iterator<Item = &str> {
        self.names.get(&kind).into_iter().flatten().map(|(name, _)| name.as_str())
    }

    /// Whether `unit` is a unit of this file: `web.container`, or the service made of it.
    pub(crate) fn has_unit(&self, unit: &str) -> bool {
        let Some((name, suffix)) = unit.rsplit_once('.') else { return false };
        UnitKind::ALL.into_iter().any(|kind| {
            let declared = |name: &str| self.names.get(&kind).is_some_and(|n| n.contains_key(name));
            if suffix == "service" {
                let ending = service_name(kind, "");
                unit.strip_suffix(&ending).is_some_and(declared)
            } else {
                suffix == kind.as_str() && declared(name)
            }
        })
    }
}

/// What came of the file's units.
#[derive(Default)]
pub(crate) struct UnitsRead {
    pub units: Vec<Unit>,
    pub host_access: Vec<HostAccess>,
    pub warnings: Vec<String>,
}

/// Collects the names; the faults of names are told by [`read_units`].
pub(crate) fn declare(root: &Table<'_, '_>) -> Declared {
    let mut declared = Declared::default();
    let mut silent = Sink::default();
    let Some(table) = root.table("containers", &mut silent) else { return declared };
    for kind in UnitKind::ALL {
        let Some(units) = table.table(kind.as_str(), &mut silent) else { continue };
        let names = units.entries.iter().filter_map(|entry| {
            Some((entry.key.clone().into_owned(), UnitName::parse(&entry.key).ok()?))
        });
        declared.names.insert(kind, names.collect());
    }
    declared
}

pub(crate) fn read_units(root: &Table<'_, '_>, declared: &Declared, sink: &mut Sink) -> UnitsRead {
    let mut read = UnitsRead::default();
    let Some(table) = root.require("containers", sink).and_then(|item| item.table(sink)) else {
        return read;
    };
    table.only(&UnitKind::ALL.map(UnitKind::as_str), sink);
    let mut reader = UnitReader { declared, services: BTreeMap::new(), read: &mut read, sink };
    if let Some(item) = table.require("container", reader.sink)
        && let Some(containers) = item.table(reader.sink)
    {
        if containers.entries.is_empty() {
            item.fault(reader.sink, "has no container in it", "declare at least one");
        }
        for (entry, item) in containers.items() {
            let name = reader.name(&entry.key, &entry.key_span, &item, UnitKind::Container);
            reader.container(name, item);
        }
    }
    let parts = parts_of(&table);
    let owners = Owners::of(&reader.read.units, &parts);
    for kind in [UnitKind::Network, UnitKind::Volume, UnitKind::Build] {
        let Some(units) = table.table(kind.as_str(), reader.sink) else { continue };
        for (entry, item) in units.items() {
            let name = reader.name(&entry.key, &entry.key_span, &item, kind);
            reader.other(name, kind, item, &owners);
        }
    }
    read
}

/// The volumes and builds as they are written: whose they are has to be known before they are
/// judged.
fn parts_of(table: &Table<'_, '_>) -> Vec<Part> {
    let mut silent = Sink::default();
    let mut parts = Vec::new();
    for kind in [UnitKind::Volume, UnitKind::Build] {
        let Some(units) = table.table(kind.as_str(), &mut silent) else { continue };
        for (entry, item) in units.items() {
            let Some(unit) = item.table(&mut silent) else { continue };
            let Some(section) = unit.table(kind.section(), &mut silent) else { continue };
            let texts = |directive| texts_of(&section, directive);
            parts.push(if kind == UnitKind::Volume {
                Part::volume(&entry.key, texts("Image"))
            } else {
                Part::build(&entry.key, &texts("ImageTag"), &texts("Volume"))
            });
        }
    }
    parts
}

struct UnitReader<'r> {
    declared: &'r Declared,
    services: BTreeMap<(Mode, String), String>,
    read: &'r mut UnitsRead,
    sink: &'r mut Sink,
}

impl UnitReader<'_> {
    fn name(
        &mut self,
        key: &str,
        span: &std::ops::Range<usize>,
        item: &Item<'_, '_>,
        kind: UnitKind,
    ) -> Option<UnitName> {
        let name = match UnitName::parse(key) {
            Ok(name) => name,
            Err(problem) => {
                self.sink.fault(span, &item.path, problem, "");
                return None;
            }
        };
        let service = service_name(kind, key);
        let shadow = shadowed(service.trim_end_matches(".service"));
        if let Some(shadow) = shadow {
            let problem = format!("would take the place of the system's unit: {shadow}");
            self.sink.fault(span, &item.path, problem, "take another name");
            return None;
        }
        Some(name)
    }

    fn container(&mut self, name: Option<UnitName>, item: Item<'_, '_>) {
        let Some(table) = item.table(self.sink) else { return };
        table.only(&CONTAINER_KEYS, self.sink);
        let privileged =
            table.require("privileged", self.sink).and_then(|item| item.boolean(self.sink));
        let file = name.as_ref().map_or_else(String::new, |name| format!("{name}.container"));
        let context = Context {
            kind: UnitKind::Container,
            privileged: privileged.unwrap_or(false),
            remote: false,
            declared: self.declared,
        };
        let mut sections = Vec::with_capacity(3);
        for directives in sections_of(UnitKind::Container) {
            let section = match directives.section {
                "Container" => table.require("Container", self.sink),
                other => table.get(other),
            };
            let Some(section) = section.and_then(|item| item.table(self.sink)) else { continue };
            sections.push(self.section(&section, directives, &context, &file));
            if directives.section == "Container" && section.get("Image").is_none() {
                let path = section.path.key("Image");
                self.sink.fault(section.span, &path, "is missing", "this key is required");
            }
        }
        let (Some(name), Some(privileged)) = (name, privileged) else { return };
        let mode = if privileged { Mode::Rootful } else { Mode::Rootless };
        for section in sections.iter_mut().filter(|section| section.name == "Container") {
            self.force_network(&name, mode, section);
        }
        let unit = Unit { kind: UnitKind::Container, name, modes: vec![mode], sections };
        self.take(unit, &item);
    }

    fn other(
        &mut self,
        name: Option<UnitName>,
        kind: UnitKind,
        item: Item<'_, '_>,
        owners: &Owners<'_>,
    ) {
        let Some(table) = item.table(self.sink) else { return };
        table.only(&[kind.section()], self.sink);
        let Some(section) = table.require(kind.section(), self.sink) else { return };
        let Some(section) = section.table(self.sink) else { return };
        let text = name.as_ref().map_or("", UnitName::as_str);
        let used = owners.modes(kind, text);
        let privileged = used.iter().eq(&[Mode::Rootful]);
        let remote = kind == UnitKind::Volume
            && texts_of(&section, "Type").iter().any(|name| is_remote_type(name));
        let context = Context { kind, privileged, remote, declared: self.declared };
        let file = format!("{text}.{}", kind.as_str());
        let sections = sections_of(kind)
            .map(|directives| self.section(&section, directives, &context, &file))
            .collect();
        let Some(name) = name else { return };
        // A build runs commands: root's it is for a privileged container alone.
        let nobodys = if kind == UnitKind::Build { Mode::Rootless } else { Mode::Rootful };
        let modes = if used.is_empty() { vec![nobodys] } else { used.into_iter().collect() };
        self.take(Unit { kind, name, modes, sections }, &item);
    }

    /// Keeps a unit; two that make one service of the same manager are one too many.
    fn take(&mut self, unit: Unit, item: &Item<'_, '_>) {
        for mode in &unit.modes {
            let key = (*mode, unit.service());
            if let Some(other) = self.services.get(&key) {
                let problem = format!("makes {} of {other} too ({})", key.1, mode.as_str());
                item.fault(self.sink, problem, "take another name for one of them");
            }
            self.services.insert(key, unit.file_name());
        }
        self.read.units.push(unit);
    }

    fn section(
        &mut self,
        table: &Table<'_, '_>,
        directives: &'static Directives,
        context: &Context<'_>,
        file: &str,
    ) -> Section {
        let mut read = Section { name: directives.section, directives: Vec::new() };
        for (entry, item) in table.items() {
            let Some(spec) = directives.get(&entry.key) else {
                let known = directives.specs.iter().map(|spec| spec.name);
                let hint = closest(&entry.key, known, self.sink).map_or_else(
                    || "docs/config.md lists what is allowed, and why the rest is not".to_owned(),
                    |close| format!("did you mean {close}?"),
                );
                let problem = format!("is no directive that [{}] may have", directives.section);
                self.sink.fault(&entry.key_span, &item.path, problem, hint);
                continue;
            };
            let values = self.directive(spec, directives.section, &item, context, file);
            read.directives.push(Directive { name: spec.name.to_owned(), values });
        }
        read
    }

    fn directive(
        &mut self,
        spec: &'static Spec,
        section: &str,
        item: &Item<'_, '_>,
        context: &Context<'_>,
        file: &str,
    ) -> Vec<String> {
        if spec.privileged && !context.privileged {
            let hint = "it gives the container something of the host; set privileged = true if \
                        that is meant";
            item.fault(self.sink, "is for privileged containers alone", hint);
            return Vec::new();
        }
        let is_list = matches!(item.node.value, Value::List(_));
        let nodes = item.node.each();
        if is_list && nodes.is_empty() {
            item.fault(self.sink, "is an empty list", "leave the key out, or fill the list");
        }
        if nodes.len() > 1 && !spec.many {
            let hint = "Quadlet would take the last only; write one value";
            item.fault(self.sink, "can be given once only", hint);
        }
        if spec.kind == ValueKind::Image && nodes.len() > 1 {
            item.fault(self.sink, "has more than one image", "name one");
        }
        let mut values = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let path = if is_list { item.path.index(index) } else { item.path };
            let at = Item { node, path };
            let Some(text) = self.scalar(spec, context, &at) else { continue };
            match judge(spec, section, &text, context) {
                Ok((value, accepted, warning)) => {
                    if accepted == Accepted::HostAccess {
                        self.read.host_access.push(HostAccess {
                            unit: file.to_owned(),
                            directive: spec.name.to_owned(),
                            value: shortened(&value),
                        });
                    }
                    if warning {
                        let place = file.strip_suffix(".container").unwrap_or(file);
                        self.read.warnings.push(format!(
                            "container.{place}.Container.{} rewrote non-loopback bind '{}' to \
                             127.0.0.1",
                            spec.name,
                            shortened(&text)
                        ));
                    }
                    values.push(value);
                }
                Err(refused) => at.fault(self.sink, refused.problem, refused.hint),
            }
        }
        values
    }

    /// The text of a value that can be one line.
    fn scalar(
        &mut self,
        spec: &Spec,
        context: &Context<'_>,
        item: &Item<'_, '_>,
    ) -> Option<String> {
        let only_text =
            spec.kind == ValueKind::Image || (spec.kind == ValueKind::Port && !context.privileged);
        match &item.node.value {
            Value::Text(text) => Some(text.clone().into_owned()),
            Value::Integer(digits) if !only_text => Some(digits.clone()),
            Value::Boolean(value) if !only_text => Some(value.to_string()),
            Value::Integer(_)
            | Value::Boolean(_)
            | Value::Float
            | Value::Date
            | Value::List(_)
            | Value::Table(_) => {
                let wanted = if only_text { "a string" } else { "a string, number or truth value" };
                let problem = format!("is {}, not {wanted}", kind_of(&item.node.value));
                item.fault(self.sink, problem, "");
                None
            }
        }
    }

    /// Containers do not choose their network: the host's for privileged ones, else none but
    /// what pasta forwards.
    fn force_network(&mut self, name: &UnitName, mode: Mode, section: &mut Section) {
        let (network, kind) = match mode {
            Mode::Rootful => ("host", "privileged"),
            Mode::Rootless => (crate::ROOTLESS_NETWORK, "rootless"),
        };
        let values = vec![network.to_owned()];
        let given = section.directives.iter_mut().find(|directive| directive.name == "Network");
        let Some(given) = given else {
            section.directives.push(Directive { name: "Network".to_owned(), values });
            return;
        };
        if mode == Mode::Rootless || given.values != values {
            self.read.warnings.push(format!(
                "container.{name}.Container.Network overridden to {network} for {kind} container"
            ));
        }
        given.values = values;
    }
}

type Judged = (String, Accepted, bool);

/// The value as it is rendered, what it reaches, and whether its address was changed.
fn judge(spec: &Spec, section: &str, text: &str, context: &Context<'_>) -> Result<Judged, Refused> {
    let expansion = match section {
        "Unit" | "Install" => Expansion::Specifiers,
        _ => Expansion::Command,
    };
    check_line(text, expansion)?;
    if spec.kind == ValueKind::Port && !context.privileged {
        let (value, rewritten) = publish_on_loopback(text)?;
        return Ok((value, Accepted::Inside, rewritten));
    }
    let mut accepted = check_value(spec.kind, text, context)?;
    if spec.privileged {
        accepted = Accepted::HostAccess;
    }
    Ok((text.to_owned(), accepted, false))
}

/// The sections of a kind of unit, in the order in which they are rendered.
fn sections_of(kind: UnitKind) -> impl Iterator<Item = &'static Directives> {
    let is_container = kind == UnitKind::Container;
    SECTIONS.iter().filter(move |directives| match directives.section {
        "Unit" | "Install" => is_container,
        section => section == kind.section(),
    })
}

/// The texts of a directive, before they are judged.
fn texts_of(section: &Table<'_, '_>, directive: &str) -> Vec<String> {
    let Some(item) = section.get(directive) else { return Vec::new() };
    let text = |node: &Node<'_>| {
        if let Value::Text(text) = &node.value { Some(text.clone().into_owned()) } else { None }
    };
    item.node.each().iter().filter_map(text).collect()
}
