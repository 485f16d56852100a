// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a person try an image for `rock64-qemu`? On the emulated board of the tests, with real
//! U-Boot, and with the board's serial line on this terminal; no test acts in it.

use crate::board::{DISK_LEN, QEMU};
use crate::machine::copy_sparse;
use crate::parts::{recipe, uboot};
use crate::progress::say;
use crate::qemu::{EMULATOR, Hardware};
use crate::wiring::Wiring;
use anyhow::{Context as _, Result, ensure};
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The world, as the machine's user sees it, and a LAN with nobody in it: at the places that
/// `nix/boards/rock64-qemu.nix` names them by.
const NETWORKS: [&str; 8] = [
    "-netdev",
    "user,id=world",
    "-device",
    "virtio-net-pci,netdev=world,addr=0x10",
    "-netdev",
    "user,id=lan,restrict=on",
    "-device",
    "virtio-net-pci,netdev=lan,addr=0x11",
];

/// What is booted, and where it stays.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct VmArgs {
    /// An image for rock64-qemu; else that of the example recipe, whose root has no password
    #[arg(env = "ATOMIX_VM_IMAGE")]
    image: Option<PathBuf>,
    /// Its U-Boot; else one built of Debian's sources
    #[arg(long, value_name = "FILE", env = "ATOMIX_VM_U_BOOT")]
    u_boot: Option<PathBuf>,
    /// Keep disk and card in this directory, and go on with them where there are some
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// Boots it and gives it the terminal, until the emulator ends.
///
/// # Errors
/// When a part cannot be built, the image is none for that board, or the emulator fails.
pub fn run(args: &VmArgs) -> Result<()> {
    let scratch = std::env::temp_dir().join(format!("atomix-vm-{}", std::process::id()));
    let dir = args.keep.as_deref().unwrap_or(&scratch);
    let done = prepare(dir, args).and_then(|()| attach(dir, args));
    if args.keep.is_none() && scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| scratch.display().to_string())?;
    }
    done
}

/// The board's disk and card, as far as they are not there.
fn prepare(dir: &Path, args: &VmArgs) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    let (disk, card) = (dir.join("disk.img"), dir.join("card.img"));
    if !disk.exists() {
        let image = match &args.image {
            Some(image) => image.clone(),
            None => recipe::image()?.join("disk.img"),
        };
        let len = fs::metadata(&image).with_context(|| image.display().to_string())?.len();
        let (least, most) = (QEMU.image_len().get(), DISK_LEN.get());
        ensure!(
            (least..=most).contains(&len),
            "{} has {len} bytes: an image for rock64-qemu has {least}, and its disk {most}",
            image.display()
        );
        copy_sparse(&image, &disk)?;
        OpenOptions::new().write(true).open(&disk)?.set_len(most)?;
    }
    if !card.exists() {
        File::create(&card)?.set_len(QEMU.flash.size.get())?;
    }
    Ok(())
}

fn attach(dir: &Path, args: &VmArgs) -> Result<()> {
    let firmware = match &args.u_boot {
        Some(firmware) => firmware.clone(),
        None => uboot::qemu()?.join("u-boot.bin"),
    };
    let hardware = Hardware {
        firmware: &firmware,
        disk: &dir.join("disk.img"),
        card: Some(&dir.join("card.img")),
        wiring: &Wiring::Plain,
        stick: None,
        handed_over: Vec::new(),
        more_args: &[],
        saved: None,
        logs: dir,
    };
    say("the board's serial line; Ctrl-A X switches off, Ctrl-A H tells what else there is");
    let mut command = Command::new(EMULATOR);
    command.args(hardware.board()).args(NETWORKS).args(["-serial", "mon:stdio"]);
    let ended = command.status().context("cannot start the emulator: run .ci/setup-e2e")?;
    ensure!(ended.success(), "the emulator ended with {ended}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_of_that_board_is_refused_and_one_gets_a_disk_and_an_erased_card() {
        let dir = tempfile::tempdir().unwrap();
        let (image, board) = (dir.path().join("x.img"), dir.path().join("board"));
        let args = VmArgs { image: Some(image.clone()), u_boot: None, keep: None };
        let refused = |args: &VmArgs| prepare(&board, args).unwrap_err().to_string();
        assert!(refused(&args).contains("x.img"), "one that is not there");
        let file = File::create(&image).unwrap();
        for len in [0, QEMU.image_len().get() - 1, DISK_LEN.get() + 1] {
            file.set_len(len).unwrap();
            assert!(refused(&args).contains("an image for rock64-qemu has"));
        }
        file.set_len(QEMU.image_len().get()).unwrap();
        prepare(&board, &args).unwrap();
        let len = |name: &str| fs::metadata(board.join(name)).unwrap().len();
        assert_eq!(len("disk.img"), DISK_LEN.get());
        assert_eq!(len("card.img"), QEMU.flash.size.get());
        // What is there is kept, whatever is named.
        fs::write(board.join("disk.img"), "in use").unwrap();
        prepare(&board, &args).unwrap();
        assert_eq!(len("disk.img"), 6);
    }
}
