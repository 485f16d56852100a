// SPDX-License-Identifier: MIT OR Apache-2.0
//! What other people's tools say about our disks. A missing tool fails the test.

use crate::disk::{MIB, REAL, apply_plain, disk_guid, make_plan};
use repart::{Formatted, TableHealth, create_table, read_table};
use std::path::{Path, PathBuf};
use std::process::Command;
use storage::{Access, ByteLen, FileStorage};

/// Runs a tool with `flags` and `paths`, panics unless it succeeds, and returns what it said.
pub fn run(program: &str, flags: &[&str], paths: &[&Path]) -> String {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let output = Command::new(program)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("MTOOLS_SKIP_CHECK", "0")
        .args(flags)
        .args(paths)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed by this test: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {flags:?}: {said}{complained}");
    said
}

/// A sparse disk of 1 GB to which a small image was flashed, and its path.
fn flashed(dir: &Path) -> PathBuf {
    let path = dir.join("disk.img");
    let sizes = small();
    drop(FileStorage::create_sparse(&path, ByteLen::mib(sizes.image_mib())).unwrap());
    let mut image = FileStorage::open(&path, Access::ReadWrite).unwrap();
    create_table(&mut image, disk_guid(), &sizes.image_partitions(512)).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(1_000_000_000 / 512 * 512).unwrap();
    path
}

/// The board's layout, with a root small enough for a quick test.
fn small() -> crate::disk::Sizes {
    crate::disk::Sizes { root: 64, ..REAL }
}

fn part_of(path: &Path, number: usize, to: &Path) {
    let disk = FileStorage::open(path, Access::ReadOnly).unwrap();
    let partition = &read_table(&disk).unwrap().partitions[number - 1];
    let skip = format!("skip={}", partition.first_lba.0 / 2048);
    let count = format!("count={}", partition.sectors() / 2048);
    let (from, to) = (format!("if={}", path.display()), format!("of={}", to.display()));
    run("dd", &["bs=1M", "conv=sparse", "status=none", &skip, &count, &from, &to], &[]);
}

#[test]
fn sgdisk_sfdisk_and_parted_agree_with_us_about_the_result() {
    let dir = tempfile::tempdir().unwrap();
    let path = flashed(dir.path());
    let mut disk = FileStorage::open(&path, Access::ReadWrite).unwrap();
    let plan = make_plan(&disk, small(), "f2fs");
    let applied = apply_plain(&plan, &mut disk).unwrap();
    assert_eq!(applied.created, [3, 4, 5]);
    assert!(applied.formatted.iter().all(|outcome| outcome.result == Formatted::Done));
    assert_eq!(applied.formatted.len(), 2);
    drop(disk);

    let verdict = run("sgdisk", &["--verify"], &[&path]);
    assert!(verdict.contains("No problems found"), "{verdict}");
    let listing = run("sgdisk", &["-p"], &[&path]);
    assert!(listing.contains("boot-b") && listing.contains("data"), "{listing}");
    let json: serde_json::Value =
        serde_json::from_str(&run("sfdisk", &["--json"], &[&path])).unwrap();
    let table = &json["partitiontable"];
    assert_eq!(table["label"], "gpt");
    assert_eq!(table["id"], disk_guid().to_string().to_uppercase());
    let found = read_table(&FileStorage::open(&path, Access::ReadOnly).unwrap()).unwrap();
    assert_eq!(found.health, TableHealth::Good);
    for (theirs, ours) in table["partitions"].as_array().unwrap().iter().zip(&found.partitions) {
        assert_eq!(theirs["start"], ours.first_lba.0);
        assert_eq!(theirs["size"], ours.sectors());
        assert_eq!(theirs["name"], ours.label.as_str());
        assert_eq!(theirs["type"], ours.type_guid.0.to_string().to_uppercase());
        assert_eq!(theirs["uuid"], ours.part_uuid.to_string().to_uppercase());
    }
    let parted = Command::new("/usr/sbin/parted")
        .args(["-s", "-m"])
        .arg(&path)
        .args(["unit", "B", "print"])
        .output()
        .expect("parted is needed by this test");
    let said = String::from_utf8_lossy(&parted.stdout).into_owned();
    assert!(parted.status.success() && parted.stderr.is_empty(), "{said}");
    assert!(said.contains(&format!("3:{}B", 208 * MIB)), "{said}");
    assert!(said.contains(":f2fs:data:"), "{said}");

    let boot_b = dir.path().join("boot-b");
    part_of(&path, 3, &boot_b);
    run("fsck.vfat", &["-n"], &[&boot_b]);
    let data = dir.path().join("data");
    part_of(&path, 5, &data);
    let said = run("fsck.f2fs", &["--dry-run"], &[&data]);
    assert!(!said.contains("[FAIL]") && !said.contains("[ASSERT]"), "{said}");
    assert!(plan_is_empty(&path));
}

