// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where may a technician's stick be, and which bundles are on it?
//!
//! Only removable disks and disks on USB are mounted, read-only and without programs, devices or
//! set-user bits; the disk with the slots never is one of them. What is mounted here is unmounted
//! at the end of the menu.

use super::screens::Candidate;
use crate::commands::dead_end::is_own_machine;
use crate::context::Context;
use crate::failure::Failure;
use crate::programs;
use std::fs;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, parse_mountinfo};

/// Where desktop systems and people mount what they plug in.
const PLACES: [&str; 3] = ["/media", "/run/media", "/mnt"];

/// Where we mount what nobody has.
const OWN_PLACE: &str = "/run/atomix/media";

/// How deep below a place bundles are looked for.
const MAX_DEPTH: u8 = 3;

/// Most directory entries looked at; a stick with a whole collection must not keep a person
/// waiting.
const MAX_ENTRIES: usize = 5000;

/// Longest table of mounts that is read.
const MAX_MOUNTINFO: ByteLen = ByteLen::mib(1);

/// Longest attribute of a disk that is read.
const MAX_ATTRIBUTE: ByteLen = ByteLen::kib(4);

/// The media in use by the menu.
#[derive(Debug, Default)]
pub struct Media {
    mounted: Vec<PathBuf>,
}

/// What was found, where, and what could not be looked at.
#[derive(Debug, Default)]
pub struct Found {
    /// The bundles, by path.
    pub bundles: Vec<Candidate>,
    /// Where they were looked for, in words.
    pub looked: Vec<String>,
    /// What could not be mounted.
    pub troubles: Vec<String>,
}

impl Media {
    /// Looks on all removable media and in the usual places.
    pub fn find(&mut self, context: &Context) -> Found {
        let mut found = Found::default();
        let mut budget = MAX_ENTRIES;
        for place in PLACES {
            let Ok(dir) = context.files.resolve(Path::new(place)) else { continue };
            found.looked.push(place.to_owned());
            bundles_below(&dir, MAX_DEPTH, &mut budget, &mut found.bundles);
        }
        if is_own_machine(context) {
            for device in removable_partitions(context) {
                match self.reach(context, &device) {
                    Ok(dir) => {
                        found.looked.push(device.display().to_string());
                        bundles_below(&dir, MAX_DEPTH, &mut budget, &mut found.bundles);
                    }
                    Err(failure) => found.troubles.push(failure.chain()),
                }
            }
        }
        found.bundles.sort_by(|a, b| a.path.cmp(&b.path));
        found.bundles.dedup();
        found
    }

    /// Where the device is mounted; mounts it where it is not.
    fn reach(&mut self, context: &Context, device: &Path) -> Result<PathBuf, Failure> {
        let table = context.files.read(Path::new("/proc/self/mountinfo"), MAX_MOUNTINFO)?;
        let mounts = parse_mountinfo(&table.unwrap_or_default());
        if let Some(mount) = mounts.into_iter().find(|mount| mount.source == device) {
            return Ok(mount.place);
        }
        let place = Path::new(OWN_PLACE).join(device.file_name().unwrap_or_default());
        fs::create_dir_all(&place).map_err(|source| Failure::Io {
            act: "make",
            path: place.clone(),
            source,
        })?;
        programs::mount_to_read(device, &place)?;
        self.mounted.push(place.clone());
        Ok(place)
    }

    /// Unmounts what was mounted here; what is still in use stays, which harms nothing.
    pub fn release(&mut self) {
        for place in self.mounted.drain(..) {
            let _ = programs::unmount(&place);
        }
    }
}

/// The bundles in one directory that a person named.
///
/// # Errors
/// [`Failure::Io`] when it cannot be read.
pub fn find_in(dir: &Path) -> Result<Found, Failure> {
    fs::read_dir(dir).map_err(|source| Failure::Io { act: "read", path: dir.into(), source })?;
    let mut found = Found { looked: vec![dir.display().to_string()], ..Found::default() };
    let mut budget = MAX_ENTRIES;
    bundles_below(dir, MAX_DEPTH, &mut budget, &mut found.bundles);
    found.bundles.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Links are not followed: a stick must not point to files of the device.
fn bundles_below(dir: &Path, depth: u8, budget: &mut usize, found: &mut Vec<Candidate>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if *budget == 0 {
            return;
        }
        *budget -= 1;
        let Ok(meta) = entry.metadata() else { continue };
        let path = entry.path();
        if meta.is_dir() && depth > 1 {
            bundles_below(&path, depth - 1, budget, found);
        } else if meta.is_file() && path.extension().is_some_and(|name| name == "raucb") {
            found.push(Candidate { path, bytes: meta.len() });
        }
    }
}

/// The partitions of every removable disk, or the disk itself where it has none.
fn removable_partitions(context: &Context) -> Vec<PathBuf> {
    let system = context.settings().map(|settings| settings.disk.device).unwrap_or_default();
    let list = |dir: &Path| context.files.list(dir).unwrap_or_default();
    let mut devices = Vec::new();
    for disk in list(Path::new("/sys/block")) {
        let sys = Path::new("/sys/block").join(&disk);
        let device = Path::new("/dev").join(&disk);
        let is_removable = attribute(context, &sys.join("removable")).as_deref() == Some("1");
        let path = context.files.resolve(&sys).unwrap_or_default();
        let on_usb =
            path.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"usb"));
        let empty = attribute(context, &sys.join("size")).as_deref() == Some("0");
        if !(is_removable || on_usb) || empty || device == system {
            continue;
        }
        let partitions: Vec<PathBuf> = list(&sys)
            .into_iter()
            .filter(|name| name.starts_with(&disk))
            .map(|name| Path::new("/dev").join(name))
            .collect();
        if partitions.is_empty() { devices.push(device) } else { devices.extend(partitions) }
    }
    devices
}

fn attribute(context: &Context, path: &Path) -> Option<String> {
    let text = context.read_text(path, MAX_ATTRIBUTE).ok()??;
    Some(text.trim().to_owned())
}
