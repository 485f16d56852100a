// SPDX-License-Identifier: MIT OR Apache-2.0
//! On a board whose slots are sealed RAUC's install must keep our protocol: nobody but the sealed
//! engine touches slots or their boot state, and what that engine cannot do is refused.

use crate::rauc::*;
use nix::errno::Errno;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use storage::{ByteLen, Files, FilesError, HostFiles};
use updater::system::{
    InstallRequest, MarkState, SealedInstall, SealedJob, System, WriteSlotRequest,
};
use updater::{
    InstallError, InstallEvent, InstallReport, SlotReport, SlotStatusState, VersionRule, WriteCount,
};

const CENTRAL: &str = "statusfile=@/central.raucs";

/// Writes down that it was asked, and what the slots held at that moment.
struct FakeSealed {
    diary: Diary,
    fails: bool,
    seen: Arc<Mutex<Vec<(VersionRule, String)>>>,
    /// Where it says that a slot is half written.
    status: PathBuf,
}

impl SealedInstall for FakeSealed {
    fn install(
        &mut self,
        job: &SealedJob<'_>,
        progress: &mut dyn FnMut(InstallEvent),
    ) -> Result<InstallReport, InstallError> {
        self.diary.note("sealed install");
        self.seen.lock().unwrap().push((job.versions, job.transaction.to_owned()));
        progress(InstallEvent::Warning("a warning".to_owned()));
        if self.fails {
            fs::write(&self.status, "[slot.rootfs.1]\nstatus=failed\n").unwrap();
            return Err(InstallError::Stopped { by: "a test" });
        }
        Ok(InstallReport {
            target: bootctl::SlotId::B,
            bundle: job.bundle.manifest_digest().into(),
            version: None,
            slots: vec![SlotReport {
                slot: "rootfs.1".parse().unwrap(),
                count: WriteCount::default(),
            }],
        })
    }
}

type Seen = Arc<Mutex<Vec<(VersionRule, String)>>>;

fn fake(world: &World, fails: bool, seen: &Seen) -> FakeSealed {
    let (diary, status) = (world.diary.clone(), world.path("central.raucs"));
    FakeSealed { diary, fails, seen: Arc::clone(seen), status }
}

fn sealed(world: &World, sections: &str, fails: bool) -> (System, Seen) {
    let seen = Seen::default();
    let engine = fake(world, fails, &seen);
    let config = world.config(CENTRAL, sections);
    (world.start_with(config, world.parts(Some(Box::new(engine)))), seen)
}

fn untouched(world: &World) -> bool {
    ["rootfs-0", "rootfs-1", "appfs-0", "appfs-1"]
        .iter()
        .all(|name| world.slot(name).iter().all(|byte| *byte == b'o'))
}

fn refused(world: &World, manifest: &str, files: &[(&str, &[u8])]) -> String {
    let (mut system, seen) = sealed(world, TWO_GROUPS, false);
    let _ = fs::remove_file(world.path("x.raucb"));
    let file = bundle_file(world.dir.path(), "x.raucb", manifest, files);
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    assert!(seen.lock().unwrap().is_empty());
    done.unwrap_err().text()
}

/// Fails when anything but the sealed engine begins, writes or ends an install.
#[test]
fn slots_and_boot_state_are_touched_by_the_sealed_engine_alone() {
    let world = World::new();
    world.script("pre", "#!/bin/sh\n");
    let sections = format!("{TWO_GROUPS}[handlers]\npre-install=@/pre\npost-install=@/pre\n");
    let (mut system, seen) = sealed(&world, &sections, false);
    let file = bundle_file(
        world.dir.path(),
        "b.raucb",
        "[hooks]\nfilename=hook\nhooks=install-check\n[image.rootfs]\nfilename=r.img\n",
        &[("hook", b"#!/bin/sh\nexit 0\n"), ("r.img", &image(1, 9000))],
    );
    install_well(&mut system, &file);
    assert_eq!(
        world.diary.lines(),
        ["run pre", "run hook install-check", "sealed install", "run pre"]
    );
    assert!(untouched(&world));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(
        seen,
        [(VersionRule::MinimumOnly, "01234567-89ab-cdef-0123-456789abcdef".to_owned())]
    );
    let status = status_of(&mut system, "rootfs.1");
    assert!(status.transaction.is_some());
}

