// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images onto devices and into plain files, and what is refused.

use super::fake::*;
use crate::slot_handlers::*;
use crate::{ErrorClass, SlotType};
use bundle::ImageType;
use std::io::{Read, Write};
use storage::{ByteLen, Digest};

#[test]
fn an_image_is_written_read_back_and_counted_and_equal_blocks_are_skipped() {
    let bytes = pattern(3 << 20, 5);
    let mut old = vec![0; 4 << 20];
    old[..1 << 20].copy_from_slice(&bytes[..1 << 20]);
    let mut machine = Fake::with_disk("/dev/slot", old);
    let content = ImageContent::Stream(&mut bytes.as_slice());
    let image = image(ImageType::Raw, &bytes);
    let written = write(&slot(SlotType::Raw), image, content, &mut NoHooks, &mut machine).unwrap();
    assert_eq!(written.proof, SlotProof::ReadBack);
    assert_eq!(written.count.skipped, ByteLen::mib(1));
    assert_eq!(written.count.written, ByteLen::mib(2));
    assert!(machine.bytes("/dev/slot")[..3 << 20] == bytes);
    assert!(machine.log.is_empty(), "no program is run");
}

#[test]
fn hooks_surround_a_raw_slot_unmounted_and_a_file_system_mounted() {
    use HookStep::{PostInstall, PreInstall, Status};
    let bytes = pattern(70_000, 3);
    for (kind, image_type, expected) in [
        (
            SlotType::Raw,
            ImageType::Raw,
            &["hook PreInstall /dev/slot", "hook PostInstall /dev/slot"][..],
        ),
        (
            SlotType::Ext4,
            ImageType::Ext4,
            &[
                "mount -t ext4 -o noatime /dev/slot PREFIX/rootfs.1",
                "hook PreInstall mounted /dev/slot",
                "umount PREFIX/rootfs.1",
                "resize2fs /dev/slot",
                "mount -t ext4 -o noatime /dev/slot PREFIX/rootfs.1",
                "hook PostInstall mounted /dev/slot",
                "syncfs PREFIX/rootfs.1",
                "hook Status mounted /dev/slot",
                "umount PREFIX/rootfs.1",
            ],
        ),
        (
            SlotType::Vfat,
            ImageType::RawCaibx,
            &[
                "hook PreInstall /dev/slot",
                "hook PostInstall /dev/slot",
                "mount -t vfat -o noatime /dev/slot PREFIX/rootfs.1",
                "syncfs PREFIX/rootfs.1",
                "hook Status mounted /dev/slot",
                "umount PREFIX/rootfs.1",
            ],
        ),
    ] {
        let mut machine = Fake::with_disk("/dev/slot", vec![0; 100_000]);
        let mut hooks = Noted { wanted: vec![PreInstall, PostInstall, Status], ..Noted::default() };
        let slot = crate::Slot {
            resize: true,
            extra_mount_opts: Some("noatime".to_owned()),
            ..slot(kind)
        };
        let dir = tempfile::tempdir().unwrap();
        let content = ImageContent::Stream(&mut bytes.as_slice());
        write_at(dir.path(), &slot, image(image_type, &bytes), content, &mut hooks, &mut machine)
            .unwrap();
        let prefix = dir.path().to_string_lossy().into_owned();
        let log: Vec<_> = machine.log.iter().map(|line| line.replace(&prefix, "PREFIX")).collect();
        assert_eq!(log, expected, "{kind}");
        assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "the mount point is gone");
    }
}

#[test]
fn a_failing_hook_fails_the_slot_and_unmounts_it() {
    let bytes = pattern(9000, 3);
    for step in [HookStep::PreInstall, HookStep::PostInstall, HookStep::Status] {
        let mut machine = Fake::with_disk("/dev/slot", vec![0; 10_000]);
        let mut hooks = Noted { wanted: vec![step], fails: Some(step), ..Noted::default() };
        let content = ImageContent::Stream(&mut bytes.as_slice());
        let image = image(ImageType::Ext4, &bytes);
        let failed = write(&slot(SlotType::Ext4), image, content, &mut hooks, &mut machine);
        assert!(matches!(failed, Err(SlotHandlerError::Hook { .. })), "{failed:?}");
        assert!(machine.log.last().unwrap().starts_with("umount"), "{:?}", machine.log);
    }
}

