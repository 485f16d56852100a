// SPDX-License-Identifier: MIT OR Apache-2.0
//! A tree by a casync index takes what the running slot holds, also where nobody mounted it: it is
//! mounted for that, read-only, and unmounted on every way out. The index is made by casync itself.

use crate::programs::{noise, run};
use crate::rauc::*;
use bundle::http::HttpOptions;
use std::fs;
use std::path::{Path, PathBuf};
use updater::system::{DeltaSources, InstallRequest, System, SystemEvent};

const MANIFEST: &str = "[image.rootfs]\nfilename=t.caidx\n";

/// A board whose running slot holds a tree, and a bundle with a newer one beside its store.
fn board(world: &World) -> (System, PathBuf) {
    let (old, new) = (world.path("backing/rootfs-0"), world.path("new"));
    fs::create_dir_all(old.join("lib")).unwrap();
    for number in 0..20 {
        fs::write(old.join(format!("lib/f{number}")), noise(150_000, number)).unwrap();
    }
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    run("cp", &["-a", &text(&old), &text(&new)]);
    fs::write(new.join("lib/f7"), b"changed").unwrap();
    let (index, store) =
        (world.path("t.caidx"), format!("--store={}", text(&world.path("b.castr"))));
    run("casync", &["make", "--with=unix", &store, &text(&index), &text(&new)]);
    let files = [("t.caidx", &*fs::read(index).unwrap())];
    let file = bundle_file(world.dir.path(), "b.raucb", MANIFEST, &files);
    let target = fs::File::create(world.path("images/rootfs-1")).unwrap();
    target.set_len(16 << 20).unwrap();
    let slots = TWO_GROUPS.replace("bootname=", "type=ext4\nbootname=");
    let mut parts = world.parts(None);
    parts.sources = Box::new(DeltaSources::new("/", Box::new(HttpOptions::default)));
    (world.start_with(world.config("statusfile=@/central.raucs", &slots), parts), file)
}

fn mounts(world: &World) -> Vec<String> {
    let lines = world.diary.of(&["run mount", "run umount"]);
    let dir = world.dir.path().display().to_string();
    lines.into_iter().map(|line| line.replace(&dir, "@")).collect()
}

#[test]
fn a_running_tree_that_nobody_mounted_is_mounted_for_as_long_as_it_is_a_seed() {
    let world = World::new();
    let (mut system, file) = board(&world);
    let request =
        InstallRequest { location: file.display().to_string(), ..InstallRequest::default() };
    let (done, events) = install(&mut system, &request, &file, &|| None);
    done.map_err(|error| error.text()).unwrap();
    let found = events.iter().find_map(|event| match event {
        SystemEvent::Note(text) => text.strip_prefix("casync: fetched "),
        SystemEvent::Progress { .. }
        | SystemEvent::Message(_)
        | SystemEvent::Warning(_)
        | SystemEvent::HandlerLine(_) => None,
    });
    // 3 MB, of which one file of 150 kB became another.
    let chunks: u64 = found.unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((1..=12).contains(&chunks), "{chunks}");
    assert_eq!(
        mounts(&world),
        [
            "run mount -t ext4 -o ro,noload @/images/rootfs-0 @/mnt/seed-rootfs.0",
            "run mount -t ext4 @/images/rootfs-1 @/mnt/rootfs.1",
            "run umount @/mnt/rootfs.1",
            "run umount @/mnt/seed-rootfs.0",
        ]
    );
    assert_eq!(fs::read(world.path("backing/rootfs-1/lib/f7")).unwrap(), b"changed");
    assert!(
        world.path("backing/rootfs-0/lib/f0").exists() && !world.path("mnt/seed-rootfs.0").exists()
    );
}

#[test]
fn the_seed_is_unmounted_also_when_the_install_fails_or_is_stopped() {
    let world = World::new();
    let (mut system, file) = board(&world);
    let nowhere = InstallRequest { location: "/nowhere/b.raucb".to_owned(), ..Default::default() };
    let (done, _) = install(&mut system, &nowhere, &file, &|| None);
    assert!(done.is_err());
    assert_eq!(mounts(&world).last().unwrap(), "run umount @/mnt/seed-rootfs.0");
    world.diary.clear();
    // As soon as the seed is there somebody wants it to end.
    let stop = || world.path("mnt/seed-rootfs.0/lib").exists().then_some("a test");
    let here = InstallRequest { location: file.display().to_string(), ..Default::default() };
    let (done, _) = install(&mut system, &here, &file, &stop);
    assert_eq!(done.unwrap_err().stopped_by(), Some("a test"));
    let mounted = world.diary.of(&["run mount"]).len();
    assert_eq!((mounted, world.diary.of(&["run umount"]).len()), (mounted, mounted));
    assert!(mounted > 0 && world.path("backing/rootfs-0/lib/f0").exists());
}
