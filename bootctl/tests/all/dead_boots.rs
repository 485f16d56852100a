// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots that died before anybody could remember them are told afterwards, each and once.

use bootctl::{
    BootControl, BootState, BundleId, Command, ControlParts, Death, DeathMark, Entry,
    FirmwareFacts, LateFallback, Load, Numbered, PerSlot, Reason, Record, Recorder, SlotId,
    SlotRecord, SlotState, Timestamp, TryEnd, UbootBackend, explain, read_trail, select,
};
use std::path::PathBuf;
use storage::{MemoryStorage, Shared, Storage};
use uboot::{CopyPlace, Env, EnvStore};

const ENV_BYTES: u32 = 0x4000;
const RING_BLOCK: u32 = 4096;
const A: SlotId = SlotId::A;
const B: SlotId = SlotId::B;

/// A board with its environment and its recorder.
struct Board {
    env: Shared<MemoryStorage>,
    ring: Shared<MemoryStorage>,
    loads: PerSlot<bool>,
}

impl Board {
    fn new(state: &BootState) -> Self {
        let blank = || vec![0xff; usize::try_from(ENV_BYTES).unwrap() * 2];
        let board = Self {
            env: Shared::new(MemoryStorage::nor("env", blank(), ENV_BYTES)),
            ring: Shared::new(MemoryStorage::nor("ring", blank(), RING_BLOCK)),
            loads: PerSlot { a: true, b: true },
        };
        let mut env = Env::new();
        state.write_to(&mut env).unwrap();
        board.store().store_as_firmware(&env).unwrap();
        board
    }

    fn store(&self) -> EnvStore<Box<dyn Storage>> {
        let place = |copy: u32| CopyPlace {
            device: PathBuf::from("env"),
            offset: u64::from(copy * ENV_BYTES),
            env_bytes: ENV_BYTES,
            erase_bytes: ENV_BYTES,
            sectors: 1,
        };
        let open = |copy| (Box::new(self.env.clone()) as Box<dyn Storage>, place(copy));
        EnvStore::open(vec![open(0), open(1)]).unwrap()
    }

    fn env(&self) -> Env {
        self.store().load().unwrap().env
    }

    /// The firmware starts a slot, or resets.
    fn power_on(&self) -> Option<SlotId> {
        let mut env = self.env();
        let state = BootState::from_env(&env).ok();
        let disk = BootState::from_env(&env).unwrap().disk;
        let facts = FirmwareFacts { disk, save_works: true, loads: self.loads };
        let selection = select(state.as_ref(), &facts);
        selection.write_to(&mut env).unwrap();
        self.store().store_as_firmware(&env).unwrap();
        selection.boots
    }

    fn control(&self, booted: SlotId) -> BootControl {
        BootControl::load(ControlParts {
            backend: Box::new(UbootBackend::new(self.store())),
            recorder: Ok(Recorder::open(Box::new(self.ring.clone()) as _, RING_BLOCK).unwrap()),
            booted: Some(booted),
            late_fallback: LateFallback::Allowed,
            at: Timestamp::UNKNOWN,
        })
        .unwrap()
    }

    /// Linux comes up, as `atomix boot started` does it.
    fn linux(&self, booted: SlotId, reason: Reason, deaths: &[Death]) -> Vec<Record> {
        let mut control = self.control(booted);
        control.note_dead_boots(deaths);
        control.reconcile(Some(reason)).unwrap();
        assert!(control.warnings().is_empty(), "{:?}", control.warnings());
        control.history()
    }
}

fn updated() -> BootState {
    let attempts = "3".parse().unwrap();
    BootState {
        order: vec![B, A],
        b: SlotRecord { state: SlotState::Trying, attempts, bundle: None },
        ..BootState::factory("11111111-2222-3333-4444-555555555555".parse().unwrap())
    }
}

fn decisions(records: &[Record]) -> Vec<Numbered> {
    let one = |record: &Record| {
        if let Entry::Chosen(one) = record.entry { Some(one) } else { None }
    };
    records.iter().filter_map(one).collect()
}

fn chosen(records: &[Record]) -> Vec<String> {
    let word = |one: Numbered| format!("{:02}.{}", one.number, one.decision);
    decisions(records).into_iter().map(word).collect()
}

