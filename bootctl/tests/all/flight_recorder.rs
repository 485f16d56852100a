// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flight recorder through power cuts at every write and erase, on flash and on disk.

use bootctl::{
    AttemptsLeft, BootState, BundleId, Death, DeathMark, Entry, HealthVerdict, Mark, Reason,
    Record, Recorder, RecorderError, Sequence, SlotId, SlotState, Snapshot, Timestamp, explain,
};
use std::collections::BTreeSet;
use storage::{Fault, Faulty, Journal, MemoryStorage, Recording, Shared, Storage};

const LABEL: &str = "recorder";

fn factory() -> BootState {
    BootState::factory("11111111-2222-3333-4444-555555555555".parse().unwrap())
}

/// A dead boot's word that an archive keeps for ever.
fn word() -> Death {
    Death { slot: Some(SlotId::B), mark: DeathMark([9; 8]), cause: "panic".to_owned() }
}

/// Entries of different lengths, so that blocks end at different places.
fn entry(number: usize) -> Entry {
    match number % 4 {
        0 => Entry::Marked { slot: SlotId::A, mark: Mark::Active },
        1 => Entry::DeadEnd { slot: SlotId::B, cause: "x".repeat(number % 120) },
        2 => Entry::Booted { slot: SlotId::B, reason: Reason::Trying, attempts: AttemptsLeft::ONE },
        _ => Entry::Verdict {
            slot: SlotId::B,
            verdict: HealthVerdict::Unhealthy,
            cause: "no address".to_owned(),
        },
    }
}

fn sequences(records: &[Record]) -> BTreeSet<Sequence> {
    records.iter().map(|record| record.sequence).collect()
}

/// One undisturbed run, then every image that a cut at every act of it may leave.
fn check_every_cut(blank: MemoryStorage, block_bytes: u32, appends: usize) {
    let initial = blank.bytes().to_vec();
    let erase_bytes = blank.geometry().erase_bytes;
    let reopen = |image: Vec<u8>| {
        let storage = match erase_bytes {
            Some(erase_bytes) => MemoryStorage::nor(LABEL, image, erase_bytes),
            None => MemoryStorage::disk(LABEL, image),
        };
        Recorder::open(storage, block_bytes).unwrap()
    };
    let journal = Journal::new();
    let mut recorder = Recorder::open(Recording::new(blank, journal.clone()), block_bytes).unwrap();
    // After how many acts which records were there; the first appends are what is to be carried.
    let mut history = vec![(0, recorder.entries().unwrap())];
    for number in 0..appends {
        let entry = match number {
            0 => Entry::States(Snapshot::from(&factory())),
            1 => Entry::Died { slot: SlotId::B, mark: word().mark, cause: word().cause },
            _ => entry(number),
        };
        recorder.append(Timestamp::from_unix(number as u64), &entry).unwrap();
        history.push((journal.op_count(), recorder.entries().unwrap()));
    }
    let recycled = history.last().unwrap().1.first().unwrap().sequence;
    assert!(recycled > Sequence(10), "the run is too short to come round the ring");

    for cut in 0..journal.op_count() {
        let done = history.iter().rposition(|(acts, _)| *acts <= cut).unwrap();
        let before = &history[done].1;
        let after = &history[done + 1].1;
        let (old, new) = (sequences(before), sequences(after));
        let kept: BTreeSet<Sequence> = old.intersection(&new).copied().collect();
        for image in journal.crash_images(LABEL, &initial, cut, 1).unwrap() {
            let mut survivor = reopen(image);
            let found = survivor.entries().unwrap();
            let there = sequences(&found);
            assert!(there.is_superset(&kept), "cut {cut}: {kept:?} became {there:?}");
            for record in &found {
                assert!(
                    before.contains(record) || after.contains(record),
                    "cut {cut}: {record:?} was never written"
                );
            }
            if done > 0 {
                let snapshot = Snapshot::from(&factory());
                let known = survivor.facts().snapshot().map(|known| known.disk);
                assert_eq!(known, Some(snapshot.disk), "cut {cut}: the snapshot is gone");
            }
            if done > 1 {
                let again = survivor.facts().news(&[], &[word()]);
                assert_eq!(again, [], "cut {cut}: a word is told again");
            }
            let newest = there.last().copied().unwrap_or(Sequence(0));
            let added = survivor.append(Timestamp::UNKNOWN, &entry(1)).unwrap();
            assert!(added > newest, "cut {cut}: sequence {added} after {newest}");
            let last = survivor.entries().unwrap().pop().unwrap();
            assert_eq!((last.sequence, last.entry), (added, entry(1)), "cut {cut}");
        }
    }
}

