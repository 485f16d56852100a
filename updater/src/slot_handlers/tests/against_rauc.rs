// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real `rauc write-slot` and ours on the same slots: the same programs, in the same order, with
//! the same arguments. The programs are replaced by ones that note how they are called, so neither
//! root nor a loop device is needed.
//!
//! Debian's RAUC is older than the one that ours follows and gives `tar` and `nandwrite` the file
//! where newer ones give them its bytes; that word, and `tar`'s option for the compression, which
//! is needed then, are the only difference that is let through.

use super::fake::*;
use crate::slot_handlers::*;
use crate::{Slot, SlotType};
use bundle::ImageType;
use std::path::Path;

/// The programs that are replaced.
const PROGRAMS: &str =
    "mkfs.ext4 mkfs.vfat mkfs.ubifs mount umount tar resize2fs flash_erase nandwrite";

fn shell(dir: &Path, line: &str) {
    let call = ProgramCall::new("sh").arg("-ec").arg(format!("cd {}; {line}", dir.display()));
    assert!(HostMachine::new().run(call, &|| None).unwrap().success(), "{line}");
}

fn text(path: &Path) -> Vec<String> {
    let text = std::fs::File::open(path).and_then(std::io::read_to_string).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// What the real program runs for a slot and an image.
fn noted_by_rauc(dir: &Path, config: &str, image: &str) -> Vec<String> {
    shell(dir, "mkdir -p bin; rm -f log; touch log; truncate -s 1M dev; echo content >image");
    shell(
        dir,
        "printf '%s\\n' '#!/bin/sh' 'echo \"${0##*/} $*\" >>\"$NOTED\"' >bin/note; chmod 755 bin/note",
    );
    shell(dir, &format!("for one in {PROGRAMS}; do ln -sf note bin/$one; done; cp image {image}"));
    shell(dir, &format!("cat >system.conf <<'END'\n{config}END\n"));
    let path = std::env::var("PATH").unwrap();
    let call = ProgramCall::new("rauc")
        .args(["-c".as_ref(), dir.join("system.conf").as_os_str()])
        .args(["write-slot", "rootfs.1"])
        .arg(dir.join(image))
        .env("PATH", format!("{}:{path}", dir.join("bin").display()))
        .env("NOTED", dir.join("log"));
    let end = HostMachine::new().run(call, &|| None).unwrap();
    assert!(end.success(), "{end:?}");
    text(&dir.join("log"))
}

/// What ours runs for the same.
fn noted_by_us(dir: &Path, slot: &Slot, image_type: ImageType, filename: &str) -> Vec<String> {
    let device = dir.join("dev");
    let mut machine = Fake::with_disk(&device.to_string_lossy(), vec![0; 1 << 20]);
    let slot = Slot { device, ..slot.clone() };
    let bytes = b"content\n";
    // What is flashed can be dumped.
    machine.act("nanddump", |_| (0, bytes.to_vec()));
    let image = SlotImage { filename: filename.to_owned(), ..image(image_type, bytes) };
    let content = ImageContent::Stream(&mut bytes.as_slice());
    write_at(&dir.join("mnt"), &slot, image, content, &mut NoHooks, &mut machine).unwrap();
    machine.log.into_iter().filter(|line| !line.starts_with("nanddump ")).collect()
}

#[test]
fn the_real_rauc_runs_the_same_programs() {
    let tar = (ImageType::Tar, "image.tar.xz");
    let img = (ImageType::Raw, "image.img");
    for (kind, (image_type, filename), programs) in [
        (SlotType::Ext4, tar, 4),
        (SlotType::Vfat, tar, 4),
        (SlotType::Ubifs, tar, 4),
        (SlotType::Ext4, img, 1),
        (SlotType::Vfat, img, 0),
        (SlotType::Raw, img, 0),
        (SlotType::Nand, img, 2),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let config = format!(
            "[system]\ncompatible=x\nbootloader=noop\nmountprefix={0}/mnt\n[slot.rootfs.1]\n\
             device={0}/dev\ntype={kind}\nresize=true\nextra-mount-opts=noatime,nodev\n",
            dir.display()
        );
        let theirs = noted_by_rauc(dir, &config, filename);
        let slot =
            Slot { resize: true, extra_mount_opts: Some("noatime,nodev".to_owned()), ..slot(kind) };
        let ours = noted_by_us(dir, &slot, image_type, filename);
        let file = dir.join(filename).display().to_string();
        let theirs: Vec<_> = theirs.iter().map(|line| line.replace(&file, "-")).collect();
        let ours: Vec<_> = ours.iter().map(|line| line.replace(" -J", "")).collect();
        assert_eq!(ours, theirs, "{filename} into {kind}");
        assert_eq!(ours.len(), programs, "{ours:?}");
    }
}
