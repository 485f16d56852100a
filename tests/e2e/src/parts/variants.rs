// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which updates must not stay, and which must not even be written? Bundles that differ from the
//! update in one thing each, together on one stick.

use crate::board::QEMU;
use crate::cache::{Inputs, part};
use crate::parts::bundle::{self, Release, pack_stick};
use crate::parts::disk;
use ::bundle::{FileSource, MemorySource, Source};
use anyhow::Result;
use board_rock64::{BootTree, InitPath};
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Size of an image that nobody is meant to use.
const GARBAGE_BYTES: usize = 1 << 20;

/// What a bundle's boot partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BootContent {
    Whole,
    WithoutKernel,
    GarbageKernel,
    WithoutScript,
}

/// Bundles that are written and then fail to boot: name and boot partition; the root file system
/// is garbage in all of them.
const BROKEN: [(&str, BootContent); 4] = [
    ("kernel-missing.raucb", BootContent::WithoutKernel),
    ("kernel-garbage.raucb", BootContent::GarbageKernel),
    ("script-missing.raucb", BootContent::WithoutScript),
    ("rootfs-garbage.raucb", BootContent::Whole),
];

/// The file `stick.squashfs`: `update.raucb` itself, the broken ones, and `older.raucb`,
/// `other-board.raucb`, `foreign.raucb`, `tampered.raucb`, which are refused.
///
/// # Errors
/// When one cannot be made.
pub fn stick() -> Result<PathBuf> {
    let (update, keys, foreign) = (bundle::update()?, bundle::keys()?, bundle::foreign_keys()?);
    let inputs = Inputs::new("variants 2").part(&update).part(&keys).part(&foreign);
    part("variants", inputs, |dir| {
        let garbage_image = dir.join("garbage");
        fs::write(&garbage_image, garbage())?;
        let mut bundles = vec![update.join("update.raucb")];
        let mut make = |name: &str, release: &Release<'_>| {
            let path = dir.join(name);
            release.write(&path)?;
            bundles.push(path);
            anyhow::Ok(())
        };
        let small = boot_tree(BootContent::WithoutKernel)?;
        let plain = Release {
            boot: &small,
            rootfs: &garbage_image,
            compatible: QEMU.compatible,
            version: bundle::UPDATE_VERSION,
            keys: &keys,
        };
        for (name, content) in BROKEN {
            make(name, &Release { boot: &boot_tree(content)?, ..plain })?;
        }
        make("older.raucb", &Release { version: "1.5", ..plain })?;
        make("other-board.raucb", &Release { compatible: "rock64", ..plain })?;
        make("foreign.raucb", &Release { keys: &foreign, ..plain })?;
        let tampered = dir.join("tampered.raucb");
        tamper(&update.join("update.raucb"), &tampered)?;
        bundles.push(tampered);
        pack_stick(&bundles, &dir.join("stick.squashfs"))?;
        for path in bundles.iter().filter(|path| path.starts_with(dir)) {
            fs::remove_file(path)?;
        }
        Ok(())
    })
}

/// One bit of the payload's middle is another.
fn tamper(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)?;
    let file = fs::OpenOptions::new().read(true).write(true).open(to)?;
    let middle = file.metadata()?.len() / 2;
    let mut byte = [0];
    file.read_exact_at(&mut byte, middle)?;
    file.write_all_at(&byte.map(|byte| byte ^ 1), middle)?;
    Ok(())
}

/// Bytes without a meaning to anybody, and the same each time.
fn garbage() -> Vec<u8> {
    let pattern = (0_u32..).map(|number| number.wrapping_mul(0x9e37_79b9).to_be_bytes()[0]);
    pattern.take(GARBAGE_BYTES).collect()
}

fn boot_tree(content: BootContent) -> Result<BootTree> {
    let parts = disk::boot_parts()?;
    if content == BootContent::Whole {
        return disk::boot_tree(&parts);
    }
    let memory =
        |name: &str, bytes| -> Arc<dyn Source> { Arc::new(MemorySource::new(name, bytes)) };
    let [_, initrd, tree] = &parts;
    let mut files = BootTree::default();
    files.add("initrd", Arc::new(FileSource::open(&initrd.join("initrd"))?))?;
    files.add(QEMU.device_tree, Arc::new(FileSource::open(&tree.join("virt.dtb"))?))?;
    if content != BootContent::WithoutKernel {
        files.add("Image", memory("Image", garbage()))?;
    }
    if content != BootContent::WithoutScript {
        let text = QEMU.slot_script(&InitPath::default());
        let script = uboot::encode_script("atomix slot script", text.as_bytes(), disk::EPOCH)?;
        files.add("boot.scr", memory("boot.scr", script))?;
    }
    Ok(files)
}
