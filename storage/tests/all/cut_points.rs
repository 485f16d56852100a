// SPDX-License-Identifier: MIT OR Apache-2.0
//! The images of all devices together: what one lost is combined with what another lost, each tear
//! that a device may leave is among them, and nothing that it may not.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use storage::{Coverage, CutPoints, Effort, Journal, MemoryStorage, Recording, Remains, Storage};

const SIZE: usize = 4096;
const BLOCK: u32 = 1024;
const ALL: Effort = Effort { all: 0, subsets_of: 6, samples: 16, tears: 64 };

type Images = BTreeMap<String, Vec<u8>>;

fn put(images: &mut Images, remains: &Remains<'_>) {
    let range = remains.range();
    let (start, end) = (usize::try_from(range.start).unwrap(), usize::try_from(range.end).unwrap());
    remains.put(&mut images.get_mut(remains.device()).unwrap()[start..end]);
}

/// What the devices hold on image `number` of `cut`, having begun as `initial`.
fn image(points: &CutPoints, initial: &Images, cut: usize, number: u64) -> Images {
    let mut images = initial.clone();
    points.settled(None, cut).for_each(|remains| put(&mut images, &remains));
    points.at(cut).image(number).iter().for_each(|remains| put(&mut images, remains));
    images
}

fn all_images(points: &CutPoints, initial: &Images, cut: usize) -> Vec<Images> {
    (0..points.at(cut).images()).map(|number| image(points, initial, cut, number)).collect()
}

fn disk(name: &str) -> MemoryStorage {
    MemoryStorage::disk(name, vec![0; SIZE])
}

fn blank(names: &[&str], byte: u8) -> Images {
    names.iter().map(|name| ((*name).to_owned(), vec![byte; SIZE])).collect()
}

#[test]
fn what_one_device_lost_is_combined_with_what_another_lost() {
    let journal = Journal::new();
    let mut first = Recording::new(disk("first"), journal.clone());
    let mut second = Recording::new(disk("second"), journal.clone());
    first.write_at(0, &[1; 512]).unwrap();
    second.write_at(0, &[2; 512]).unwrap();
    first.flush().unwrap();
    second.write_at(512, &[3; 512]).unwrap();
    let points = journal.cut_points(ALL, 0);
    let initial = blank(&["first", "second"], 0);
    let marks = |cut| -> BTreeSet<(u8, u8, u8)> {
        let images = all_images(&points, &initial, cut);
        images.iter().map(|at| (at["first"][0], at["second"][0], at["second"][512])).collect()
    };
    let both = BTreeSet::from([(0, 0, 0), (0, 2, 0), (1, 0, 0), (1, 2, 0)]);
    assert_eq!(marks(2), both, "a flush in work promises nothing");
    let flushed = BTreeSet::from([(1, 0, 0), (1, 0, 3), (1, 2, 0), (1, 2, 3)]);
    assert_eq!(marks(3), flushed, "the flush of one device promises nothing of the other");
    assert_eq!(marks(4), flushed);
}

#[test]
fn a_write_in_work_leaves_every_prefix_and_suffix_and_hole_and_lone_sector() {
    let journal = Journal::new();
    let mut device = Recording::new(disk("disk"), journal.clone());
    device.write_at(512, &[7; 5 * 512]).unwrap();
    let images = all_images(&journal.cut_points(ALL, 0), &blank(&["disk"], 0), 0);
    let kept: BTreeSet<String> = images
        .iter()
        .map(|at| {
            for sector in at["disk"].chunks(512) {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is torn");
            }
            at["disk"].chunks(512).map(|sector| if sector[0] == 7 { '#' } else { '.' }).collect()
        })
        .collect();
    for wanted in [
        "........", ".#......", ".##.....", ".###....", ".####...", ".#####..", "..####..",
        "...###..", ".....#..", ".#.###..", ".##.##..", ".###.#..", "..#.....", "...#....",
    ] {
        assert!(kept.contains(wanted), "{wanted} is missing: {kept:?}");
    }
}

