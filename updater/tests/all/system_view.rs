// SPDX-License-Identifier: MIT OR Apache-2.0
//! What clients see while an install goes on, and what a wish to end it can still reach.

use crate::rauc::*;
use updater::system::{BootStatus, InstallRequest, MarkState};

const CENTRAL: &str = "statusfile=@/central.raucs";

#[test]
fn boot_status_and_primary_are_those_of_the_boot_loader_at_every_moment() {
    let world = World::new();
    let file = rootfs_bundle(&world, &image(1, 9000));
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    system.status(&mut |_| {}).unwrap();
    let view = system.view();
    let good = |slot: &str| {
        let latest = view.latest();
        let primary = latest.primary.as_ref().map(ToString::to_string);
        let status = latest.slot(&slot.parse().unwrap()).and_then(|report| report.boot_status);
        (status, primary.unwrap())
    };
    assert_eq!(good("rootfs.1"), (Some(BootStatus::Good), "rootfs.0".to_owned()));
    let during = look_during(&mut system, &file, ("rootfs.1", "Updating slot rootfs.1"));
    assert_eq!(during.unwrap().boot_status, Some(BootStatus::Bad));
    assert_eq!(good("rootfs.1"), (Some(BootStatus::Good), "rootfs.1".to_owned()));
}

/// Fails when a cancellation that comes after the point of no return ends what belongs to the
/// update that boots next.
#[test]
fn the_handler_after_the_install_is_not_ended_by_a_wish_that_comes_too_late() {
    let world = World::new();
    world.script("post", "#!/bin/sh\nsleep 0.3\necho done > @/post.ran\n");
    let sections = format!("{TWO_GROUPS}[handlers]\npost-install=@/post\n");
    let file = rootfs_bundle(&world, &image(1, 9000));
    let mut system = world.start(world.config(CENTRAL, &sections));
    let stop = || (world.boot.memory.lock().unwrap().primary == "B").then_some("a test");
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &stop);
    assert!(done.is_ok(), "{:?}", done.map_err(|error| error.text()));
    assert_eq!(world.text("post.ran"), "done\n");
}

#[test]
fn an_install_without_an_identity_does_not_begin() {
    let world = World::new();
    let file = rootfs_bundle(&world, b"x");
    let mut parts = world.parts(None);
    parts.ids = Box::new(|| Err("no random bytes".into()));
    let mut system = world.start_with(world.config(CENTRAL, TWO_GROUPS), parts);
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    assert_eq!(done.unwrap_err().text(), "Failed to make a transaction ID: no random bytes");
    assert_eq!(world.diary.lines(), Vec::<String>::new());
}

/// A hook has many ways to find the image that lies beside it.
#[test]
fn a_program_of_the_bundle_finds_the_images_whatever_words_it_has_for_them() {
    let world = World::new();
    let hook = world.script("hook", "#!/bin/sh\ncat @/mnt/bundle/r.img > @/seen\n");
    let hook = std::fs::read(hook).unwrap();
    let manifest = "[hooks]\nfilename=hook\n[image.rootfs]\nfilename=r.img\nhooks=post-install\n";
    let files: [(&str, &[u8]); 2] = [("hook", &hook), ("r.img", b"content")];
    let file = bundle_file(world.dir.path(), "b.raucb", manifest, &files);
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    install_well(&mut system, &file);
    assert_eq!(world.text("seen"), "content");
}

/// Fails when a boot loader's program that hangs is waited for again for each slot, while whoever
/// marked one gives up.
#[test]
fn a_boot_loader_that_does_not_answer_is_not_asked_again_at_once() {
    let world = World::new();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    system.status(&mut |_| {}).unwrap();
    let asked = |say: Option<&'static str>| {
        let mut memory = world.boot.memory.lock().unwrap();
        memory.fails = say;
        std::mem::take(&mut memory.questions)
    };
    assert!(asked(Some("late")) > 2);
    assert!(system.mark(MarkState::Good, "rootfs.0", &mut |_| {}).is_err());
    assert_eq!(asked(Some("late")), 0);
    assert!(system.view().latest().primary.as_ref().unwrap_err().contains("not asked"));
    let status = system.status(&mut |_| {}).unwrap();
    assert_eq!(asked(None), 1);
    let slot = status.slot(&"rootfs.0".parse().unwrap()).unwrap();
    assert_eq!(slot.boot_status, Some(BootStatus::Unknown));
    system.mark(MarkState::Good, "rootfs.0", &mut |_| {}).unwrap();
    assert!(asked(None) > 2);
}
