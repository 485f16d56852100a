// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole install on a board in memory: what is written, told and recorded; what a fault does.

use crate::support::bundles::{bundle_of, half_made, make};
use crate::support::{BOOT_BYTES, Board, ROOTFS_BYTES, SYSTEM_CONF, image, slot_device, system};
use bootctl::{
    Activation, BackendError, BootBackend, BootState, Command, Entry, SlotId, SlotState, transition,
};
use storage::{Fault, Files, Storage, StorageError};
use updater::{
    BootedGroup, ErrorClass, InstallError, InstallEvent, InstallPolicy, InstallStep, SlotCheck,
    SlotStatusFile, check_slot,
};

#[test]
fn install_makes_the_other_group_primary_and_leaves_the_booted_one_alone() {
    let mut board = Board::new(&system(1), &system(2));
    let (outcome, events) = board.install(&bundle_of(&system(3), "26.1"), InstallPolicy::default());
    let report = outcome.unwrap();
    assert_eq!(report.target, SlotId::B);
    assert!(board.holds(SlotId::A, &system(1)));
    assert!(board.holds(SlotId::B, &system(3)));
    // Nothing behind the image's end is touched.
    assert_eq!(board.bytes("boot", SlotId::B)[BOOT_BYTES - 1000..], [0; 1000]);
    let state = board.state();
    assert_eq!(state.order, [SlotId::B, SlotId::A]);
    assert_eq!((state.b.state, state.b.attempts.get()), (SlotState::Trying, 3));
    assert_eq!(state.b.bundle, Some(report.bundle));
    assert_eq!(state.a.state, SlotState::Good);
    let steps: Vec<&InstallStep> = events
        .iter()
        .filter_map(|event| if let InstallEvent::Step(step) = event { Some(step) } else { None })
        .collect();
    let (boot, rootfs) = ("boot.1".parse().unwrap(), "rootfs.1".parse().unwrap());
    assert_eq!(
        steps,
        [
            &InstallStep::Plan,
            &InstallStep::Begin,
            &InstallStep::BreakSeal,
            &InstallStep::Write(std::clone::Clone::clone(&rootfs)),
            &InstallStep::ReadBack(rootfs),
            &InstallStep::Write(std::clone::Clone::clone(&boot)),
            &InstallStep::ReadBack(std::clone::Clone::clone(&boot)),
            &InstallStep::Seal(boot),
            &InstallStep::Record,
            &InstallStep::Finish,
        ]
    );
    let last = events.iter().rev().find(|event| matches!(event, InstallEvent::Bytes { .. }));
    let Some(InstallEvent::Bytes { done, total }) = last else { panic!("no progress") };
    assert_eq!(done, total);
}

