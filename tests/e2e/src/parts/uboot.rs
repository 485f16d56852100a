// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does real U-Boot take what the board's facts generate? Debian's source, the board's fragment,
//! and the selector as the only default environment.

use crate::apt::{Apt, SUITE, apply_patch};
use crate::board::{EMULATOR_FRAGMENT, QEMU};
use crate::cache::{Inputs, part};
use crate::program::Program;
use anyhow::{Context as _, Result, bail, ensure};
use board_rock64::{Autoboot, Board, ROCK64, UBOOT_PATCHES};
use std::fs;
use std::path::{Path, PathBuf};

/// The environment's place is read before PCI is enumerated unless this C macro is set; it is no
/// Kconfig option.
const EARLY_PCI: &str = "KCPPFLAGS=-DCONFIG_SYS_EARLY_PCI_INIT";

/// Options that the fragment names twice, once for each age of U-Boot; one of each pair sticks.
const RENAMED: [[&str; 2]; 3] = [
    ["CONFIG_SYS_REDUNDAND_ENVIRONMENT=y", "CONFIG_ENV_REDUNDANT=y"],
    ["CONFIG_USE_DEFAULT_ENV_FILE=y", "CONFIG_ENV_USE_DEFAULT_ENV_TEXT_FILE=y"],
    [
        "CONFIG_DEFAULT_ENV_FILE=\"selector.env\"",
        "CONFIG_ENV_DEFAULT_ENV_TEXT_FILE=\"selector.env\"",
    ],
];

/// The source tree with Debian's patches and ours.
///
/// # Errors
/// When it cannot be fetched or a patch does not apply.
pub fn source() -> Result<PathBuf> {
    let mut inputs = Inputs::new("source 2").text(SUITE);
    for (_, patch) in UBOOT_PATCHES {
        inputs = inputs.text(patch);
    }
    part("uboot-source", inputs, |dir| {
        let tree = dir.join("tree");
        Apt::update()?.unpack_source("u-boot", dir, &tree)?;
        for (name, text) in UBOOT_PATCHES {
            let patch = dir.join(name);
            fs::write(&patch, text)?;
            apply_patch(&tree, &patch)?;
        }
        Ok(())
    })
}

/// The emulated board's U-Boot: `u-boot.bin`.
///
/// # Errors
/// When it cannot be built.
pub fn qemu() -> Result<PathBuf> {
    emulated("uboot-qemu", &QEMU)
}

/// The same for a board that gives its technician time to type, whatever is stored.
///
/// # Errors
/// When it cannot be built.
pub fn patient() -> Result<PathBuf> {
    let autoboot = match QEMU.autoboot {
        Autoboot::StopText { sha256, .. } => Autoboot::StopText { sha256, delay_secs: 5 },
        Autoboot::Closed => bail!("the emulated board is closed"),
    };
    emulated("uboot-patient", &Board { autoboot, ..QEMU })
}

fn emulated(name: &str, board: &Board) -> Result<PathBuf> {
    let build = Build {
        name,
        defconfig: "qemu_arm64_defconfig",
        fragment: board.uboot_fragment() + EMULATOR_FRAGMENT,
        selector: QEMU.selector(),
        goals: &[EARLY_PCI, "u-boot.bin"],
        results: &["u-boot.bin"],
    };
    build.part(&|make| Ok(make))
}

/// The Rock64's U-Boot: `idbloader.img`, `u-boot.itb`. Nothing here can run it.
///
/// # Errors
/// When it cannot be built.
pub fn rock64() -> Result<PathBuf> {
    let build = Build {
        name: "uboot-rock64",
        defconfig: "rock64-rk3328_defconfig",
        fragment: ROCK64.uboot_fragment(),
        selector: ROCK64.selector(),
        goals: &["all"],
        results: &["idbloader.img", "u-boot.itb"],
    };
    let firmware = trusted_firmware()?.join("root/usr/lib/arm-trusted-firmware/rk3328/bl31.elf");
    build.part(&|make| Ok(make.env("BL31", &firmware)))
}

/// The secure monitor that goes into the Rock64's U-Boot.
fn trusted_firmware() -> Result<PathBuf> {
    part("trusted-firmware", Inputs::new("firmware 1").text(SUITE), |dir| {
        Apt::update()?.unpack("arm-trusted-firmware", &dir.join("root"))
    })
}

/// One configuration of U-Boot.
pub(crate) struct Build<'a> {
    pub(crate) name: &'a str,
    pub(crate) defconfig: &'a str,
    pub(crate) fragment: String,
    pub(crate) selector: String,
    pub(crate) goals: &'a [&'a str],
    pub(crate) results: &'a [&'a str],
}

