// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which disks and partitions may hold a configuration? Read from `/sys/block`; labels play no
//! part.
//!
//! Left out are disks of which anything is mounted (so the device's own, with its slots), disks
//! that are none (loops, RAM, the eMMC's boot areas), and partitions that are called like a slot:
//! another device's card is no stick.

use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, FilesError, parse_mountinfo};

const SYS_BLOCK: &str = "/sys/block";
const MOUNTINFO: &str = "/proc/self/mountinfo";

/// Far above a real mount table, and above any attribute.
const MAX_MOUNTINFO: ByteLen = ByteLen::new(4 << 20);
const MAX_ATTRIBUTE: ByteLen = ByteLen::new(4096);

/// Most disks and partitions of a disk that are looked at.
const MAX_VOLUMES: usize = 64;

/// Partitions of a device of ours.
const SLOT_LABELS: [&str; 4] = ["boot-a", "boot-b", "rootfs-a", "rootfs-b"];
const DATA_LABEL: &str = "data";

/// A disk or a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Volume {
    /// The kernel's name of its disk, and the length of that: `sdb` comes before `sdaa`.
    order: (usize, String, u32),
    /// The kernel's name, `sdb1`.
    pub name: String,
    /// What makes another stick in the same place another one.
    pub insertion: String,
}

impl Volume {
    /// The partition `number` of `disk`, or the whole of it for 0.
    #[must_use]
    pub fn new(disk: &str, number: u32, name: &str, insertion: &str) -> Self {
        Self {
            order: (disk.len(), disk.to_owned(), number),
            name: name.to_owned(),
            insertion: insertion.to_owned(),
        }
    }

    /// Its device.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Whether it is a whole disk.
    #[must_use]
    pub const fn is_disk(&self) -> bool {
        self.order.2 == 0
    }
}

/// What is plugged in now, in the order in which it is searched: by disk, the whole disk first,
/// then its partitions by number.
///
/// # Errors
/// [`FilesError`] when the kernel cannot be asked.
pub fn find_volumes(files: &dyn Files) -> Result<Vec<Volume>, FilesError> {
    let mounts = files.read(Path::new(MOUNTINFO), MAX_MOUNTINFO)?.unwrap_or_default();
    let mounted: Vec<(u64, u64)> =
        parse_mountinfo(&mounts).into_iter().map(|mount| mount.device).collect();
    let mut all = Vec::new();
    for disk in files.list(Path::new(SYS_BLOCK))? {
        // A stick may be pulled out between two of these reads: then it has nothing to tell.
        if let Some(found) = volumes_of(files, &disk, &mounted) {
            all.extend(found);
        }
        all.truncate(MAX_VOLUMES);
    }
    all.sort();
    Ok(all)
}

fn volumes_of(files: &dyn Files, disk: &str, mounted: &[(u64, u64)]) -> Option<Vec<Volume>> {
    let sys = Path::new(SYS_BLOCK).join(disk);
    let names = files.list(&sys).ok()?;
    let is_real = names.iter().any(|name| name == "device");
    let is_boot_area =
        disk.starts_with("mmcblk") && (disk.contains("boot") || disk.contains("rpmb"));
    let size = attribute(files, &sys.join("size"))?;
    if !is_real || is_boot_area || size == "0" {
        return None;
    }
    let parts: Vec<(u32, &String)> = names
        .iter()
        .filter(|name| name.starts_with(disk))
        .filter_map(|name| {
            let number = attribute(files, &sys.join(name).join("partition"))?.parse().ok()?;
            Some((number, name))
        })
        .collect();
    let is_ours = |dir: &Path| {
        attribute(files, &dir.join("dev"))
            .as_deref()
            .and_then(numbers)
            .is_none_or(|device| mounted.contains(&device))
    };
    if is_ours(&sys) || parts.iter().any(|(_, name)| is_ours(&sys.join(name))) {
        return None;
    }
    // Counts up with every medium that is put in; kernels before 5.15 tell the size alone.
    let insertion =
        format!("{} {size}", attribute(files, &sys.join("diskseq")).unwrap_or_default());
    let mut found = vec![Volume::new(disk, 0, disk, &insertion)];
    let labels: Vec<String> = parts.iter().map(|(_, name)| label(files, &sys.join(name))).collect();
    // A stick may have a partition that is called data; a device's disk has slots beside it.
    let has_slots = labels.iter().any(|label| SLOT_LABELS.contains(&label.as_str()));
    for ((number, name), label) in parts.into_iter().zip(labels) {
        let is_ours = SLOT_LABELS.contains(&label.as_str()) || label == DATA_LABEL;
        if !(has_slots && is_ours) {
            found.push(Volume::new(disk, number, name, &insertion));
        }
    }
    Some(found)
}

