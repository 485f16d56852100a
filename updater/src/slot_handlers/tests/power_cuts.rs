// SPDX-License-Identifier: MIT OR Apache-2.0
//! At every write, flush and torn sector of a switch: what boots is whole.

use super::fake::*;
use crate::slot_handlers::*;
use crate::{Slot, SlotType};
use bundle::ImageType;
use repart::{NewPartition, TypeGuid, create_table, read_table};
use storage::{ByteLen, Lba, MemoryStorage, PartUuid};
use uuid::Uuid;

const START: usize = 64 * 1024;
const HALF: usize = 32 * 1024;
const DISK: usize = 256 * 1024;
const IMAGE: usize = 20_000;

fn region(kind: SlotType) -> Slot {
    Slot {
        region_start: Some(ByteLen::new(START as u64)),
        region_size: Some(ByteLen::new(2 * HALF as u64)),
        ..slot(kind)
    }
}

/// A half with an image in it.
fn half_of(image: &[u8]) -> Vec<u8> {
    let mut half = image.to_vec();
    half.resize(HALF, 0);
    half
}

/// A disk whose two halves hold this.
fn disk_of(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut disk = vec![0; DISK];
    disk[START..START + HALF].copy_from_slice(first);
    disk[START + HALF..START + 2 * HALF].copy_from_slice(second);
    disk
}

/// Writes `new` and asks of everything that a cut may leave whether it is right; gives the number
/// of states.
fn every_cut(kind: SlotType, initial: &[u8], new: &[u8], right: &dyn Fn(&[u8], &str)) -> usize {
    let mut machine = Fake::with_disk("/dev/slot", initial.to_vec());
    let content = ImageContent::Stream(&mut { new });
    let image = image(ImageType::Raw, new);
    write(&region(kind), image, content, &mut NoHooks, &mut machine).unwrap();
    right(&machine.bytes("/dev/slot"), "no cut");
    let (mut states, journal) = (0, &machine.journal);
    for cut in 0..=journal.ops().len() {
        for (number, state) in
            journal.crash_images("/dev/slot", initial, cut, 1).unwrap().enumerate()
        {
            right(&state, &format!("{kind}, cut at act {cut}, state {number}"));
            states += 1;
        }
    }
    states
}

fn first_partition(disk: &[u8]) -> Option<usize> {
    let table = read_table(&MemoryStorage::disk("disk", disk.to_vec())).ok()?;
    let entry = table.partitions.iter().find(|entry| entry.number == 1)?;
    usize::try_from(entry.first_lba.0 * 512).ok()
}

#[test]
fn a_gpt_names_a_whole_half_in_each_of_its_copies_at_every_cut() {
    let (old, new) = (half_of(&pattern(25_000, 3)), pattern(IMAGE, 9));
    let mut disk = MemoryStorage::disk("disk", disk_of(&old, &half_of(b"junk")));
    let part = |id, first, last| NewPartition {
        type_guid: TypeGuid(Uuid::from_u128(7)),
        part_uuid: PartUuid(Uuid::from_u128(id)),
        label: String::new(),
        first_lba: Lba(first),
        last_lba: Lba(last),
    };
    create_table(&mut disk, Uuid::from_u128(9), &[part(1, 128, 191), part(2, 300, 400)]).unwrap();
    let whole = [&old[..], &half_of(&new)];
    let states = every_cut(SlotType::BootGptSwitch, disk.bytes(), &new, &|state, when| {
        let start = first_partition(state).unwrap_or_else(|| panic!("no table: {when}"));
        assert!(whole.contains(&&state[start..start + HALF]), "torn half boots: {when}");
        // A firmware that reads the backup alone; there may be none for a moment.
        let mut backup = state.to_vec();
        backup[512..1024].fill(0);
        if let Some(start) = first_partition(&backup) {
            assert!(whole.contains(&&state[start..start + HALF]), "by the backup: {when}");
        }
    });
    assert!(states > 100, "{states}");
}

#[test]
fn an_mbr_names_a_whole_half_at_every_cut() {
    let (old, new) = (half_of(&pattern(25_000, 3)), pattern(IMAGE, 9));
    let mut disk = disk_of(&half_of(b"junk"), &old);
    disk[446..462].copy_from_slice(&[0x80, 0, 0, 0, 0x0c, 0, 0, 0, 192, 0, 0, 0, 64, 0, 0, 0]);
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let whole = [&old[..], &half_of(&new)];
    let states = every_cut(SlotType::BootMbrSwitch, &disk, &new, &|state, when| {
        let start = u32::from_le_bytes(state[454..458].try_into().unwrap()) as usize * 512;
        assert!(whole.contains(&&state[start..start + HALF]), "torn half boots: {when}");
    });
    assert!(states > 40, "{states}");
}

#[test]
fn of_two_raw_copies_one_is_whole_and_none_pretends_to_be_at_every_cut() {
    let (old, new) = (half_of(&pattern(25_000, 3)), pattern(IMAGE, 9));
    let mut headless = old.clone();
    headless[..512].fill(0xff);
    headless[5000..9000].fill(0x77);
    let whole = [&old[..], &half_of(&new)];
    for (first, second) in [(&old, &old), (&headless, &old), (&old, &headless)] {
        let disk = disk_of(first, second);
        let states = every_cut(SlotType::BootRawFallback, &disk, &new, &|state, when| {
            let mut bootable = 0;
            for start in [START, START + HALF] {
                let copy = &state[start..start + HALF];
                if copy[..512].iter().any(|byte| !matches!(byte, 0 | 0xff)) {
                    assert!(whole.contains(&copy), "a torn copy has a header: {when}");
                    bootable += 1;
                }
            }
            assert!(bootable > 0, "nothing boots: {when}");
        });
        assert!(states > 80, "{states}");
    }
    let mut machine = Fake::with_disk("/dev/slot", disk_of(&headless, &old));
    let content = ImageContent::Stream(&mut new.as_slice());
    let image = image(ImageType::Raw, &new);
    write(&region(SlotType::BootRawFallback), image, content, &mut NoHooks, &mut machine).unwrap();
    assert!(
        machine.bytes("/dev/slot") == disk_of(whole[1], whole[1]),
        "both copies are the new one"
    );
}