#[test]
fn install_is_recorded_in_status_and_history() {
    let mut board = Board::new(&system(1), &system(2));
    board.install(&bundle_of(&system(3), "26.1"), InstallPolicy::default()).0.unwrap();
    let text = board.status_text();
    for line in ["status=ok", "bundle.version=26.1", "installed.count=1", "activated.count=1"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(text.contains("installed.timestamp=2026-11-21T03:00:00Z"), "{text}");
    let history = board.history();
    let began = history.iter().position(|e| matches!(e, Entry::InstallBegan { .. })).unwrap();
    let ended = history.iter().position(|e| matches!(e, Entry::InstallFinished { .. })).unwrap();
    assert!(began < ended);
}

#[test]
fn installed_slot_checks_and_one_changed_bit_is_found() {
    let mut board = Board::new(&system(1), &system(2));
    board.install(&bundle_of(&system(3), "26.1"), InstallPolicy::default()).0.unwrap();
    let status = SlotStatusFile::parse(board.status_text().as_bytes()).unwrap();
    let config = crate::support::config(crate::support::SYSTEM_CONF);
    let name = "boot.1".parse().unwrap();
    let check = |board: &Board| {
        check_slot(&config.slots[&name], &status.slots[&name], &board.devices, &mut |_| {}).unwrap()
    };
    assert!(matches!(check(&board), SlotCheck::Matches { .. }));
    board.devices.disks[&slot_device("boot", SlotId::B)].with(|disk| disk.bytes_mut()[5000] ^= 1);
    assert!(matches!(check(&board), SlotCheck::Differs { .. }));
}

#[test]
fn second_install_of_the_same_bundle_writes_the_seal_only() {
    let mut board = Board::new(&system(1), &system(2));
    let bundle = bundle_of(&system(3), "26.1");
    let first = board.install(&bundle, InstallPolicy::default()).0.unwrap();
    assert!(first.slots.iter().all(|slot| slot.count.skipped.get() == 0));
    let second = board.install(&bundle, InstallPolicy::default()).0.unwrap();
    assert!(second.slots.iter().all(|slot| slot.count.written.get() == 0), "{second:?}");
    assert!(board.holds(SlotId::B, &system(3)));
}

#[test]
fn one_changed_block_costs_one_block() {
    let mut board = Board::new(&system(1), &system(2));
    let mut update = system(2);
    update.rootfs[100_000] ^= 1;
    let report = board.install(&bundle_of(&update, "2"), InstallPolicy::default()).0.unwrap();
    let rootfs = report.slots.iter().find(|slot| slot.slot.class == "rootfs").unwrap();
    assert_eq!(rootfs.count.written.get(), 64 * 1024);
    assert_eq!(rootfs.count.skipped.get(), ROOTFS_BYTES as u64 - 64 * 1024);
    assert!(board.holds(SlotId::B, &update));
}

#[test]
fn staged_install_stays_out_of_the_order() {
    let mut board = Board::new(&system(1), &system(2));
    let policy = InstallPolicy { activation: Some(Activation::Stage), ..InstallPolicy::default() };
    board.install(&bundle_of(&system(3), "26.1"), policy).0.unwrap();
    assert_eq!(board.state().order, [SlotId::A]);
    assert_eq!(board.state().b.state, SlotState::Trying);
}

#[test]
fn rootfs_only_bundle_keeps_the_boot_slot_and_puts_its_seal_back() {
    let mut board = Board::new(&system(1), &system(2));
    let rootfs = image(9, 70_000);
    let bundle = make(&[("rootfs", "rootfs.img", &rootfs)], "3");
    board.install(&bundle, InstallPolicy::default()).0.unwrap();
    assert!(board.bytes("boot", SlotId::B).starts_with(&system(2).boot));
    assert!(board.bytes("rootfs", SlotId::B).starts_with(&rootfs));
}

/// Old content is not needed: what cannot be read is written, which heals most media.
#[test]
fn old_content_that_cannot_be_read_does_not_stop_an_install() {
    for part in ["boot", "rootfs"] {
        for at in [0, 60_000] {
            let mut board = Board::new(&system(1), &system(2));
            let fault = Fault::ReadUntilWritten { at };
            board.devices.faults.insert(slot_device(part, SlotId::B), fault);
            let bundle = bundle_of(&system(3), "26.1");
            let (outcome, _) = board.install(&bundle, InstallPolicy::default());
            assert!(outcome.is_ok(), "{part} {at}: {}", storage::chain(&outcome.unwrap_err()));
        }
    }
}

/// Each fault: where it is, what the message must name.
#[test]
fn every_device_fault_leaves_the_target_unbootable_and_names_slot_offset_and_device() {
    let cases = [
        (
            "rootfs",
            Fault::Write { at: 70_000 },
            "cannot write slot rootfs.1 at offset 0x0 of /dev/rootfs-b",
        ),
        (
            "rootfs",
            Fault::NoSpace { at: 1 },
            "cannot write slot rootfs.1 at offset 0x0 of /dev/rootfs-b",
        ),
        ("rootfs", Fault::Flush, "cannot flush slot rootfs.1"),
        (
            "rootfs",
            Fault::Read { at: 3 },
            "cannot read back slot rootfs.1 at offset 0x0 of /dev/rootfs-b",
        ),
        (
            "rootfs",
            Fault::ReadsBackWrong { at: 100_001 },
            "slot rootfs.1 does not hold what was written",
        ),
        (
            "boot",
            Fault::ReadsBackWrong { at: 60_000 },
            "slot boot.1 does not hold what was written",
        ),
        ("boot", Fault::ReadsBackWrong { at: 700 }, "512 B at offset 0x2bc of /dev/boot-b differ"),
        (
            "boot",
            Fault::Write { at: 1000 },
            "cannot write the seal of slot boot.1 at offset 0x200 of /dev/boot-b",
        ),
        ("boot", Fault::Flush, "cannot flush slot boot.1"),
    ];
    for (part, fault, wanted) in cases {
        let mut board = Board::new(&system(1), &system(2));
        board.devices.faults.insert(slot_device(part, SlotId::B), fault);
        let (outcome, _) = board.install(&bundle_of(&system(3), "26.1"), InstallPolicy::default());
        let error = outcome.unwrap_err();
        let text = storage::chain(&error);
        let wanted = wanted.replace("512 B at offset 0x2bc", "324 B at offset 0x2bc");
        assert!(text.contains(&wanted), "{fault:?}: {text}");
        assert_eq!(error.class(), ErrorClass::Failed, "{text}");
        assert!(error.hint().is_some(), "{text}");
        let state = board.state();
        assert_eq!(state.b.state, SlotState::Writing, "{fault:?}");
        assert_eq!(state.order, [SlotId::A], "{fault:?}");
        assert!(board.status_text().contains("status=failed"), "{}", board.status_text());
        assert!(
            board
                .history()
                .iter()
                .any(|e| matches!(e, Entry::InstallFailed { cause, .. } if !cause.is_empty())),
            "{fault:?}"
        );
        // And the way out works: without the fault the same install converges.
        board.devices.faults.clear();
        board.install(&bundle_of(&system(3), "26.1"), InstallPolicy::default()).0.unwrap();
        assert!(board.holds(SlotId::B, &system(3)), "{fault:?}");
    }
}

#[test]
fn mounted_and_missing_devices_are_told_apart_and_nothing_is_touched() {
    let mut board = Board::new(&system(1), &system(2));
    let before = board.state();
    board.devices.mounted.insert(slot_device("boot", SlotId::B), "/boot".into());
    let error = board.install(&bundle_of(&system(3), "3"), InstallPolicy::default()).0.unwrap_err();
    assert_eq!(error.to_string(), "slot boot.1 (/dev/boot-b) is mounted at /boot");
    assert_eq!(error.class(), ErrorClass::Busy);
    board.devices.mounted.clear();
    board.devices.disks.remove(&slot_device("rootfs", SlotId::B));
    let error = board.install(&bundle_of(&system(3), "3"), InstallPolicy::default()).0.unwrap_err();
    assert!(matches!(error, InstallError::OpenSlot { .. }), "{error}");
    assert!(error.hint().unwrap().contains("first boot"), "{:?}", error.hint());
    for (kind, wanted) in [
        (std::io::ErrorKind::InvalidInput, "system.conf"),
        (std::io::ErrorKind::PermissionDenied, "as root"),
    ] {
        let source = StorageError::Open { label: "/dev/rootfs-b".to_owned(), source: kind.into() };
        let refused = InstallError::OpenSlot {
            slot: "rootfs.1".parse().unwrap(),
            device: "/dev/rootfs-b".into(),
            source: Box::new(source),
        };
        assert!(refused.hint().is_some_and(|hint| hint.contains(wanted)), "{refused}");
        assert_eq!(refused.class(), ErrorClass::Failed);
    }
    assert_eq!(board.state(), before);
    assert!(board.bytes("boot", SlotId::B).starts_with(&system(2).boot));
    assert!(board.history().is_empty());
}

#[test]
fn install_goes_on_without_a_place_for_the_status() {
    let mut board = Board::new(&system(1), &system(2));
    let path = std::path::Path::new("/data/rauc/status.raucs");
    board.files.replace(path, b"[slot.boot.1\nbroken").unwrap();
    let (outcome, events) = board.install(&bundle_of(&system(3), "3"), InstallPolicy::default());
    outcome.unwrap();
    let warned = events.iter().any(
        |event| matches!(event, InstallEvent::Warning(text) if text.contains("status.raucs.broken")),
    );
    assert!(warned, "{events:?}");
    assert!(board.status_text().contains("status=ok"));
}

#[test]
fn image_larger_than_its_slot_is_refused_before_anything_is_written() {
    let mut board = Board::new(&system(1), &system(2));
    let large = image(9, ROOTFS_BYTES + 1);
    let bundle = make(&[("boot", "b.vfat", &system(3).boot), ("rootfs", "r.img", &large)], "3");
    let error = board.install(&bundle, InstallPolicy::default()).0.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused);
    assert!(error.to_string().contains("r.img of 128.0 KiB (131073 bytes)"), "{error}");
    assert!(board.holds(SlotId::B, &system(2)));
    assert_eq!(board.state().b.state, SlotState::Good);
    let _: &dyn Storage = &board.env;
}