#[test]
fn no_cut_on_flash_loses_a_record_that_was_acknowledged() {
    check_every_cut(MemoryStorage::nor(LABEL, vec![0xff; 4096], 2048), 2048, 90);
}

#[test]
fn no_cut_on_a_disk_loses_a_record_that_was_acknowledged() {
    check_every_cut(MemoryStorage::disk(LABEL, vec![0; 3 * 4096]), 4096, 45);
}

#[test]
fn torn_records_are_skipped_and_counted() {
    let shared = Shared::new(MemoryStorage::nor(LABEL, vec![0xff; 8192], 4096));
    let mut recorder = Recorder::open(shared.clone(), 4096).unwrap();
    for number in 0..3 {
        recorder.append(Timestamp::UNKNOWN, &entry(number)).unwrap();
    }
    // The tail of the last record never reached the flash.
    shared.with(|flash| {
        let end = flash.bytes().iter().rposition(|byte| *byte != 0xff).unwrap();
        flash.bytes_mut()[end - 2..=end].fill(0xff);
    });
    let mut recorder = Recorder::open(shared.clone(), 4096).unwrap();
    assert_eq!((recorder.torn(), recorder.entries().unwrap().len()), (1, 2));
    recorder.append(Timestamp::UNKNOWN, &entry(5)).unwrap();
    let recorder = Recorder::open(shared, 4096).unwrap();
    let found: Vec<Entry> =
        recorder.entries().unwrap().into_iter().map(|record| record.entry).collect();
    assert_eq!(found, [entry(0), entry(1), entry(5)]);
}