/// Files that can be read and never written, as on a full or read-only `/data`.
struct ReadOnlyFiles(HostFiles);

impl Files for ReadOnlyFiles {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        self.0.read(path, limit)
    }
    fn replace(&mut self, path: &Path, _: &[u8]) -> Result<(), FilesError> {
        Err(FilesError::Write { path: path.to_owned(), source: Errno::EROFS.into() })
    }
    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        Err(FilesError::Write { path: path.to_owned(), source: Errno::EROFS.into() })
    }
    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.0.list(dir)
    }
}

/// Fails when an install is told to have failed whose slot boots next.
#[test]
fn a_status_that_cannot_be_written_after_the_boot_order_is_only_warned_of() {
    let world = World::new();
    let mut parts = world.parts(Some(Box::new(fake(&world, false, &Seen::default()))));
    parts.files = Box::new(ReadOnlyFiles(HostFiles::new("/")));
    let mut system = world.start_with(world.config(CENTRAL, TWO_GROUPS), parts);
    let file = rootfs_bundle(&world, b"x");
    let events = install_well(&mut system, &file);
    assert!(warned(&events, "Error while writing status file: "), "{events:?}");
}

#[test]
fn failure_of_the_sealed_engine_ends_there() {
    let world = World::new();
    world.script("post", "#!/bin/sh\n");
    let sections = format!("{TWO_GROUPS}[handlers]\npost-install=@/post\n");
    let (mut system, _) = sealed(&world, &sections, true);
    system.status(&mut |_| {}).unwrap();
    let file = rootfs_bundle(&world, b"x");
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    assert_eq!(done.unwrap_err().stopped_by(), Some("a test"));
    assert_eq!(world.diary.lines(), ["sealed install"]);
    let slot = "rootfs.1".parse().unwrap();
    let state = |system: &System| system.view().latest().slot(&slot).map(|r| r.status.state);
    assert_eq!(state(&system), Some(Some(SlotStatusState::Failed)), "clients see what it wrote");
    assert_eq!(status_of(&mut system, "rootfs.1").state, Some(SlotStatusState::Failed));
    assert!(untouched(&world));
}

#[test]
fn what_cannot_be_done_with_the_seal_kept_is_refused_before_any_program_runs() {
    let world = World::new();
    let hook: (&str, &[u8]) = ("hook", b"#!/bin/sh\n");
    let text = refused(
        &world,
        "[hooks]\nfilename=hook\n[image.rootfs]\nfilename=r.img\nhooks=post-install\n",
        &[hook, ("r.img", b"x")],
    );
    assert!(text.starts_with("Installation error: this board's slots are sealed"), "{text}");
    assert!(text.contains("slot hooks for 'rootfs'"), "{text}");
    let text = refused(&world, "[handler]\nfilename=hook\n", &[hook]);
    assert!(text.contains("the bundle's own handler"), "{text}");
    let text = refused(
        &world,
        "[image.rootfs]\nfilename=r.img\n[image.files/x]\nfilename=r.img\n",
        &[("r.img", b"x")],
    );
    assert!(text.contains("slots and artifacts"), "{text}");
    assert_eq!(world.diary.lines(), Vec::<String>::new());
    assert!(untouched(&world));
}

