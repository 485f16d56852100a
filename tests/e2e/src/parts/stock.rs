// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does the selector run on a U-Boot that nobody built for it? Debian's own for the emulated
//! board, which has neither our default environment nor a driver for the card.
//!
//! Its flash, never written, stands for the default environment that it was not built with: the
//! selector without the steps that fetch it from there. Its state lies on the disk, before the
//! first partition, as one copy, where both U-Boot's commands and Linux reach it.

use crate::apt::{Apt, SUITE};
use crate::board::QEMU;
use crate::cache::{Inputs, part};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use storage::{Access, FileStorage};
use uboot::{CopyPlace, Env, EnvStore, encode_image};

/// First byte of the environment on the disk.
const ENV_OFFSET: u64 = 0x3f_0000;

/// Its size.
const ENV_BYTES: u32 = 0x8000;

/// Memory through which it is read and written; nothing else is loaded there.
const BUFFER: u64 = 0x4700_0000;

/// Size of the environment in the flash, to which this U-Boot was built.
const FLASH_ENV_BYTES: usize = 0x4_0000;

/// Size of a bank of the emulated flash.
const BANK_BYTES: u64 = 64 << 20;

/// What the selector takes from a stored environment, as many names as two commands can take.
const STATE: [&[&str]; 2] = [
    &[
        "atomix_env",
        "BOOT_ORDER",
        "BOOT_A_LEFT",
        "BOOT_B_LEFT",
        "atomix_state_A",
        "atomix_state_B",
        "atomix_trail",
        "atomix_trail_before",
        "atomix_trail_tens",
        "atomix_trail_ones",
    ],
    &[
        "atomix_digest_A",
        "atomix_digest_B",
        "atomix_failed",
        "atomix_last",
        "atomix_disk",
        "atomix_reason",
        "atomix_returned",
    ],
];

/// Debian's U-Boot for the emulated board: `u-boot.bin`.
///
/// # Errors
/// When it cannot be fetched.
pub fn stock() -> Result<PathBuf> {
    part("uboot-stock", Inputs::new("stock 1").text(SUITE), |dir| {
        let root = dir.join("root");
        Apt::update()?.unpack("u-boot-qemu", &root)?;
        let built = root.join("usr/lib/u-boot/qemu_arm64/u-boot.bin");
        fs::copy(&built, dir.join("u-boot.bin")).with_context(|| built.display().to_string())?;
        fs::remove_dir_all(&root)?;
        Ok(())
    })
}

/// Where the environment lies on this disk, a file or Linux's device.
#[must_use]
pub fn place(disk: &Path) -> CopyPlace {
    CopyPlace {
        device: disk.to_owned(),
        offset: ENV_OFFSET,
        env_bytes: ENV_BYTES,
        erase_bytes: 0,
        sectors: 0,
    }
}

/// The environment on a disk.
///
/// # Errors
/// When the disk cannot be opened.
pub fn env_store(disk: &Path, access: Access) -> Result<EnvStore<FileStorage>> {
    Ok(EnvStore::open(vec![(FileStorage::open(disk, access)?, place(disk))])?)
}

/// Makes the flash that this U-Boot reads its variables from, and returns the emulator's
/// arguments for it.
///
/// # Errors
/// When it cannot be written.
pub fn plug_flash(path: &Path) -> Result<Vec<String>> {
    let image = encode_image(&variables()?, FLASH_ENV_BYTES, None)?;
    fs::write(path, image)?;
    fs::OpenOptions::new().write(true).open(path)?.set_len(BANK_BYTES)?;
    let drive = format!("if=pflash,unit=1,format=raw,readonly=on,file={}", path.display());
    Ok(vec!["-drive".to_owned(), drive])
}

/// What stands in the flash.
fn variables() -> Result<Env> {
    let mut env = Env::new();
    for line in QEMU.selector().lines() {
        let (name, value) = line.split_once('=').context("a selector of variables")?;
        env.set(name, &on_stock(value))?;
    }
    let mut steps = vec![disk_command("read")];
    steps.extend(
        STATE.map(|names| format!("env import -c {BUFFER:#x} {ENV_BYTES:#x} {}", names.join(" "))),
    );
    steps.push("run atomix_select".to_owned());
    env.set("bootcmd", &steps.join("; "))?;
    env.set("bootdelay", "0")?;
    Ok(env)
}

/// A script of the selector, with what this U-Boot has for the defaults and for saving.
fn on_stock(script: &str) -> String {
    let steps = script.split("; ").filter(|step| !step.starts_with("env default "));
    let save = format!("env export -c -s {ENV_BYTES:#x} {BUFFER:#x} && {}", disk_command("write"));
    steps.collect::<Vec<_>>().join("; ").replace("saveenv", &save)
}

/// Reads or writes the sectors of the environment.
fn disk_command(verb: &str) -> String {
    let (first, count) = (ENV_OFFSET / 512, ENV_BYTES / 512);
    format!("{} {verb} {BUFFER:#x} {first:#x} {count:#x}", QEMU.disk.interface)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_saving_and_the_way_to_the_defaults_differ_from_the_selector() {
        let ours = QEMU.selector();
        let stock = variables().unwrap();
        for line in ours.lines() {
            let (name, value) = line.split_once('=').unwrap();
            let touched = value.contains("saveenv") || value.contains("env default");
            assert!(touched || stock.get(name) == Some(value), "{name}");
        }
        assert!(!stock.iter().any(|(_, value)| value.contains("saveenv")));
        assert_eq!(on_stock("env default -f a b; run a"), "run a");
        assert!(
            on_stock("if saveenv; then x; fi")
                .contains("&& virtio write 0x47000000 0x1f80 0x40; then x")
        );
    }
}
