// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose are a volume and a build? Of those containers that use them; the superuser's when nobody
//! does. Both the bare name and Quadlet's own (`data.volume`, `tool.build`) count as a use.

use crate::model::{Mode, Unit};
use std::collections::BTreeSet;

/// The modes of the containers that mount the volume `name`.
pub(crate) fn volume_modes(containers: &[Unit], name: &str) -> BTreeSet<Mode> {
    let unit = format!("{name}.volume");
    modes_where(containers, |directive, value| {
        let source = match directive {
            "Volume" => value.split(':').next(),
            "Mount" => mount_source(value),
            _ => None,
        };
        source.is_some_and(|source| source == name || source == unit)
    })
}

/// The modes of the containers that run the build `name`, which makes the images `tags`.
pub(crate) fn build_modes(containers: &[Unit], name: &str, tags: &[String]) -> BTreeSet<Mode> {
    let unit = format!("{name}.build");
    modes_where(containers, |directive, value| {
        let value = value.trim();
        directive == "Image" && (value == unit || tags.iter().any(|tag| tag.trim() == value))
    })
}

fn modes_where(containers: &[Unit], uses: impl Fn(&str, &str) -> bool) -> BTreeSet<Mode> {
    let used = |unit: &&Unit| {
        let mut directives = unit.sections.iter().flat_map(|section| &section.directives);
        directives.any(|directive| directive.values.iter().any(|v| uses(&directive.name, v)))
    };
    containers.iter().filter(used).flat_map(|unit| unit.modes.iter().copied()).collect()
}

fn mount_source(value: &str) -> Option<&str> {
    let mut fields = value.split(',');
    fields.find_map(|field| field.strip_prefix("source=").or_else(|| field.strip_prefix("src=")))
}
