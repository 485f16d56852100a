// SPDX-License-Identifier: MIT OR Apache-2.0
//! What brings the root file system up? Busybox and `guest/init`, the modules of the board's
//! devices, and `atomix-repart` with what it needs to make the first boot's partitions.

use crate::apt::{Apt, SUITE};
use crate::cache::{Inputs, part};
use crate::parts::rootfs::{self, put};
use crate::parts::{atomix, kernel};
use crate::program::Program;
use crate::progress::say;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// What is another on each board.
pub struct Guest<'a> {
    /// The part's name.
    pub name: &'a str,
    /// Modules that the board needs, in the order in which they are loaded.
    pub modules: &'a [&'a str],
    /// Modules that somebody else loads.
    pub others: &'a [&'a str],
    /// Devices that are waited for: the slots' disk first.
    pub devices: &'a [&'a str],
    /// Files below `/etc`.
    pub settings: Vec<(String, String)>,
}

const MODULES: [&str; 10] = [
    "virtio_blk",
    "sdhci-pci",
    "squashfs",
    "nls_ascii",
    "vfat",
    "overlay",
    // f2fs asks for it by another name, which its list of needs does not have.
    "crc32_generic",
    "f2fs",
    "qemu_fw_cfg",
    "i6300esb",
];

/// A module that a scenario's hook loads.
const NETWORK: &str = "virtio_net";

const INIT: &str = include_str!("../../guest/init");

/// The place of shared objects on Debian.
const LIBRARIES: &str = "usr/lib/aarch64-linux-gnu";

/// The file `initrd`.
///
/// # Errors
/// When it cannot be built.
pub fn initrd() -> Result<PathBuf> {
    with(kernel::kernel()?)
}

/// The same with the modules of this kernel.
///
/// # Errors
/// As [`initrd`].
pub fn with(kernel: PathBuf) -> Result<PathBuf> {
    let guest = Guest {
        name: "initrd",
        modules: &MODULES,
        others: &[NETWORK],
        devices: &["/dev/vda", "/dev/mmcblk0"],
        settings: rootfs::settings(),
    };
    of(&guest, kernel)
}

/// The file `initrd` of a board.
///
/// # Errors
/// When it cannot be built.
pub fn of(guest: &Guest<'_>, kernel: PathBuf) -> Result<PathBuf> {
    let parts = [busybox()?, kernel, rootfs::base()?, atomix::aarch64()?];
    let mut inputs = Inputs::new("initrd 4").text(INIT);
    for words in [guest.modules, guest.others, guest.devices] {
        inputs = inputs.text(&words.join(" "));
    }
    for part in &parts {
        inputs = inputs.part(part);
    }
    for (name, text) in &guest.settings {
        inputs = inputs.text(name).text(text);
    }
    part(guest.name, inputs, |dir| {
        let [busybox, kernel, base, atomix] = &parts;
        let root = dir.join("root");
        for name in ["dev", "proc", "sys", "run", "root", "lower", "overlay", "data", "sbin"] {
            fs::create_dir_all(root.join(name))?;
        }
        put(&root.join("init"), INIT.as_bytes(), 0o755)?;
        put(&root.join("bin/busybox"), &fs::read(busybox.join("root/usr/bin/busybox"))?, 0o755)?;
        symlink("busybox", root.join("bin/sh"))?;
        // The kernel's own requests for modules go there.
        symlink("../bin/busybox", root.join("sbin/modprobe"))?;
        for (name, text) in &guest.settings {
            put(&root.join(name), text.as_bytes(), 0o644)?;
        }
        let devices = guest.devices.join("\n") + "\n";
        put(&root.join("etc/devices"), devices.as_bytes(), 0o644)?;
        add_modules(guest, kernel, &root)?;
        let repart = atomix.join("atomix-repart");
        add_program(&repart, "usr/bin/atomix-repart", base, &root)?;
        let mkfs = "usr/sbin/mkfs.f2fs";
        add_program(&base.join("root").join(mkfs), mkfs, base, &root)?;
        let packed = dir.join("initrd");
        pack(&root, &packed)?;
        let spared = weight(&atomix.join("atomix"), base)? - weight(&repart, base)?;
        say(&format!(
            "initrd: {} KiB packed; the large program and its libraries would add {} KiB unpacked",
            fs::metadata(&packed)?.len() / 1024,
            spared / 1024
        ));
        Program::new("rm").arg("-rf").arg(&root).run()
    })
}

