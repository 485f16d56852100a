// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's install on a system with two groups: what is done in which order, what the status says
//! at each point of failure, and what a stop at any moment leaves.

use crate::rauc::*;
use std::cell::Cell;
use std::fs;
use updater::system::{InstallRequest, SystemEvent, WriteSlotRequest};
use updater::{CompatibleRule, SlotStatusState};

const CENTRAL: &str = "statusfile=@/central.raucs";
const BOTH: &str = "[image.rootfs]\nfilename=rootfs.img\n[image.appfs]\nfilename=appfs.img\n";

fn both(world: &World, name: &str, tag: u8) -> std::path::PathBuf {
    let (rootfs, appfs) = (image(tag, 40_000), image(tag + 7, 20_000));
    bundle_file(world.dir.path(), name, BOTH, &[("rootfs.img", &rootfs), ("appfs.img", &appfs)])
}

#[test]
fn slots_are_written_between_bad_and_primary_and_clients_are_told_in_rauc_s_words() {
    let world = World::new();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let events = install_well(&mut system, &both(&world, "b.raucb", 1));
    assert_eq!(world.diary.of(&["boot"]), ["boot bad B", "boot primary B"]);
    assert_eq!(&world.slot("rootfs-1")[..40_000], image(1, 40_000));
    assert_eq!(&world.slot("appfs-1")[..20_000], image(8, 20_000));
    assert!(world.slot("rootfs-0").iter().all(|byte| *byte == b'o'), "the booted slot");
    assert_eq!(
        messages(&events),
        [
            "started",
            "Checking and mounting bundle...",
            "Updating slots...",
            "Checking slot rootfs.1",
            "Updating slot rootfs.1",
            "Updating slot rootfs.1 done",
            "Checking slot appfs.1",
            "Updating slot appfs.1",
            "Updating slot appfs.1 done",
            "All slots updated",
            "finished",
        ]
    );
    let progress: Vec<(u8, String)> = events
        .into_iter()
        .filter_map(|event| match event {
            SystemEvent::Progress { percent, text, .. } => Some((percent, text)),
            _ => None,
        })
        .collect();
    let at = |text: &str| progress.iter().find(|(_, told)| told == text).map(|(at, _)| *at);
    assert_eq!(at("Updating slots"), Some(40));
    assert_eq!(at("Checking slot rootfs.1 (B) done."), Some(43));
    assert_eq!(at("Copying image to rootfs.1 done."), Some(70));
    assert_eq!(progress.last(), Some(&(100, "Installing done.".to_owned())));
    assert!(progress.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{progress:?}");
}

#[test]
fn status_counts_installs_and_activations_and_keeps_other_groups() {
    let world = World::new();
    let kept = "[system]\nboot-id=x\n[other]\nkey=value\n[slot.rootfs.1]\ninstalled.count=4\n\
        activated.count=2\nactivated.timestamp=2020-01-01T00:00:00Z\n";
    fs::write(world.path("central.raucs"), kept).unwrap();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    install_well(&mut system, &both(&world, "b.raucb", 1));
    let status = status_of(&mut system, "rootfs.1");
    assert_eq!((status.installed_count, status.activated_count), (5, 3));
    assert_eq!(status.state, Some(SlotStatusState::Ok));
    assert_eq!(status.version.as_deref(), Some("1.2.3"));
    assert!(status.transaction.unwrap().starts_with("01234567-"));
    let child = status_of(&mut system, "appfs.1");
    assert_eq!((child.installed_count, child.activated_count), (1, 0));
    let text = world.text("central.raucs");
    assert!(text.contains("[other]\nkey=value\n") && text.contains("boot-id=x"), "{text}");
    // As another program sees it.
    let mut again = world.start(world.config(CENTRAL, TWO_GROUPS));
    assert_eq!(status_of(&mut again, "rootfs.1").installed_count, 5);
}

#[test]
fn slot_that_holds_the_image_is_skipped_only_where_that_is_allowed() {
    let world = World::new();
    let slots = TWO_GROUPS.replace("[slot.rootfs.1]\n", "[slot.rootfs.1]\ninstall-same=false\n");
    let mut system = world.start(world.config(CENTRAL, &slots));
    let file = both(&world, "b.raucb", 1);
    install_well(&mut system, &file);
    world.diary.clear();
    let events = install_well(&mut system, &file);
    let told = messages(&events);
    assert!(told.contains(&"Skipping update for correct image 'rootfs.img'".to_owned()));
    assert!(told.contains(&"Updating slot appfs.1".to_owned()));
    let status = status_of(&mut system, "rootfs.1");
    assert_eq!((status.installed_count, status.activated_count), (2, 2));
    assert_eq!(world.diary.of(&["boot"]), ["boot bad B", "boot primary B"]);
    // Another program that began to write the slot meanwhile says so in the file.
    let text = world.text("central.raucs").replace("status=ok", "status=pending");
    fs::write(world.path("central.raucs"), text).unwrap();
    assert_eq!(status_of(&mut system, "rootfs.1").state, Some(SlotStatusState::Pending));
    let told = messages(&install_well(&mut system, &file));
    assert!(told.contains(&"Updating slot rootfs.1".to_owned()), "{told:?}");
}

/// Fails when content that nobody signed is taken for the bundle's, and activated.
#[test]
fn what_write_slot_wrote_is_not_taken_for_the_bundle_s_image() {
    for (place, kind) in [(CENTRAL, "raw"), ("statusfile=per-slot", "ext4")] {
        let world = World::new();
        let slots = TWO_GROUPS.replace(
            "[slot.rootfs.1]\n",
            &format!("[slot.rootfs.1]\ntype={kind}\ninstall-same=false\n"),
        );
        let file = rootfs_bundle(&world, &image(1, 9000));
        let start = || world.start(world.config(place, &slots));
        let mut service = start();
        install_well(&mut service, &file);
        let told = messages(&install_well(&mut service, &file));
        assert!(told.iter().any(|line| line.starts_with("Skipping update")), "{place}: {told:?}");
        let foreign = world.path("foreign.img");
        fs::write(&foreign, b"foreign").unwrap();
        let request =
            WriteSlotRequest { slot: "rootfs.1".to_owned(), image: foreign, image_type: None };
        start().write_slot(&request, &mut |_| {}, &|| None).map_err(|e| e.text()).unwrap();
        assert_eq!(&world.slot("rootfs-1")[..7], b"foreign");
        let status = status_of(&mut start(), "rootfs.1");
        assert_eq!(
            (status.state, status.sha256),
            (Some(SlotStatusState::Pending), None),
            "{place}"
        );
        install_well(&mut service, &file);
        assert!(world.slot("rootfs-1").starts_with(&image(1, 9000)), "{place}");
    }
}

#[test]
fn failed_write_leaves_the_group_bad_and_failed_and_the_next_install_takes_it_again() {
    let world = World::new();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let large = image(1, usize::try_from(SLOT_BYTES).unwrap() + 1);
    fs::remove_file(world.path("images/appfs-1")).unwrap();
    std::os::unix::fs::symlink("/dev/full", world.path("images/appfs-1")).unwrap();
    let file = bundle_file(
        world.dir.path(),
        "large.raucb",
        BOTH,
        &[("rootfs.img", &image(3, 30_000)), ("appfs.img", &large)],
    );
    let (done, events) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    let text = done.unwrap_err().text();
    assert!(text.starts_with("Installation error: Failed updating slot appfs.1: "), "{text}");
    assert!(messages(&events).contains(&text));
    assert_eq!(world.diary.of(&["boot"]), ["boot bad B"]);
    assert_eq!(status_of(&mut system, "appfs.1").state, Some(SlotStatusState::Failed));
    assert_eq!(status_of(&mut system, "rootfs.1").state, Some(SlotStatusState::Ok));
    fs::remove_file(world.path("images/appfs-1")).unwrap();
    fs::write(world.path("images/appfs-1"), b"").unwrap();
    install_well(&mut system, &both(&world, "b.raucb", 1));
    assert_eq!(world.boot.memory.lock().unwrap().primary, "B");
}

/// The order of [`World`]'s questions is that of the install; each is the one that stops once.
#[test]
fn stop_at_any_moment_leaves_nothing_bootable_that_is_not_whole() {
    let world = World::new();
    let hook = "#!/bin/sh\nexit 0\n";
    let manifest = format!(
        "[hooks]\nfilename=hook\nhooks=install-check\n{}",
        BOTH.replace("rootfs.img\n", "rootfs.img\nhooks=post-install\n")
    );
    let (rootfs, appfs) = (image(1, 40_000), image(8, 20_000));
    let files = [("hook", hook.as_bytes()), ("rootfs.img", &*rootfs), ("appfs.img", &*appfs)];
    let file = bundle_file(world.dir.path(), "b.raucb", &manifest, &files);
    let mut stopped = 0;
    for allowed in 0_u32.. {
        assert!(allowed < 2000, "it never gets through");
        let _ = fs::remove_file(world.path("central.raucs"));
        *world.boot.memory.lock().unwrap() = World::new().boot.memory.lock().unwrap().clone();
        let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
        let asked = Cell::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            (asked.get() > allowed).then_some("a test")
        };
        let (done, _) = install(&mut system, &InstallRequest::default(), &file, &stop);
        let memory = world.boot.memory.lock().unwrap().clone();
        if done.is_ok() {
            assert_eq!(memory.primary, "B");
            break;
        }
        let error = done.unwrap_err();
        assert_eq!(error.stopped_by(), Some("a test"), "{}", error.text());
        stopped += 1;
        assert_eq!(memory.primary, "A", "after {allowed} questions");
        let begun = !memory.good.contains("B");
        let status = status_of(&mut system, "rootfs.1");
        if begun {
            let written = world.slot("rootfs-1").starts_with(&rootfs);
            assert!(status.state != Some(SlotStatusState::Ok) || written);
        } else {
            assert_eq!(status.state, None, "after {allowed} questions");
        }
        assert!(!world.path("mnt/bundle").exists(), "files of the bundle stay");
    }
    assert!(stopped > 10, "only {stopped} moments");
}

