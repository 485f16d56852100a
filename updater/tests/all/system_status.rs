// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a system says of itself: status in one file or in each slot, marks, boots, links.

use crate::rauc::*;
use std::collections::BTreeMap;
use std::fs;
use updater::event_log::EventLog;
use updater::system::{BootStatus, MarkState, Started, System, SystemEvent};
use updater::{EventLogSection, LogFormat, SlotStatusState};

const CENTRAL: &str = "statusfile=@/central.raucs";

fn mark(system: &mut System, state: MarkState, what: &str) -> Result<String, String> {
    let marked = system.mark(state, what, &mut |_| {});
    marked.map(|outcome| outcome.message).map_err(|error| error.text())
}

#[test]
fn marks_follow_identifiers_and_messages_of_rauc() {
    let world = World::new();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let good = mark(&mut system, MarkState::Good, "booted").unwrap();
    assert_eq!(good, "marked slot(s) rootfs.0 as good");
    assert_eq!(
        mark(&mut system, MarkState::Bad, "other").unwrap(),
        "marked slot(s) rootfs.1 as bad"
    );
    mark(&mut system, MarkState::Active, "rootfs.1").unwrap();
    assert_eq!(world.diary.of(&["boot"]), ["boot good A", "boot bad B", "boot primary B"]);
    let status = status_of(&mut system, "rootfs.1");
    assert_eq!((status.activated_count, status.activated_at.is_some()), (1, true));
    let mut refused = |what: &str| mark(&mut system, MarkState::Good, what).unwrap_err();
    assert_eq!(refused("appfs.0"), "Slot appfs.0 has no bootname set");
    assert_eq!(refused("x.9"), "No slot with class x and name x.9 found");
    assert_eq!(refused("nonsense"), "Invalid slot name format: 'nonsense'");
    assert_eq!(MarkState::from_name("x").unwrap_err().to_string(), "unknown subcommand x");
    world.boot.memory.lock().unwrap().fails = Some("good");
    assert_eq!(
        mark(&mut system, MarkState::Good, "rootfs.0").unwrap_err(),
        "Failed marking slot rootfs.0 as good:  fake backend: told to"
    );
    world.boot.memory.lock().unwrap().fails = Some("primary");
    assert_eq!(
        mark(&mut system, MarkState::Active, "other").unwrap_err(),
        "failed to activate slot rootfs.1: fake backend: told to"
    );
}

#[test]
fn late_fallback_is_prevented_only_by_marking_what_is_booted() {
    let world = World::new();
    let config = world.config(&format!("{CENTRAL}\nprevent-late-fallback=true"), TWO_GROUPS);
    let mut system = world.start(config);
    mark(&mut system, MarkState::Good, "rootfs.0").unwrap();
    assert_eq!(world.diary.of(&["boot"]), ["boot good A"]);
    mark(&mut system, MarkState::Good, "booted").unwrap();
    assert_eq!(world.diary.of(&["boot"]), ["boot good A", "boot good A", "boot bad B"]);
}

#[test]
fn nothing_is_given_up_for_a_booted_slot_that_could_not_be_marked_good() {
    let world = World::new();
    let prevent = format!("{CENTRAL}\nprevent-late-fallback=true");
    let mut system = world.start(world.config(&prevent, TWO_GROUPS));
    world.boot.memory.lock().unwrap().fails = Some("good");
    mark(&mut system, MarkState::Good, "booted").unwrap_err();
    // With both marked bad nothing would boot.
    assert_eq!(world.diary.of(&["boot"]), ["boot good A"]);
    assert!(world.boot.memory.lock().unwrap().good.contains("B"));
    // One that is not booted may be marked good beside it, and costs nobody anything.
    world.boot.memory.lock().unwrap().fails = None;
    mark(&mut system, MarkState::Good, "rootfs.1").unwrap();
    assert_eq!(world.diary.of(&["boot"]), ["boot good A", "boot good B"]);
}

