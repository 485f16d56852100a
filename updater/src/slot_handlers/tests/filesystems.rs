// SPDX-License-Identifier: MIT OR Apache-2.0
//! Archives into fresh file systems: arguments, order, failures, and real programs on files.

use super::fake::*;
use crate::slot_handlers::*;
use crate::{Slot, SlotType, StopQuestion};
use bundle::ImageType;
use std::io::Read;
use std::path::Path;
use storage::{ByteLen, Digest};

/// A small archive, made by the real program.
fn archive(flag: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    let mut take = |stream, piece: &[u8]| {
        assert_eq!(stream, OutputStream::Stdout);
        bytes.extend_from_slice(piece);
    };
    let line = format!(
        "cd {} && mkdir etc && echo hello >etc/issue && tar {flag} .",
        dir.path().display()
    );
    let call = ProgramCall::new("sh").arg("-c").arg(line).output(&mut take);
    assert!(HostMachine::new().run(call, &|| None).unwrap().success());
    bytes
}

struct Unpacked(Vec<u8>);

impl SlotHooks for Unpacked {
    fn wants(&self, step: HookStep) -> bool {
        step == HookStep::Status
    }

    fn run(
        &mut self,
        _step: HookStep,
        place: &SlotPlace<'_>,
        _machine: &mut dyn Machine,
    ) -> Result<(), BoxedError> {
        let file = std::fs::File::open(place.mount_point.unwrap().join("etc/issue"));
        file?.read_to_end(&mut self.0)?;
        Ok(())
    }
}

#[test]
fn each_file_system_is_made_as_rauc_does_it_and_filled_by_tar() {
    for (kind, name, extra, mkfs) in [
        (SlotType::Ext4, "rootfs.1", None, "mkfs.ext4 -F -L rootfs.1 -I256 /dev/slot"),
        (
            SlotType::Ext4,
            "application.12345",
            Some("-O '^64bit'"),
            "mkfs.ext4 -F -I256 -O ^64bit /dev/slot",
        ),
        (
            SlotType::Ext4,
            "application.1234",
            None,
            "mkfs.ext4 -F -L application.1234 -I256 /dev/slot",
        ),
        (
            SlotType::Vfat,
            "boot[x].0_long",
            Some("-F 32"),
            "mkfs.vfat -n BOOT_X__0_L -F 32 /dev/slot",
        ),
        (SlotType::Ubifs, "rootfs.1", None, "mkfs.ubifs -y /dev/slot"),
    ] {
        let bytes = archive("-cz");
        let slot = Slot {
            name: name.parse().unwrap(),
            extra_mkfs_opts: extra.map(str::to_owned),
            ..slot(kind)
        };
        let mut machine = Fake::with_disk("/dev/slot", vec![0; 512]);
        machine.real = vec!["tar"];
        let image = SlotImage { filename: "x.tar.gz".to_owned(), ..image(ImageType::Tar, &bytes) };
        let mut hooks = Unpacked(Vec::new());
        let dir = tempfile::tempdir().unwrap();
        let content = ImageContent::Stream(&mut bytes.as_slice());
        let done = write_at(dir.path(), &slot, image, content, &mut hooks, &mut machine).unwrap();
        assert_eq!(done.proof, SlotProof::Unpacked);
        assert_eq!(hooks.0, b"hello\n");
        let place = dir.path().join(slot.name.to_string()).display().to_string();
        assert_eq!(
            machine.log,
            [
                mkfs.to_owned(),
                format!("mount -t {kind} /dev/slot {place}"),
                format!("tar xf - -C {place} --numeric-owner -z"),
                format!("syncfs {place}"),
                format!("umount {place}"),
            ]
        );
    }
}