#[test]
fn three_boots_that_died_before_linux_are_each_told_with_slot_and_attempts_left() {
    let board = Board::new(&updated());
    let booted = [(); 4].map(|()| board.power_on());
    assert_eq!(booted, [Some(B), Some(B), Some(B), Some(A)]);
    let records = board.linux(A, Reason::Fallback, &[]);
    assert_eq!(
        chosen(&records),
        ["00.B2.trying", "01.B1.trying", "02.B0.trying", "03.A2.fallback"]
    );
    let fallback = explain(&records, &updated()).fallback.unwrap();
    let ends: Vec<_> =
        fallback.tries.iter().map(|one| (one.decision.left.unwrap().get(), one.end)).collect();
    assert_eq!(ends, [(2, TryEnd::Silent), (1, TryEnd::Silent), (0, TryEnd::Silent)]);
    assert!(fallback.cause.starts_with("nothing was heard of it: a hang, a power cut"));
    // Told once, also when Linux is interrupted and does it again.
    assert_eq!(board.linux(A, Reason::Fallback, &[]).len(), records.len() + 1);
    board.power_on();
    let later = board.linux(A, Reason::Normal, &[]);
    assert_eq!(chosen(&later).len(), 5, "{:?}", chosen(&later));
}

#[test]
fn the_words_of_a_dead_kernel_are_the_cause_of_the_fallback_and_told_once() {
    let board = Board::new(&updated());
    let _ = [(); 4].map(|()| board.power_on());
    let log = "<0>[ 5.1] Kernel panic - not syncing: Attempted to kill init!\n";
    let death = Death::from_kernel_log(log.as_bytes()).unwrap();
    let records = board.linux(A, Reason::Fallback, std::slice::from_ref(&death));
    let fallback = explain(&records, &updated()).fallback.unwrap();
    assert_eq!((fallback.from, fallback.cause.as_str()), (B, log[9..].trim()));
    // It does not say whose it is, so it is the boot before this one.
    assert_eq!(fallback.tries.last().unwrap().end, TryEnd::Died);
    assert_eq!(died(&records), 1);
    board.power_on();
    assert_eq!(died(&board.linux(A, Reason::Normal, &[death])), 1);
    // Where the dead kernel's own command line is there, it tells.
    let own = format!("Kernel command line: quiet rauc.slot=B\n{log}");
    let death = Death::from_kernel_log(own.as_bytes()).unwrap();
    board.power_on();
    let records = board.linux(A, Reason::Normal, &[death]);
    let last = records.iter().rfind(|one| matches!(one.entry, Entry::Died { .. })).unwrap();
    assert!(matches!(last.entry, Entry::Died { slot: B, .. }), "{last:?}");
}

#[test]
fn a_slot_that_does_not_load_is_told_as_such() {
    let mut board = Board::new(&updated());
    board.loads.b = false;
    let booted = [(); 4].map(|()| board.power_on());
    assert_eq!(booted, [None, None, None, Some(A)]);
    let records = board.linux(A, Reason::LoadFailed, &[]);
    let fallback = explain(&records, &updated()).fallback.unwrap();
    assert_eq!(fallback.tries.len(), 3);
    for one in &fallback.tries {
        assert_eq!((one.end, one.decision.load), (TryEnd::NotLoaded, Load::Failed));
    }
    assert_eq!(fallback.cause, "the firmware could not load it");
}

fn panic_of_b() -> Death {
    let log = "Kernel command line: rauc.slot=B\n<0>[ 5.1] Kernel panic - not syncing: old\n";
    Death::from_kernel_log(log.as_bytes()).unwrap()
}

fn died(records: &[Record]) -> usize {
    records.iter().filter(|one| matches!(one.entry, Entry::Died { .. })).count()
}