/// Fails when the good mark, which is there, is told as failed for the sake of the other slot.
#[test]
fn other_slot_that_cannot_be_given_up_is_warned_of_beside_the_good_mark() {
    let world = World::new();
    let prevent = format!("{CENTRAL}\nprevent-late-fallback=true");
    let slots = format!("{TWO_GROUPS}[slot.rootfs.2]\ndevice=@/images/x\nbootname=C\n");
    let mut system = world.start(world.config(&prevent, &slots));
    world.boot.memory.lock().unwrap().fails = Some("bad");
    let mut events = Vec::new();
    let marked = system.mark(MarkState::Good, "booted", &mut |event| events.push(event));
    assert_eq!(marked.unwrap().message, "marked slot(s) rootfs.0 as good");
    // One that fails does not spare the next.
    assert_eq!(world.diary.of(&["boot"]), ["boot good A", "boot bad B", "boot bad C"]);
    let warnings = events.iter().filter(|event| matches!(event, SystemEvent::Warning(_)));
    assert_eq!(warnings.count(), 2, "{events:?}");
    let single = "[slot.rootfs.0]\ndevice=@/images/rootfs-0\nbootname=A\n";
    let mut system = world.start(world.config(&prevent, single));
    mark(&mut system, MarkState::Good, "booted").unwrap();
}

#[test]
fn a_boot_loader_that_prevents_late_fallback_itself_is_left_to_do_it() {
    let world = World::new();
    world.boot.memory.lock().unwrap().prevents_late_fallback = true;
    let prevent = format!("{CENTRAL}\nprevent-late-fallback=true");
    let mut system = world.start(world.config(&prevent, TWO_GROUPS));
    mark(&mut system, MarkState::Good, "booted").unwrap();
    // It spares an update on trial, which a second mark would end.
    assert_eq!(world.diary.of(&["boot"]), ["boot good A"]);
    mark(&mut system, MarkState::Bad, "other").unwrap();
    assert_eq!(world.diary.of(&["boot"]), ["boot good A", "boot bad B"], "by a person it may be");
}

#[test]
fn other_means_every_other_slot_of_the_class_and_only_bad_takes_several() {
    let world = World::new();
    let more = format!("{TWO_GROUPS}[slot.rootfs.2]\ndevice=@/images/x\nbootname=C\n");
    let mut system = world.start(world.config(CENTRAL, &more));
    let bad = mark(&mut system, MarkState::Bad, "other").unwrap();
    assert_eq!(bad, "marked slot(s) rootfs.1 rootfs.2 as bad");
    let refused = mark(&mut system, MarkState::Good, "other").unwrap_err();
    assert_eq!(refused, "cannot mark multiple slots as good");
    let refused = mark(&mut system, MarkState::Active, "other").unwrap_err();
    assert_eq!(refused, "cannot activate multiple slots");
    let mut parts = world.parts(None);
    parts.surroundings.override_boot_slot = Some("_external_".to_owned());
    let mut system = world.start_with(world.config(CENTRAL, TWO_GROUPS), parts);
    let refused = mark(&mut system, MarkState::Good, "booted").unwrap_err();
    assert_eq!(refused, "Did not find booted slot");
}

#[test]
fn status_has_every_slot_and_a_boot_loader_that_cannot_answer_is_unknown() {
    let world = World::new();
    world.boot.memory.lock().unwrap().good.remove("B");
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    let view = system.view();
    let status = system.status(&mut |_| {}).unwrap();
    assert_eq!(view.latest(), status);
    let slot = |name: &str| status.slot(&name.parse().unwrap()).unwrap().clone();
    assert_eq!(slot("rootfs.0").boot_status, Some(BootStatus::Good));
    assert_eq!(slot("rootfs.1").boot_status, Some(BootStatus::Bad));
    assert_eq!(slot("appfs.0").boot_status, None);
    let states: Vec<&str> = status.slots.iter().map(|slot| slot.state.name()).collect();
    assert_eq!(states, ["active", "inactive", "booted", "inactive"]);
    assert_eq!(status.primary, Ok("rootfs.0".parse().unwrap()));
    assert_eq!(status.booted_from.as_deref(), Some("A"));
    world.boot.memory.lock().unwrap().fails = Some("primary");
    let status = system.status(&mut |_| {}).unwrap();
    assert_eq!(status.primary, Err("fake backend: told to".to_owned()));
}

