// SPDX-License-Identifier: MIT OR Apache-2.0
//! The foreign programs that judge what we write. A missing one fails the suite: no silent skips.

use crate::error::TaskError;
use std::env;
use std::path::PathBuf;

/// Names of the programs that the tests call.
const JUDGES: [&str; 43] = [
    "aarch64-linux-gnu-gcc",
    "bwrap",
    "casync",
    "chromedriver",
    "chromium",
    "chronyd",
    "dbus-daemon",
    "dnsmasq",
    "fakeroot",
    "faketime",
    "fsck.f2fs",
    "fsck.vfat",
    "fw_printenv",
    "fw_setenv",
    "gpg",
    "grub-editenv",
    "mcopy",
    "mkenvimage",
    "mkfs.f2fs",
    "mkfs.vfat",
    "mkimage",
    "mksquashfs",
    "mmdebstrap",
    "nft",
    "nginx",
    "nmap",
    "npm",
    "openssl",
    "parted",
    "ping",
    "pkcs11-tool",
    "qemu-aarch64-static",
    "qemu-system-aarch64",
    "rauc",
    "sfdisk",
    "sgdisk",
    "softhsm2-util",
    "ssh-keygen",
    "strace",
    "systemd-analyze",
    "tree",
    "unsquashfs",
    "w3m",
];

/// Fails with the list of judges that are on neither `PATH` nor the system directories.
pub fn require() -> Result<(), TaskError> {
    let mut places: Vec<PathBuf> =
        env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    places.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let programs: Vec<String> = JUDGES
        .iter()
        .filter(|name| !places.iter().any(|place| place.join(name).is_file()))
        .map(|name| (*name).to_owned())
        .collect();
    if programs.is_empty() { Ok(()) } else { Err(TaskError::JudgesMissing { programs }) }
}