#[test]
fn flash_keeps_what_was_programmed_and_mixes_bits_of_what_is_in_work() {
    let journal = Journal::new();
    let flash = MemoryStorage::nor("flash", vec![0xff; SIZE], BLOCK);
    let mut flash = Recording::new(flash, journal.clone());
    flash.write_at(0, &[0x0f; 600]).unwrap();
    flash.erase(0, 1024).unwrap();
    let points = journal.cut_points(ALL, 3);
    let initial = blank(&["flash"], 0xff);
    let mut mixed = 0;
    for at in all_images(&points, &initial, 0) {
        assert!(at["flash"][..600].iter().all(|byte| byte & 0x0f == 0x0f), "only zeros were due");
        assert!(at["flash"][600..].iter().all(|byte| *byte == 0xff));
        mixed += usize::from(at["flash"].iter().any(|byte| !matches!(byte, 0x0f | 0xff)));
    }
    assert!(mixed > 20, "only {mixed} images are mixtures");
    let erasing = all_images(&points, &initial, 1);
    assert!(erasing.iter().all(|at| at["flash"][..600].iter().all(|byte| byte & 0x0f == 0x0f)));
    let whole = |byte| erasing.iter().any(|at| at["flash"][..600].iter().all(|at| *at == byte));
    assert!(whole(0x0f) && whole(0xff), "not begun, and finished");
    let distinct: BTreeSet<_> = erasing.iter().collect();
    assert!(distinct.len() > 20, "only {} mixtures of an erase", distinct.len());
}

/// Two unflushed writes of two and three sectors on two devices: two to the fifth images, all
/// different, and no other.
#[test]
fn a_cut_with_few_images_has_every_one_of_them() {
    let journal = Journal::new();
    let mut first = Recording::new(disk("first"), journal.clone());
    let mut second = Recording::new(disk("second"), journal.clone());
    first.write_at(512, &[1; 2 * 512]).unwrap();
    second.write_at(0, &[2; 3 * 512]).unwrap();
    let initial = blank(&["first", "second"], 0);
    for (all, coverage) in [(32, Coverage::Every), (31, Coverage::Sampled)] {
        let points = journal.cut_points(Effort { all, ..ALL }, 0);
        assert_eq!(points.at(1).coverage(), coverage);
        let images: BTreeSet<Images> = all_images(&points, &initial, 1).into_iter().collect();
        match coverage {
            Coverage::Every => assert_eq!((images.len(), points.at(1).images()), (32, 32)),
            Coverage::AllButMixtures | Coverage::Sampled => assert!(images.len() < 32),
        }
    }
}

/// The order of acts on two devices is lost with the power: each tear of the flash meets each set
/// of what the disk has not flushed.
#[test]
fn each_tear_of_a_flash_in_work_meets_each_set_of_sectors_of_a_disk() {
    let journal = Journal::new();
    let mut emmc = Recording::new(disk("disk"), journal.clone());
    let flash = MemoryStorage::nor("flash", vec![0xff; SIZE], BLOCK);
    let mut flash = Recording::new(flash, journal.clone());
    emmc.write_at(0, &[1; 512]).unwrap();
    emmc.write_at(1024, &[2; 2 * 512]).unwrap();
    flash.write_at(0, &[0; 2]).unwrap();
    for all in [8 * 64, 4 * 64] {
        let points = journal.cut_points(Effort { all, ..ALL }, 0);
        let mut initial = blank(&["disk"], 0);
        initial.extend(blank(&["flash"], 0xff));
        let mut met: BTreeMap<Vec<u8>, BTreeSet<(u8, u8)>> = BTreeMap::new();
        // Where not all fit, samples come on top, each with a tear of its own; they are the last.
        let samples = if all == 8 * 64 { 0 } else { ALL.samples };
        for number in 0..points.at(2).images() - samples {
            let at = image(&points, &initial, 2, number);
            let disk = &at["disk"];
            met.entry(at["flash"][..2].to_vec()).or_default().insert((disk[0], disk[1024]));
        }
        assert!(met.len() > 20, "{} tears", met.len());
        assert!(met.contains_key(&[0, 0xff][..]), "the first byte alone");
        let every = BTreeSet::from([(0, 0), (0, 2), (1, 0), (1, 2)]);
        assert!(met.values().all(|sets| *sets == every), "{all}: {met:?}");
    }
}

