// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which files do the units name that did not come with them? Told, not refused: a container may
//! make a file of its own there.

use crate::input::Payload;
use crate::model::Config;

/// So many are told.
const MOST: usize = 20;

/// What stands for the payload's directory.
const PLACES: [&str; 3] = ["${FILES_DIR}", "${CONFIG_DIR}/files", "/data/config/files"];

/// A warning for each file that a unit of `config` names and `payload` lacks.
pub(super) fn missing_files(config: &Config, payload: &Payload) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for unit in &config.units {
        for directive in unit.sections.iter().flat_map(|section| &section.directives) {
            for path in directive.values.iter().flat_map(|value| named(value)) {
                let warning = format!(
                    "{}: {} names files{path}, which did not come with the configuration",
                    unit.file_name(),
                    directive.name
                );
                let is_there = payload.get(&format!("files{path}")).is_some();
                if !is_there && told.len() < MOST && !told.contains(&warning) {
                    told.push(warning);
                }
            }
        }
    }
    told
}

/// The paths below `files` in a value; an empty one is `files` itself.
fn named(value: &str) -> Vec<String> {
    let ends = |c: char| c.is_whitespace() || matches!(c, ':' | ',' | '"' | '\'' | ';' | '=' | '$');
    let mut found = Vec::new();
    for place in PLACES {
        for (at, _) in value.match_indices(place) {
            let rest = value.get(at + place.len()..).unwrap_or_default();
            let path = rest.split(ends).next().unwrap_or_default().trim_end_matches('/');
            // A name that only begins so is another one.
            if path.is_empty() || path.starts_with('/') {
                found.push(path.chars().take(200).collect());
            }
        }
    }
    found
}
