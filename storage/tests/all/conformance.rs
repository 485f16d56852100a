// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same claims for every device: code that was tested on one behaves the same on another.

use std::path::Path;
use storage::{
    Access, ByteLen, CutAt, CutPlan, Devices, Fault, Faulty, FileStorage, HostDevices, Journal,
    MemoryStorage, NorFlash, PowerCut, Recording, Shared, Storage, StorageError, View,
};

const SIZE: usize = 16 * 1024;
const BLOCK: u32 = 4096;

fn read(device: &dyn Storage, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    device.read_at(offset, &mut bytes).unwrap();
    bytes
}

/// Claims about any device of `SIZE` zero bytes.
fn conforms(device: &mut dyn Storage) {
    let name = device.label().to_owned();
    let size = SIZE as u64;
    assert_eq!(device.len(), ByteLen::new(size), "{name}: length");
    device.erase(0, size).unwrap();
    assert_eq!(read(device, 0, SIZE), vec![0xff; SIZE], "{name}: erased bytes are 0xFF");

    device.write_at(4000, &[0x5a; 200]).unwrap();
    assert_eq!(read(device, 3999, 202)[..2], [0xff, 0x5a], "{name}: write is seen at once");
    device.flush().unwrap();
    device.forget_cached(0, size).unwrap();
    let mut expected = vec![0xff; SIZE];
    expected[4000..4200].fill(0x5a);
    assert_eq!(read(device, 0, SIZE), expected, "{name}: durable and nothing beside it changed");

    let block = u64::from(BLOCK);
    device.write_at(4096, &[0xa5; 8]).unwrap();
    let combined = if device.geometry().erase_bytes.is_some() { 0 } else { 0xa5 };
    assert_eq!(read(device, 4096, 8), vec![combined; 8], "{name}: AND on NOR, else replaced");
    device.erase(block, block).unwrap();
    assert_eq!(read(device, 4096, 8), vec![0xff; 8], "{name}: erased again");
    assert_eq!(read(device, 4000, 96), vec![0x5a; 96], "{name}: the block before is kept");

    refuses_what_lies_outside(device);
    if device.geometry().erase_bytes.is_some() {
        let unaligned = device.erase(1, block);
        assert!(matches!(unaligned, Err(StorageError::UnalignedErase { .. })), "{name}");
    }
}

fn refuses_what_lies_outside(device: &mut dyn Storage) {
    let name = device.label().to_owned();
    let before = read(device, 0, SIZE);
    let size = SIZE as u64;
    for (offset, len) in [(size, 1), (size - 1, 2), (u64::MAX, 2), (size + 1, 0)] {
        let mut buf = vec![0; len];
        let out = |result| matches!(result, Err(StorageError::OutOfBounds { .. }));
        assert!(out(device.read_at(offset, &mut buf)), "{name}: read {len} at {offset}");
        assert!(out(device.write_at(offset, &buf)), "{name}: write {len} at {offset}");
        assert!(out(device.forget_cached(offset, len as u64)), "{name}: forget at {offset}");
    }
    let beyond = device.erase(size, u64::from(BLOCK));
    assert!(matches!(beyond, Err(StorageError::OutOfBounds { .. })), "{name}: erase");
    device.write_at(size, &[]).unwrap();
    device.forget_cached(size, 0).unwrap();
    assert_eq!(read(device, 0, SIZE), before, "{name}: a refusal changes nothing");
}

fn disk(label: &str) -> MemoryStorage {
    MemoryStorage::disk(label, vec![0; SIZE])
}

#[test]
fn every_device_keeps_the_same_promises() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let flash_image = dir.path().join("flash");
    let len = ByteLen::new(SIZE as u64);
    let larger = MemoryStorage::disk("larger", vec![0; 3 * SIZE]);
    let plan = CutPlan::new(CutAt::Never, 1);
    let nor = || MemoryStorage::nor("memory nor", vec![0; SIZE], BLOCK);
    let mut devices: Vec<Box<dyn Storage>> = vec![
        Box::new(disk("memory disk")),
        Box::new(nor()),
        Box::new(FileStorage::create_sparse(&image, len).unwrap()),
        Box::new(View::new(larger, "view", SIZE as u64, len).unwrap()),
        Box::new(Shared::new(disk("shared"))),
        Box::new(NorFlash::new(disk("flash on a disk"), BLOCK)),
        Box::new(NorFlash::new(FileStorage::create_sparse(&flash_image, len).unwrap(), BLOCK)),
        Box::new(Recording::new(disk("recorded"), Journal::new())),
        Box::new(PowerCut::new(disk("powered disk"), &plan)),
        Box::new(PowerCut::new(nor(), &plan)),
        Box::new(Faulty::new(disk("fault not reached"), Fault::Flush)),
    ];
    // The last one is there to fail on purpose.
    let mut faulty = devices.pop().unwrap();
    for device in &mut devices {
        conforms(&mut **device);
    }
    faulty.write_at(0, &[1]).unwrap();
    assert!(matches!(faulty.flush(), Err(StorageError::Flush { .. })));
    assert!(matches!(faulty.read_at(0, &mut [0]), Err(StorageError::Poisoned { .. })));
}