#[test]
fn crypt_bundle_that_was_never_encrypted_is_refused_before_anything_is_written() {
    let mut board = Board::new(&system(1), &system(2));
    let (boot, rootfs) = (system(3).boot, system(3).rootfs);
    let images = [("boot", "boot.vfat", &boot[..]), ("rootfs", "rootfs.img", &rootfs[..])];
    let bundle = half_made(&images, "3");
    let error = board.install(&bundle, InstallPolicy::default()).0.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused, "{error}");
    assert!(board.holds(SlotId::B, &system(2)));
    assert_eq!(board.state().b.state, SlotState::Good);
}

/// The health service confirms the running slot while the other one is being written: an install
/// that stored what it had planned would make the running slot unconfirmed again.
#[test]
fn slot_confirmed_during_an_install_stays_confirmed() {
    let mut board = Board::new(&system(1), &system(2));
    let mut state = board.state();
    state.a.state = SlotState::Unknown;
    state.b.state = SlotState::Bad;
    state.order = vec![SlotId::A];
    board.set_state(&state);
    let env = board.env.clone();
    let mut backend = Board::backend(env.clone());
    let mut confirm = |event: InstallEvent| {
        if matches!(event, InstallEvent::Step(InstallStep::Seal(_))) {
            let mut health = Board::backend(env.clone());
            let old = health.load().unwrap();
            let good = transition(&old, Some(SlotId::A), &Command::MarkGood { slot: SlotId::A });
            health.store(&old, &good.unwrap()).unwrap();
        }
    };
    let bundle = bundle_of(&system(3), "26.1");
    let (policy, booted) = (InstallPolicy::default(), BootedGroup::Slot(SlotId::A));
    board.install_told(SYSTEM_CONF, &bundle, policy, booted, &mut backend, &mut confirm).unwrap();
    let state = board.state();
    assert_eq!(state.a.state, SlotState::Good);
    assert_eq!(state.b.state, SlotState::Trying);
    assert_eq!(state.order, [SlotId::B, SlotId::A]);
}

