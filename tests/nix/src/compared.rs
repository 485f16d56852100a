// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is what Nix makes what the program makes without it? The same parts, given to the program on this
//! machine, must become the same bytes; the bundle must verify and hold them; the list of components
//! must name every crate and every path of the system.

use crate::pages;
use crate::root::Nix;
use crate::stages::{BUILT, Checker};
use anyhow::{Context as _, Result, ensure};
use e2e::components;
use e2e::program::Program;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the derivations are that differ each time.
const SIGNED: &str = "--impure --file tests/nix/signed.nix --argstr program /tools/atomix";

/// What `built.nix` flashes beside the system.
const FIRMWARE: usize = 1;

/// Links of the whole book; fewer mean that its pages are not read.
const LEAST_LINKS: usize = 2000;

/// What a system of the check is made of, and the program that nix has not called.
struct Outside<'a> {
    program: &'a Path,
    dir: &'a Path,
    boot: PathBuf,
    rootfs: PathBuf,
    firmware: PathBuf,
}

/// Compares everything.
///
/// # Errors
/// When something differs.
pub fn check(checker: &Checker, program: &Path) -> Result<()> {
    let nix = &checker.nix;
    let path = |attribute: &str, file: &str| -> Result<PathBuf> {
        let script = format!("nix build {file} {attribute} --no-link --print-out-paths");
        nix.on_the_machine(nix.run(checker.project.path(), &script)?.trim())
    };
    let scratch = tempfile::tempdir()?;
    let outside = Outside {
        program,
        dir: scratch.path(),
        boot: path("boot-files", BUILT)?,
        rootfs: path("rootfs", BUILT)?,
        firmware: path("played-uboot", BUILT)?,
    };
    let image = path("image", BUILT)?;
    let content = path("content", BUILT)?;
    let watched = path("image-watchdog", BUILT)?;
    let listed = vec!["--series".into(), "25.11".into(), "--components".into()];
    let listed = [listed, vec![path("components", BUILT)?.into_os_string()]].concat();
    let words = [outside.flashed(), listed.clone()].concat();
    outside.assembled("build", "image", &words, &image)?;
    outside.assembled(
        "build",
        "watched",
        &[words, vec!["--watchdog".into()]].concat(),
        &watched,
    )?;
    outside.assembled("content", "content", &[], &content)?;
    outside.script(&path("boot-script", BUILT)?)?;
    let emulated = Outside { boot: path("boot-files-qemu", BUILT)?, ..outside };
    let words = [listed, ["--board-name", "rock64-qemu"].map(OsString::from).to_vec()].concat();
    emulated.assembled("build", "emulated", &words, &path("image-qemu", BUILT)?)?;
    verified(program, scratch.path(), &path("keys", SIGNED)?, &path("bundle", SIGNED)?, &content)?;
    pages::check(&path("docs", BUILT)?, LEAST_LINKS).context("the pages of the book")?;
    components(checker, nix, &image.join("atomixos-25.11.cdx.json"))
}

impl Outside<'_> {
    /// The words for the firmware of an image.
    fn flashed(&self) -> Vec<OsString> {
        let file = |name: &str| self.firmware.join(name).into_os_string();
        vec!["--idbloader".into(), file("idbloader.img"), "--u-boot".into(), file("u-boot.itb")]
    }

    fn assembled(&self, verb: &str, name: &str, words: &[OsString], made: &Path) -> Result<()> {
        let out = self.dir.join(name);
        Program::new(&self.program.to_string_lossy())
            .args(["image", verb, "--image-version", "1.2.3", "--source-date-epoch", "1"])
            .arg("--boot")
            .arg(&self.boot)
            .arg("--rootfs")
            .arg(&self.rootfs)
            .args(words)
            .arg(&out)
            .run()?;
        same(made, &out)
    }

    fn script(&self, made: &Path) -> Result<()> {
        let out = self.dir.join("boot.scr");
        Program::new(&self.program.to_string_lossy())
            .args(["image", "script", "--source-date-epoch", "1"])
            .arg(&out)
            .run()?;
        same(made, &out)
    }
}

/// Two files, or two directories of files.
fn same(made: &Path, out: &Path) -> Result<()> {
    Program::new("diff")
        .args(["--recursive", "--brief"])
        .args([made, out])
        .run()
        .context("what Nix made is not what the program makes without it")
}

fn verified(program: &Path, dir: &Path, keys: &Path, bundle: &Path, content: &Path) -> Result<()> {
    let out = dir.join("extracted");
    Program::new(&program.to_string_lossy())
        .args(["bundle", "extract", "--keyring"])
        .arg(keys.join("ca.pem"))
        .args([bundle, &out])
        .run()?;
    for name in ["boot.vfat", "rootfs.img"] {
        same(&content.join(name), &out.join(name))?;
    }
    Ok(())
}

fn components(checker: &Checker, nix: &Nix, document: &Path) -> Result<()> {
    let text = fs::read_to_string(document)?;
    components::judge_by_schema(document)?;
    let listed = components::judge(&text)?;
    let list = checker.project.path().join("atomix/dist/crates/system.json");
    let list: serde_json::Value = serde_json::from_str(&fs::read_to_string(list)?)?;
    let crates = list["components"].as_array().map_or(0, Vec::len);
    let closure = nix
        .run(checker.project.path(), &format!("nix-store -qR $(nix eval --raw {BUILT} system)"))?;
    let paths: Vec<&str> = closure.lines().filter_map(|path| path.rsplit('/').next()).collect();
    ensure!(paths.len() == 2, "the system of the check has two paths, not {paths:?}");
    ensure!(
        listed.len() == crates + paths.len() + FIRMWARE,
        "{} components of {crates} crates, {} paths and {FIRMWARE} part of the firmware",
        listed.len(),
        paths.len()
    );
    for path in paths {
        ensure!(
            listed.iter().any(|component| component["bom-ref"] == path),
            "{path} is not a component"
        );
    }
    ensure!(listed.iter().any(|one| one["purl"].is_string()), "no crate has a package URL");
    Ok(())
}
