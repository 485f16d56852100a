// SPDX-License-Identifier: MIT OR Apache-2.0
//! UBI volumes, NOR and NAND: RAUC's programs and arguments, and the reading back.

use super::fake::*;
use crate::SlotType;
use crate::slot_handlers::*;
use bundle::ImageType;
use std::sync::{Arc, Mutex};

const HOOKS: [HookStep; 3] = [HookStep::PreInstall, HookStep::PostInstall, HookStep::Status];

fn hooks() -> Noted {
    Noted { wanted: HOOKS.to_vec(), ..Noted::default() }
}

#[test]
fn a_volume_is_replaced_as_a_whole_and_read_back() {
    let bytes = pattern(600_000, 4);
    for (kind, mounted) in [(SlotType::Ubivol, false), (SlotType::Ubifs, true)] {
        let mut machine = Fake::default();
        let content = ImageContent::Stream(&mut bytes.as_slice());
        let image = image(ImageType::Ubifs, &bytes);
        let written = write(&slot(kind), image, content, &mut hooks(), &mut machine).unwrap();
        assert_eq!(written.proof, SlotProof::ReadBack);
        assert!(*machine.volume.lock().unwrap() == bytes);
        assert!(machine.log.contains(&"volume /dev/slot 600000".to_owned()));
        let mounts = machine.log.iter().filter(|line| line.starts_with("mount -t ubifs ")).count();
        assert_eq!(mounts, if mounted { 2 } else { 0 }, "{:?}", machine.log);
    }
}

#[test]
fn a_volume_that_gives_other_bytes_back_is_not_believed() {
    let bytes = pattern(5000, 4);
    let mut machine = Fake::default();
    let other = image(ImageType::Raw, &pattern(5000, 8));
    let content = ImageContent::Stream(&mut bytes.as_slice());
    let failed = write(&slot(SlotType::Ubivol), other, content, &mut NoHooks, &mut machine);
    assert!(matches!(failed, Err(SlotHandlerError::WrongImage { .. })), "{failed:?}");
}

#[test]
fn nor_is_flashed_from_a_path_and_read_back() {
    let bytes = pattern(300_000, 6);
    for (flashed, proven) in [(bytes.clone(), true), (vec![0xff; 300_000], false)] {
        let mut machine = Fake::with_disk("/dev/slot", vec![0xff; 400_000]);
        let disk = machine.devices.disks.values().next().unwrap().clone();
        let mut disk = disk;
        machine.act("flashcp", move |_| {
            storage::Storage::write_at(&mut disk, 0, &flashed).unwrap();
            (0, Vec::new())
        });
        let content = ImageContent::Stream(&mut bytes.as_slice());
        let image = image(ImageType::Raw, &bytes);
        let done = write(&slot(SlotType::Nor), image, content, &mut hooks(), &mut machine);
        let [pre, flash, rest @ ..] = machine.log.as_slice() else { panic!("{:?}", machine.log) };
        assert_eq!(pre, "hook PreInstall /dev/slot");
        assert!(flash.starts_with("flashcp --erase-all /proc/") && flash.ends_with(" /dev/slot"));
        if proven {
            assert_eq!(done.unwrap().proof, SlotProof::ReadBack);
            assert_eq!(rest, ["hook PostInstall /dev/slot"]);
        } else {
            assert!(matches!(done, Err(SlotHandlerError::ReadBack { .. })), "{done:?}");
            assert!(rest.is_empty(), "no hook sees what is not proven");
        }
    }
}

fn nand(dump: impl Fn(Vec<u8>) -> (i32, Vec<u8>) + Send + 'static) -> Fake {
    let mut machine = Fake::default();
    let chip = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&chip);
    machine.act("nandwrite", move |input| {
        *written.lock().unwrap() = input.to_vec();
        (0, Vec::new())
    });
    machine.act("nanddump", move |_| {
        // Whole pages come.
        let mut bytes = chip.lock().unwrap().clone();
        bytes.resize(bytes.len().next_multiple_of(2048), 0xff);
        dump(bytes)
    });
    machine
}

#[test]
fn nand_is_erased_written_through_a_pipe_and_dumped() {
    let bytes = pattern(300_001, 6);
    let mut machine = nand(|bytes| (0, bytes));
    let content = ImageContent::Stream(&mut bytes.as_slice());
    let image = image(ImageType::Raw, &bytes);
    let written = write(&slot(SlotType::Nand), image, content, &mut hooks(), &mut machine).unwrap();
    assert_eq!(written.proof, SlotProof::ReadBack);
    assert_eq!(
        machine.log,
        [
            "hook PreInstall /dev/slot",
            "flash_erase --quiet /dev/slot 0 0",
            "nandwrite --pad --quiet /dev/slot -",
            "nanddump --quiet --omitoob --bb=skipbad --length=300001 /dev/slot",
            "hook PostInstall /dev/slot",
        ]
    );
}

#[test]
fn nand_that_differs_fails_and_one_that_cannot_be_dumped_is_said_to_be_unproven() {
    let bytes = pattern(5000, 6);
    let mut done = Vec::new();
    for dump in [
        (|mut bytes| {
            bytes[4000] ^= 1;
            (0, bytes)
        }) as fn(Vec<u8>) -> (i32, Vec<u8>),
        |bytes| (1, bytes),
        |_| (127, Vec::new()),
    ] {
        let content = ImageContent::Stream(&mut bytes.as_slice());
        let image = image(ImageType::Raw, &bytes);
        done.push(write(&slot(SlotType::Nand), image, content, &mut NoHooks, &mut nand(dump)));
    }
    assert!(matches!(done[0], Err(SlotHandlerError::ReadBack { .. })), "{:?}", done[0]);
    assert!(matches!(done[1], Err(SlotHandlerError::Program { .. })), "{:?}", done[1]);
    let proof = &done[2].as_ref().unwrap().proof;
    assert_eq!(*proof, SlotProof::Unproven("there is no nanddump to read the slot back"));
}

#[test]
fn the_real_programs_know_these_options() {
    for (program, options) in [
        ("flash_erase", &["--quiet"][..]),
        ("nandwrite", &["--pad", "--quiet"]),
        ("nanddump", &["--quiet", "--omitoob", "--bb=", "--length="]),
        ("flashcp", &["--erase-all"]),
    ] {
        let mut help = Vec::new();
        let mut take = |_, bytes: &[u8]| help.extend_from_slice(bytes);
        let call = ProgramCall::new(program).arg("--help").output(&mut take);
        HostMachine::new().run(call, &|| None).unwrap();
        let help = String::from_utf8(help).unwrap();
        for option in options {
            assert!(help.contains(option), "{program} has no {option}: {help}");
        }
    }
}
