// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a board is after its program was killed: the promise, by the model of the firmware.

use crate::cli_board::{SmallBoard, disk_identity, image};
use bootctl::{FirmwareFacts, PerSlot, Reason, SlotId, SlotState, select};

/// Room of the larger root file systems: an install lasts long enough to be hit everywhere.
pub const LARGE_BYTES: usize = 6 * 1024 * 1024;

/// The files of a group.
const GROUPS: PerSlot<[&str; 2]> =
    PerSlot { a: ["/dev/mmcblk1p1", "/dev/mmcblk1p2"], b: ["/dev/mmcblk1p3", "/dev/mmcblk1p4"] };

/// A board whose second group takes larger images.
pub fn large_board(rootfs_bytes: usize) -> SmallBoard {
    let board = SmallBoard::new();
    board.write("/dev/mmcblk1p4", image(20, rootfs_bytes));
    board
}

/// What a group holds.
pub fn group(board: &SmallBoard, slot: SlotId) -> [Vec<u8>; 2] {
    GROUPS.get(slot).map(|device| board.read(device))
}

/// What groups may hold when they load.
pub struct Wholes {
    /// The slot that runs, and what it holds.
    pub running: (SlotId, [Vec<u8>; 2]),
    /// Whole systems of the other one.
    pub other: Vec<[Vec<u8>; 2]>,
}

impl Wholes {
    /// What is broken of the promise; nothing, in the best case.
    pub fn broken(&self, board: &SmallBoard) -> Vec<String> {
        let mut broken = Vec::new();
        let (running, content) = &self.running;
        if group(board, *running) != *content {
            broken.push(format!("slot {running} runs and was written"));
        }
        let other = running.other();
        let found = group(board, other);
        let loads = found[0][..512].iter().any(|byte| *byte != 0);
        if loads && !self.other.contains(&found) {
            broken.push(format!("slot {other} loads and is not whole"));
        }
        let state = board.state();
        let tried = state.slot(other).state;
        if tried == SlotState::Trying && !loads {
            broken.push(format!("slot {other} is trying without its seal"));
        }
        let mut sealed = PerSlot { a: true, b: true };
        *sealed.get_mut(other) = loads;
        for env in [Some(&state), None] {
            for save_works in [true, false] {
                let disk = Some(disk_identity());
                let facts = FirmwareFacts { disk, save_works, loads: sealed };
                let mut selection = select(env, &facts);
                for _ in 0..16 {
                    if selection.boots.is_some() || selection.reason != Reason::LoadFailed {
                        break;
                    }
                    selection = select(Some(&selection.state), &facts);
                }
                let starts = selection.boots.filter(|slot| *sealed.get(*slot));
                let may = |slot: SlotId| {
                    env.is_none_or(|env| {
                        !matches!(env.slot(slot).state, SlotState::Writing | SlotState::Empty)
                    })
                };
                if !starts.is_some_and(may) {
                    broken.push(format!("the firmware starts {starts:?} with {env:?}"));
                }
            }
        }
        broken
    }
}
