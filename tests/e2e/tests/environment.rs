// SPDX-License-Identifier: MIT OR Apache-2.0
//! An environment that is damaged, lost or somebody else's: the board boots, and Linux remembers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use anyhow::Result;
use e2e::machine::Machine;
use e2e::scenario::Scenario;

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_corrupt_copy_is_survived_and_two_are_restored_from_the_recorder() -> Result<()> {
    Scenario::new("environment").run(|board| {
        board.install()?;
        board.reboot("B, trying")?;
        board.await_confirmation()?;
        board.told("atomix boot mark-bad A")?;
        // The loss of the newest copy takes the last commit back; this one may be lost.
        board.told("fw_setenv unrelated 1")?;
        for copy in [0, 1] {
            board.corrupt(&[copy])?;
            board.power_on("B, normal")?;
            assert_eq!(board.variable("atomix_state_A")?, "bad");
        }
        board.corrupt(&[0, 1])?;
        // U-Boot knows nothing any more and begins with A; Linux remembers that B alone is good.
        board.power_on("A, env-lost")?;
        assert_eq!(board.variable("atomix_state_A")?, "bad");
        assert_eq!(board.variable("atomix_state_B")?, "good");
        board.reboot("B, ")
    })
}

/// A technician flashes the module anew and leaves the environment's flash as it was: it tells of
/// a slot B that is not there any more.
#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn a_stale_environment_after_a_new_flash_is_not_believed() -> Result<()> {
    Scenario::new("stale-environment").starts_off().run(|board| {
        let old = board.environment().expect("the card has an environment");
        let (disk, card) = (board.machine.disk(), board.machine.card());
        let kept = std::fs::read(&card)?;
        let more = board.machine.stick.take();
        board.machine = Machine::flashed(board.machine.dir())?;
        board.machine.stick = more;
        assert_eq!((disk, card.clone()), (board.machine.disk(), board.machine.card()));
        std::fs::write(&card, kept)?;
        board.note("flashed anew, the environment is the old board's");
        board.power_on("A, foreign-disk")?;
        assert_eq!(board.variable("atomix_state_A")?, "good");
        assert_eq!(board.variable("atomix_state_B")?, "empty");
        assert_ne!(&board.variable("atomix_disk")?, old.get("atomix_disk").unwrap());
        board.install()?;
        board.reboot("B, trying")?;
        board.await_confirmation()
    })
}
