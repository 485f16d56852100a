// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose are a volume and a build? Of those containers that use them, also through one another: a
//! build that mounts `data.volume`, a volume that is made of the image of a build.
//!
//! What nobody uses is the superuser's in the reference. Of a build that would be a way to become
//! the superuser without a privileged container: it runs commands of its author's, and a link that
//! an earlier build left in `files/` leads root out of there. So it is the account's.

use crate::model::{Mode, Unit, UnitKind};
use std::collections::{BTreeMap, BTreeSet};

/// A volume by its name, or a build by its name or by that of its image.
type Word = (UnitKind, String);

/// A volume or build, before its values are judged.
#[derive(Debug)]
pub(crate) struct Part {
    kind: UnitKind,
    name: String,
    called: BTreeSet<Word>,
    uses: BTreeSet<Word>,
}

impl Part {
    /// A volume that is made of `images`.
    pub(crate) fn volume(name: &str, images: Vec<String>) -> Self {
        let called = [name.to_owned(), format!("{name}.volume")];
        Self {
            kind: UnitKind::Volume,
            name: name.to_owned(),
            called: called.map(|word| (UnitKind::Volume, word)).into(),
            uses: images.iter().map(|image| image_word(image)).collect(),
        }
    }

    /// A build that makes the images `tags`, and mounts `volumes` meanwhile. Of a bare name Podman
    /// makes a volume of its own, so that only `data.volume` is missed where it is not.
    pub(crate) fn build(name: &str, tags: &[String], volumes: &[String]) -> Self {
        let own = image_word(&format!("{name}.build"));
        let volumes = volumes.iter().filter_map(|volume| volume.split(':').next());
        Self {
            kind: UnitKind::Build,
            name: name.to_owned(),
            called: tags.iter().map(|tag| image_word(tag)).chain([own]).collect(),
            uses: volumes
                .filter(|word| word.ends_with(".volume"))
                .map(|word| (UnitKind::Volume, word.to_owned()))
                .collect(),
        }
    }
}

/// Whose the volumes and builds are.
#[derive(Debug)]
pub(crate) struct Owners<'p> {
    parts: &'p [Part],
    named: BTreeMap<(UnitKind, &'p str), usize>,
    called: BTreeMap<&'p Word, BTreeSet<usize>>,
    modes: Vec<BTreeSet<Mode>>,
}

impl<'p> Owners<'p> {
    /// Finds them for the `parts` of a file with these `containers`.
    pub(crate) fn of(containers: &[Unit], parts: &'p [Part]) -> Self {
        let modes = vec![BTreeSet::new(); parts.len()];
        let mut owners = Self { parts, named: BTreeMap::new(), called: BTreeMap::new(), modes };
        for (index, part) in parts.iter().enumerate() {
            owners.named.insert((part.kind, &part.name), index);
            for word in &part.called {
                owners.called.entry(word).or_default().insert(index);
            }
        }
        for unit in containers {
            let used: Vec<_> = owners.all_called(&uses_of(unit)).collect();
            unit.modes.iter().for_each(|mode| owners.give(*mode, used.clone()));
        }
        let nobodys = |kind, owners: &Self| -> Vec<usize> {
            let all = parts.iter().enumerate().zip(&owners.modes);
            let found = all.filter(|((_, part), modes)| part.kind == kind && modes.is_empty());
            found.map(|((index, _), _)| index).collect()
        };
        owners.give(Mode::Rootless, nobodys(UnitKind::Build, &owners));
        // Where its build is not, a volume cannot be made.
        let volumes = nobodys(UnitKind::Volume, &owners).into_iter();
        let volumes = volumes.filter(|index| owners.is_made_by_account(*index)).collect();
        owners.give(Mode::Rootless, volumes);
        owners
    }

    /// The modes of all that use this unit, or none: then it stays the superuser's.
    pub(crate) fn modes(&self, kind: UnitKind, name: &str) -> BTreeSet<Mode> {
        let index = self.named.get(&(kind, name));
        index.and_then(|index| self.modes.get(*index)).cloned().unwrap_or_default()
    }

    /// All units that these words name.
    fn all_called<'w>(
        &self,
        words: &'w BTreeSet<Word>,
    ) -> impl Iterator<Item = usize> + use<'_, 'w, 'p> {
        words.iter().filter_map(|word| self.called.get(word)).flatten().copied()
    }

    /// Gives these to an owner, and all that they use.
    fn give(&mut self, mode: Mode, mut open: Vec<usize>) {
        while let Some(index) = open.pop() {
            let (Some(modes), Some(part)) = (self.modes.get_mut(index), self.parts.get(index))
            else {
                continue;
            };
            if modes.insert(mode) {
                open.extend(self.all_called(&part.uses));
            }
        }
    }

    /// Whether a volume's image comes from builds that only the account has.
    fn is_made_by_account(&self, index: usize) -> bool {
        let Some(part) = self.parts.get(index) else { return false };
        let is_roots = |maker: usize| {
            self.modes.get(maker).is_some_and(|modes| modes.contains(&Mode::Rootful))
        };
        let mut makers = self.all_called(&part.uses).peekable();
        makers.peek().is_some() && !makers.any(is_roots)
    }
}

fn image_word(image: &str) -> Word {
    (UnitKind::Build, image.trim().to_owned())
}

/// What a container uses, by the words with which it names it.
fn uses_of(container: &Unit) -> BTreeSet<Word> {
    let directives = container.sections.iter().flat_map(|section| &section.directives);
    let values = directives.flat_map(|one| one.values.iter().map(|value| (&*one.name, value)));
    let word = |(directive, value): (&str, &String)| match directive {
        "Volume" => value.split(':').next().map(|name| (UnitKind::Volume, name.to_owned())),
        "Mount" => mount_source(value),
        "Image" => Some(image_word(value)),
        _ => None,
    };
    values.filter_map(word).collect()
}

fn mount_source(value: &str) -> Option<Word> {
    let mut fields = value.split(',');
    let source =
        fields.find_map(|field| field.strip_prefix("source=").or(field.strip_prefix("src=")))?;
    let is_image = value.split(',').any(|field| field == "type=image");
    let kind = if is_image { UnitKind::Build } else { UnitKind::Volume };
    Some((kind, source.to_owned()))
}