/// systemd's archive keeps a panic for ever and the ring does not: told again after the ring came
/// round, a panic of years ago became the cause of whatever fallback came next.
#[test]
fn a_word_whose_record_the_ring_forgot_is_not_told_again() {
    let board = Board::new(&updated());
    let old = [panic_of_b()];
    let _ = [(); 4].map(|()| board.power_on());
    assert_eq!(died(&board.linux(A, Reason::Fallback, &old)), 1);
    for _ in 0..3 {
        let mut control = board.control(A);
        let last = control.history().last().unwrap().sequence;
        let filler = Entry::DeadEnd { slot: A, cause: "x".repeat(120) };
        while control.history().first().unwrap().sequence <= last {
            control.note(&filler);
        }
        assert_eq!(died(&control.history()), 0, "the ring did not come round");
        board.power_on();
        assert_eq!(died(&board.linux(A, Reason::Normal, &old)), 0, "told twice");
    }
    // An update that is left now is left for a reason of its own.
    let mut env = board.env();
    updated().write_to(&mut env).unwrap();
    board.store().store_as_firmware(&env).unwrap();
    let bundle = BundleId::from_bytes([5; 16]);
    let installed = Entry::InstallFinished { slot: B, version: "2".to_owned(), bundle };
    board.control(A).note(&installed);
    let _ = [(); 4].map(|()| board.power_on());
    let records = board.linux(A, Reason::Fallback, &old);
    let cause = explain(&records, &updated()).fallback.unwrap().cause;
    assert!(cause.starts_with("nothing was heard of it"), "{cause}");
}

/// A watchdog says something new each time it bites; the archive's words are still the old ones.
#[test]
fn many_new_words_do_not_make_an_old_one_new() {
    let board = Board::new(&updated());
    board.power_on();
    let mut archive: Vec<Death> =
        (0..16).map(|number| Death { mark: DeathMark([number; 8]), ..panic_of_b() }).collect();
    board.linux(B, Reason::Normal, &archive);
    for bite in 0..100_u8 {
        archive.push(Death { mark: DeathMark([100 + bite; 8]), ..panic_of_b() });
        board.power_on();
        let before = board.control(B).history().last().unwrap().sequence;
        let records = board.linux(B, Reason::Normal, &archive);
        let new: Vec<Record> = records.into_iter().filter(|one| one.sequence > before).collect();
        assert_eq!(died(&new), 1, "at bite {bite}");
        archive.pop();
    }
}

#[test]
fn a_fallback_of_which_only_the_firmware_knows_is_told_without_a_cause() {
    let board = Board::new(&updated());
    let _ = [(); 4].map(|()| board.power_on());
    board.linux(A, Reason::Fallback, &[]);
    let len = board.ring.len().get();
    board.ring.clone().erase(0, len).unwrap();
    board.power_on();
    let records = board.linux(A, Reason::Normal, &[]);
    assert!(!records.iter().any(|one| matches!(one.entry, Entry::FellBack { .. })));
    let fallback = explain(&records, &updated()).fallback.unwrap();
    assert_eq!((fallback.from, fallback.to, fallback.attempts), (B, A, 3));
    assert_eq!(
        fallback.to_string(),
        "slot B was left for slot A after at least 3 attempts (some records are missing): not \
         known: the flight recorder lost it or began anew"
    );
}

#[test]
fn what_linux_stores_leaves_the_trail_alone() {
    let board = Board::new(&updated());
    board.power_on();
    let before = read_trail(&board.env());
    let mut control = board.control(B);
    control.apply(&Command::MarkGood { slot: B }).unwrap();
    assert_eq!(read_trail(&board.env()), before);
    assert_eq!(before.len(), 1);
}

/// Whatever dies and whenever Linux comes up in between, each decision is on record once and in
/// order, as long as no more than ten were made in between.
#[test]
fn each_decision_is_on_record_once_and_in_order_over_many_boots() {
    let good = BootState {
        b: SlotRecord { state: SlotState::Good, attempts: "3".parse().unwrap(), bundle: None },
        ..updated()
    };
    let board = Board::new(&good);
    let mut count = 0;
    for dead in [0, 3, 0, 0, 9, 1, 0, 10, 2, 7, 0, 5, 5, 10, 1, 0, 0, 4, 10, 10, 10, 8, 1] {
        let mut booted = None;
        for _ in 0..=dead {
            booted = board.power_on();
            count += 1;
        }
        board.linux(booted.unwrap(), Reason::Normal, &[]);
    }
    assert!(count > 100, "the numbers did not come round: {count}");
    let records = board.control(A).history();
    let numbers: Vec<u8> = decisions(&records).iter().map(|one| one.number).collect();
    let expected: Vec<u8> = (0..count).map(|number| u8::try_from(number % 100).unwrap()).collect();
    assert_eq!(numbers, expected);
}
