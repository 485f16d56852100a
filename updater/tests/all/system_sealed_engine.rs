// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's install on a board of ours, with the real sealed engine below it: the environment, the
//! seals and the status are as after `atomix install`, handlers and the bundle's check ran, and the
//! plain tools of the boot loader were never asked to begin or end anything.

use crate::rauc::{World, bundle_file, install, look_during, make_bundle, messages, verify};
use crate::support::Board;
use bootctl::{SlotId, SlotState};
use std::fs;
use storage::HostFiles;
use updater::system::{BootStatus, InstallRequest, OwnedInstaller, System, SystemEvent};
use updater::{BootedGroup, SystemConfig};

fn config(world: &World) -> SystemConfig {
    let dir = world.dir.path().display();
    let text = crate::support::SYSTEM_CONF
        .replace("compatible=rock64", &format!("compatible=Test Config\nmountprefix={dir}/mnt"));
    crate::support::config(&format!("{text}[handlers]\npost-install={dir}/post\n"))
}

fn start(world: &World, board: &Board) -> System {
    let files = || Box::new(HostFiles::new(world.path("root")));
    let engine = OwnedInstaller {
        devices: Box::new(board.devices.clone()),
        files: files(),
        backend: Box::new(Board::backend(board.env.clone())),
        recorder: None,
        booted: BootedGroup::Slot(SlotId::A),
        reason: None,
        version_floor: None,
    };
    let mut parts = world.parts(Some(Box::new(engine)));
    parts.files = files();
    world.start_with(config(world), parts)
}

/// A world with a handler after the install, and two systems.
fn world() -> (World, crate::support::System, crate::support::System) {
    let world = World::new();
    world.script("post", "#!/bin/sh\necho '<< handler all done'\n");
    fs::create_dir(world.path("root")).unwrap();
    (world, crate::support::system(1), crate::support::system(2))
}

#[test]
fn board_is_as_after_our_own_install_and_its_surroundings_as_in_rauc() {
    let (world, old, new) = world();
    let board = Board::new(&old, &old);
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[hooks]\nfilename=hook\nhooks=install-check\n\
         [image.boot]\nfilename=boot.vfat\n[image.rootfs]\nfilename=rootfs.img\n",
        &[("hook", b"#!/bin/sh\nexit 0\n"), ("boot.vfat", &new.boot), ("rootfs.img", &new.rootfs)],
    );
    let mut system = start(&world, &board);
    let (done, events) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    done.map_err(|error| error.text()).unwrap();
    let percents: Vec<(u8, &str)> = events
        .iter()
        .filter_map(|event| match event {
            SystemEvent::Progress { percent, text, .. } => Some((*percent, text.as_str())),
            _ => None,
        })
        .collect();
    assert!(percents.windows(2).all(|pair| pair[0] != pair[1]), "{percents:?}");
    assert!(board.holds(SlotId::A, &old) && board.holds(SlotId::B, &new));
    let state = board.state();
    assert_eq!((state.primary(), state.b.state), (Some(SlotId::B), SlotState::Trying));
    assert_eq!(state.b.bundle, Some(verify(&file).unwrap().manifest_digest().into()));
    assert!(messages(&events).contains(&"Handler status: all done".to_owned()));
    assert_eq!(world.diary.lines(), ["run hook install-check", "run post"]);
    let text = world.text("root/data/rauc/status.raucs");
    assert!(text.contains("status=ok") && text.contains("installed.transaction=0123"), "{text}");
}

#[test]
fn refusal_by_the_sealed_plan_leaves_environment_and_slots_as_they_were() {
    let world = World::new();
    world.script("post", "#!/bin/sh\n");
    fs::create_dir(world.path("root")).unwrap();
    let old = crate::support::system(1);
    let board = Board::new(&old, &old);
    let before = board.env.with(|flash| flash.bytes().to_vec());
    let file = make_bundle(
        world.dir.path(),
        "tar.raucb",
        "[update]\ncompatible=Test Config\n[image.boot]\nfilename=boot.tar\n",
        &[("boot.tar", b"x")],
    );
    let mut system = start(&world, &board);
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    let text = done.unwrap_err().text();
    assert!(text.starts_with("Installation error: "), "{text}");
    assert!(board.holds(SlotId::A, &old) && board.holds(SlotId::B, &old));
    assert_eq!(board.env.with(|flash| flash.bytes().to_vec()), before);
    assert_eq!(world.diary.lines(), Vec::<String>::new());
}

/// Fails when clients are told that a half written slot is good.
#[test]
fn target_is_shown_as_bad_while_it_has_no_seal() {
    let (world, old, new) = world();
    let board = Board::new(&old, &old);
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[image.boot]\nfilename=boot.vfat\n[image.rootfs]\nfilename=rootfs.img\n",
        &[("boot.vfat", &new.boot), ("rootfs.img", &new.rootfs)],
    );
    let mut system = start(&world, &board);
    system.status(&mut |_| {}).unwrap();
    let during = look_during(&mut system, &file, ("boot.1", "Updating slot boot.1"));
    assert_eq!(during.unwrap().boot_status, Some(BootStatus::Bad));
    let after = system.view().latest();
    let boot = after.slot(&"boot.1".parse().unwrap()).unwrap();
    assert_eq!(boot.boot_status, Some(BootStatus::Good));
}