#[test]
fn an_install_hook_takes_any_pair_and_nothing_is_written_here() {
    let mut machine = Fake::with_disk("/dev/slot", vec![7; 10]);
    let mut hooks = Noted { wanted: vec![HookStep::Install], ..Noted::default() };
    let image = image(ImageType::Tar, b"");
    let slot = slot(SlotType::Nand);
    let written = write(&slot, image, ImageContent::None, &mut hooks, &mut machine).unwrap();
    assert!(matches!(written.proof, SlotProof::Unproven(_)));
    assert_eq!(hooks.told, ["hook Install /dev/slot"]);
    assert_eq!(machine.bytes("/dev/slot"), [7; 10]);
}

#[test]
fn wrong_bytes_lengths_sizes_pairs_and_mounted_slots_are_refused() {
    let bytes = pattern(5000, 9);
    let raw = || image(ImageType::Raw, &bytes);
    let digest = Digest::from_bytes([1; 32]);
    let short = SlotImage { size: ByteLen::new(4999), ..raw() };
    let long = SlotImage { size: ByteLen::new(5001), ..raw() };
    let other = SlotImage { digest: digest.into(), ..raw() };
    for (kind, image, class, told) in [
        (SlotType::Raw, short, ErrorClass::NotVerified, "has 5000 bytes"),
        (SlotType::Raw, long, ErrorClass::NotVerified, "has 5000 bytes"),
        (SlotType::Raw, other, ErrorClass::NotVerified, "not the one that was signed"),
        (
            SlotType::Ext4,
            image(ImageType::Vfat, &bytes),
            ErrorClass::Refused,
            "Unsupported image type 'vfat' for slot type 'ext4'",
        ),
        (
            SlotType::Raw,
            image(ImageType::Raw, &pattern(9000, 1)),
            ErrorClass::Refused,
            "Slot (8192 bytes) is too small for image (9000 bytes).",
        ),
    ] {
        let mut machine = Fake::with_disk("/dev/slot", vec![0; 8192]);
        let content = ImageContent::Stream(&mut bytes.as_slice());
        let error = write(&slot(kind), image, content, &mut NoHooks, &mut machine).unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert_eq!(error.class(), class, "{error}");
    }
    let mut machine = Fake::with_disk("/dev/slot", vec![0; 8192]);
    machine.devices.mounted = Some("/".into());
    let content = ImageContent::Stream(&mut bytes.as_slice());
    let error =
        write(&slot(SlotType::Raw), raw(), content, &mut NoHooks, &mut machine).unwrap_err();
    assert_eq!(error.class(), ErrorClass::Busy);
    assert_eq!(machine.bytes("/dev/slot"), [0; 8192]);
    let failed =
        write(&slot(SlotType::Raw), raw(), ImageContent::None, &mut NoHooks, &mut Fake::default());
    assert!(matches!(failed, Err(SlotHandlerError::ContentShape { .. })));
}

#[test]
fn a_stop_ends_it_wherever_it_is() {
    let bytes = pattern(4 << 20, 9);
    // Asked often enough that each place is hit: before, while writing, while reading back.
    for after in 0..7 {
        let asked = std::cell::Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            (asked.get() > after).then_some("SIGTERM")
        };
        let slot = slot(SlotType::Raw);
        let job = SlotJob {
            slot: &slot,
            image: image(ImageType::Raw, &bytes),
            mount_prefix: std::path::Path::new("/nowhere"),
            stop: &stop,
        };
        let mut machine = Fake::with_disk("/dev/slot", vec![0; 4 << 20]);
        let content = ImageContent::Stream(&mut bytes.as_slice());
        let failed = write_slot(&job, content, &mut NoHooks, &mut machine, &mut |_| {});
        assert!(matches!(failed, Err(SlotHandlerError::Stopped { by: "SIGTERM" })), "{after}");
    }
}

#[test]
fn a_plain_file_is_a_device_and_grows_as_with_rauc() {
    let bytes = pattern(100_000, 2);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&[0xee; 100]).unwrap();
    let slot = crate::Slot { device: file.path().to_owned(), ..slot(SlotType::Raw) };
    let content = ImageContent::Stream(&mut bytes.as_slice());
    let image = image(ImageType::Squashfs, &bytes);
    write(&slot, image, content, &mut NoHooks, &mut HostMachine::new()).unwrap();
    let mut found = Vec::new();
    std::fs::File::open(file.path()).unwrap().read_to_end(&mut found).unwrap();
    assert!(found == bytes);
}
