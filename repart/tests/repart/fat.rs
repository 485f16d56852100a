// SPDX-License-Identifier: MIT OR Apache-2.0
//! FATs: ours are whole and reproducible to other tools, theirs are readable to us.

use crate::judges::run;
use repart::{FatEntry, FatEntryKind, FatError, FatImage, FatLabel, FatOptions, FatTime};
use std::path::Path;
use storage::{Access, ByteLen, FileStorage, Storage};

fn options() -> FatOptions {
    let time = FatTime::from_unix(1_700_000_000);
    FatOptions { label: FatLabel::from_text("boot-a"), serial: 0x1234_abcd, time }
}

/// A kernel-like file of `len` bytes.
fn content(len: usize) -> Vec<u8> {
    (0..len).map(|index| ((index / 7) ^ (index >> 11)) as u8).collect()
}

fn write_tree<S: Storage>(fat: &mut FatImage<S>, kernel: &[u8]) {
    fat.create_dir("dtbs").unwrap();
    fat.create_dir("dtbs/rockchip").unwrap();
    fat.write_file("dtbs/rockchip/rk3328-rock64.dtb", &mut &content(60_000)[..]).unwrap();
    fat.write_file("Image", &mut &kernel[..]).unwrap();
    fat.write_file("boot.scr", &mut &b"script"[..]).unwrap();
}

fn fat_file(path: &Path, size: ByteLen, kernel: &[u8]) {
    let mut fat =
        FatImage::format(FileStorage::create_sparse(path, size).unwrap(), &options()).unwrap();
    write_tree(&mut fat, kernel);
    fat.finish().unwrap();
}

#[test]
fn fsck_and_mtools_accept_and_read_what_we_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("boot.vfat");
    let kernel = content(9_000_000);
    // 1: FAT12, 128: the board's FAT16, 600: FAT32.
    for mib in [1, 128, 600] {
        let kernel = if mib == 1 { &kernel[..300_000] } else { &kernel[..] };
        fat_file(&path, ByteLen::mib(mib), kernel);
        run("fsck.vfat", &["-n", "-v"], &[&path]);
        let listing = run("mdir", &["-i"], &[&path, Path::new("::")]);
        assert!(listing.contains("Volume in drive : is BOOT-A"), "{listing}");
        assert!(listing.contains("Volume Serial Number is 1234-ABCD"), "{listing}");
        assert!(listing.contains("2023-11-14"), "{listing}");
        let nested = run("mdir", &["-i"], &[&path, Path::new("::dtbs/rockchip")]);
        assert!(nested.contains("rk3328-rock64.dtb"), "{nested}");
        let copy = dir.path().join("copy");
        run("mcopy", &["-n", "-i"], &[&path, Path::new("::Image"), &copy]);
        assert!(std::fs::read(&copy).unwrap() == kernel);
        std::fs::remove_file(&copy).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn we_read_what_mkfs_and_mcopy_write() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("theirs.vfat");
    drop(FileStorage::create_sparse(&path, ByteLen::mib(64)).unwrap());
    run("mkfs.vfat", &["-n", "BOOT"], &[&path]);
    let kernel = content(3_000_000);
    let source = dir.path().join("source");
    std::fs::write(&source, &kernel).unwrap();
    run("mmd", &["-i"], &[&path, Path::new("::dtbs")]);
    run("mcopy", &["-i"], &[&path, &source, Path::new("::Image")]);
    run("mcopy", &["-i"], &[&path, &source, Path::new("::dtbs/rk3328-rock64.dtb")]);
    let before = std::fs::read(&path).unwrap();
    let storage = FileStorage::open(&path, Access::ReadOnly).unwrap();
    let mut fat = FatImage::open(storage, FatTime::EPOCH).unwrap();
    assert_eq!(fat.label().unwrap().unwrap().trim_end(), "BOOT");
    assert!(fat.read_file("Image", ByteLen::mib(8)).unwrap() == kernel);
    assert!(fat.read_file("dtbs/RK3328-rock64.dtb", ByteLen::mib(8)).unwrap() == kernel);
    let file = FatEntryKind::File(ByteLen::new(kernel.len() as u64));
    let wanted = [
        FatEntry { name: "Image".to_owned(), kind: file },
        FatEntry { name: "dtbs".to_owned(), kind: FatEntryKind::Directory },
    ];
    assert_eq!(fat.list("").unwrap(), wanted);
    fat.finish().unwrap();
    assert!(std::fs::read(&path).unwrap() == before, "reading changed the image");
}

#[test]
fn same_input_gives_the_same_bytes_and_the_arguments_matter() {
    let make = |options: &FatOptions| {
        let mut fat = FatImage::create(ByteLen::mib(8), options).unwrap();
        write_tree(&mut fat, &content(100_000));
        fat.finish().unwrap().bytes().to_vec()
    };
    let first = make(&options());
    assert!(first == make(&options()));
    assert!(first != make(&FatOptions { serial: 1, ..options() }));
    assert!(first != make(&FatOptions { time: FatTime::EPOCH, ..options() }));
}

#[test]
fn each_refusal_has_its_own_variant() {
    let mut fat = FatImage::create(ByteLen::mib(1), &options()).unwrap();
    fat.create_dir("dtbs").unwrap();
    fat.write_file("Image", &mut &[7; 5000][..]).unwrap();
    let limit = ByteLen::new(4999);
    assert!(matches!(fat.read_file("Image", limit), Err(FatError::TooLarge { .. })));
    assert!(matches!(fat.read_file("initrd", limit), Err(FatError::Absent { .. })));
    assert!(matches!(fat.read_file("dtbs", limit), Err(FatError::Path { .. })));
    assert!(matches!(fat.read_file("../Image", limit), Err(FatError::Path { .. })));
    assert!(matches!(fat.write_file("/Image", &mut &[][..]), Err(FatError::Path { .. })));
    assert!(matches!(fat.list("nowhere"), Err(FatError::Absent { .. })));
    let full = fat.write_file("big", &mut &vec![1; 2_000_000][..]);
    assert!(matches!(full, Err(FatError::Access { .. })));
    let blank = storage::MemoryStorage::disk("blank", vec![0; 1 << 20]);
    assert!(matches!(FatImage::open(blank, FatTime::EPOCH), Err(FatError::NotFat { .. })));
    let tiny = FatImage::create(ByteLen::kib(8), &options());
    assert!(matches!(tiny, Err(FatError::Format { .. })));
}

#[test]
fn replaced_file_has_the_new_content_only() {
    let mut fat = FatImage::create(ByteLen::mib(1), &options()).unwrap();
    fat.write_file("Image", &mut &[7; 50_000][..]).unwrap();
    fat.write_file("Image", &mut &[8; 10][..]).unwrap();
    assert_eq!(fat.read_file("Image", ByteLen::mib(1)).unwrap(), [8; 10]);
}

#[test]
fn board_sized_image_stays_sparse() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sparse.vfat");
    fat_file(&path, ByteLen::mib(128), &[1; 100]);
    let allocated = std::fs::metadata(&path).unwrap().blocks() * 512;
    assert!(allocated < 1024 * 1024, "{allocated} bytes allocated");
}
