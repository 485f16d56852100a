// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose are a volume and a build? Of those containers that use them; the superuser's when nobody
//! does. Both the bare name and Quadlet's own (`data.volume`, `tool.build`) count as a use.

use crate::model::{Mode, Unit};
use std::collections::{BTreeMap, BTreeSet};

/// What containers use, by the words with which they name it.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    volumes: BTreeMap<String, BTreeSet<Mode>>,
    images: BTreeMap<String, BTreeSet<Mode>>,
}

impl Uses {
    /// Collects what `containers` use.
    pub(crate) fn of(containers: &[Unit]) -> Self {
        let mut uses = Self::default();
        for unit in containers {
            for directive in unit.sections.iter().flat_map(|section| &section.directives) {
                for value in &directive.values {
                    uses.add(&directive.name, value, &unit.modes);
                }
            }
        }
        uses
    }

    fn add(&mut self, directive: &str, value: &str, modes: &[Mode]) {
        let (map, word) = match directive {
            "Volume" => (&mut self.volumes, value.split(':').next()),
            "Mount" => (&mut self.volumes, mount_source(value)),
            "Image" => (&mut self.images, Some(value.trim())),
            _ => return,
        };
        if let Some(word) = word {
            map.entry(word.to_owned()).or_default().extend(modes);
        }
    }

    /// The modes of the containers that mount the volume `name`.
    pub(crate) fn volume(&self, name: &str) -> BTreeSet<Mode> {
        let words = [name.to_owned(), format!("{name}.volume")];
        words.iter().filter_map(|word| self.volumes.get(word)).flatten().copied().collect()
    }

    /// The modes of the containers that run the build `name`, which makes the images `tags`.
    pub(crate) fn build(&self, name: &str, tags: &[String]) -> BTreeSet<Mode> {
        let unit = format!("{name}.build");
        let words = tags.iter().map(|tag| tag.trim()).chain(std::iter::once(unit.as_str()));
        words.filter_map(|word| self.images.get(word)).flatten().copied().collect()
    }
}

fn mount_source(value: &str) -> Option<&str> {
    let mut fields = value.split(',');
    fields.find_map(|field| field.strip_prefix("source=").or_else(|| field.strip_prefix("src=")))
}