/// The file goes into the slot before the slot counts as done, and is read from there later.
#[test]
fn status_in_each_slot_is_written_while_the_slot_is_mounted_and_read_once() {
    let world = World::new();
    let slots = TWO_GROUPS.replace("[slot.rootfs.1]\n", "[slot.rootfs.1]\ntype=ext4\n");
    let mut system = world.start(world.config("statusfile=per-slot", &slots));
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[image.rootfs]\nfilename=r.ext4\n",
        &[("r.ext4", &image(1, 9000))],
    );
    install_well(&mut system, &file);
    let order = world.diary.of(&["run", "boot"]).join("\n");
    let order = order.replace(&world.dir.path().display().to_string(), "@");
    assert_eq!(
        order,
        "boot bad B\n\
         run mount -t ext4 -o ro @/images/rootfs-1 @/mnt/status-rootfs.1\n\
         run umount @/mnt/status-rootfs.1\n\
         run mount -t ext4 @/images/rootfs-1 @/mnt/rootfs.1\n\
         run umount @/mnt/rootfs.1\n\
         boot primary B"
    );
    let text = world.text("backing/rootfs-1/slot.raucs");
    assert!(text.starts_with("[slot]\nbundle.compatible=Test Config\n"), "{text}");
    assert!(text.contains("status=ok\n") && text.contains("installed.count=1\n"), "{text}");
    // Nothing is written into the slot once it boots next.
    assert!(
        text.contains("activated.timestamp=") && text.contains("activated.count=1\n"),
        "{text}"
    );
    let mut again = world.start(world.config("statusfile=per-slot", &slots));
    world.diary.clear();
    assert_eq!(status_of(&mut again, "rootfs.1").state, Some(SlotStatusState::Ok));
    assert_eq!(status_of(&mut again, "rootfs.1").installed_count, 1);
    assert_eq!(world.diary.of(&["run mount"]).len(), 1);
}

#[test]
fn nothing_is_mounted_for_a_status_while_another_process_installs() {
    let world = World::new();
    let slots = TWO_GROUPS.replace("[slot.rootfs.1]\n", "[slot.rootfs.1]\ntype=ext4\n");
    let mut system = world.start(world.config("statusfile=per-slot", &slots));
    let held = updater::InstallLock::acquire(&world.path("root"), 99).unwrap();
    status_of(&mut system, "rootfs.1");
    assert_eq!(world.diary.of(&["run mount"]), Vec::<String>::new());
    drop(held);
    status_of(&mut system, "rootfs.1");
    assert_eq!(world.diary.of(&["run mount"]).len(), 1);
}

#[test]
fn broken_status_is_put_aside_and_an_unreadable_one_is_never_overwritten() {
    let world = World::new();
    fs::write(world.path("central.raucs"), "no key file").unwrap();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    mark(&mut system, MarkState::Active, "rootfs.1").unwrap();
    assert_eq!(world.text("central.raucs.broken"), "no key file");
    assert!(world.text("central.raucs").contains("[slot.rootfs.1]"));
    // A directory cannot be read as a file, and must stay.
    fs::remove_file(world.path("central.raucs")).unwrap();
    fs::create_dir(world.path("central.raucs")).unwrap();
    let mut system = world.start(world.config(CENTRAL, TWO_GROUPS));
    mark(&mut system, MarkState::Active, "rootfs.0").unwrap();
    let file = rootfs_bundle(&world, b"x");
    let (done, _) =
        install(&mut system, &updater::system::InstallRequest::default(), &file, &|| None);
    let text = done.unwrap_err().text();
    assert!(text.starts_with("Installation error: Error while writing status file: "), "{text}");
    assert!(world.path("central.raucs").is_dir());
    assert!(world.slot("rootfs-1").iter().all(|byte| *byte == b'o'));
}

