// SPDX-License-Identifier: MIT OR Apache-2.0
//! An image that came of Debian's packages by a recipe, without Nix, is a board like any other, to
//! the tests and to a person at a terminal. That of the Rock64 runs nowhere here: it is looked at.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use anyhow::{Context as _, Result, ensure};
use board_rock64::ROCK64;
use e2e::parts::{kernel, recipe, rock64};
use e2e::program::Program;
use e2e::scenario::Scenario;
use e2e::serial::Serial;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Of a busy machine.
const WAIT: Duration = Duration::from_secs(300);

#[test]
fn an_image_of_a_recipe_boots_makes_its_partitions_and_is_confirmed() -> Result<()> {
    Scenario::new("recipe").flashed_with(recipe::image()?).run(|board| {
        assert_eq!(board.told("cat /etc/hostname")?, "gateway\n");
        let status = board.told("cat /var/lib/dpkg/status")?;
        assert!(status.contains("Status: install ok unpacked"), "of whom is this?\n{status}");
        assert!(board.told("cat /proc/cmdline")?.contains("rauc.slot=A"));
        assert_eq!(board.told("cat /data/atomix/provisioned")?, "1\n");
        assert!(board.told("cat /proc/mounts")?.contains("/dev/vda5 /data f2fs "));
        assert_eq!(board.variable("atomix_state_B")?, "empty");
        board.await_confirmation()?;
        assert_eq!(board.variable("atomix_state_A")?, "good");
        let slots = board.told("rauc status")?;
        assert!(slots.contains("rootfs.1"), "{slots}");
        Ok(())
    })
}

