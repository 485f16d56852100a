// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the firmware and the flight recorder tell the running system.

use crate::text::lossy;
use bootctl::{
    Activation, BootState, BootedFrom, BundleId, Command, DataReset, Death, DeathMark, EfiEntries,
    Entry, FirmwareFacts, Force, KernelCmdline, Mark, PerSlot, Recorder, RecorderFacts, SlotId,
    SlotState, Timestamp, describe_next, explain, parse_barebox_state, parse_fw_printenv,
    parse_grub_list, read_trail, reconcile, select, transition,
};
use storage::{MemoryStorage, PartUuid, Shared, Storage};
use uboot::Env;
use uuid::Uuid;

/// The kernel's command line: a slot is believed only where a word names it.
pub fn kernel_cmdline(data: &[u8]) {
    let text = lossy(data);
    let cmdline = KernelCmdline::parse(&text);
    let _ = (cmdline.reason(), cmdline.selector_version());
    match cmdline.booted_slot() {
        Some(slot) => {
            assert_eq!(cmdline.booted_from(), BootedFrom::Slot(slot));
            assert_eq!(cmdline.get("rauc.slot"), Some(slot.boot_name()));
        }
        None => assert!(!matches!(cmdline.booted_from(), BootedFrom::Slot(_))),
    }
    if text.len() < 1024 {
        assert_eq!(KernelCmdline::parse(&format!("  {text}\n")), cmdline);
    }
}

/// What pstore kept of a kernel that died, through a record: one harmless line, whatever memory
/// decayed to, and a slot only where a command line names it.
pub fn dead_kernel(data: &[u8]) {
    let Some(death) = Death::from_kernel_log(data) else { return };
    assert!(!death.cause.chars().any(char::is_control), "{:?}", death.cause);
    assert!(death.slot.is_none() || lossy(data).contains("rauc.slot="));
    assert_eq!(death.mark, DeathMark::of(data));
    let entry = Entry::Died { slot: SlotId::A, mark: death.mark, cause: death.cause.clone() };
    let flash = Shared::new(MemoryStorage::nor("ring", vec![0xff; 8192], 4096));
    let mut recorder = Recorder::open(flash.clone(), 4096).expect("the region fits");
    recorder.append(Timestamp::UNKNOWN, &entry).expect("memory does not fail");
    let told = Recorder::open(flash, 4096).expect("it was open before").entries();
    let told = told.expect("memory does not fail").pop().map(|record| record.entry);
    let Some(Entry::Died { slot: SlotId::A, mark, cause }) = told else { panic!("{told:?}") };
    assert_eq!(mark, death.mark);
    assert!(!cause.is_empty() && death.cause.starts_with(&cause), "{cause:?}");
}

/// The boot state in an environment's data area: what is read is written and read again as the
/// same, and no environment whatever makes the selector start an empty or a writing slot.
pub fn boot_state(data: &[u8]) {
    let Ok(env) = Env::parse_data(data) else { return };
    let (request, mut asked) = (DataReset::from_env(&env), env.clone());
    request.write_to(&mut asked).expect("every request fits a variable");
    assert_eq!(DataReset::from_env(&asked), request);
    check_trail(&env);
    let Ok((state, _)) = BootState::from_env_warned(&env) else { return };
    let mut written = env.clone();
    state.write_to(&mut written).expect("every value of a state fits a variable");
    assert_eq!(BootState::from_env(&written), Ok(state.clone()));
    let _ = describe_next(&state);
    check_selection(&state);
    check_transitions(&state);
}

/// What was read is written and read again as the same, and a decision that is appended is last.
fn check_trail(env: &Env) {
    let trail = read_trail(env);
    for one in &trail {
        let word = format!("{:02}.{}", one.number, one.decision);
        assert_eq!(word.parse(), Ok(*one), "{word}");
    }
    let Some(last) = trail.last() else { return };
    let mut after = env.clone();
    if last.decision.append_to(&mut after).is_ok() {
        assert_eq!(read_trail(&after).last().map(|one| one.decision), Some(last.decision));
    }
}

fn check_selection(state: &BootState) {
    for bits in 0..16_u8 {
        let bit = |number: u8| bits >> number & 1 == 1;
        let facts = FirmwareFacts {
            disk: if bit(0) { state.disk } else { None },
            save_works: bit(1),
            loads: PerSlot { a: bit(2), b: bit(3) },
        };
        let selection = select(Some(state), &facts);
        let Some(slot) = selection.boots else { continue };
        let loads = match slot {
            SlotId::A => facts.loads.a,
            SlotId::B => facts.loads.b,
        };
        assert!(loads, "slot {slot} was chosen and does not load");
        // With the disk of another board nothing of this state counts.
        if facts.disk.is_some() {
            let found = state.slot(slot).state;
            assert!(!matches!(found, SlotState::Empty | SlotState::Writing), "{slot} is {found}");
        }
    }
}

