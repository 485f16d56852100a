// SPDX-License-Identifier: MIT OR Apache-2.0
//! What do other programs see of a configuration, and what else lies there?

use crate::config_scenario::{ConfigScenario, Seen, configuration};
use config_api::promote::OWNED_NAMES;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use storage::tree::{Node, TreeImage};
use xxhash_rust::xxh3::xxh3_128;

/// More links than this on one path are a loop.
const MAX_LINKS: u32 = 8;

/// The configuration that is seen through its names.
///
/// # Errors
/// What is seen when it is none that was ever given whole.
pub fn seen(scenario: &ConfigScenario, image: &TreeImage) -> Result<Seen, String> {
    let mut found: BTreeMap<PathBuf, Node> = BTreeMap::new();
    for name in OWNED_NAMES {
        let Some(place) = resolve(image, &Path::new("config").join(name)) else { continue };
        for (path, node) in image.iter().filter(|(path, _)| path.starts_with(&place)) {
            if let Ok(rest) = path.strip_prefix(&place) {
                let name = Path::new(name).join(rest);
                found.insert(name.components().collect(), node.clone());
            }
        }
    }
    // The first boot makes empty directories.
    if !found.values().any(|node| matches!(node, Node::File(..))) {
        return Ok(None);
    }
    match scenario.tags.iter().find(|tag| configuration(**tag) == found) {
        Some(tag) => Ok(Some(*tag)),
        None => Err(format!("a configuration of {} entries that nobody gave", found.len())),
    }
}

/// Where a path leads, its links followed.
fn resolve(image: &TreeImage, path: &Path) -> Option<PathBuf> {
    let mut links = 0;
    let mut done = PathBuf::new();
    let mut left: Vec<PathBuf> = path.iter().rev().map(PathBuf::from).collect();
    while let Some(name) = left.pop() {
        match Path::new(&name).components().next()? {
            Component::ParentDir => {
                done.pop();
                continue;
            }
            Component::Normal(_) => {}
            Component::CurDir | Component::RootDir | Component::Prefix(_) => return None,
        }
        let place = done.join(&name);
        match image.get(&place)? {
            Node::Link(target) => {
                links += 1;
                if links > MAX_LINKS || target.as_os_str().is_empty() {
                    return None;
                }
                left.extend(target.iter().rev().map(PathBuf::from));
            }
            Node::Dir(_) | Node::File(..) => done = place,
        }
    }
    Some(done)
}

/// The first of the operator's entries that is not as it was.
pub fn harmed(scenario: &ConfigScenario, image: &TreeImage) -> Option<String> {
    let before = |path: &PathBuf| scenario.before.get(path);
    let harmed = scenario.operators.iter().find(|path| image.get(*path) != before(path))?;
    Some(format!("{} is the operator's and is not as it was", harmed.display()))
}

/// Everything but what a generation and the record hold, and but for the numbers of generations.
pub fn outline(image: &TreeImage) -> BTreeSet<(String, String)> {
    let record = Path::new("config/promotion.json");
    let line = |(path, node): (&PathBuf, &Node)| {
        let text = path.display().to_string();
        let name: Vec<&str> = text
            .split('/')
            .map(|part| if part.starts_with("gen-") { "gen" } else { part })
            .collect();
        let what = match node {
            Node::File(meta, _) if path == record => format!("{meta:?}"),
            Node::Link(target) if target.starts_with("generations") => "link".to_owned(),
            Node::File(meta, content) => format!("{meta:?} {:x}", xxh3_128(content)),
            Node::Dir(_) | Node::Link(_) => format!("{node:?}"),
        };
        (name.join("/"), what)
    };
    image.iter().map(line).collect()
}
