// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's U-Boot, unchanged, with our selector: it chooses as the model does, and an update that
//! fails is left for the slot before it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "choice/mod.rs"]
mod choice;

use anyhow::Result;
use bootctl::{BootState, PerSlot};
use choice::{Case, ENDS, Numbers, Ran, START_END, check_all, make_disk, odd_cases};
use e2e::board::{DISK_LEN, QEMU};
use e2e::live::Board;
use e2e::machine::Machine;
use e2e::parts::{bundle, stock};
use e2e::progress::say;
use e2e::qemu::{Hardware, Qemu, read_env};
use e2e::wiring::Wiring;
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::Access;

/// It looks for its devices first, which ours does not have.
const CHOICE_WAIT: Duration = Duration::from_secs(60);

struct Rig {
    dir: tempfile::TempDir,
    firmware: PathBuf,
    more_args: Vec<String>,
}

impl Rig {
    fn new() -> Self {
        let firmware = stock::stock().unwrap().join("u-boot.bin");
        let dir = tempfile::tempdir().unwrap();
        let more_args = stock::plug_flash(&dir.path().join("flash")).unwrap();
        Self { dir, firmware, more_args }
    }

    /// The disk whose slots have a script or not, with the case's environment.
    fn disk(&self, case: &Case) -> PathBuf {
        let PerSlot { a, b } = case.loads;
        let path = self.dir.path().join(format!("disk-{a}-{b}"));
        if !path.exists() {
            make_disk(&QEMU, &path, DISK_LEN, &case.loads);
        }
        let place = stock::place(&path);
        let blank = vec![0; usize::try_from(place.env_bytes).unwrap()];
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &blank, place.offset).unwrap();
        if let Some(env) = case.stored(&QEMU) {
            let mut store = stock::env_store(&path, Access::ReadWrite).unwrap();
            store.store_as_firmware(&env).unwrap();
        }
        path
    }

    /// What U-Boot does.
    fn run(&self, case: &Case) -> Ran {
        let disk = self.disk(case);
        let mut qemu = Qemu::start(&Hardware {
            firmware: &self.firmware,
            disk: &disk,
            card: None,
            wiring: &Wiring::Plain,
            stick: None,
            handed_over: Vec::new(),
            more_args: &self.more_args,
            saved: None,
            logs: self.dir.path(),
        })
        .unwrap();
        let (end, mut said) = qemu.serial.expect_any(&ENDS, CHOICE_WAIT).unwrap();
        if end == 0 {
            said = qemu.serial.expect(START_END, CHOICE_WAIT).unwrap();
        }
        qemu.cut();
        let stored = stock::env_store(&disk, Access::ReadOnly).unwrap().load().ok();
        let left = stored.and_then(|loaded| BootState::from_env(&loaded.env).ok());
        Ran { end, said, left }
    }
}

fn check(cases: impl IntoIterator<Item = Case>) {
    let rig = Rig::new();
    check_all(cases, |case| case.check(&QEMU, &rig.run(case)));
}

#[test]
fn stock_uboot_chooses_as_the_model_does() {
    let mut numbers = Numbers(5);
    let erased = [Case::of(None, (true, true)), Case::of(None, (false, true))];
    check((0..20).map(|_| numbers.case()).chain(erased));
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn stock_uboot_reads_odd_values_as_the_model_does() {
    check(odd_cases());
}

/// The whole chain on one environment: Linux installs and writes it, U-Boot reads and saves it.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn an_update_that_panics_under_stock_uboot_is_left_and_explained() -> Result<()> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stock");
    let mut machine = Machine::provisioned(&dir)?;
    machine.firmware = stock::stock()?.join("u-boot.bin");
    machine.more_args = stock::plug_flash(&dir.join("flash"))?;
    machine.stick = Some(bundle::update()?.join("stick.squashfs"));
    let config = "echo '/dev/vda 0x3f0000 0x8000' >ROOT/etc/fw_env.config\n";
    machine.initrd_hook =
        Some(config.replace("ROOT", "") + "[ $slot = b ] && die 'slot B is meant to fail'\n");
    machine.root_hook = Some(config.replace("ROOT", "/root"));
    // As U-Boot and Linux left it where this U-Boot does not look.
    let env = read_env(&machine.card()).expect("a provisioned card");
    stock::env_store(&machine.disk(), Access::ReadWrite)?.store_as_firmware(&env)?;

    let mut board = Board::new(machine, Vec::new());
    board.power_on("A, normal")?;
    board.install()?;
    board.start("systemctl reboot")?;
    for _ in 0..3 {
        board.selected("B, trying")?;
        board.expect("Kernel panic")?;
    }
    board.selected("A, fallback")?;
    board.guest_up()?;
    assert_eq!(board.variable("atomix_state_A")?, "good");
    assert_eq!(board.variable("atomix_state_B")?, "bad");
    let why = board.told("atomix why")?;
    say(&why);
    assert!(why.contains("from slot B") && why.contains("3 attempts"), "{why}");
    Ok(())
}