/// Fails when a variant that cannot be read is taken for none, and the wrong image chosen.
#[test]
fn unknown_variant_stops_a_bundle_that_has_images_for_variants() {
    let world = World::new();
    fs::create_dir(world.path("variant")).unwrap();
    let system = format!("{CENTRAL}\nvariant-file=@/variant");
    let engine = fake(&world, false, &Seen::default());
    let parts = world.parts(Some(Box::new(engine)));
    let mut system = world.start_with(world.config(&system, TWO_GROUPS), parts);
    let plain = "[image.rootfs]\nfilename=r.img\n";
    let make = |name, manifest: &str| {
        bundle_file(world.dir.path(), name, manifest, &[("r.img", b"x"), ("big.img", b"y")])
    };
    let file = make("v.raucb", &format!("{plain}[image.rootfs.big]\nfilename=big.img\n"));
    let (done, _) = install(&mut system, &InstallRequest::default(), &file, &|| None);
    let text = done.unwrap_err().text();
    assert!(text.ends_with("matching variant of image for slot class 'rootfs'"), "{text}");
    assert_eq!(world.diary.lines(), Vec::<String>::new());
    install_well(&mut system, &make("p.raucb", plain));
    assert_eq!(world.diary.lines(), ["sealed install"]);
}

#[test]
fn single_image_into_a_sealed_group_is_refused_and_marks_go_to_the_boot_loader() {
    let world = World::new();
    let extra = format!("{TWO_GROUPS}[slot.data.0]\ndevice=@/images/data\n");
    fs::write(world.path("images/data"), b"").unwrap();
    fs::write(world.path("a.img"), b"new").unwrap();
    let (mut system, _) = sealed(&world, &extra, false);
    for slot in ["rootfs.1", "appfs.1"] {
        let text = write(&mut system, slot, &world.path("a.img")).unwrap_err();
        assert!(text.contains("belongs to a group that is sealed"), "{text}");
    }
    assert!(untouched(&world));
    write(&mut system, "data.0", &world.path("a.img")).unwrap();
    assert_eq!(&world.slot("data")[..3], b"new");
    system.mark(MarkState::Bad, "rootfs.1", &mut |_| {}).unwrap();
    assert_eq!(world.diary.of(&["boot"]), ["boot bad B"]);
}

fn write(system: &mut System, slot: &str, image: &Path) -> Result<(), String> {
    let request =
        WriteSlotRequest { slot: slot.to_owned(), image: image.to_owned(), image_type: None };
    system.write_slot(&request, &mut |_| {}, &|| None).map_err(|error| error.text())
}

#[test]
fn write_slot_writes_free_slots_and_refuses_the_rest_in_rauc_s_words() {
    let world = World::new();
    let slots = TWO_GROUPS.replace("[slot.appfs.1]\n", "[slot.appfs.1]\nreadonly=true\n");
    let mut system = world.start(world.config(CENTRAL, &slots));
    let image = world.path("a.img");
    fs::write(&image, b"new content").unwrap();
    write(&mut system, "rootfs.1", &image).unwrap();
    assert_eq!(&world.slot("rootfs-1")[..11], b"new content");
    assert_eq!(world.diary.of(&["boot"]), Vec::<String>::new());
    let mut text = |slot: &str, image: &Path| write(&mut system, slot, image).unwrap_err();
    assert!(text("rootfs.0", &image).contains("booted"));
    assert_eq!(text("appfs.1", &image), "Reject writing to readonly slot");
    assert!(text("x.9", &image).starts_with("No matching slot found for given slot name 'x.9'.\n"));
    let other = world.path("a.bin");
    fs::write(&other, b"x").unwrap();
    assert!(text("rootfs.1", &other).starts_with("Unable to map extension of file '"));
    let tar = world.path("a.tar");
    fs::write(&tar, b"x").unwrap();
    assert_eq!(text("rootfs.1", &tar), "Unsupported image type 'tar' for slot type 'raw'");
    // An index is not the image: RAUC itself ends at an assertion here.
    let index = world.path("a.img.caibx");
    fs::write(&index, b"x").unwrap();
    assert_eq!(text("rootfs.1", &index), "Unsupported image type 'raw-caibx' for slot type 'raw'");
    assert_eq!(&world.slot("rootfs-1")[..11], b"new content");
    let _held = updater::InstallLock::acquire(&world.path("root"), 99).unwrap();
    assert!(text("rootfs.1", &image).contains("another install is running"));
}