fn check_transitions(state: &BootState) {
    let bundle = BundleId::from_bytes([7; 16]);
    for slot in SlotId::ALL {
        for command in [
            Command::BeginInstall { target: slot },
            Command::FinishInstall { target: slot, bundle, activation: Activation::Activate },
            Command::FinishInstall { target: slot, bundle, activation: Activation::Stage },
            Command::FailInstall { target: slot },
            Command::MarkGood { slot },
            Command::MarkBad { slot, force: Force::No },
            Command::MarkBad { slot, force: Force::Yes },
            Command::MarkActive { slot },
            Command::RestoreAttempts { slot },
            Command::ConfirmFallback { slot },
            Command::Leave { slot },
            Command::FirstBoot { disk: PartUuid(Uuid::from_u128(1)) },
            Command::Rollback { force: Force::No },
            Command::Rollback { force: Force::Yes },
        ] {
            for booted in [None, Some(SlotId::A), Some(SlotId::B)] {
                let Ok(next) = transition(state, booted, &command) else { continue };
                let mut env = Env::new();
                next.write_to(&mut env).expect("every value of a state fits a variable");
                assert_eq!(BootState::from_env(&env), Ok(next), "after {command:?}");
            }
        }
    }
}

/// Size of the recorder's blocks here.
const BLOCK_BYTES: usize = 4096;

/// A flight recorder's region on flash and on a disk, as it is and with every checksum made
/// right: it opens, tells its records in order, takes another one and tells it after a reopening.
pub fn recorder(data: &[u8]) {
    let mut region = data.get(..data.len().min(16 * BLOCK_BYTES)).unwrap_or_default().to_vec();
    region.resize(region.len().next_multiple_of(BLOCK_BYTES).max(2 * BLOCK_BYTES), 0xff);
    let mut mended = region.clone();
    mend_records(&mut mended);
    for bytes in [region, mended] {
        check_recorder(MemoryStorage::disk("disk", bytes.clone()));
        check_recorder(MemoryStorage::nor("flash", bytes, 4096));
    }
}

/// Makes the CRC of everything right that looks like a record (layout: `record_codec.rs`).
fn mend_records(region: &mut [u8]) {
    for block in region.chunks_mut(BLOCK_BYTES) {
        for at in (0..block.len()).step_by(4) {
            let Some(record) = block.get_mut(at..).filter(|rest| rest.starts_with(b"AXR1")) else {
                continue;
            };
            let len = record.get(4..6).map_or(0, |len| u16::from_le_bytes([len[0], len[1]]));
            let covered = 24 + usize::from(len);
            if record.len() >= covered + 4 {
                let crc = crc32fast::hash(&record[..covered]);
                record[covered..covered + 4].copy_from_slice(&crc.to_le_bytes());
            }
        }
    }
}

fn check_recorder(storage: MemoryStorage) {
    let block_bytes = 4096;
    let erase_bytes = storage.geometry().erase_bytes;
    let image = Shared::new(storage);
    let mut recorder = Recorder::open(image.clone(), block_bytes).expect("the region has its size");
    let before = recorder.entries().expect("memory does not fail");
    assert!(before.is_sorted_by_key(|record| record.sequence));
    let lost = BootState::lost();
    let _ = explain(&before, &lost);
    for booted in [None, Some(SlotId::A), Some(SlotId::B)] {
        let _ = reconcile(&lost, booted, None, recorder.facts());
    }
    let _ = RecorderFacts::from_entries(before.iter().map(|record| &record.entry));

    let entry = Entry::Marked { slot: SlotId::A, mark: Mark::Good };
    let Ok(sequence) = recorder.append(Timestamp::UNKNOWN, &entry) else { return };
    drop(recorder);
    let after = Recorder::open(image.clone(), block_bytes)
        .and_then(|reopened| reopened.entries())
        .unwrap_or_else(|failure| panic!("{failure} after an append, erase {erase_bytes:?}"));
    let found = after.iter().any(|record| record.sequence == sequence && record.entry == entry);
    assert!(found, "record {sequence} was acknowledged and is not there");
}

/// What the boot loaders' programs print: an entry is one that a line names, a variable has the
/// value of its line, a number is one that begins with a digit.
pub fn boot_programs(data: &[u8]) {
    let text = lossy(data);
    if let Ok(entries) = EfiEntries::parse(&text) {
        let named = [&entries.next, &entries.current].into_iter().flatten();
        for entry in entries.order.iter().chain(named) {
            assert!(entries.all.contains(entry), "{entry:?}");
        }
        for entry in &entries.all {
            assert!(entry.number.len() == 4 && !entry.label.contains(['\n', '\t']), "{entry:?}");
            let first = entries.labelled(&entry.label).expect("it is one of them");
            assert!(text.contains(&format!("Boot{}", first.number)));
        }
    }
    for (key, value) in parse_grub_list(&text) {
        assert!(!key.contains(['=', '\n']) && !value.contains('\n'), "{key:?} {value:?}");
        assert!(text.contains(&format!("{key}={value}")));
    }
    if let Some((key, _)) = text.split_once('=') {
        let value = parse_fw_printenv(key, &text).expect("it begins so");
        assert_eq!(format!("{key}={value}"), text.trim_end());
        assert_eq!(parse_fw_printenv(&format!("{key}x"), &text), None);
    }
    if let Ok(state) = parse_barebox_state(&text) {
        let again = format!("{}\n{}\n", state.priority, state.attempts);
        assert_eq!(parse_barebox_state(&again), Ok(state));
    }
}