#[test]
fn refusals_come_before_anything_is_touched_and_in_rauc_s_words() {
    let world = World::new();
    let mut system =
        world.start(world.config(&format!("{CENTRAL}\nmin-bundle-version=2.0"), TWO_GROUPS));
    let file = both(&world, "b.raucb", 1);
    let other = make_bundle(
        world.dir.path(),
        "other.raucb",
        "[update]\ncompatible=Other\n[image.rootfs]\nfilename=rootfs.img\n",
        &[("rootfs.img", b"x")],
    );
    let mut refuse = |request: &InstallRequest, file| {
        let error = install(&mut system, request, file, &|| None).0.unwrap_err();
        (error.text(), error.is_rejection())
    };
    let plain = InstallRequest::default();
    assert_eq!(
        refuse(&plain, &file).0,
        "Version mismatch: Expected at least '2.0' but bundle manifest has '1.2.3'"
    );
    assert_eq!(
        refuse(&plain, &other),
        (
            "Compatible mismatch: Expected 'Test Config' but bundle manifest has 'Other'"
                .to_owned(),
            true
        )
    );
    let ignoring =
        InstallRequest { compatible: CompatibleRule::Ignore, ..InstallRequest::default() };
    assert_eq!(
        refuse(&ignoring, &other).0,
        "Version mismatch: Expected at least '2.0' but bundle manifest has no version"
    );
    let zero = "0".repeat(64);
    let hash =
        InstallRequest { require_manifest_hash: Some(zero.clone()), ..InstallRequest::default() };
    let (text, rejected) = refuse(&hash, &file);
    let begin = format!("Refusing to install bundle with unexpected hash (expected {zero}, got ");
    assert!(rejected && text.starts_with(&begin), "{text}");
    assert_eq!(world.diary.of(&["boot", "run"]), Vec::<String>::new());
    assert!(!world.path("central.raucs").exists());
}