#[test]
fn an_image_is_known_by_its_number_and_seed() {
    let journal = Journal::new();
    let mut device = Recording::new(disk("disk"), journal.clone());
    for number in 0..7 {
        device.write_at(number * 512, &[9; 512]).unwrap();
    }
    let initial = blank(&["disk"], 0);
    let draw = |seed| all_images(&journal.cut_points(ALL, seed), &initial, 7);
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2), "seven unflushed writes are sampled");
    let few = Effort { subsets_of: 7, ..ALL };
    let images = all_images(&journal.cut_points(few, 0), &initial, 7);
    assert!(images.into_iter().collect::<BTreeSet<_>>().len() >= 128, "all subsets of seven");
}

#[test]
fn other_code_is_a_journal_with_other_acts() {
    let journal = Journal::new();
    let mut device = Recording::new(disk("disk"), journal.clone());
    device.write_at(0, &[1; 512]).unwrap();
    device.flush().unwrap();
    device.write_at(512, &[2; 512]).unwrap();
    let mut ops = journal.ops();
    ops.remove(1);
    let forgetful = journal.with_ops(ops).cut_points(ALL, 0);
    let images = all_images(&forgetful, &blank(&["disk"], 0), 2);
    assert!(images.iter().any(|at| at["disk"][0] == 0 && at["disk"][512] == 2), "no order is left");
    assert_eq!(journal.op_count(), 3, "the journal itself is as it was");
}

#[derive(Clone, Debug)]
enum Act {
    Write(usize, u8, usize),
    Flush,
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let write = (0..SIZE - 1600, 1..=u8::MAX, 1..1600_usize);
    let act = prop_oneof![
        4 => write.prop_map(|(at, byte, len)| Act::Write(at, byte, len)),
        1 => Just(Act::Flush),
    ];
    prop::collection::vec((any::<bool>(), act), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each byte is one that was there since the last flush, and going on from an earlier cut
    /// comes to the same content as beginning anew.
    #[test]
    fn every_image_is_legal(acts in acts(), cut in 0..12_usize, seed: u64) {
        let journal = Journal::new();
        let names = ["first", "second"];
        let mut devices = names.map(|name| Recording::new(disk(name), journal.clone()));
        let mut legal = names.map(|_| vec![BTreeSet::from([0_u8]); SIZE]);
        for (number, (second, act)) in acts.iter().enumerate() {
            let (device, legal) =
                (&mut devices[usize::from(*second)], &mut legal[usize::from(*second)]);
            match act {
                Act::Write(at, byte, len) => {
                    device.write_at(*at as u64, &vec![*byte; *len]).unwrap();
                    if number <= cut {
                        legal[*at..*at + *len].iter_mut().for_each(|legal| { legal.insert(*byte); });
                    }
                }
                Act::Flush => {
                    device.flush().unwrap();
                    let mut now = vec![0; SIZE];
                    device.read_at(0, &mut now).unwrap();
                    if number < cut {
                        *legal = now.iter().map(|byte| BTreeSet::from([*byte])).collect();
                    }
                }
            }
        }
        let cut = cut.min(journal.op_count());
        let points = journal.cut_points(ALL, seed);
        let initial = blank(&names, 0);
        for at in all_images(&points, &initial, cut) {
            for (name, legal) in names.iter().zip(&legal) {
                let is_legal = at[*name].iter().zip(legal).all(|(byte, legal)| legal.contains(byte));
                prop_assert!(is_legal, "{name} at {cut}");
            }
        }
        let mut stepped = initial.clone();
        points.settled(None, cut / 2).for_each(|remains| put(&mut stepped, &remains));
        points.settled(Some(cut / 2), cut).for_each(|remains| put(&mut stepped, &remains));
        let mut whole = initial.clone();
        points.settled(None, cut).for_each(|remains| put(&mut whole, &remains));
        prop_assert_eq!(stepped, whole);
    }
}
