// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built program is killed at random moments of its rounds, as if the power went, and then left
//! alone: the device ends updated, from a slot that verifies, and no half of it ever boots.

use crate::cli_board::bundles::Recipe;
use crate::cli_board::{SmallBoard, image};
use crate::house::House;
use bootctl::SlotState;
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::Instant;

const KILLS: u64 = 20;
const ROOTFS_BYTES: usize = 24 << 20;
/// The same moments in every run. What they hit differs: processes have no seed.
const SEED: u64 = 0x5eed_0007;

/// Numbers that look like a lot's (splitmix64).
fn lot(number: u64) -> u64 {
    let mixed = SEED.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn round(board: &SmallBoard) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atomix"));
    command.arg("--root").arg(board.root()).args(["agent", "poll", "--once"]);
    command.env_remove("TRIGGER_UNIT").stdin(Stdio::null());
    command
}

/// A new device, with what the agent remembers of the one before.
fn as_new(board: &SmallBoard) {
    board.set_state(&SmallBoard::both_good());
    board.write("/dev/mmcblk1p4", vec![0; ROOTFS_BYTES]);
}

/// A slot that is in the order and not bad holds a whole system.
fn boots_whole_systems_only(board: &SmallBoard, whole: &[u8]) {
    let state = board.state();
    assert_eq!(state.a.state, SlotState::Good);
    match state.b.state {
        SlotState::Trying => assert!(board.read("/dev/mmcblk1p4") == whole),
        SlotState::Writing | SlotState::Empty => {
            assert!(!state.order.contains(&bootctl::SlotId::B), "{state:?}");
        }
        SlotState::Good => {}
        other @ (SlotState::Bad | SlotState::Unknown) => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_loses_its_power_again_and_again_ends_updated() {
    let house = House::new("original", &json!({ "reboot": "never" }));
    house.board.write("/dev/mmcblk1p4", vec![0; ROOTFS_BYTES]);
    let recipe = Recipe { rootfs_bytes: ROOTFS_BYTES, ..Recipe::default() };
    house.server.offer("2.0.0", recipe.make());
    let whole = image(70, ROOTFS_BYTES);
    let begun = Instant::now();
    assert!(round(&house.board).output().unwrap().status.success());
    let takes = begun.elapsed();
    as_new(&house.board);
    let mut hit = 0;
    for number in 0..KILLS {
        let mut child =
            round(&house.board).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let part = f64::from(u32::try_from(lot(number) >> 32).unwrap()) / f64::from(u32::MAX);
        std::thread::sleep(takes.mul_f64(part));
        // One that has ended already is no cut; it only had luck.
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        hit += u64::from(ended.is_none());
        boots_whole_systems_only(&house.board, &whole);
        if house.board.state().b.state == SlotState::Trying {
            as_new(&house.board);
        }
    }
    assert!(hit >= KILLS / 3, "only {hit} kills hit a round");
    let ran = round(&house.board).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{said}");
    assert_eq!(house.board.state().b.state, SlotState::Trying, "{said}");
    assert!(house.board.read("/dev/mmcblk1p4") == whole);
    let ran = house.board.run(&["slot", "check", "B"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(house.board.power_on().to_string(), "B");
}
