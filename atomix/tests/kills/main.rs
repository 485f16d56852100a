// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program is ended from outside: killed at any moment, out of memory, stopped by the service
//! manager, or it finds another one at work. The promise holds after each end, and the next
//! attempt works.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod board;
#[path = "../cli_board/mod.rs"]
mod cli_board;
mod program;

use board::{LARGE_BYTES, Wholes, group, large_board};
use bootctl::{AttemptsLeft, BootState, SlotId, SlotState};
use cli_board::SmallBoard;
use cli_board::bundles::Recipe;
use nix::sys::signal::Signal;
use program::{Ended, Running};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

/// Kills that have to hit an install at work, and everything else at work.
const INSTALL_KILLS: u64 = 300;
const OTHER_KILLS: u64 = 210;

/// After so many kills one is let through.
const LET_THROUGH_EVERY: u64 = 20;

/// The same sequence in every run. What it hits differs: processes have no seed.
const SEED: u64 = 0x5eed_0004;

/// Numbers that look like a lot's (splitmix64).
struct Lots(u64);

impl Lots {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Some part of a time.
    fn part_of(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(f64::from(u32::try_from(self.next() >> 32).unwrap()) / f64::from(u32::MAX))
    }
}

fn say(text: &str) {
    let _seen = writeln!(std::io::stderr(), "{text}");
}

fn offer(board: &SmallBoard, rootfs_bytes: usize) -> String {
    board.write("/update.raucb", Recipe { rootfs_bytes, ..Recipe::default() }.make());
    board.path("/update.raucb").to_str().unwrap().to_owned()
}

/// Installs undisturbed; how long it took.
fn install(board: &SmallBoard, bundle: &str) -> Duration {
    let begun = Instant::now();
    let ended = Running::start(board, &["install", bundle]).end();
    assert!(ended.status.success(), "{:?}: {}", ended.status, ended.heard);
    assert_eq!(board.state().b.state, SlotState::Trying);
    begun.elapsed()
}

/// Something that is killed, the board that it begins on, and what it comes to.
struct Deed {
    args: &'static [&'static str],
    booted: SlotId,
    begin: BootState,
    is_done: fn(&BootState) -> bool,
}

fn deeds() -> Vec<Deed> {
    let good = SmallBoard::both_good();
    let mut on_trial = good.clone();
    on_trial.b.state = SlotState::Trying;
    on_trial.order = vec![SlotId::B, SlotId::A];
    let mut staged = on_trial.clone();
    (staged.order, staged.b.attempts) = (vec![SlotId::A], AttemptsLeft::ZERO);
    vec![
        Deed {
            args: &["boot", "mark-good", "B"],
            booted: SlotId::B,
            begin: on_trial.clone(),
            is_done: |state| state.b.state == SlotState::Good,
        },
        Deed {
            args: &["boot", "mark-bad", "B"],
            booted: SlotId::A,
            begin: good.clone(),
            is_done: |state| state.b.state == SlotState::Bad,
        },
        Deed {
            args: &["boot", "mark-active", "B"],
            booted: SlotId::A,
            begin: staged,
            is_done: |state| state.order.first() == Some(&SlotId::B),
        },
        Deed {
            args: &["boot", "started"],
            booted: SlotId::A,
            begin: good,
            is_done: |state| state.order.len() == 2,
        },
    ]
}

/// What was hit, how often.
#[derive(Default)]
struct Tally(BTreeMap<String, u64>);

impl Tally {
    fn add(&mut self, ended: &Ended, what: &str) {
        let phase = if what == "install" { ended.phase() } else { "at work" };
        let phase = if ended.is_killed() { phase } else { "done before" };
        *self.0.entry(format!("{what}: {phase}")).or_default() += 1;
    }

    fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn killed(&self) -> u64 {
        self.0.iter().filter(|(name, _)| !name.ends_with("done before")).map(|(_, n)| n).sum()
    }
}

/// Half of the kills come at any moment of a whole run, half within one of its phases: short ones
/// would not be met otherwise.
fn kill_an_install(board: &SmallBoard, bundle: &str, whole: Duration, lots: &mut Lots) -> Ended {
    const PHASES: [&str; 8] = [
        "planning",
        "taking target out",
        "breaking the seal",
        "writing",
        "reading back",
        "sealing",
        "recording",
        "storing the boot state",
    ];
    let mut running = Running::start(board, &["install", bundle]);
    if lots.next().is_multiple_of(2) {
        return running.kill_after(lots.part_of(whole));
    }
    let phase = PHASES[usize::try_from(lots.next() % PHASES.len() as u64).unwrap()];
    assert!(running.await_line(phase), "no {phase}: {}", running.heard);
    running.kill_after(lots.part_of(whole / 40))
}