#[test]
fn a_failing_tar_a_wrong_archive_and_a_stop_still_unmount() {
    let bytes = archive("-c");
    let wrong =
        SlotImage { digest: Digest::from_bytes([0; 32]).into(), ..image(ImageType::Tar, &bytes) };
    let junk = pattern(20_000, 3);
    for (image, bytes, told) in [
        (wrong, bytes.as_slice(), "has the SHA-256"),
        (image(ImageType::Tar, &junk), junk.as_slice(), "failed to run tar"),
        (image(ImageType::Tar, &bytes), &bytes[..bytes.len() - 512], "bytes, the manifest says"),
    ] {
        let mut machine = Fake::with_disk("/dev/slot", vec![0; 512]);
        machine.real = vec!["tar"];
        let content = ImageContent::Stream(&mut { bytes });
        let failed = write(&slot(SlotType::Ext4), image, content, &mut NoHooks, &mut machine);
        let error = failed.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(machine.log.last().unwrap().starts_with("umount "), "{:?}", machine.log);
    }
    let asked = std::cell::Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        (asked.get() > 4).then_some("SIGTERM")
    };
    let slot = slot(SlotType::Ext4);
    let dir = tempfile::tempdir().unwrap();
    let image = image(ImageType::Tar, &bytes);
    let job = SlotJob { slot: &slot, image, mount_prefix: dir.path(), stop: &stop };
    let mut machine = Fake::with_disk("/dev/slot", vec![0; 512]);
    machine.real = vec!["tar"];
    let content = ImageContent::Stream(&mut bytes.as_slice());
    let failed = write_slot(&job, content, &mut NoHooks, &mut machine, &mut |_| {});
    assert!(matches!(failed, Err(SlotHandlerError::Stopped { .. })), "{failed:?}");
    assert!(machine.log.last().unwrap().starts_with("umount "), "{:?}", machine.log);
}

/// Fails when a slot whose status cannot be changed loses its head before the hook that looks into
/// it, so that no install comes further; or when a UBI volume is taken for a chip.
#[test]
fn an_old_head_goes_after_the_hook_and_before_the_first_byte() {
    let bytes = archive("-c");
    for (kind, image_type) in [
        (SlotType::Ext4, ImageType::Tar),
        (SlotType::Ext4, ImageType::Ext4),
        (SlotType::Ubifs, ImageType::Tar),
        (SlotType::Ubifs, ImageType::Ubifs),
    ] {
        let mut machine = Fake::with_disk("/dev/slot", vec![7; 1 << 20]);
        if kind == SlotType::Ubifs {
            machine.devices.disks.clear();
        }
        machine.real = vec!["tar"];
        let wanted = vec![HookStep::PreInstall];
        let mut hooks = Noted { wanted, old_head: Some(OldHead::Goes), ..Noted::default() };
        let content = ImageContent::Stream(&mut bytes.as_slice());
        write(&slot(kind), image(image_type, &bytes), content, &mut hooks, &mut machine).unwrap();
        let at = |word: &str| machine.log.iter().position(|line| line.starts_with(word));
        if kind == SlotType::Ubifs {
            assert!(at("hook PreInstall").unwrap() < at("volume /dev/slot").unwrap());
            let emptied = at("volume /dev/slot 0");
            assert_eq!(emptied.is_some(), image_type == ImageType::Tar, "{:?}", machine.log);
            assert!(emptied <= at("mkfs.ubifs"), "{:?}", machine.log);
        } else if image_type == ImageType::Tar {
            let held = machine.bytes("/dev/slot");
            assert!(held[..4096].iter().all(|byte| *byte == 0) && held[4096..].contains(&7));
        }
    }
}

#[test]
fn content_of_another_shape_is_refused_before_the_old_one_is_gone() {
    for (image_type, content) in [
        (ImageType::Tar, ImageContent::None),
        (ImageType::Caidx, ImageContent::Stream(&mut std::io::empty())),
        (ImageType::Emptyfs, ImageContent::Tree(&mut Tree)),
    ] {
        let mut machine = Fake::with_disk("/dev/slot", vec![7; 512]);
        let image = image(image_type, b"");
        let failed = write(&slot(SlotType::Ext4), image, content, &mut NoHooks, &mut machine);
        assert!(matches!(failed, Err(SlotHandlerError::ContentShape { .. })), "{failed:?}");
        assert!(machine.log.is_empty());
    }
}

#[test]
fn an_umount_that_fails_fails_the_slot() {
    let bytes = archive("-c");
    let mut machine = Fake::with_disk("/dev/slot", vec![0; 512]);
    machine.real = vec!["tar"];
    machine.act("umount", |_| (32, Vec::new()));
    let content = ImageContent::Stream(&mut bytes.as_slice());
    let image = image(ImageType::Tar, &bytes);
    let failed = write(&slot(SlotType::Ext4), image, content, &mut NoHooks, &mut machine);
    assert_eq!(failed.unwrap_err().to_string(), "failed to run umount");
}