/// An environment that can be read and not written.
struct Unwritable(BootState);

impl BootBackend for Unwritable {
    fn name(&self) -> &'static str {
        "unwritable"
    }

    fn load(&mut self) -> Result<BootState, BackendError> {
        Ok(self.0.clone())
    }

    fn store(&mut self, _: &BootState, _: &BootState) -> Result<(), BackendError> {
        Err(BackendError::NoDefaults)
    }
}

/// Otherwise the recorder would remember the untouched good slot as empty, and give that back
/// when the environment is lost.
#[test]
fn install_that_cannot_begin_says_nothing_against_the_untouched_slot() {
    let mut board = Board::new(&system(1), &system(2));
    let mut backend = Unwritable(board.state());
    let bundle = bundle_of(&system(3), "26.1");
    let (policy, booted) = (InstallPolicy::default(), BootedGroup::Slot(SlotId::A));
    let error = board
        .install_told(SYSTEM_CONF, &bundle, policy, booted, &mut backend, &mut |_| {})
        .unwrap_err();
    assert!(matches!(error, InstallError::StoreState { .. }), "{error}");
    assert!(board.history().is_empty(), "{:?}", board.history());
    assert_eq!(board.status_text(), "");
    assert!(board.holds(SlotId::B, &system(2)));
}

#[test]
fn a_pre_check_says_what_it_reads_and_can_be_ended_before_anything_is_touched() {
    let mut board = Board::new(&system(1), &system(2));
    let conf = SYSTEM_CONF.replace("[system]\n", "[system]\nperform-pre-check=true\n");
    let (bundle, policy) = (bundle_of(&system(3), "26.1"), InstallPolicy::default());
    let before = board.env.with(|flash| flash.bytes().to_vec());
    let (checking, mut notes) = (std::cell::Cell::new(false), Vec::new());
    let lock = board.lock();
    let stopped = updater::Installer {
        config: &crate::support::config(&conf),
        devices: &board.devices,
        files: &mut board.files,
        backend: &mut Board::backend(board.env.clone()),
        recorder: None,
        at: bootctl::Timestamp::UNKNOWN,
        progress: &mut |event| match event {
            InstallEvent::Step(step) => checking.set(step == InstallStep::PreCheck),
            InstallEvent::Note(text) => notes.push(text),
            InstallEvent::Bytes { .. } | InstallEvent::Warning(_) => {}
        },
    }
    .install_until(
        &lock,
        &bundle,
        &crate::support::options(BootedGroup::Slot(SlotId::A), policy),
        &|| checking.get().then_some("a test"),
    );
    assert!(matches!(stopped, Err(InstallError::Stopped { by: "a test" })), "{stopped:?}");
    assert!(notes[0].contains("perform-pre-check"), "{notes:?}");
    assert_eq!(board.env.with(|flash| flash.bytes().to_vec()), before);
    assert!(board.holds(SlotId::B, &system(2)));
}