#[test]
fn five_hundred_kills_at_any_moment_leave_a_board_that_boots_and_installs() {
    let begun = Instant::now();
    let board = large_board(LARGE_BYTES);
    let bundle = offer(&board, LARGE_BYTES);
    let old = group(&board, SlotId::B);
    let running = (SlotId::A, group(&board, SlotId::A));
    let whole = install(&board, &bundle);
    let new = group(&board, SlotId::B);
    assert!(old != new, "the install changes nothing");
    let wholes = Wholes { running, other: vec![old, new] };
    let (mut lots, mut tally) = (Lots(SEED), Tally::default());
    for number in 1_u64.. {
        if tally.killed() == INSTALL_KILLS {
            break;
        }
        let ended = kill_an_install(&board, &bundle, whole, &mut lots);
        tally.add(&ended, "install");
        let broken = wholes.broken(&board);
        assert!(broken.is_empty(), "kill {number} ({}): {broken:?}", ended.phase());
        if number.is_multiple_of(LET_THROUGH_EVERY) {
            install(&board, &bundle);
            assert!(wholes.broken(&board).is_empty());
            // The old content again, so that the next one has something to write.
            let [boot, rootfs] = &wholes.other[0];
            board.write("/dev/mmcblk1p3", boot);
            board.write("/dev/mmcblk1p4", rootfs);
            board.set_state(&SmallBoard::both_good());
        }
    }
    install(&board, &bundle);
    for number in 1_u64.. {
        if tally.killed() == INSTALL_KILLS + OTHER_KILLS {
            break;
        }
        let deeds = deeds();
        let deed = &deeds[usize::try_from(number).unwrap() % deeds.len()];
        board.set_state(&deed.begin);
        let timed = Instant::now();
        let line = format!("rauc.slot={} atomix.reason=normal\n", deed.booted);
        board.write("/proc/cmdline", line);
        let undisturbed = Running::start(&board, deed.args).end();
        assert!(undisturbed.status.success(), "{:?}: {}", deed.args, undisturbed.heard);
        let whole = timed.elapsed();
        board.set_state(&deed.begin);
        let ended = Running::start(&board, deed.args).kill_after(lots.part_of(whole.mul_f64(0.8)));
        tally.add(&ended, &deed.args.join(" "));
        let broken = wholes.broken(&board);
        assert!(broken.is_empty(), "kill {number} of {:?}: {broken:?}", deed.args);
        let again = Running::start(&board, deed.args).end();
        assert!(again.status.success(), "{:?} again: {}", deed.args, again.heard);
        assert!((deed.is_done)(&board.state()), "{:?} again: {:?}", deed.args, board.state());
    }
    board.set_state(&SmallBoard::both_good());
    board.write("/proc/cmdline", "rauc.slot=A atomix.reason=normal\n");
    install(&board, &bundle);
    assert!(wholes.broken(&board).is_empty());
    let secs = begun.elapsed().as_secs_f64();
    let (hit, all) = (tally.killed(), tally.0.values().sum::<u64>());
    say(&format!(
        "kills: {hit} of {all} hit a command at work, 0 bricks, {secs:.0} s, seed {SEED:#x}"
    ));
    for (what, count) in &tally.0 {
        say(&format!("  {count:4} {what}"));
    }
    for phase in [
        "before the first word",
        "taking target out",
        "breaking the seal",
        "writing",
        "reading back",
        "sealing",
    ] {
        let hits = tally.of(&format!("install: {phase}"));
        assert!(hits >= 5, "only {hits} kills while {phase}");
    }
}

#[test]
fn second_install_is_told_who_is_at_it_and_a_killed_first_locks_nobody_out() {
    let board = large_board(LARGE_BYTES);
    let bundle = offer(&board, LARGE_BYTES);
    let mut first = Running::start(&board, &["install", &bundle]);
    assert!(first.await_line("writing"));
    first.signal(Signal::SIGSTOP);
    let state = board.state();
    let second = Running::start(&board, &["install", &bundle]).end();
    assert_eq!(second.status.code(), Some(5), "{}", second.heard);
    let holder = format!("another install is running (process {})", first.pid());
    assert!(second.heard.contains(&holder), "{}", second.heard);
    assert!(second.heard.contains("hint: "), "{}", second.heard);
    assert_eq!((board.state(), state.b.state), (state, SlotState::Writing));
    // Marks do not wait for an install.
    assert!(Running::start(&board, &["boot", "mark-good", "A"]).end().status.success());
    first.signal(Signal::SIGKILL);
    assert!(first.end().is_killed());
    install(&board, &bundle);
}

#[test]
fn a_stopped_install_says_so_ends_at_the_next_block_and_can_be_repeated() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let board = large_board(4 * LARGE_BYTES);
        let bundle = offer(&board, 4 * LARGE_BYTES);
        let running = (SlotId::A, group(&board, SlotId::A));
        let mut stopped = Running::start(&board, &["install", &bundle]);
        assert!(stopped.await_line("writing rootfs.1"), "{}", stopped.heard);
        stopped.signal(signal);
        let ended = stopped.end();
        assert_eq!(ended.status.signal(), Some(signal as i32), "{}", ended.heard);
        let said = format!("update.raucb: stopped by {signal}\nhint: install again");
        assert!(ended.heard.contains(&said), "{}", ended.heard);
        assert!(!ended.heard.contains("sealing"), "{}", ended.heard);
        let wholes = Wholes { running, other: Vec::new() };
        assert!(wholes.broken(&board).is_empty(), "{:?}", wholes.broken(&board));
        assert_eq!(board.state().b.state, SlotState::Writing);
        let why = board.run(&["why"]);
        assert!(why.stdout.contains(signal.as_str()), "{}", why.stdout);
        install(&board, &bundle);
    }
}

