// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is `/data` the data partition's file system, or only a directory of that name? Pure.
//!
//! A marker that lands in the initrd's memory or on the root's own `/data` is lost or, worse,
//! believed later. So the mount table is asked, by device number: names of sources are what the
//! mounter liked to write there.

use crate::KnownPartition;
use std::path::{Path, PathBuf};
use storage::{mount_holding, parse_mountinfo};

/// Why a path does not lie on the data partition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOnData {
    /// The kernel knows no such partition (yet).
    #[error("the system knows no partition {label}")]
    NoPartition {
        /// The label looked for.
        label: String,
    },
    /// Something else is there.
    #[error("{node} ({label}) does not hold {path}: {found} does", path = path.display(), found = found.display())]
    Elsewhere {
        /// The label looked for.
        label: String,
        /// The partition's node.
        node: String,
        /// The path judged.
        path: PathBuf,
        /// What holds it now, as its mounter named it.
        found: PathBuf,
    },
}

/// Whether `path` lies on `data`, judged by the text of `/proc/self/mountinfo`.
///
/// # Errors
/// [`NotOnData`], in words for people.
pub fn judge_data_place(
    mountinfo: &[u8],
    path: &Path,
    label: &str,
    data: Option<&KnownPartition>,
) -> Result<(), NotOnData> {
    let Some(data) = data else { return Err(NotOnData::NoPartition { label: label.to_owned() }) };
    let mounts = parse_mountinfo(mountinfo);
    let holding = mount_holding(&mounts, path);
    if holding.is_some_and(|mount| mount.device == data.device) {
        return Ok(());
    }
    Err(NotOnData::Elsewhere {
        label: label.to_owned(),
        node: data.node.clone(),
        path: path.to_owned(),
        found: holding.map_or_else(|| PathBuf::from("nothing"), |mount| mount.source.clone()),
    })
}

/// Where `data` is mounted, if it is anywhere.
#[must_use]
pub fn find_mount(mountinfo: &[u8], data: &KnownPartition) -> Option<PathBuf> {
    let mounts = parse_mountinfo(mountinfo);
    mounts.into_iter().find(|mount| mount.device == data.device).map(|mount| mount.place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::ByteLen;

    const MARKER: &str = "/data/atomix/provisioned";
    const INITRD: &str = "1 1 0:2 / / rw - rootfs rootfs rw\n2 1 0:5 / /proc rw - proc proc rw\n";

    fn data() -> KnownPartition {
        let (start, len) = (ByteLen::mib(16), ByteLen::mib(64));
        KnownPartition { number: 5, start, len, device: (254, 5), node: "vda5".to_owned() }
    }

    fn judge(more: &str) -> Result<(), NotOnData> {
        let text = format!("{INITRD}{more}");
        judge_data_place(text.as_bytes(), Path::new(MARKER), "data", Some(&data()))
    }

    #[test]
    fn the_initrds_own_data_directory_is_not_the_data_partition() {
        let why = judge("").unwrap_err();
        let said = "vda5 (data) does not hold /data/atomix/provisioned: rootfs does";
        assert_eq!(why.to_string(), said);
        assert_eq!(judge("9 1 254:5 / /data rw - f2fs /dev/vda5 rw\n"), Ok(()));
    }

    #[test]
    fn another_device_or_something_on_top_is_not_the_data_partition() {
        assert!(judge("9 1 254:4 / /data rw - f2fs /dev/vda5 rw\n").is_err(), "a name is no proof");
        assert!(judge("9 1 254:5 / /mnt rw - f2fs /dev/vda5 rw\n").is_err());
        let mounted = "9 1 254:5 / /data rw - f2fs /dev/vda5 rw\n";
        for hides in ["/data", "/data/atomix", "/data/atomix/provisioned"] {
            let text = format!("{mounted}10 9 0:40 / {hides} rw - tmpfs none rw\n");
            assert!(judge(&text).is_err(), "{hides}");
        }
        assert!(judge(&format!("{mounted}10 9 0:40 / /data/other rw - tmpfs none rw\n")).is_ok());
    }

    #[test]
    fn without_a_partition_or_a_mount_table_nothing_is_claimed() {
        let path = Path::new(MARKER);
        let why = judge_data_place(INITRD.as_bytes(), path, "data", None).unwrap_err();
        assert_eq!(why, NotOnData::NoPartition { label: "data".to_owned() });
        assert!(judge_data_place(b"", path, "data", Some(&data())).is_err());
    }

    #[test]
    fn a_mounted_data_partition_is_found_wherever_it_is() {
        let text = format!("{INITRD}9 1 254:5 /home /srv/home rw - f2fs /dev/vda5 rw\n");
        assert_eq!(find_mount(text.as_bytes(), &data()), Some(PathBuf::from("/srv/home")));
        assert_eq!(find_mount(INITRD.as_bytes(), &data()), None);
    }
}