#[test]
fn the_only_block_with_records_is_never_erased_even_when_writing_keeps_failing() {
    let shared = Shared::new(MemoryStorage::nor(LABEL, vec![0xff; 8192], 4096));
    let mut recorder = Recorder::open(shared.clone(), 4096).unwrap();
    while shared.with(|flash| flash.bytes()[4096..].iter().all(|byte| *byte == 0xff)) {
        recorder.append(Timestamp::UNKNOWN, &entry(3)).unwrap();
    }
    // Worn-out flash: the second block has stuck bits, so nothing written there reads back.
    let mut failed = 0;
    for _ in 0..400 {
        shared.with(|flash| flash.bytes_mut()[4096..].fill(0));
        match recorder.append(Timestamp::UNKNOWN, &entry(3)) {
            Err(RecorderError::ReadBack { .. }) => failed += 1,
            Ok(_) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert!(failed > 100, "{failed} appends failed");
    let kept = Recorder::open(shared, 4096).unwrap().entries().unwrap();
    assert!(kept.len() > 50, "{} records are left", kept.len());
}

#[test]
fn the_boot_state_outlives_any_number_of_recycled_blocks() {
    let mut recorder =
        Recorder::open(MemoryStorage::nor(LABEL, vec![0xff; 8192], 4096), 4096).unwrap();
    let disk = factory().disk.unwrap();
    recorder.append(Timestamp::UNKNOWN, &Entry::FirstBoot { disk }).unwrap();
    for _ in 0..2000 {
        recorder.append(Timestamp::UNKNOWN, &entry(2)).unwrap();
    }
    assert_eq!(recorder.facts().snapshot(), Some(&Snapshot::from(&factory())));
    let first = recorder.entries().unwrap().first().cloned().unwrap();
    assert!(matches!(first.entry, Entry::States(_)) && first.sequence > Sequence(1000));
}

/// The Rock64's ring: `docs/flight-recorder.md` states the numbers.
#[test]
fn four_blocks_of_64_kib_hold_at_least_900_of_the_largest_records() {
    let flash = Shared::new(MemoryStorage::nor(LABEL, vec![0xff; 4 << 16], 1 << 16));
    let mut recorder = Recorder::open(flash, 1 << 16).unwrap();
    let mut state = factory();
    for number in 0..8 {
        state.remember_failed(BundleId::from_bytes([number; 16]));
    }
    (state.a.bundle, state.b.bundle) =
        (state.failed.first().copied(), state.failed.last().copied());
    state.order = SlotId::ALL.to_vec();
    let largest = Entry::States(Snapshot::from(&state));
    let mut least = usize::MAX;
    for number in 0..3000 {
        recorder.append(Timestamp::UNKNOWN, &largest).unwrap();
        if number > 1300 && number % 5 == 0 {
            least = least.min(recorder.entries().unwrap().len());
        }
    }
    assert!((900..1000).contains(&least), "{least}");
}

#[test]
fn regions_that_cannot_hold_a_ring_are_refused_by_name() {
    let open = |storage, block| Recorder::open(storage, block).map(|_| ()).unwrap_err();
    let one = open(MemoryStorage::nor(LABEL, vec![0xff; 4096], 4096), 4096);
    assert!(matches!(one, RecorderError::Region { .. }), "{one}");
    let odd = open(MemoryStorage::nor(LABEL, vec![0xff; 8192], 4096), 2048);
    assert!(matches!(odd, RecorderError::Blocks { block_bytes: 2048, erase_bytes: 4096 }), "{odd}");
    let small = open(MemoryStorage::disk(LABEL, vec![0; 4096]), 1024);
    assert!(matches!(small, RecorderError::Region { .. }), "{small}");
    assert!(open(MemoryStorage::disk(LABEL, vec![0; 4096]), 0).hint().is_some());
    let large = open(MemoryStorage::disk(LABEL, vec![0; 8 << 20]), 4096);
    assert!(matches!(large, RecorderError::Region { .. }), "{large}");
}

#[test]
fn a_fallback_is_explained_with_version_attempts_and_cause() {
    let bundle = BundleId::from_bytes([4; 16]);
    let b = SlotId::B;
    let mut recorder = Recorder::open(MemoryStorage::disk(LABEL, vec![0; 32768]), 4096).unwrap();
    let mut add = |secs, entry: Entry| {
        recorder.append(Timestamp::from_unix(secs), &entry).unwrap();
    };
    add(10, Entry::InstallBegan { slot: b, version: "1.3".to_owned(), bundle });
    add(20, Entry::InstallFinished { slot: b, version: "1.3".to_owned(), bundle });
    for (secs, left) in [(30, 2), (40, 1)] {
        let attempts = AttemptsLeft::new(left).unwrap();
        add(secs, Entry::Booted { slot: b, reason: Reason::Trying, attempts });
    }
    let cause = "unit gateway.service failed".to_owned();
    let verdict = HealthVerdict::Unhealthy;
    add(45, Entry::Verdict { slot: b, verdict, cause: cause.clone() });
    add(50, Entry::FellBack { from: b, to: SlotId::A, cause });
    add(60, Entry::Marked { slot: b, mark: Mark::Bad });
    let told = explain(&recorder.entries().unwrap(), &factory());
    let fallback = told.fallback.unwrap();
    assert_eq!((fallback.at, fallback.bundle), (Timestamp::from_unix(50), Some(bundle)));
    assert_eq!(
        fallback.to_string(),
        "slot B (version 1.3) was left for slot A after 3 attempts, 2 of which reached userspace: \
         unit gateway.service failed"
    );
    assert_eq!((told.next.slot, told.next.reason), (Some(SlotId::A), Reason::Normal));
    assert_eq!(explain(&[], &factory()).fallback, None);
}

/// An install holds the recorder open for minutes while the health service records its verdict.
#[test]
fn two_programs_with_the_recorder_open_write_no_record_over_another() {
    let flash = Shared::new(MemoryStorage::nor(LABEL, vec![0xff; 4 * 4096], 4096));
    let open = || Recorder::open(flash.clone(), 4096).unwrap();
    let (mut install, mut health) = (open(), open());
    let mut written = Vec::new();
    // More than a block, so that the head moves under the one that does not look.
    for number in 0..60 {
        let at = Timestamp::from_unix(number as u64);
        let writer = if number % 7 == 0 { &mut install } else { &mut health };
        let sequence = writer.append(at, &entry(number)).unwrap();
        written.push(Record { sequence, at, entry: entry(number) });
    }
    let fresh = open();
    assert_eq!(fresh.torn(), 0);
    let found: Vec<Record> = fresh.entries().unwrap();
    let newest = &written[written.len() - found.len()..];
    assert_eq!(found, newest);
    assert!(found.len() > 50, "{}", found.len());
}

/// A ring of four blocks that came round, whose newest records are in block `head`.
fn come_round() -> (Shared<MemoryStorage>, usize, Sequence) {
    let flash = Shared::new(MemoryStorage::nor(LABEL, vec![0xff; 4 * 4096], 4096));
    let mut recorder = Recorder::open(flash.clone(), 4096).unwrap();
    let mut newest = Sequence(0);
    for number in 0..500 {
        newest = recorder.append(Timestamp::UNKNOWN, &entry(number)).unwrap();
    }
    let alone = |block: usize| {
        let bytes = flash.with(|flash| flash.bytes()[block * 4096..][..4096].to_vec());
        let mut image = vec![0xff; 8192];
        image[..4096].copy_from_slice(&bytes);
        let found = Recorder::open(MemoryStorage::nor(LABEL, image, 4096), 4096).unwrap();
        found.entries().unwrap().last().map(|record| record.sequence)
    };
    let head = (0..4).find(|block| alone(*block) == Some(newest)).unwrap();
    (flash, head, newest)
}

#[test]
fn a_lost_block_takes_its_own_records_only_and_no_number_is_given_twice() {
    for lost in 0..4 {
        for rubbish in [0xff_u8, 0x00, 0x41] {
            let (flash, head, newest) = come_round();
            let before = Recorder::open(flash.clone(), 4096).unwrap().entries().unwrap();
            flash.with(|flash| flash.bytes_mut()[lost * 4096..][..4096].fill(rubbish));
            let mut recorder = Recorder::open(flash.clone(), 4096).unwrap();
            let left = recorder.entries().unwrap();
            assert!(left.iter().all(|record| before.contains(record)));
            assert!(left.len() * 2 > before.len(), "{} of {}", left.len(), before.len());
            if lost != head {
                assert_eq!(left.last().unwrap().sequence, newest, "block {lost}, head {head}");
            }
            let added = recorder.append(Timestamp::UNKNOWN, &entry(1)).unwrap();
            assert!(added > newest, "block {lost} of {rubbish:#x}: {added} after {newest}");
            let again = Recorder::open(flash, 4096).unwrap().entries().unwrap();
            assert_eq!(again.last().unwrap().sequence, added);
        }
    }
}

#[test]
fn a_block_that_cannot_be_read_hides_no_other_and_is_counted() {
    let (flash, head, newest) = come_round();
    let lost = (head + 2) % 4;
    let faulty = Faulty::new(flash, Fault::Read { at: lost as u64 * 4096 + 100 });
    let mut recorder = Recorder::open(faulty, 4096).unwrap();
    assert_eq!(recorder.unreadable(), 1);
    let warning = recorder.warning().unwrap();
    assert!(
        warning.starts_with("1 of the flight recorder's 4 blocks cannot be read: "),
        "{warning}"
    );
    assert!(warning.contains(LABEL), "{warning}");
    let left = recorder.entries().unwrap();
    assert_eq!(left.last().unwrap().sequence, newest);
    assert!(left.len() > 100, "{}", left.len());
    assert!(recorder.append(Timestamp::UNKNOWN, &entry(1)).unwrap() > newest);
}

#[test]
fn decay_in_the_middle_hides_no_later_record() {
    let (flash, head, _) = come_round();
    let before = Recorder::open(flash.clone(), 4096).unwrap().entries().unwrap();
    for place in (8..4096).step_by(97) {
        let image = flash.with(|flash| {
            let mut image = flash.bytes().to_vec();
            image[((head + 3) % 4) * 4096 + place] ^= 0x10;
            image
        });
        let found = Recorder::open(MemoryStorage::nor(LABEL, image, 4096), 4096).unwrap();
        let left = found.entries().unwrap();
        assert!(before.len() - left.len() <= 1, "{place}: {} of {}", left.len(), before.len());
    }
}

/// It was erased for the next block once, and an old snapshot took the place of the newest one.
#[test]
fn a_newest_block_that_one_program_cannot_read_keeps_its_records() {
    let flash = Shared::new(MemoryStorage::nor(LABEL, vec![0xff; 4 * 4096], 4096));
    let states = |b| {
        let mut state = BootState::lost();
        state.b.state = b;
        Entry::States(Snapshot::from(&state))
    };
    let mut recorder = Recorder::open(flash.clone(), 4096).unwrap();
    recorder.append(Timestamp::UNKNOWN, &states(SlotState::Bad)).unwrap();
    while flash.with(|flash| flash.bytes()[4096] == 0xff) {
        recorder.append(Timestamp::UNKNOWN, &entry(1)).unwrap();
    }
    let newest = recorder.append(Timestamp::UNKNOWN, &states(SlotState::Good)).unwrap();
    let faulty = Faulty::new(flash.clone(), Fault::Read { at: 4096 + 100 });
    let mut blind = Recorder::open(faulty, 4096).unwrap();
    let noted: Vec<_> =
        (0..3).map(|number| blind.append(Timestamp::UNKNOWN, &entry(number)).unwrap()).collect();
    drop(blind);
    let after = Recorder::open(flash, 4096).unwrap();
    let found: Vec<_> = after.entries().unwrap().iter().map(|one| one.sequence).collect();
    assert!(found.contains(&newest), "{newest:?} is gone");
    assert!(noted.iter().all(|one| *one > newest && found.contains(one)), "{noted:?}");
    assert_eq!(after.facts().snapshot().unwrap().b.state, SlotState::Good);
}
