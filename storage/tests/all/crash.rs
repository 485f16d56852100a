// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crash simulator is neither kinder than a device (it loses and tears what a device may) nor
//! crueller (what was flushed stays).

use proptest::prelude::*;
use std::collections::BTreeSet;
use storage::{
    CutAt, CutPlan, Journal, MemoryStorage, PowerCut, Recording, Shared, Storage, StorageError,
};

const SIZE: usize = 8 * 1024;
const BLOCK: u32 = 1024;
const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Act {
    Write(usize, Vec<u8>),
    Erase(u64),
    Flush,
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let write = (0..SIZE - 1600, prop::collection::vec(any::<u8>(), 0..1600));
    let act = prop_oneof![
        4 => write.prop_map(|(at, data)| Act::Write(at, data)),
        1 => (0..SIZE as u64 / u64::from(BLOCK)).prop_map(Act::Erase),
        1 => Just(Act::Flush),
    ];
    prop::collection::vec((any::<bool>(), act), 0..24)
}

fn perform(device: &mut dyn Storage, act: &Act) -> Result<(), StorageError> {
    let block = u64::from(BLOCK);
    match act {
        Act::Write(at, data) => device.write_at(*at as u64, data),
        Act::Erase(number) => device.erase(number * block, block),
        Act::Flush => device.flush(),
    }
}

/// The sectors that an act changes.
fn sectors_of(act: &Act) -> std::ops::Range<usize> {
    let block = BLOCK as usize;
    match act {
        Act::Write(at, data) if !data.is_empty() => at / SECTOR..(at + data.len()).div_ceil(SECTOR),
        Act::Erase(number) => {
            let start = usize::try_from(*number).unwrap() * block;
            start / SECTOR..(start + block) / SECTOR
        }
        Act::Write(..) | Act::Flush => 0..0,
    }
}

fn disk() -> MemoryStorage {
    MemoryStorage::disk("disk", vec![0; SIZE])
}

fn nor() -> MemoryStorage {
    MemoryStorage::nor("nor", vec![0xff; SIZE], BLOCK)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn replay_of_all_acts_equals_the_real_image(acts in acts()) {
        let journal = Journal::new();
        let mut disk = Recording::new(disk(), journal.clone());
        let mut nor = Recording::new(nor(), journal.clone());
        for (first, act) in &acts {
            let device: &mut dyn Storage = if *first { &mut disk } else { &mut nor };
            perform(device, act).unwrap();
        }
        prop_assert_eq!(journal.op_count(), acts.len());
        let (disk, nor) = (disk.into_inner(), nor.into_inner());
        let all = journal.op_count();
        prop_assert_eq!(&journal.image_after("disk", &[0; SIZE], all).unwrap(), disk.bytes());
        prop_assert_eq!(&journal.image_after("nor", &[0xff; SIZE], all).unwrap(), nor.bytes());
    }

    #[test]
    fn what_was_flushed_survives_every_cut(acts in acts(), cut in 0..24_usize, seed: u64) {
        let journal = Journal::new();
        let mut disk = Recording::new(disk(), journal.clone());
        disk.write_at(0, &[0x77; SIZE]).unwrap();
        disk.flush().unwrap();
        let mut touched = BTreeSet::new();
        for (number, (_, act)) in acts.iter().enumerate() {
            perform(&mut disk, act).unwrap();
            if number <= cut {
                match act {
                    Act::Write(at, data) => touched.extend(*at..*at + data.len()),
                    Act::Erase(block) => {
                        let start = usize::try_from(*block).unwrap() * BLOCK as usize;
                        touched.extend(start..start + BLOCK as usize);
                    }
                    Act::Flush => {}
                }
            }
        }
        for image in journal.crash_images("disk", &[0; SIZE], cut + 2, seed).unwrap() {
            let kept = image.iter().enumerate().all(|(at, byte)| {
                touched.contains(&at) || *byte == 0x77
            });
            prop_assert!(kept);
        }
    }

    #[test]
    fn a_cut_device_holds_flushed_data_and_nothing_that_was_never_written(
        acts in acts(),
        at in 0..24_u64,
        seed: u64,
    ) {
        let medium = Shared::new(disk());
        let plan = CutPlan::new(CutAt::Operation(at), seed);
        let mut device = PowerCut::new(medium.clone(), &plan);
        let mut mirror = disk();
        let mut durable = mirror.bytes().to_vec();
        let mut values: Vec<BTreeSet<u8>> = vec![BTreeSet::from([0]); SIZE];
        let mut changes = [0; SIZE / SECTOR];
        for (_, act) in &acts {
            let result = perform(&mut device, act);
            perform(&mut mirror, act).unwrap();
            for sector in sectors_of(act) {
                changes[sector] += 1;
            }
            for (seen, byte) in values.iter_mut().zip(mirror.bytes()) {
                seen.insert(*byte);
            }
            match result {
                Err(error) => {
                    let by_cut = matches!(error, StorageError::PowerCut { .. });
                    prop_assert!(by_cut);
                    break;
                }
                Ok(()) if matches!(act, Act::Flush) => {
                    durable = mirror.bytes().to_vec();
                    values = durable.iter().map(|byte| BTreeSet::from([*byte])).collect();
                    changes = [0; SIZE / SECTOR];
                }
                Ok(()) => {
                    let mut seen = vec![0; SIZE];
                    device.read_at(0, &mut seen).unwrap();
                    prop_assert_eq!(&seen[..], mirror.bytes());
                }
            }
        }
        let found = medium.with(|disk| disk.bytes().to_vec());
        let legal = found.iter().zip(&values).all(|(byte, seen)| seen.contains(byte));
        prop_assert!(legal);
        for (number, sector) in found.chunks(SECTOR).enumerate() {
            let range = number * SECTOR..(number + 1) * SECTOR;
            let (before, after) = (&durable[range.clone()], &mirror.bytes()[range]);
            let whole = match changes[number] {
                0 => sector == before,
                1 => sector == before || sector == after,
                // Any of several may be lost.
                _ => true,
            };
            prop_assert!(whole, "sector {number} is neither as it was nor as it was written");
        }
        prop_assert_eq!(plan.is_cut(), acts.len() as u64 > at);
    }
}