fn busybox() -> Result<PathBuf> {
    part("busybox", Inputs::new("busybox 1").text(SUITE), |dir| {
        Apt::update()?.unpack("busybox-static", &dir.join("root"))
    })
}

/// Debian's modules are compressed, which busybox does not read.
fn add_modules(guest: &Guest<'_>, kernel: &Path, root: &Path) -> Result<()> {
    let version = kernel::version(kernel)?;
    let all = kernel.join("root/usr/lib/modules").join(&version);
    let ours = root.join("usr/lib/modules").join(&version);
    symlink("usr/lib", root.join("lib"))?;
    for file in kernel::module_files(kernel, &[guest.modules, guest.others].concat())? {
        let place = ours.join(file.strip_prefix(&all)?);
        put(&place, &fs::read(&file)?, 0o644)?;
        if place.extension().is_some_and(|extension| extension == "xz") {
            Program::new("xz").arg("-d").arg(&place).run()?;
        }
    }
    for name in ["modules.builtin", "modules.order", "modules.builtin.modinfo"] {
        fs::copy(all.join(name), ours.join(name))?;
    }
    Program::new("depmod").arg("-b").arg(root.join("usr")).arg(&version).run()?;
    put(&root.join("etc/modules"), (guest.modules.join("\n") + "\n").as_bytes(), 0o644)
}

/// Puts in a program and every shared object that it needs.
fn add_program(program: &Path, place: &str, base: &Path, root: &Path) -> Result<()> {
    put(&root.join(place), &fs::read(program)?, 0o755)?;
    for (name, from) in libraries(program, base)? {
        // What speaks TLS has no business before the root file system.
        if name.starts_with("libssl") || name.starts_with("libcrypto") {
            bail!("{} needs {name}, which the initrd must not carry", program.display());
        }
        put(&root.join(LIBRARIES).join(&name), &fs::read(&from)?, 0o755)?;
    }
    let loader = root.join("usr/lib/ld-linux-aarch64.so.1");
    if !loader.exists() {
        symlink("aarch64-linux-gnu/ld-linux-aarch64.so.1", loader)?;
    }
    Ok(())
}

/// Every shared object that a program needs, by name.
fn libraries(program: &Path, base: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let libraries = base.join("root").join(LIBRARIES);
    let mut open = needed(program)?;
    let mut found = BTreeMap::new();
    while let Some(name) = open.pop() {
        if found.contains_key(&name) {
            continue;
        }
        let from = libraries.join(&name);
        if !from.exists() {
            bail!("{} needs {name}, which the root file system lacks", program.display());
        }
        open.extend(needed(&from)?);
        found.insert(name, from);
    }
    Ok(found)
}

/// Bytes of a program with its shared objects.
fn weight(program: &Path, base: &Path) -> Result<u64> {
    let mut bytes = fs::metadata(program)?.len();
    for file in libraries(program, base)?.into_values() {
        bytes += fs::metadata(file)?.len();
    }
    Ok(bytes)
}

fn needed(object: &Path) -> Result<Vec<String>> {
    let printed = Program::new("aarch64-linux-gnu-readelf").arg("-d").arg(object).output()?;
    let named = printed.lines().filter(|line| line.contains("(NEEDED)"));
    let names = named.filter_map(|line| line.split(['[', ']']).nth(1));
    Ok(names.map(str::to_owned).collect())
}

fn pack(root: &Path, out: &Path) -> Result<()> {
    let archive = out.with_extension("cpio");
    let list = out.with_extension("list");
    let names = Program::new("find").args([".", "-mindepth", "1"]).current_dir(root).output()?;
    let mut names: Vec<&str> = names.lines().collect();
    names.sort_unstable();
    fs::write(&list, names.join("\n") + "\n")?;
    Program::new("sh")
        .args(["-c", "exec cpio -o -H newc --quiet -R 0:0 --reproducible <\"$1\" >\"$2\"", "cpio"])
        .arg(&list)
        .arg(&archive)
        .current_dir(root)
        .run()
        .context("packing the initrd")?;
    Program::new("zstd").args(["-q", "-10", "--rm", "-o"]).arg(out).arg(&archive).run()?;
    fs::remove_file(list)?;
    Ok(())
}
