// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is flashed onto a Rock64, of Debian's arm64 packages alone? The image of the example in the
//! book, with all that it names beside it. Nothing here can run it: tests look at it.

use crate::cache::part;
use crate::parts::initrd::{self, Guest};
use crate::parts::recipe::Recipe;
use crate::parts::rootfs::{put, rauc_files, settings_of, shipped_units};
use crate::parts::{kernel, uboot};
use anyhow::Result;
use board_rock64::ROCK64;
use std::fs;
use std::path::PathBuf;

/// Below the checkout.
const EXAMPLE: &str = "docs/examples/recipes/rock64.toml";

/// What Debian's kernel has as modules of the way to the root file system, in their order: supplies
/// and pins of the eMMC before its controller, the watchdog before anything that takes long, the
/// flash chip with the environment, file systems, and sticks for a seed.
const MODULES: [&str; 23] = [
    "dw_wdt",
    "gpio-rockchip",
    "i2c-rk3x",
    "rk808-regulator",
    "fixed",
    "io-domain",
    "dw_mmc-rockchip",
    "spi-rockchip",
    "spi-nor",
    "ramoops",
    "squashfs",
    "nls_ascii",
    "nls_cp437",
    "vfat",
    "overlay",
    // f2fs asks for it by another name, which its list of needs does not have.
    "crc32_generic",
    "f2fs",
    "phy-rockchip-inno-usb2",
    "ehci-platform",
    "dwc2",
    "xhci-plat-hcd",
    "usb-storage",
    "sd_mod",
];

/// The file `initrd`.
///
/// # Errors
/// When it cannot be built.
pub fn initrd() -> Result<PathBuf> {
    let guest = Guest {
        name: "initrd-rock64",
        modules: &MODULES,
        others: &["uas", "ext4"],
        devices: &[ROCK64.disk.device],
        settings: settings_of(&ROCK64),
    };
    initrd::of(&guest, kernel::newest()?)
}

/// The directory `kitchen`: `recipe.toml`, all that it names, the firmware, and `out`.
///
/// # Errors
/// When it cannot be built.
pub fn image() -> Result<PathBuf> {
    let firmware = uboot::rock64()?;
    let mut files = settings_of(&ROCK64);
    files.extend(rauc_files()?);
    let units = shipped_units()?.into_iter();
    files.extend(units.map(|(name, text)| (format!("etc/systemd/{name}"), text)));
    let recipe = Recipe::of(EXAMPLE, initrd()?, files)?;
    part("recipe-rock64", recipe.inputs().part(&firmware), |dir| {
        let kitchen = dir.join("kitchen");
        recipe.lay_out(&kitchen)?;
        for name in ["idbloader.img", "u-boot.itb"] {
            put(&kitchen.join(name), &fs::read(firmware.join(name))?, 0o644)?;
        }
        recipe.cook(&kitchen, &["--idbloader", "idbloader.img", "--u-boot", "u-boot.itb"])
    })
}
