// SPDX-License-Identifier: MIT OR Apache-2.0
//! A status that lies in the slot it is about must not outlive the content it is about, and knows
//! when its slot was made the next to boot.

use crate::rauc::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use storage::{ByteLen, Files, FilesError, HostFiles};
use updater::SlotStatusState;
use updater::system::{InstallRequest, MarkState, System};

const PER_SLOT: &str = "statusfile=per-slot";
const MANIFEST: &str = "[image.rootfs]\nfilename=r.img\n";
const LEN: usize = 9000;

fn start(world: &World) -> System {
    let slots =
        TWO_GROUPS.replace("[slot.rootfs.1]\n", "[slot.rootfs.1]\ntype=ext4\ninstall-same=false\n");
    world.start(world.config(PER_SLOT, &slots))
}

fn bundle(world: &World, name: &str, tag: u8) -> PathBuf {
    bundle_file(world.dir.path(), name, MANIFEST, &[("r.img", &image(tag, LEN))])
}

/// Installs until the first byte of the slot is another one, as a cut would end it: whoever starts
/// next knows only what the medium says.
fn cut(world: &World, file: &Path) {
    let before = world.slot("rootfs-1");
    let stop = || (world.slot("rootfs-1") != before).then_some("a cut");
    let mut system = start(world);
    let (done, _) = install(&mut system, &InstallRequest::default(), file, &stop);
    assert_eq!(done.unwrap_err().stopped_by(), Some("a cut"));
}

/// Fails when a mixture of two contents is taken for the old one, skipped, and booted.
#[test]
fn a_slot_that_was_cut_while_it_was_written_is_not_skipped_for_its_old_status() {
    let world = World::new();
    let (old, new) = (bundle(&world, "1.raucb", 1), bundle(&world, "2.raucb", 2));
    install_well(&mut start(&world), &old);
    cut(&world, &new);
    let text = world.text("backing/rootfs-1/slot.raucs");
    assert!(text.contains("status=pending\n") && !text.contains("sha256="), "{text}");
    install_well(&mut start(&world), &old);
    assert!(world.slot("rootfs-1").starts_with(&image(1, LEN)));
    assert_eq!(status_of(&mut start(&world), "rootfs.1").state, Some(SlotStatusState::Ok));
}

/// A file system can be one that this kernel reads and does not write: that must not stop updates
/// for ever, nor leave a status that is untrue.
#[test]
fn a_slot_whose_status_cannot_be_changed_loses_its_head_before_it_is_written() {
    let world = World::new();
    let (old, new) = (bundle(&world, "1.raucb", 1), bundle(&world, "2.raucb", 2));
    install_well(&mut start(&world), &old);
    let before = world.slot("rootfs-1");
    world.mounts_read_only_alone.store(true, Ordering::SeqCst);
    cut(&world, &new);
    let after = world.slot("rootfs-1");
    assert!(after[..4096].iter().all(|byte| *byte == 0) && after[4096..] == before[4096..]);
}

/// A disk whose file system of `rootfs.1` has no room for its status.
struct Full(HostFiles);

impl Files for Full {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        self.0.read(path, limit)
    }
    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        if path.ends_with("status-rootfs.1/slot.raucs") {
            let source = std::io::ErrorKind::StorageFull.into();
            return Err(FilesError::Write { path: path.to_owned(), source });
        }
        self.0.replace(path, content)
    }
    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.0.remove(path)
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.0.list(dir)
    }
}

/// An image with a hook that sees the old content mounted.
fn hooked(world: &World, name: &str, tag: u8) -> PathBuf {
    let manifest = "[hooks]\nfilename=hook\n[image.rootfs]\nfilename=r.ext4\nhooks=pre-install\n";
    let files: [(&str, &[u8]); 2] = [("hook", b"#!/bin/sh\n"), ("r.ext4", &image(tag, LEN))];
    bundle_file(world.dir.path(), name, manifest, &files)
}

/// Fails when a full slot can never be updated again, or goes on to claim what it held.
#[test]
fn a_full_slot_loses_its_status_and_is_mounted_for_its_hook() {
    let world = World::new();
    let (old, new) = (hooked(&world, "1.raucb", 1), hooked(&world, "2.raucb", 2));
    install_well(&mut start(&world), &old);
    let start_full = || {
        let mut parts = world.parts(None);
        parts.files = Box::new(Full(HostFiles::new("/")));
        let slots = "[slot.rootfs.1]\ntype=ext4\ninstall-same=false\n";
        let slots = TWO_GROUPS.replace("[slot.rootfs.1]\n", slots);
        world.start_with(world.config(PER_SLOT, &slots), parts)
    };
    let before = world.slot("rootfs-1");
    let stop = || (world.slot("rootfs-1") != before).then_some("a cut");
    let (done, events) = install(&mut start_full(), &InstallRequest::default(), &new, &stop);
    assert_eq!(done.unwrap_err().stopped_by(), Some("a cut"));
    assert!(warned(&events, "the status of slot rootfs.1 is removed from it"));
    assert!(!world.path("backing/rootfs-1/slot.raucs").exists());
    install_well(&mut start_full(), &old);
    assert!(world.slot("rootfs-1").starts_with(&image(1, LEN)));
    assert_eq!(status_of(&mut start_full(), "rootfs.1").state, Some(SlotStatusState::Ok));
}

/// Fails when an install that its hook ends leaves a slot into which no later hook can look.
#[test]
fn a_slot_keeps_its_head_until_its_hook_is_done() {
    let world = World::new();
    let (old, new) = (hooked(&world, "1.raucb", 1), hooked(&world, "2.raucb", 2));
    install_well(&mut start(&world), &old);
    let before = world.slot("rootfs-1");
    world.mounts_read_only_alone.store(true, Ordering::SeqCst);
    let (done, _) = install(&mut start(&world), &InstallRequest::default(), &new, &|| None);
    assert!(done.unwrap_err().text().contains("failed to run mount"));
    assert!(world.slot("rootfs-1") == before);
    world.mounts_read_only_alone.store(false, Ordering::SeqCst);
    install_well(&mut start(&world), &new);
    assert!(world.slot("rootfs-1").starts_with(&image(2, LEN)));
}

#[test]
fn activation_is_noted_in_the_slot_before_it_boots_next_and_taken_back_when_it_does_not() {
    let world = World::new();
    install_well(&mut start(&world), &bundle(&world, "1.raucb", 1));
    world.diary.clear();
    start(&world).mark(MarkState::Active, "rootfs.1", &mut |_| {}).unwrap();
    let count = |number: u64| {
        let text = world.text("backing/rootfs-1/slot.raucs");
        assert!(text.contains(&format!("activated.count={number}\n")), "{text}");
        assert!(text.contains("status=ok\n") && text.contains("activated.timestamp="), "{text}");
    };
    count(2);
    let order = world.diary.of(&["run", "boot"]);
    assert_eq!(order.last().unwrap(), "boot primary B");
    assert_eq!(status_of(&mut start(&world), "rootfs.1").activated_count, 2);
    world.boot.memory.lock().unwrap().fails = Some("primary");
    start(&world).mark(MarkState::Active, "rootfs.1", &mut |_| {}).unwrap_err();
    count(2);
}
