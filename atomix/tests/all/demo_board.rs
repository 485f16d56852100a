// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a kept board does when it is hurt after the story: its environment erased, the seal of
//! its primary broken, its flash swapped with another board's. Each time the firmware model and
//! the code of a device bring it back, and it knows why.

use atomix::context::Now;
use atomix::virtual_board::{BootOutcome, Ending, PowerOn, VirtualBoard};
use board_rock64::{ROCK64, Role};
use bootctl::{BootState, Reason, SlotId, SlotState};
use bundle::UnixTime;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use storage::{Access, FileStorage, NorFlash, Storage};

/// A board that has lived through the story: A (primary) and B are good.
struct Kept {
    _home: tempfile::TempDir,
    dir: PathBuf,
    board: VirtualBoard,
    factory: BTreeMap<PathBuf, Vec<u8>>,
}

fn files_below(dir: &Path, root: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, root, into);
        } else {
            let below = Path::new("/").join(path.strip_prefix(root).unwrap());
            into.insert(below, std::fs::read(&path).unwrap());
        }
    }
}

impl Kept {
    fn after_the_story() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("board");
        let told = Command::new(env!("CARGO_BIN_EXE_atomix"))
            .args(["demo", "--keep"])
            .arg(&dir)
            .output()
            .unwrap();
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        let board = VirtualBoard::open(&dir).unwrap();
        let mut factory = BTreeMap::new();
        files_below(&board.root().join("etc"), &board.root(), &mut factory);
        Self { _home: home, dir, board, factory }
    }

    fn now() -> Now {
        Now(UnixTime(1_900_000_000))
    }

    fn power_on(&self) -> BootOutcome {
        let with = PowerOn { factory: &self.factory, now: Self::now(), seed: [9; 16] };
        self.board.power_on(&with).unwrap()
    }

    fn state(&self) -> BootState {
        let context = self.board.context(Self::now()).unwrap();
        context.boot_state(&context.system_conf().unwrap()).unwrap()
    }

    fn erase_environment(&self) {
        let spi = FileStorage::open(&self.dir.join("spi.img"), Access::ReadWrite).unwrap();
        let mut flash = NorFlash::new(spi, ROCK64.flash.erase_bytes);
        for offset in ROCK64.flash.env_offsets {
            flash.erase(offset, u64::from(ROCK64.flash.erase_bytes)).unwrap();
        }
        flash.flush().unwrap();
    }
}

#[test]
fn a_hurt_board_boots_a_good_slot_and_knows_why() {
    let kept = Kept::after_the_story();
    let before = kept.state();
    assert_eq!((before.a.state, before.b.state), (SlotState::Good, SlotState::Good));

    // Both environment copies erased: the flight recorder gives the states back.
    kept.erase_environment();
    let boot = kept.power_on();
    assert_eq!((boot.slot, boot.reason), (Some(SlotId::A), Reason::EnvLost));
    assert_eq!(boot.ending, Ending::Good);
    let after = kept.state();
    assert_eq!((after.a, after.b), (before.a, before.b));
    assert_eq!((after.order, after.disk, after.failed), (before.order, before.disk, before.failed));

    // The seal of the primary broken: the firmware resets until its attempts are spent, then B.
    let boot_a = ROCK64.partition(Role::Boot(SlotId::A)).unwrap();
    let mut disk = FileStorage::open(&kept.dir.join("emmc.img"), Access::ReadWrite).unwrap();
    let mut seal = vec![0; 4096];
    disk.read_at(boot_a.start.get(), &mut seal).unwrap();
    disk.write_at(boot_a.start.get(), &vec![0; 4096]).unwrap();
    let boot = kept.power_on();
    assert_eq!((boot.slot, boot.firmware.resets), (Some(SlotId::B), 3));
    assert_eq!(boot.reason, Reason::LoadFailed);
    assert_eq!(boot.ending, Ending::Good);
    disk.write_at(boot_a.start.get(), &seal).unwrap();

    // Flash of another board: its environment is bound to another disk and not believed.
    let context = kept.board.context(Kept::now()).unwrap();
    let table = context.table(Path::new(ROCK64.disk.device)).unwrap();
    assert!(table.partitions.iter().any(|partition| Some(partition.part_uuid) == before.disk));
    let mut backend = context.backend(&context.system_conf().unwrap(), Access::ReadWrite).unwrap();
    let own = backend.load().unwrap();
    let elsewhere = Some("11111111-2222-3333-4444-555555555555".parse().unwrap());
    backend.store(&own, &BootState { disk: elsewhere, ..own.clone() }).unwrap();
    let boot = kept.power_on();
    assert_eq!((boot.slot, boot.reason), (Some(SlotId::A), Reason::ForeignDisk));
    assert_eq!(boot.ending, Ending::Good);
    assert_eq!(kept.state().disk, before.disk);
}