fn label(files: &dyn Files, dir: &Path) -> String {
    let facts = attribute(files, &dir.join("uevent")).unwrap_or_default();
    let label = facts.lines().find_map(|line| line.strip_prefix("PARTNAME="));
    label.unwrap_or_default().to_owned()
}

fn attribute(files: &dyn Files, path: &Path) -> Option<String> {
    let bytes = files.read(path, MAX_ATTRIBUTE).ok()??;
    Some(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn numbers(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests play the kernel's files")]
mod tests {
    use super::*;
    use std::fs;

    fn disk(root: &Path, name: &str, dev: &str, parts: &[(&str, &str, &str)]) {
        let sys = root.join("sys/block").join(name);
        fs::create_dir_all(sys.join("device")).unwrap();
        fs::write(sys.join("size"), "2048\n").unwrap();
        fs::write(sys.join("dev"), dev).unwrap();
        fs::write(sys.join("diskseq"), "7\n").unwrap();
        for (part, dev, label) in parts {
            let dir = sys.join(part);
            fs::create_dir_all(&dir).unwrap();
            let number: String = part.chars().rev().take_while(char::is_ascii_digit).collect();
            let number: String = number.chars().rev().collect();
            fs::write(dir.join("partition"), number).unwrap();
            fs::write(dir.join("dev"), dev).unwrap();
            fs::write(dir.join("uevent"), format!("DEVTYPE=partition\nPARTNAME={label}\n"))
                .unwrap();
        }
    }

    fn names(root: &Path) -> Vec<String> {
        let found = find_volumes(&storage::HostFiles::new(root)).unwrap();
        found.into_iter().map(|volume| volume.name).collect()
    }

    #[test]
    fn sticks_are_found_by_no_label_and_the_own_disk_and_slots_are_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        fs::create_dir_all(root.join("proc/self")).unwrap();
        let mounts = "36 35 179:5 / /data rw - f2fs /dev/mmcblk1p5 rw\n";
        fs::write(root.join("proc/self/mountinfo"), mounts).unwrap();
        disk(
            root,
            "mmcblk1",
            "179:0",
            &[("mmcblk1p1", "179:1", "boot-a"), ("mmcblk1p5", "179:5", "data")],
        );
        disk(root, "mmcblk1boot0", "179:8", &[]);
        disk(root, "sdaa", "65:160", &[]);
        disk(root, "sdb", "8:16", &[("sdb10", "8:26", "data"), ("sdb2", "8:18", "BOOT")]);
        // A card that was made for another device.
        disk(
            root,
            "mmcblk0",
            "179:32",
            &[
                ("mmcblk0p1", "179:33", "boot-a"),
                ("mmcblk0p5", "179:37", "data"),
                ("mmcblk0p9", "179:41", ""),
            ],
        );
        disk(root, "sdc", "8:32", &[]);
        fs::write(root.join("sys/block/sdc/size"), "0\n").unwrap();
        disk(root, "loop0", "7:0", &[]);
        fs::remove_dir(root.join("sys/block/loop0/device")).unwrap();
        assert_eq!(names(root), ["sdb", "sdb2", "sdb10", "sdaa", "mmcblk0", "mmcblk0p9"]);
    }

    #[test]
    fn a_disk_that_went_away_is_none_and_no_disks_are_no_error() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(names(root.path()), [""; 0]);
        fs::create_dir_all(root.path().join("sys/block/sdb/device")).unwrap();
        assert_eq!(names(root.path()), [""; 0]);
    }
}