/// `nohup atomix install …` must outlive the terminal.
#[test]
fn an_install_started_to_ignore_a_lost_terminal_goes_on_without_it() {
    let board = large_board(4 * LARGE_BYTES);
    let bundle = offer(&board, 4 * LARGE_BYTES);
    let mut command = Command::new("env");
    command.arg("--ignore-signal=HUP").arg(env!("CARGO_BIN_EXE_atomix"));
    command.arg("--root").arg(board.root()).args(["install", &bundle]);
    let mut running = Running::spawn(command);
    assert!(running.await_line("writing rootfs.1"), "{}", running.heard);
    running.signal(Signal::SIGHUP);
    let ended = running.end();
    assert!(ended.status.success(), "{}", ended.heard);
    assert_eq!(board.state().b.state, SlotState::Trying);
}

#[test]
fn the_second_ctrl_c_ends_an_install_at_once() {
    let board = large_board(4 * LARGE_BYTES);
    let bundle = offer(&board, 4 * LARGE_BYTES);
    let mut running = Running::start(&board, &["install", &bundle]);
    assert!(running.await_line("writing rootfs.1"), "{}", running.heard);
    // Held, so that both are there before the next block is.
    running.signal(Signal::SIGSTOP);
    running.signal(Signal::SIGINT);
    running.signal(Signal::SIGTERM);
    running.signal(Signal::SIGCONT);
    let ended = running.end();
    let by = [Signal::SIGINT, Signal::SIGTERM].map(|signal| Some(signal as i32));
    assert!(by.contains(&ended.status.signal()), "{:?}", ended.status);
    install(&board, &bundle);
}

#[test]
fn an_install_needs_as_much_memory_for_a_large_bundle_as_for_a_small_one() {
    let peak = |rootfs_bytes| {
        let board = large_board(rootfs_bytes);
        let bundle = offer(&board, rootfs_bytes);
        let mut running = Running::start(&board, &["install", &bundle]);
        assert!(running.await_line("recording"), "{}", running.heard);
        let peak = running.peak_kib().unwrap();
        assert!(running.end().status.success());
        peak
    };
    let (small, large) = (peak(12 * 1024 * 1024), peak(96 * 1024 * 1024));
    say(&format!("memory of an install: {small} KiB for 12 MiB, {large} KiB for 96 MiB"));
    // The hash tree's upper levels and what is read ahead; never the images.
    assert!(large < small + 4096, "{small} KiB for 12 MiB, {large} KiB for 96 MiB");
    assert!(large < 64 * 1024, "{large} KiB");
}

#[test]
fn an_install_without_memory_ends_and_the_next_one_works() {
    let board = large_board(LARGE_BYTES);
    let bundle = offer(&board, LARGE_BYTES);
    let wholes = {
        let (running, old) = ((SlotId::A, group(&board, SlotId::A)), group(&board, SlotId::B));
        install(&board, &bundle);
        Wholes { running, other: vec![old, group(&board, SlotId::B)] }
    };
    let (mut ended_early, mut ended_at_work, mut limit) = (0, 0, 4 * 1024);
    let mut said = BTreeMap::new();
    loop {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c 0; ulimit -v \"$0\" && exec \"$@\""]);
        command.arg(limit.to_string()).arg(env!("CARGO_BIN_EXE_atomix"));
        command.arg("--root").arg(board.root()).args(["install", &bundle]);
        let ended = Running::spawn(command).end();
        let broken = wholes.broken(&board);
        assert!(broken.is_empty(), "{limit} KiB: {broken:?}");
        if ended.status.success() {
            break;
        }
        // Whoever ends without memory says so, as far as it comes to words.
        assert!(!ended.heard.trim().is_empty() || ended.status.signal().is_some());
        let last = ended.heard.lines().rev().find(|line| !line.trim().is_empty());
        *said.entry(format!("{:?}: {}", ended.status, last.unwrap_or_default())).or_insert(0) += 1;
        let began = ended.heard.contains("taking target out");
        (ended_early, ended_at_work) =
            (ended_early + u32::from(!began), ended_at_work + u32::from(began));
        limit += 512;
        assert!(limit < 1024 * 1024, "never enough: {:?} {}", ended.status, ended.heard);
    }
    say(&format!(
        "address space of an install: {limit} KiB are enough; {ended_early} ended before the \
         first change, {ended_at_work} after it"
    ));
    for (what, count) in said {
        say(&format!("  {count:4} {what}"));
    }
    assert!(ended_at_work > 0, "no limit let it begin and not end");
    install(&board, &bundle);
}