#[test]
fn opening_an_image_never_creates_or_resizes_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let absent = FileStorage::open(&path, Access::ReadWrite);
    assert!(matches!(absent, Err(StorageError::Absent { .. })));
    assert!(!path.exists());
    drop(FileStorage::create_sparse(&path, ByteLen::kib(8)).unwrap());
    let again = FileStorage::create_sparse(&path, ByteLen::kib(4));
    assert!(matches!(again, Err(StorageError::Open { .. })), "an existing image is kept");
    let mut image = FileStorage::open(&path, Access::ReadOnly).unwrap();
    assert_eq!(image.len(), ByteLen::kib(8));
    assert!(matches!(image.write_at(0, &[1]), Err(StorageError::ReadOnly { .. })));
    assert!(matches!(image.erase(0, 1), Err(StorageError::ReadOnly { .. })));
}

#[test]
fn a_failed_write_ends_the_use_of_the_handle() {
    let full = Path::new("/dev/full");
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(FileStorage::open(full, Access::ReadWrite), Err(StorageError::Open { .. })));
    // The file shrinks behind the handle's back: the read fails, and reads do not poison.
    let path = dir.path().join("image");
    let mut image = FileStorage::create_sparse(&path, ByteLen::kib(8)).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(4096).unwrap();
    assert!(matches!(image.read_at(4096, &mut [0]), Err(StorageError::Read { .. })));
    image.write_at(0, &[1]).unwrap();

    let mut short = Faulty::new(disk("disk"), Fault::NoSpace { at: 600 });
    let failed = short.write_at(512, &[7; 512]).unwrap_err();
    assert_eq!(failed.to_string(), "cannot write 512 bytes at offset 0x200 of disk");
    let source = std::error::Error::source(&failed).unwrap().to_string();
    assert!(source.starts_with("No space left on device"), "{source}");
    assert!(matches!(short.write_at(0, &[1]), Err(StorageError::Poisoned { .. })));
}

#[test]
fn faults_hit_only_the_access_that_covers_their_place() {
    let mut worn = Faulty::new(disk("disk"), Fault::ReadsBackWrong { at: 1000 });
    worn.write_at(900, &[0x10; 200]).unwrap();
    worn.flush().unwrap();
    assert_eq!(read(&worn, 900, 100), vec![0x10; 100]);
    assert_eq!(read(&worn, 1000, 1), vec![0x11]);
    let dead = Faulty::new(disk("disk"), Fault::Read { at: 1000 });
    assert!(matches!(dead.read_at(1000, &mut [0]), Err(StorageError::Read { .. })));
    dead.read_at(1001, &mut [0]).unwrap();
    let mut stuck =
        Faulty::new(MemoryStorage::nor("nor", vec![0; SIZE], BLOCK), Fault::Write { at: 5000 });
    assert!(matches!(stuck.erase(0, 8192), Err(StorageError::Write { .. })));
}

#[test]
fn host_devices_choose_by_file_type_and_stay_below_their_root() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("dev/disk/by-partlabel")).unwrap();
    std::fs::write(dir.path().join("dev/mmcblk1p4"), vec![0; 4096]).unwrap();
    let label = Path::new("/dev/disk/by-partlabel/boot-b");
    std::os::unix::fs::symlink("../../mmcblk1p4", dir.path().join("dev/disk/by-partlabel/boot-b"))
        .unwrap();
    let devices = HostDevices::new(dir.path());
    let mut image = devices.open(label, Access::ReadWrite).unwrap();
    image.write_at(0, &[1]).unwrap();
    assert_eq!(image.label(), "/dev/disk/by-partlabel/boot-b");
    let open = |path: &str| devices.open(Path::new(path), Access::ReadOnly).map(|_| ());
    assert!(matches!(open("/dev/mmcblk9"), Err(StorageError::Absent { .. })));
    assert!(matches!(open("/dev"), Err(StorageError::Open { .. })), "a directory is no device");
    assert!(matches!(open("/../etc/passwd"), Err(StorageError::Open { .. })));
    let null = HostDevices::new("/").open(Path::new("/dev/null"), Access::ReadOnly).map(|_| ());
    assert!(matches!(null, Err(StorageError::Open { .. })), "/dev/null is no flash");

    assert_eq!(devices.mounted_at(label).unwrap(), None);
    std::fs::create_dir_all(dir.path().join("proc/self")).unwrap();
    let table = "36 35 179:4 / /boot rw - vfat /dev/mmcblk1p4 rw\n";
    std::fs::write(dir.path().join("proc/self/mountinfo"), table).unwrap();
    assert_eq!(devices.mounted_at(label).unwrap().as_deref(), Some(Path::new("/boot")));
    assert_eq!(devices.mounted_at(Path::new("/dev/mmcblk1p3")).unwrap(), None);
}
