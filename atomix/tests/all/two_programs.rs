// SPDX-License-Identifier: MIT OR Apache-2.0
//! An install and a verdict at the same time: neither undoes what the other stored.

use crate::cli_board::{NOW, SmallBoard};
use atomix::boot_control::BootControl;
use atomix::context::Context;
use bootctl::{Command, ControlError, Force, Refused, SlotId, SlotState, transition};
use storage::Access;

#[test]
fn a_command_is_judged_on_what_another_program_stored_meanwhile() {
    let board = SmallBoard::new();
    let context = Context::host(board.root(), NOW);
    let mut state = board.state();
    state.a.state = SlotState::Unknown;
    state.b.state = SlotState::Bad;
    board.set_state(&state);
    let mut health = BootControl::open(&context, Access::ReadWrite).unwrap();
    let begin = Command::BeginInstall { target: SlotId::B };
    board.set_state(&transition(&state, Some(SlotId::A), &begin).unwrap());
    health.apply(&Command::MarkGood { slot: SlotId::A }).unwrap();
    let after = board.state();
    assert_eq!((after.a.state, after.b.state), (SlotState::Good, SlotState::Writing));
    assert_eq!(after.order, [SlotId::A]);
}

#[test]
fn a_command_that_is_not_allowed_any_more_is_refused() {
    let board = SmallBoard::new();
    let context = Context::host(board.root(), NOW);
    let mut operator = BootControl::open(&context, Access::ReadWrite).unwrap();
    let mut state = board.state();
    state.b.state = SlotState::Bad;
    board.set_state(&state);
    // When it was asked B was good too; now A is the last good slot.
    let refused = operator.apply(&Command::MarkBad { slot: SlotId::A, force: Force::No });
    assert!(
        matches!(refused, Err(ControlError::Refused(Refused::LastGood { slot: SlotId::A }))),
        "{refused:?}"
    );
    assert_eq!(board.state(), state);
}