#[test]
fn unflushed_writes_are_lost_in_any_combination_and_torn_at_sectors() {
    let journal = Journal::new();
    let mut device = Recording::new(disk(), journal.clone());
    device.write_at(0, &[1; 512]).unwrap();
    device.write_at(1024, &[2; 512]).unwrap();
    device.write_at(2048, &[3; 1024]).unwrap();
    let images: Vec<_> = journal.crash_images("disk", &[0; SIZE], 2, 0).unwrap().collect();
    let marks = |image: &Vec<u8>| (image[0], image[1024], image[2048], image[2560]);
    let seen: BTreeSet<_> = images.iter().map(marks).collect();
    for first in [0, 1] {
        for second in [0, 2] {
            assert!(seen.contains(&(first, second, 0, 0)), "{first} {second} without the third");
            assert!(seen.contains(&(first, second, 3, 3)), "{first} {second} with the third");
        }
    }
    assert!(seen.contains(&(1, 2, 3, 0)), "the write in work is torn in its middle");
    device.flush().unwrap();
    let settled = journal.crash_images("disk", &[0; SIZE], 4, 0).unwrap();
    assert!(settled.into_iter().all(|image| marks(&image) == (1, 2, 3, 3)), "flushed stays");
    let flushing = journal.crash_images("disk", &[0; SIZE], 3, 0).unwrap();
    let seen: BTreeSet<_> = flushing.map(|image| marks(&image)).collect();
    assert_eq!(seen.len(), 8, "a flush in work promises nothing");
}

#[test]
fn flash_loses_nothing_but_the_act_in_work_and_leaves_that_half_done() {
    let journal = Journal::new();
    let initial = vec![0; SIZE];
    let mut device =
        Recording::new(MemoryStorage::nor("nor", initial.clone(), BLOCK), journal.clone());
    device.erase(0, 1024).unwrap();
    device.write_at(0, &[0x0f; 256]).unwrap();
    device.erase(1024, 2048).unwrap();
    let images: Vec<_> = journal.crash_images("nor", &initial, 2, 9).unwrap().collect();
    assert!(images.iter().all(|image| image[..256] == [0x0f; 256]), "without any flush");
    let half = |image: &&Vec<u8>| {
        image[1024..2048].iter().all(|byte| *byte == 0xff)
            && image[2048..3072].iter().any(|byte| *byte != 0 && *byte != 0xff)
    };
    assert!(images.iter().any(|image| half(&image)), "second block half erased");
    assert!(images.contains(&journal.image_after("nor", &initial, 2).unwrap()), "not begun");
    assert!(images.contains(&journal.image_after("nor", &initial, 3).unwrap()), "finished");
}

#[test]
fn many_unflushed_writes_are_sampled_by_seed() {
    let journal = Journal::new();
    let mut device = Recording::new(disk(), journal.clone());
    for number in 0..8 {
        device.write_at(number * 1024, &[9; 1024]).unwrap();
    }
    let draw =
        |seed| journal.crash_images("disk", &[0; SIZE], 8, seed).unwrap().collect::<Vec<_>>();
    assert_eq!(draw(5), draw(5), "the same seed gives the same images");
    assert_ne!(draw(5), draw(6));
    let distinct: BTreeSet<_> = draw(5).into_iter().collect();
    assert!(distinct.len() > 40, "only {} of 64 differ", distinct.len());
}

#[test]
fn one_cut_takes_the_power_of_all_devices() {
    let plan = CutPlan::new(CutAt::Operation(3), 11);
    let (first, second) = (Shared::new(disk()), Shared::new(nor()));
    let mut disk = PowerCut::new(first.clone(), &plan);
    let mut flash = PowerCut::new(second.clone(), &plan);
    disk.write_at(0, &[1; 512]).unwrap();
    flash.write_at(0, &[2; 4]).unwrap();
    disk.write_at(512, &[1; 512]).unwrap();
    assert!(matches!(flash.write_at(512, &[3; 4]), Err(StorageError::PowerCut { .. })));
    let frozen = first.with(|disk| disk.bytes().to_vec());
    assert!(matches!(disk.flush(), Err(StorageError::PowerCut { .. })));
    assert!(matches!(disk.read_at(0, &mut [0]), Err(StorageError::PowerCut { .. })));
    drop((disk, flash));
    assert_eq!(first.with(|disk| disk.bytes().to_vec()), frozen, "nothing arrives after the cut");
    assert_eq!(second.with(|flash| flash.bytes()[..4].to_vec()), [2; 4], "flash has no cache");
}

#[test]
fn a_cut_at_a_byte_tears_the_write_that_reaches_it() {
    let plan = CutPlan::new(CutAt::Byte(storage::ByteLen::new(3 * 512 + 100)), 0);
    let medium = Shared::new(disk());
    let mut device = PowerCut::new(medium.clone(), &plan);
    device.write_at(0, &[1; 512]).unwrap();
    device.flush().unwrap();
    assert!(device.write_at(512, &[2; 2048]).is_err());
    let found = medium.with(|disk| disk.bytes().to_vec());
    assert_eq!(found[..512], [1; 512]);
    assert_eq!(found[512..1536], [2; 1024], "two whole sectors");
    assert_eq!(found[1536..], [0; SIZE - 1536], "the third was in work");
}
