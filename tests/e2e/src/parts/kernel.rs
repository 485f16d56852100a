// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which kernel runs? Debian's for arm64, as it is: `Image`, and `modules` with its index.

use crate::apt::{Apt, SUITE};
use crate::cache::{Inputs, part};
use crate::program::Program;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// What stands for the newest kernel, and how the packages of kernels begin.
const META: &str = "linux-image-arm64";
const PACKAGE: &str = "linux-image-";

/// The directory with `Image` and the tree `root/usr/lib/modules/<version>`.
///
/// # Errors
/// When it cannot be fetched.
pub fn kernel() -> Result<PathBuf> {
    part("kernel", Inputs::new("kernel 1").text(SUITE), |dir| {
        let apt = Apt::update()?;
        let package = apt.dependency(META, PACKAGE)?;
        fetch(&apt, &package, dir)
    })
}

/// The same of the kernel that the suite has today: the image of a recipe has that one, and its initrd
/// needs the modules of it. Where no mirror can be asked, the one that is there.
///
/// # Errors
/// As [`kernel`].
pub fn newest() -> Result<PathBuf> {
    let kept = kernel()?;
    let Ok(apt) = Apt::update() else { return Ok(kept) };
    let package = apt.dependency(META, PACKAGE)?;
    if package == format!("{PACKAGE}{}", version(&kept)?) {
        return Ok(kept);
    }
    let inputs = Inputs::new("newest kernel 1").text(SUITE).text(&package);
    part("kernel-newest", inputs, |dir| fetch(&apt, &package, dir))
}

fn fetch(apt: &Apt, package: &str, dir: &Path) -> Result<()> {
    let root = dir.join("root");
    apt.unpack(package, &root)?;
    let version = version(dir)?;
    fs::rename(root.join(format!("boot/vmlinuz-{version}")), dir.join("Image"))?;
    Program::new("depmod").arg("-b").arg(root.join("usr")).arg(version).run()
}

/// The kernel's version, as its modules' directory is called.
///
/// # Errors
/// When there is no such directory.
pub fn version(kernel: &Path) -> Result<String> {
    let modules = kernel.join("root/usr/lib/modules");
    let mut entries = fs::read_dir(&modules).with_context(|| modules.display().to_string())?;
    let first = entries.next().context("no modules")??;
    Ok(first.file_name().to_string_lossy().into_owned())
}

/// The files of these modules and of all that they need.
///
/// # Errors
/// When there is no module of a name.
pub fn module_files(kernel: &Path, names: &[&str]) -> Result<Vec<PathBuf>> {
    let version = version(kernel)?;
    let mut files = Vec::new();
    for name in names {
        let listed = Program::new("modprobe")
            .arg("-d")
            .arg(kernel.join("root/usr"))
            .args(["-S", &version, "--show-depends", name])
            .output()?;
        let inserted = listed.lines().filter_map(|line| line.strip_prefix("insmod "));
        files.extend(inserted.map(|path| PathBuf::from(path.trim())));
    }
    files.sort();
    files.dedup();
    Ok(files)
}