fn plan_is_empty(path: &Path) -> bool {
    make_plan(&FileStorage::open(path, Access::ReadOnly).unwrap(), small(), "f2fs").is_empty()
}

#[test]
fn sgdisk_accepts_a_created_table_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let mut disk = FileStorage::create_sparse(&path, ByteLen::mib(REAL.image_mib())).unwrap();
    create_table(&mut disk, disk_guid(), &REAL.image_partitions(512)).unwrap();
    drop(disk);
    let verdict = run("sgdisk", &["--verify"], &[&path]);
    assert!(verdict.contains("No problems found"), "{verdict}");
}

#[test]
fn we_read_a_table_that_sgdisk_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("theirs");
    drop(FileStorage::create_sparse(&path, ByteLen::mib(64)).unwrap());
    let flags = ["-n", "1:16M:+8M", "-t", "1:ea00", "-c", "1:boot-a", "-n", "2:0:+8M"];
    run("sgdisk", &flags, &[&path]);
    let table = read_table(&FileStorage::open(&path, Access::ReadOnly).unwrap()).unwrap();
    assert_eq!((table.health, table.partitions.len()), (TableHealth::Good, 2));
    assert_eq!(table.partitions[0].label, "boot-a");
    assert_eq!(table.partitions[0].type_guid, repart::TypeGuid::XBOOTLDR);
    assert_eq!(table.partitions[0].first_lba.0, 16 * 2048);
    assert_eq!(table.partitions[1].sectors(), 8 * 2048);
}

#[test]
fn f2fs_overwrites_what_the_disk_held_before_and_is_reproducible() {
    let dir = tempfile::tempdir().unwrap();
    let make = |name: &str, old: u8| {
        let path = dir.path().join(name);
        std::fs::write(&path, vec![old; 96 * MIB as usize]).unwrap();
        let mut disk = FileStorage::open(&path, Access::ReadWrite).unwrap();
        let request = repart::FilesystemRequest {
            format: repart::Format::F2fs,
            label: "data".to_owned(),
            identity: storage::PartUuid(disk_guid()),
        };
        // As apply leaves it: the head is blank.
        storage::Storage::write_at(&mut disk, 0, &vec![0; MIB as usize]).unwrap();
        let result = repart::MakeFilesystem::make(&mut crate::disk::scratch(), &request, &mut disk);
        assert_eq!(result.unwrap(), Formatted::Done);
        let said = run("fsck.f2fs", &["--dry-run"], &[&path]);
        assert!(!said.contains("[FAIL]") && !said.contains("[ASSERT]"), "{said}");
        std::fs::read(&path).unwrap()
    };
    let (zeros, stale) = (make("zeros", 0), make("stale", 0xa5));
    // Everything that was copied is equal; the rest is what the disk held.
    let mut differences = zeros.iter().zip(&stale).filter(|(a, b)| a != b);
    assert!(differences.all(|(a, b)| (*a, *b) == (0, 0xa5)));
}
