// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is flashed? The image with slot A alone, made by the function behind `atomix image build`
//! for this board, grown to the size of the disk as a larger module would be.

use crate::board::{DISK_LEN, QEMU};
use crate::cache::{Inputs, part};
use crate::parts::{initrd, kernel, rootfs};
use crate::program::Program;
use ::bundle::{FileSource, Source};
use anyhow::Result;
use board_rock64::{BootFiles, BootTree, ImageRequest, InitPath, build_image};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::FileStorage;

/// Version of what is flashed.
pub const FLASHED_VERSION: &str = "1.0";

/// Time of everything in images.
pub const EPOCH: u32 = 1_700_000_000;

/// The emulated machine, as far as its device tree shows it.
pub const MACHINE: &str = include_str!("machine.words");

/// The file `disk.img`, sparse.
///
/// # Errors
/// When it cannot be built.
pub fn disk() -> Result<PathBuf> {
    let (boot, rootfs) = (boot_parts()?, rootfs::release(FLASHED_VERSION)?);
    let mut inputs = Inputs::new("disk 1").part(&rootfs).text(&recipe());
    for part in &boot {
        inputs = inputs.part(part);
    }
    part("disk", inputs, |dir| {
        let path = dir.join("disk.img");
        let request = ImageRequest {
            board: &QEMU,
            idbloader: None,
            u_boot: None,
            boot: boot_tree(&boot)?,
            rootfs: open(&rootfs.join("rootfs.squashfs"))?,
            version: FLASHED_VERSION,
            source_date_epoch: EPOCH.into(),
        };
        let mut image = FileStorage::create_sparse(&path, QEMU.image_len())?;
        build_image(&request, &mut image, &mut |_| {})?;
        drop(image);
        fs::OpenOptions::new().write(true).open(&path)?.set_len(DISK_LEN.get())?;
        Ok(())
    })
}

/// The parts of a boot partition: kernel, initrd, device tree.
///
/// # Errors
/// When one cannot be built.
pub fn boot_parts() -> Result<[PathBuf; 3]> {
    Ok([kernel::kernel()?, initrd::initrd()?, device_tree()?])
}

/// What the board's facts add to a boot partition and to the layout.
#[must_use]
pub fn recipe() -> String {
    format!("{:?}\n{}", QEMU, QEMU.slot_script(&InitPath::default()))
}

/// The content of a boot partition.
///
/// # Errors
/// When a part is not there.
pub fn boot_tree(parts: &[PathBuf; 3]) -> Result<BootTree> {
    let [kernel, initrd, tree] = parts;
    let files = BootFiles {
        kernel: open(&kernel.join("Image"))?,
        initrd: open(&initrd.join("initrd"))?,
        device_tree: open(&tree.join("virt.dtb"))?,
        init: InitPath::default(),
    };
    Ok(BootTree::for_slot(&QEMU, &files, EPOCH)?)
}

fn open(path: &Path) -> Result<Arc<dyn Source>> {
    Ok(Arc::new(FileSource::open(path)?))
}

/// The device tree of the emulated machine, as a slot brings its own on a real board.
///
/// # Errors
/// When the emulator does not tell it.
pub fn device_tree() -> Result<PathBuf> {
    part("device-tree", Inputs::new("tree 2").text(MACHINE.trim()), |dir| {
        // The machine has other devices when it starts without firmware, and a kernel that looks
        // for them dies before it can say so.
        let firmware = dir.join("any");
        fs::write(&firmware, [0; 4096])?;
        Program::new("qemu-system-aarch64")
            .args(["-nodefaults", "-display", "none", "-serial", "null", "-M"])
            .arg(format!("virt,dumpdtb={}", dir.join("virt.dtb").display()))
            .arg("-bios")
            .arg(&firmware)
            .args(MACHINE.split_whitespace())
            .run()
    })
}