#[test]
fn boots_are_told_once_and_links_lead_to_what_is_active() {
    let world = World::new();
    let section = EventLogSection {
        filename: world.path("events"),
        format: LogFormat::Readable,
        events: vec!["all".to_owned()],
        max_size: storage::ByteLen::ZERO,
        max_files: 10,
    };
    let logs = BTreeMap::from([("all".to_owned(), section)]);
    let start = |boot_id: &str| {
        let mut parts = world.parts(None);
        parts.log = EventLog::open(&logs, None, Box::new(std::io::sink())).0;
        parts.surroundings.boot_id = Some(boot_id.to_owned());
        let mut system = world.start_with(world.config(CENTRAL, TWO_GROUPS), parts);
        let started = system.announce_start(&mut |_| {}).unwrap();
        system.publish_links(&mut |_| {}).unwrap();
        (started, system)
    };
    assert_eq!(start("one").0, Started::AfterBoot);
    assert_eq!(start("one").0, Started::Again);
    let (started, mut system) = start("two");
    assert_eq!(started, Started::AfterBoot);
    let file = rootfs_bundle(&world, b"x");
    install_well(&mut system, &file);
    let text = world.text("events");
    let told: Vec<&str> =
        text.lines().filter_map(|l| l.split_once("Z: ").map(|(_, m)| m)).collect();
    assert_eq!(
        told,
        [
            "Booted into rootfs.0 (A)",
            "Service restarted",
            "Booted into rootfs.0 (A)",
            "Installation 01234567 started",
            "Marked slot rootfs.1 as bad",
            "Updating slot rootfs.1",
            "Marked slot rootfs.1 as active",
            "Installation 01234567 succeeded",
        ]
    );
    assert!(text.contains("\n                      boot ID: two\n"), "{text}");
    for class in ["rootfs", "appfs"] {
        let link = fs::read_link(world.path(&format!("run/slots/active/{class}"))).unwrap();
        assert_eq!(link, world.path(&format!("images/{class}-0")));
    }
}

#[test]
fn artifacts_are_installed_beside_slots_and_shown() {
    let world = World::new();
    for name in ["repo-files", "repo-other"] {
        fs::create_dir(world.path(name)).unwrap();
    }
    let sections = format!(
        "{TWO_GROUPS}[artifacts.files]\npath=@/repo-files\ntype=files\n\
         [artifacts.other]\npath=@/repo-other\ntype=files\n"
    );
    let mut system = world.start(world.config(CENTRAL, &sections));
    let make = |name: &str, artifact: &str, content: &[u8]| {
        let manifest =
            format!("[image.rootfs]\nfilename=r.img\n[image.files/{artifact}]\nfilename=a.bin\n");
        bundle_file(world.dir.path(), name, &manifest, &[("r.img", b"x"), ("a.bin", content)])
    };
    install_well(&mut system, &make("1.raucb", "first", b"one"));
    assert_eq!(world.text("repo-files/first"), "one");
    install_well(&mut system, &make("2.raucb", "second", b"two"));
    assert_eq!(world.text("repo-files/second"), "two");
    assert!(!world.path("repo-files/first").exists(), "it is not in the new bundle");
    let status = system.status(&mut |_| {}).unwrap();
    let names: Vec<&str> = status.repositories.iter().map(|repo| repo.name.as_str()).collect();
    assert_eq!(names, ["files", "other"]);
    let active: Vec<&str> =
        status.repositories[0].artifacts.iter().map(|artifact| artifact.name.as_str()).collect();
    assert_eq!(active, ["second"]);
    assert_eq!(world.diary.of(&["boot primary"]).len(), 2);
}

/// Fails when a repository that the bundle has nothing for leaves the target bad.
#[test]
fn an_unusable_repository_beside_costs_a_warning_and_not_the_install() {
    let world = World::new();
    let sections = format!("{TWO_GROUPS}[artifacts.odd]\npath=@/odd\ntype=files\n");
    let mut system = world.start(world.config(CENTRAL, &sections));
    fs::write(world.path("odd"), b"no directory").unwrap();
    let file = rootfs_bundle(&world, b"x");
    let events = install_well(&mut system, &file);
    assert!(warned(&events, "old artifacts stay in the repository 'odd': "), "{events:?}");
    assert_eq!(world.boot.memory.lock().unwrap().primary, "B");
}