struct Tree;

impl TreeContent for Tree {
    fn extract_into(&mut self, dir: &Path, _stop: StopQuestion<'_>) -> Result<(), BoxedError> {
        std::fs::create_dir(dir.join("from-a-tree"))?;
        Err("it is torn".into())
    }
}

#[test]
fn empty_file_systems_have_no_content_and_trees_unpack_themselves() {
    let mut machine = Fake::with_disk("/dev/slot", vec![0; 512]);
    let none = SlotImage { size: ByteLen::new(0), ..image(ImageType::Emptyfs, b"") };
    write(&slot(SlotType::Ext4), none, ImageContent::None, &mut NoHooks, &mut machine).unwrap();
    assert_eq!(machine.log.len(), 3, "made, mounted, unmounted: {:?}", machine.log);
    let mut machine = Fake::with_disk("/dev/slot", vec![0; 512]);
    let tree = image(ImageType::Caidx, b"");
    let content = ImageContent::Tree(&mut Tree);
    let error =
        write(&slot(SlotType::Ext4), tree, content, &mut NoHooks, &mut machine).unwrap_err();
    assert_eq!(storage::chain(&error), "cannot unpack the image for slot rootfs.1: it is torn");
    assert!(machine.log.last().unwrap().starts_with("umount "));
}

#[test]
fn real_mkfs_programs_take_these_arguments() {
    for (kind, probe, told) in [
        (SlotType::Ext4, "dumpe2fs -h", &["rootfs.1", "Inode size:	          256"][..]),
        (SlotType::Vfat, "fsck.vfat -n -v", &["32 bit entries"]),
    ] {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(64 << 20).unwrap();
        let extra = (kind == SlotType::Vfat).then(|| "-F 32".to_owned());
        let slot = Slot { device: file.path().to_owned(), extra_mkfs_opts: extra, ..slot(kind) };
        let bytes = archive("-c");
        // The file is formatted; "mounted" it is not, so that neither root nor a loop is needed.
        let mut machine = Fake::default();
        machine.devices.mounted = None;
        machine.real = vec!["mkfs.ext4", "mkfs.vfat", "tar"];
        let path = file.path().display().to_string();
        machine.add_disk(&path, vec![0; 512]);
        let content = ImageContent::Stream(&mut bytes.as_slice());
        write(&slot, image(ImageType::Tar, &bytes), content, &mut NoHooks, &mut machine).unwrap();
        let mut text = Vec::new();
        let mut take = |_, piece: &[u8]| text.extend_from_slice(piece);
        let mut words = probe.split(' ');
        let call = ProgramCall::new(words.next().unwrap()).args(words).arg(&path);
        assert!(HostMachine::new().run(call.output(&mut take), &|| None).unwrap().success());
        let text = String::from_utf8(text).unwrap();
        for told in told {
            assert!(text.contains(told), "no {told:?} in {text}");
        }
    }
}

/// The suite runs it (`cargo xtask test tests`), as root and where the kernel has loop devices.
#[test]
#[ignore = "needs a loop device"]
fn on_a_loop_device_an_archive_becomes_a_clean_ext4() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(16 << 20).unwrap();
    let slot = Slot { device: file.path().to_owned(), ..slot(SlotType::Ext4) };
    let bytes = archive("-cJ");
    let image = SlotImage { filename: "x.tar.xz".to_owned(), ..image(ImageType::Tar, &bytes) };
    let mut hooks = Unpacked(Vec::new());
    let content = ImageContent::Stream(&mut bytes.as_slice());
    write(&slot, image, content, &mut hooks, &mut HostMachine::new()).unwrap();
    assert_eq!(hooks.0, b"hello\n");
    let check = ProgramCall::new("e2fsck").args(["-f", "-n"]).arg(file.path());
    assert!(HostMachine::new().run(check, &|| None).unwrap().success());
    let mut text = Vec::new();
    let mut take = |_, piece: &[u8]| text.extend_from_slice(piece);
    let cat = ProgramCall::new("debugfs").args(["-R", "cat /etc/issue"]).arg(file.path());
    assert!(HostMachine::new().run(cat.output(&mut take), &|| None).unwrap().success());
    assert!(String::from_utf8(text).unwrap().contains("hello"));
}
