// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is on the images that Nix makes what a board starts with? The firmware at the places that the
//! board's description has for it, by its bytes; the image under its name; checksums of all that lies
//! beside them; and a list of components that names the firmware.

use crate::stages::{BUILT, Checker};
use anyhow::{Context as _, Result, ensure};
use board_rock64::{Board, ROCK64, ROCK64_WATCHDOG};
use e2e::components;
use e2e::program::Program;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use storage::Lba;

/// The images of `built.nix`, with the boards that they are for.
const IMAGES: [(&str, &Board); 2] = [("image", &ROCK64), ("image-watchdog", &ROCK64_WATCHDOG)];

/// What is flashed.
const IMAGE: &str = "atomixos-25.11.img";

/// What is in it.
const LIST: &str = "atomixos-25.11.cdx.json";

/// The checksums of both.
const SUMS: &str = "SHA256SUMS";

/// How the firmware of `built.nix` stands in the list.
const FIRMWARE: (&str, &str) = ("played-uboot", "2025.10");

/// Builds the images and looks at them.
///
/// # Errors
/// When one cannot be built, or is otherwise.
pub fn check(checker: &Checker) -> Result<()> {
    let firmware = path(checker, "played-uboot")?;
    for (attribute, board) in IMAGES {
        let image = path(checker, attribute)?;
        one(&image, &firmware, board).with_context(|| attribute.to_owned())?;
    }
    Ok(())
}

fn path(checker: &Checker, attribute: &str) -> Result<PathBuf> {
    let script = format!("nix build {BUILT} {attribute} --no-link --print-out-paths");
    checker.nix.on_the_machine(checker.nix.run(checker.project.path(), &script)?.trim())
}

fn one(image: &Path, firmware: &Path, board: &Board) -> Result<()> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(image)? {
        names.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let wanted = BTreeSet::from([IMAGE, LIST, SUMS].map(str::to_owned));
    ensure!(names == wanted, "the image is {names:?}, not {wanted:?}");
    let loader = &board.disk.boot_loader;
    for (file, place) in [("idbloader.img", loader.idbloader), ("u-boot.itb", loader.u_boot)] {
        let bytes = fs::read(firmware.join(file))?;
        stands(&image.join(IMAGE), &bytes, board, place)
            .with_context(|| format!("{file}, at sector {}", place.0))?;
    }
    summed(image)?;
    listed(&image.join(LIST))
}

/// Behind the bytes the place is empty, so that nothing of another part is taken for theirs.
fn stands(image: &Path, bytes: &[u8], board: &Board, place: Lba) -> Result<()> {
    let at = place.byte_offset(board.disk.sector_bytes).context("beyond all disks")?;
    let mut there = vec![0; bytes.len() + 1];
    File::open(image)?.read_exact_at(&mut there, at)?;
    ensure!(there.split_last() == Some((&0, bytes)), "other bytes stand there");
    Ok(())
}

fn summed(image: &Path) -> Result<()> {
    Program::new("sha256sum")
        .args(["--check", "--strict", "--quiet", SUMS])
        .current_dir(image)
        .run()?;
    let text = fs::read_to_string(image.join(SUMS))?;
    let names: Vec<&str> = text.lines().filter_map(|line| line.split("  ").nth(1)).collect();
    ensure!(names == [IMAGE, LIST], "checksums of {names:?}");
    Ok(())
}

fn listed(list: &Path) -> Result<()> {
    let all = components::judge(&fs::read_to_string(list)?)?;
    let (name, version) = FIRMWARE;
    let firmware: Vec<_> = all.iter().filter(|one| one["type"] == "firmware").collect();
    ensure!(
        firmware.iter().any(|one| one["name"] == name && one["version"] == version),
        "{name} {version} is not a component; of the firmware there is {firmware:?}"
    );
    Ok(())
}
