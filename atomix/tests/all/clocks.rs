// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clock jumps: it begins at 1970, passes 2038 and 2106, goes backwards between and during
//! boots. An update is installed, tried and confirmed on every day, and its history keeps its order.

use crate::cli_board::{SmallBoard, run_on};
use atomix::context::{Context, Now};
use bootctl::{SlotId, SlotState};
use bundle::UnixTime;
use storage::Access;

/// No clock, one of a board without a battery, today, the last second of 32 bits with a sign and
/// the one after, that without a sign and the one after, and the last that Linux can have.
const CLOCKS: [i64; 8] = [
    0,
    1_000_000_000,
    1_795_230_000,
    2_147_483_647,
    2_147_483_648,
    4_294_967_295,
    4_294_967_296,
    9_223_372_036,
];

/// No certificate of the tests lasts until here.
const EXPIRES: i64 = 2_147_483_646;

/// A board whose clock is set before each command.
struct Clocked {
    board: SmallBoard,
}

impl Clocked {
    fn run(&self, clock: i64, args: &[&str]) -> String {
        let context = Context::host(self.board.root(), Now(UnixTime(clock)));
        let ran = run_on(&context, args);
        assert_eq!(ran.code, 0, "{args:?} at {clock}: {}", ran.stderr);
        assert!(!ran.stderr.contains("warning: "), "{args:?} at {clock}: {}", ran.stderr);
        ran.stdout
    }

    /// The firmware chooses; Linux begins at this time.
    fn power_on(&self, clock: i64) -> SlotId {
        let state = self.board.state();
        let slot = state.order[0];
        let line = format!("rauc.slot={slot} atomix.reason=normal\n");
        self.board.write("/proc/cmdline", line);
        self.run(clock, &["boot", "started"]);
        slot
    }

    /// The numbers of what the recorder remembers, oldest first.
    fn sequence(&self) -> Vec<u64> {
        let context = Context::host(self.board.root(), Now(UnixTime(0)));
        let recorder = context.recorder(&context.settings().unwrap(), Access::ReadOnly).unwrap();
        recorder.entries().unwrap().into_iter().map(|record| record.sequence.0).collect()
    }
}

#[test]
fn on_every_day_an_update_is_installed_and_confirmed_also_when_the_clock_went_back() {
    for before in CLOCKS {
        for after in [0, 1_795_230_000, 4_294_967_296] {
            let clocked = Clocked { board: SmallBoard::new() };
            let bundle = clocked.board.offer_good();
            clocked.run(before, &["boot", "started"]);
            // A certificate has an end, and a clock behind it says so.
            let install = if after > EXPIRES { 1_795_230_000 } else { after };
            clocked.run(install, &["install", &bundle]);
            assert_eq!(clocked.power_on(before), SlotId::B, "{before} {after}");
            clocked.run(after, &["health", "run"]);
            clocked.run(before, &["boot", "restore-attempts"]);
            clocked.run(after, &["slot", "check", "B"]);
            let state = clocked.board.state();
            assert_eq!(state.b.state, SlotState::Good, "{before} {after}");
            let sequence = clocked.sequence();
            assert!(sequence.len() >= 5, "{sequence:?}");
            assert!(sequence.is_sorted_by(|a, b| a + 1 == *b), "{before} {after}: {sequence:?}");
            for look in [&["status"][..], &["why"], &["slot", "list"]] {
                assert!(!clocked.run(before, look).is_empty());
                assert!(!clocked.run(after, look).is_empty());
            }
        }
    }
}

/// The clock is the only proof of time that there is: one that runs ahead of the certificate costs
/// the update until it is set, and nothing else. What is said names it.
#[test]
fn a_clock_behind_the_certificates_end_refuses_the_update_and_changes_nothing() {
    for clock in CLOCKS.into_iter().filter(|clock| *clock > EXPIRES) {
        let board = SmallBoard::new();
        let bundle = board.offer_good();
        let before = board.state();
        let context = Context::host(board.root(), Now(UnixTime(clock)));
        let ran = run_on(&context, &["install", &bundle]);
        assert_eq!(ran.code, 4, "{clock}: {}", ran.stderr);
        let said = ran.stderr.contains("certificate has expired") && ran.stderr.contains("clock");
        assert!(said, "{clock}: {}", ran.stderr);
        assert_eq!(board.state(), before, "{clock}");
        assert_eq!(board.run(&["install", &bundle]).code, 0, "{clock}");
    }
}

/// The history is told in its own order, not in that of the clock.
#[test]
fn what_happened_last_is_last_although_the_clock_says_it_was_first() {
    let clocked = Clocked { board: SmallBoard::new() };
    clocked.run(2_000_000_000, &["boot", "mark-active", "B"]);
    clocked.run(1_600_000_000, &["boot", "mark-bad", "B"]);
    let context = Context::host(clocked.board.root(), Now(UnixTime(0)));
    let recorder = context.recorder(&context.settings().unwrap(), Access::ReadOnly).unwrap();
    let last = recorder.entries().unwrap().pop().unwrap().entry;
    assert!(format!("{last:?}").contains("Bad"), "{last:?}");
}