#[test]
fn what_does_not_fit_the_system_is_refused_before_the_target_is_marked() {
    let world = World::new();
    let slots = TWO_GROUPS.replace("[slot.appfs.1]\n", "[slot.appfs.1]\ntype=nand\n");
    let mut system = world.start(world.config(CENTRAL, &slots));
    let make = |manifest: &str| {
        let _ = fs::remove_file(world.path("x.raucb"));
        bundle_file(world.dir.path(), "x.raucb", manifest, &[("a.ext4", b"x"), ("b.img", b"y")])
    };
    for (manifest, expected) in [
        (
            "[image.data]\nfilename=b.img\n",
            "Installation error: No target slot for class 'data' of image 'b.img' found",
        ),
        (
            "[image.appfs]\nfilename=a.ext4\n",
            "Installation error: Unsupported image type 'ext4' for slot type 'nand'",
        ),
        (
            "[image.rootfs.other]\nfilename=b.img\n",
            "Installation error: Failed to find matching variant of image for slot class 'rootfs'",
        ),
        (
            "[image.files/x]\nfilename=b.img\n",
            "Installation error: No target repo 'files' for artifact image 'x' found",
        ),
    ] {
        let file = make(manifest);
        let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
        assert_eq!(done.unwrap_err().text(), expected);
    }
    assert_eq!(world.diary.of(&["boot"]), Vec::<String>::new());
    world.boot.memory.lock().unwrap().fails = Some("bad");
    let file = both(&world, "b.raucb", 1);
    let slots = world.config(CENTRAL, TWO_GROUPS);
    let mut system = world.start(slots);
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    assert_eq!(
        done.unwrap_err().text(),
        "Installation error: Failed marking slot rootfs.1 non-bootable (bad): \
         Failed marking slot rootfs.1 as bad:  fake backend: told to"
    );
    assert!(world.slot("rootfs-1").iter().all(|byte| *byte == b'o'));
}

#[test]
fn bundle_without_a_boot_slot_marks_nothing_and_activation_can_be_left() {
    let world = World::new();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let file = bundle_file(
        world.dir.path(),
        "app.raucb",
        "[image.appfs]\nfilename=appfs.img\n",
        &[("appfs.img", &image(1, 20_000))],
    );
    install_well(&mut system, &file);
    assert_eq!(world.diary.of(&["boot"]), Vec::<String>::new());
    let config = world.config(&format!("{CENTRAL}\nactivate-installed=false"), TWO_GROUPS);
    install_well(&mut world.start(config), &both(&world, "b.raucb", 1));
    assert_eq!(world.diary.of(&["boot"]), ["boot bad B"]);
}

#[test]
fn second_install_is_refused_while_one_runs() {
    let world = World::new();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let held = updater::InstallLock::acquire(&world.path("root"), 99).unwrap();
    let file = both(&world, "b.raucb", 1);
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    let error = done.unwrap_err();
    assert!(error.is_busy() && error.text().contains("process 99"), "{}", error.text());
    drop(held);
    install_well(&mut system, &file);
}
