// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the kernel say is mounted? Reads the text of `/proc/self/mountinfo`.
//!
//! One line per mount, fields separated by a space, blanks in names as `\040` (octal):
//! `36 35 179:4 / /boot rw,noatime shared:1 - vfat /dev/mmcblk1p4 rw`. Third the device number,
//! fifth the place; after a lone `-` the file system and its source. From `proc_pid_mountinfo(5)`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Major and minor device number; major 0 for file systems without a device of their own.
    pub device: (u64, u64),
    /// Where it is mounted.
    pub place: PathBuf,
    /// What the mounter named as its source.
    pub source: PathBuf,
}

/// Reads the whole text. Lines of another shape are passed over: the kernel writes this file, and
/// a new field must not make every install fail.
#[must_use]
pub fn parse_mountinfo(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n').filter_map(parse_line).collect()
}

/// The mount that holds `path`: the innermost one, and of several at one place the last, which
/// hides the others.
#[must_use]
pub fn mount_holding<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let holding = mounts.iter().filter(|mount| path.starts_with(&mount.place));
    // The last one of equal length wins.
    holding.max_by_key(|mount| mount.place.components().count())
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = std::str::from_utf8(fields.nth(2)?).ok()?;
    let (major, minor) = device.split_once(':')?;
    let place = unescape(fields.nth(1)?);
    let source = fields.skip_while(|field| *field != b"-").nth(2)?;
    Some(Mount {
        device: (major.parse().ok()?, minor.parse().ok()?),
        place,
        source: unescape(source),
    })
}

fn unescape(field: &[u8]) -> PathBuf {
    let mut name = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let byte = octal
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        name.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    PathBuf::from(OsString::from_vec(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_and_source_are_found_whatever_optional_fields_lie_between() {
        let text = b"36 35 179:4 / /mnt/a\\040b rw,noatime shared:1 master:2 - vfat /dev/mmc rw\n\
            21 1 0:20 / /proc rw - proc proc rw\nnonsense\n";
        let mounts = parse_mountinfo(text);
        assert_eq!(
            mounts,
            vec![
                Mount { device: (179, 4), place: "/mnt/a b".into(), source: "/dev/mmc".into() },
                Mount { device: (0, 20), place: "/proc".into(), source: "proc".into() },
            ]
        );
    }

    #[test]
    fn a_path_is_held_by_the_innermost_mount_and_by_the_one_on_top() {
        let text = b"1 0 254:2 / / rw - ext4 /dev/vda2 rw\n\
            2 1 254:5 / /data rw - f2fs /dev/vda5 rw\n\
            3 1 0:30 / /data rw - tmpfs tmpfs rw\n\
            4 1 0:31 / /data/atomix/deep rw - tmpfs tmpfs rw\n";
        let mounts = parse_mountinfo(text);
        let device = |path: &str| mount_holding(&mounts, Path::new(path)).map(|mount| mount.device);
        assert_eq!(device("/data/atomix/provisioned"), Some((0, 30)));
        assert_eq!(device("/data/atomix/deep/file"), Some((0, 31)));
        assert_eq!(device("/database"), Some((254, 2)), "whole components count");
        assert_eq!(mount_holding(&mounts[1..], Path::new("/etc")), None);
    }
}