impl Build<'_> {
    fn part(&self, prepare: &dyn Fn(Program) -> Result<Program>) -> Result<PathBuf> {
        self.part_from(&source()?, prepare)
    }

    /// Builds it from the `tree` in this part.
    pub(crate) fn part_from(
        &self,
        source: &Path,
        prepare: &dyn Fn(Program) -> Result<Program>,
    ) -> Result<PathBuf> {
        let inputs = Inputs::new("u-boot 1")
            .part(source)
            .text(self.defconfig)
            .text(&self.fragment)
            .text(&self.selector)
            .text(&self.goals.join(" "));
        part(self.name, inputs, |dir| self.make(&source.join("tree"), dir, prepare))
    }

    fn make(
        &self,
        tree: &Path,
        dir: &Path,
        prepare: &dyn Fn(Program) -> Result<Program>,
    ) -> Result<()> {
        let out = dir.join("out");
        fs::create_dir(&out)?;
        fs::write(out.join("selector.env"), &self.selector)?;
        let fragment = dir.join("fragment.config");
        fs::write(&fragment, &self.fragment)?;
        let make = |arguments: &[&str]| {
            let make = Program::nice("make")
                .args(["-s", "-j2"])
                .arg(format!("O={}", out.display()))
                .args(arguments)
                .env("CROSS_COMPILE", "aarch64-linux-gnu-")
                .env("ARCH", "arm")
                .current_dir(tree);
            prepare(make)?.run()
        };
        make(&[self.defconfig])?;
        let config = out.join(".config");
        Program::new("scripts/kconfig/merge_config.sh")
            .args(["-m", "-O"])
            .arg(&out)
            .arg(&config)
            .arg(&fragment)
            .env("KCONFIG_CONFIG", &config)
            .current_dir(tree)
            .run()?;
        make(&["olddefconfig"])?;
        let merged = fs::read_to_string(&config).context("no .config")?;
        let lost = lost_options(&self.fragment, &merged);
        ensure!(lost.is_empty(), "U-Boot does not take {lost:?}");
        // The build would ask for their values, without end where nobody answers.
        let open: Vec<&str> = merged.lines().filter(|line| line.ends_with('=')).collect();
        ensure!(open.is_empty(), "U-Boot wants a value for {open:?}");
        make(self.goals)?;
        for name in self.results {
            fs::copy(out.join(name), dir.join(name)).with_context(|| format!("no {name}"))?;
        }
        fs::copy(&config, dir.join("config"))?;
        fs::remove_dir_all(&out)?;
        Ok(())
    }
}

/// Options of the fragment that Kconfig did not keep as they are; a lost one says nothing.
fn lost_options(fragment: &str, merged: &str) -> Vec<String> {
    let has = |line: &str| merged.lines().any(|found| same_option(found, line));
    let renamed_kept = |line: &str| {
        RENAMED.iter().any(|pair| pair.contains(&line) && pair.iter().any(|name| has(name)))
    };
    let kept = |line: &str| match line.strip_prefix("# CONFIG_") {
        // What depends on something that is off is not in the file at all.
        Some(rest) => {
            let name = rest.strip_suffix(" is not set").unwrap_or(rest);
            !merged.lines().any(|found| found.starts_with(&format!("CONFIG_{name}=")))
        }
        None => has(line) || renamed_kept(line),
    };
    fragment
        .lines()
        .filter(|line| line.starts_with("CONFIG_") || line.starts_with("# CONFIG_"))
        .filter(|line| !kept(line))
        .map(str::to_owned)
        .collect()
}

/// Kconfig writes hexadecimal numbers as it was given them, or anew.
fn same_option(found: &str, wanted: &str) -> bool {
    found.eq_ignore_ascii_case(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_that_kconfig_drops_is_noticed() {
        let fragment = "# why\nCONFIG_A=y\nCONFIG_N=0x10\n# CONFIG_B is not set\n";
        let lost = |merged: &str| lost_options(fragment, merged);
        assert!(lost("CONFIG_A=y\nCONFIG_N=0x10\n").is_empty());
        assert_eq!(lost("CONFIG_N=0x10\n"), ["CONFIG_A=y"]);
        assert_eq!(lost("CONFIG_A=y\nCONFIG_N=0x20\n"), ["CONFIG_N=0x10"]);
        let on = "CONFIG_A=y\nCONFIG_N=0x10\nCONFIG_B=y\n";
        assert_eq!(lost(on), ["# CONFIG_B is not set"]);
    }

    #[test]
    fn one_of_the_two_names_of_a_renamed_option_is_enough() {
        let fragment = "CONFIG_SYS_REDUNDAND_ENVIRONMENT=y\nCONFIG_ENV_REDUNDANT=y\n";
        assert!(lost_options(fragment, "CONFIG_ENV_REDUNDANT=y\n").is_empty());
        assert_eq!(lost_options(fragment, "").len(), 2);
        // A name of one pair says nothing of another.
        assert_eq!(lost_options(fragment, "CONFIG_USE_DEFAULT_ENV_FILE=y\n").len(), 2);
    }
}