/// Sits at the terminal of `cargo xtask rock64-qemu-vm` until the selector has said `selected`,
/// and somebody has logged in and run `command`, which prints `answer`; then ends the emulator.
fn attend(dir: &Path, selected: &str, command: &str, answer: &str) -> Result<()> {
    let mut emulator = Command::new(env!("CARGO_BIN_EXE_e2e"))
        .arg("vm")
        .arg("--keep")
        .arg(dir.join("board"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (output, input) = (emulator.stdout.take().unwrap(), emulator.stdin.take().unwrap());
    let mut terminal = Serial::new(output, input, &dir.join("terminal"), Instant::now())?;
    terminal.expect(&format!("atomix: slot {selected}"), WAIT)?;
    terminal.expect("gateway login: ", WAIT)?;
    terminal.send("root\r")?;
    terminal.expect("# ", WAIT)?;
    terminal.send(&format!("{command}\r"))?;
    terminal.expect(answer, WAIT)?;
    // What ends QEMU at its terminal.
    terminal.send("\u{1}x")?;
    terminal.await_end(WAIT)?;
    ensure!(emulator.wait()?.success(), "the verb failed");
    Ok(())
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_person_at_the_terminal_logs_in_and_finds_the_board_again_as_it_was_left() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let wait = "until atomix boot is-confirmed; do sleep 1; done; sync; echo it is $((1 + 1))";
    attend(dir.path(), "A, env-lost", wait, "it is 2")?;
    attend(dir.path(), "A, normal", "cat /data/atomix/provisioned; echo and $((2 + 2))", "and 4")
}

/// What the board passes on its way from the kernel's first line to `/init`: its device tree's nodes, and
/// which driver the kernel has for each.
const ON_THE_WAY: [(&str, &str); 10] = [
    ("/serial@ff130000", "8250_dw"),
    ("/watchdog@ff1a0000", "dw_wdt"),
    ("/pinctrl", "pinctrl_rockchip"),
    ("/pinctrl/gpio@ff220000", "gpio_rockchip"),
    // The supplies of the eMMC.
    ("/i2c@ff160000", "i2c_rk3x"),
    ("/i2c@ff160000/pmic@18", "rk8xx_i2c"),
    ("/syscon@ff100000/io-domains", "io_domain"),
    ("/mmc@ff520000", "dw_mmc_rockchip"),
    // The environment.
    ("/spi@ff190000", "spi_rockchip"),
    ("/spi@ff190000/flash@0", "spi_nor"),
];

#[test]
fn an_image_of_a_recipe_for_the_rock64_has_what_the_board_starts_with() -> Result<()> {
    let kitchen = rock64::image()?.join("kitchen");
    let image = kitchen.join(recipe::IMAGE);
    let verified = said(Program::new("sgdisk").arg("--verify").arg(&image))?;
    ensure!(verified.contains("No problems found"), "{verified}");
    let loader = &ROCK64.disk.boot_loader;
    for (name, place) in [("idbloader.img", loader.idbloader), ("u-boot.itb", loader.u_boot)] {
        let bytes = fs::read(kitchen.join(name))?;
        let mut there = vec![0; bytes.len()];
        let at = place.byte_offset(ROCK64.disk.sector_bytes).context("beyond all disks")?;
        File::open(&image)?.read_exact_at(&mut there, at)?;
        ensure!(there == bytes, "{name} is not at sector {}", place.0);
    }
    let scratch = tempfile::tempdir()?;
    let kernel = kernel::newest()?;
    let version = kernel::version(&kernel)?;
    let tree = format!("root/usr/lib/linux-image-{version}/rockchip/rk3328-rock64.dtb");
    let boot = scratch.path().join("boot");
    fs::create_dir(&boot)?;
    let offset = ROCK64.partitions[0].start.get();
    said(
        Program::new("mcopy")
            .args(["-s", "-i", &format!("{}@@{offset}", image.display()), "::*"])
            .arg(&boot),
    )?;
    for (name, from) in [
        ("Image", kernel.join("Image")),
        ("initrd", kitchen.join("initrd")),
        (ROCK64.device_tree, kernel.join(&tree)),
    ] {
        ensure!(fs::read(boot.join(name))? == fs::read(from)?, "{name} is another");
    }
    let script = String::from_utf8_lossy(&fs::read(boot.join("boot.scr"))?).into_owned();
    ensure!(script.contains("load mmc 1:") && script.contains("booti"), "{script}");
    has_its_files(&image, scratch.path())?;
    has_its_drivers(&boot, scratch.path(), &version)
}

fn said(program: Program) -> Result<String> {
    program.output()
}

/// In the root file system: the programs, what ships as units and is enabled, and the board's files.
fn has_its_files(image: &Path, scratch: &Path) -> Result<()> {
    let start = ROCK64.partitions[1].start.get();
    let listed =
        said(Program::new("unsquashfs").args(["-lc", "-o", &start.to_string()]).arg(image))?;
    let listed: BTreeSet<&str> = listed.lines().collect();
    for name in [
        "init",
        "usr/bin/atomix",
        "usr/bin/rauc",
        "etc/fw_env.config",
        "etc/repart.d/50-data.conf",
        "etc/rauc/system.conf",
        "etc/atomix/health.toml",
        "etc/systemd/system/multi-user.target.wants/os-verification.service",
    ] {
        ensure!(listed.contains(&*format!("squashfs-root/{name}")), "no {name}");
    }
    let out = scratch.join("conf");
    said(
        Program::new("unsquashfs")
            .args(["-q", "-n", "-o", &start.to_string(), "-d"])
            .arg(&out)
            .arg(image)
            .arg("etc/rauc/system.conf"),
    )?;
    let conf = fs::read_to_string(out.join("etc/rauc/system.conf"))?;
    ensure!(conf.contains("compatible=rock64"), "{conf}");
    Ok(())
}

/// The initrd loads, or the kernel has in it, a driver for each device on the way.
fn has_its_drivers(boot: &Path, scratch: &Path, version: &str) -> Result<()> {
    let root = scratch.join("initrd");
    fs::create_dir(&root)?;
    let unpack = "zstd -dcq \"$1\" | cpio -idm --quiet --no-absolute-filenames";
    said(
        Program::new("sh")
            .args(["-ec", unpack, "unpack"])
            .arg(boot.join("initrd"))
            .current_dir(&root),
    )?;
    let modprobe = |arguments: &[&str]| {
        let base = root.join("usr");
        said(Program::new("modprobe").arg("-d").arg(base).args(["-S", version]).args(arguments))
    };
    let mut loaded = BTreeSet::new();
    for module in fs::read_to_string(root.join("etc/modules"))?.lines() {
        for line in modprobe(&["--show-depends", module])?.lines() {
            let file = line.split_whitespace().nth(1).context("no module")?;
            let name = PathBuf::from(file).file_stem().context("no name")?.to_owned();
            loaded.insert(name.to_string_lossy().replace('-', "_"));
        }
    }
    let builtin =
        fs::read_to_string(root.join("usr/lib/modules").join(version).join("modules.builtin"))?;
    let builtin: BTreeSet<String> = builtin
        .lines()
        .filter_map(|line| Path::new(line).file_stem())
        .map(|name| name.to_string_lossy().replace('-', "_"))
        .collect();
    let tree = boot.join(ROCK64.device_tree);
    for (node, driver) in ON_THE_WAY {
        let kinds = said(Program::new("fdtget").arg(&tree).args([node, "compatible"]))?;
        // Of what is built in the kernel's lists have names alone.
        if builtin.contains(driver) {
            continue;
        }
        let claims = |kind: &str| {
            let found = modprobe(&["-R", &format!("of:NxT(null)C{kind}")]).unwrap_or_default();
            found.lines().any(|name| name.replace('-', "_") == driver)
        };
        ensure!(loaded.contains(driver), "{node}: {driver} is not loaded");
        ensure!(kinds.split_whitespace().any(claims), "{node} ({kinds}): not by {driver}");
    }
    // Not in the device tree: the supplies are a cell of the PMIC.
    ensure!(loaded.contains("rk808_regulator"), "the eMMC has no supplies");
    Ok(())
}
