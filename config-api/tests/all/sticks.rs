// SPDX-License-Identifier: MIT OR Apache-2.0
//! Real file systems on sticks: made by the programs that everybody makes them with, and damaged
//! ones, of which none may stop or mislead the search.

#![cfg(target_os = "linux")]

use config_api::first_boot::{FileSystem, LookError, look};
use repart::{FatImage, FatLabel, FatOptions, FatTime};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use storage::{ByteLen, Geometry, MemoryStorage, Storage, StorageError};

/// Of a small file system with one file: none of those below takes more than some eleven.
const MOST_READS: usize = 64;

type Looked = Result<(Option<FileSystem>, Vec<(&'static str, Result<Vec<u8>, String>)>), LookError>;

fn look_at(image: Vec<u8>) -> Looked {
    let mut files = Vec::new();
    let until = Instant::now() + Duration::from_secs(60);
    let storage = Box::new(MemoryStorage::disk("stick", image));
    let kind = look(storage, until, &mut |name, content| {
        files.push((name, content.map_err(|error| storage::chain(&error))));
    })?;
    Ok((kind, files))
}

fn fat(files: &[(&str, &[u8])]) -> Vec<u8> {
    let options = FatOptions { label: FatLabel::from_text("ANY"), serial: 1, time: FatTime::EPOCH };
    let mut image = FatImage::create(ByteLen::mib(4), &options).unwrap();
    for (name, mut content) in files.iter().copied() {
        image.write_file(name, &mut content).unwrap();
    }
    image.finish().unwrap().bytes().to_vec()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().expect(program);
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A file system of `dir`, made by e2fsprogs.
fn ext4(dir: &Path, options: &[&str]) -> Vec<u8> {
    let place = tempfile::tempdir().unwrap();
    let image = place.path().join("stick");
    std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let (image, dir) = (image.to_str().unwrap(), dir.to_str().unwrap());
    run("mkfs.ext4", &[&["-q", "-F", "-d", dir], options, &[image]].concat());
    std::fs::read(image).unwrap()
}

#[test]
fn vfat_is_read_whatever_the_letters_of_a_name() {
    let (kind, files) = look_at(fat(&[("CONFIG.TOML", b"x"), ("other.toml", b"y")])).unwrap();
    assert_eq!(kind, Some(FileSystem::Vfat));
    assert_eq!(files, [("config.toml", Ok(b"x".to_vec()))]);
}

#[test]
fn every_name_is_found_in_the_order_of_the_manual() {
    let names = config_api::first_boot::NAMES;
    let contents: Vec<(&str, &[u8])> =
        names.iter().rev().map(|name| (*name, name.as_bytes())).collect();
    let (_, files) = look_at(fat(&contents)).unwrap();
    let wanted: Vec<_> = names.iter().map(|name| (*name, Ok(name.as_bytes().to_vec()))).collect();
    assert_eq!(files, wanted);
}

#[test]
fn ext_file_systems_of_all_kinds_are_read_and_links_in_them_lead_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let long: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    std::fs::write(dir.path().join("config.tar.gz"), &long).unwrap();
    std::fs::create_dir(dir.path().join("config.tgz")).unwrap();
    std::os::unix::fs::symlink("config.tar.gz", dir.path().join("config.toml")).unwrap();
    let kinds: [&[&str]; 4] =
        [&[], &["-t", "ext2"], &["-t", "ext3"], &["-b", "1024", "-O", "64bit,metadata_csum"]];
    for options in kinds {
        let (kind, files) = look_at(ext4(dir.path(), options)).unwrap();
        assert_eq!(kind, Some(FileSystem::Ext4), "{options:?}");
        let no_file = |name: &str| Err(format!("{name} is no ordinary file"));
        let wanted = [
            ("config.toml", no_file("config.toml")),
            ("config.tar.gz", Ok(long.clone())),
            ("config.tgz", no_file("config.tgz")),
        ];
        assert_eq!(files, wanted, "{options:?}");
    }
}

#[test]
fn what_is_no_file_system_is_none() {
    for image in [vec![], vec![0; 100], vec![0; 1 << 20], b"exFAT".repeat(4096)] {
        assert_eq!(look_at(image).unwrap(), (None, vec![]));
    }
}

#[test]
fn files_that_are_too_long_are_told_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(dir.path().join("config.toml")).unwrap();
    file.set_len(40 << 30).unwrap();
    let (_, files) = look_at(ext4(dir.path(), &[])).unwrap();
    let told = files[0].1.as_ref().unwrap_err();
    assert!(told.contains("is larger than"), "{told}");
}

/// The superblock of an ext4 with a number in it changed, without its checksum.
fn claiming(at: usize, value: u32) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut image = ext4(dir.path(), &["-O", "^metadata_csum"]);
    image[1024 + at..1024 + at + 4].copy_from_slice(&value.to_le_bytes());
    image
}

#[test]
fn claims_that_would_fill_the_memory_are_refused_before_they_are_believed() {
    // Blocks of 2 GiB; half a million groups.
    for image in [claiming(24, 21), claiming(336, 1)] {
        let error = look_at(image).unwrap_err();
        assert!(matches!(error, LookError::Claims { .. }), "{error:?}");
    }
}

/// A stick whose reads are counted: a loop over damaged numbers shows there, on any machine.
struct Counted {
    inner: MemoryStorage,
    reads: Arc<AtomicUsize>,
}

impl Storage for Counted {
    fn label(&self) -> &str {
        self.inner.label()
    }

    fn len(&self) -> ByteLen {
        self.inner.len()
    }

    fn geometry(&self) -> Geometry {
        self.inner.geometry()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_at(offset, buf)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.inner.write_at(offset, data)
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.erase(offset, len)
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.inner.flush()
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.inner.forget_cached(offset, len)
    }
}

/// How often a stick is read until there is an answer, whichever.
fn reads_of(image: Vec<u8>) -> usize {
    let reads = Arc::new(AtomicUsize::new(0));
    let inner = MemoryStorage::disk("stick", image);
    let stick = Box::new(Counted { inner, reads: Arc::clone(&reads) });
    let _answer = look(stick, Instant::now() + Duration::from_secs(600), &mut |_, _| {});
    reads.load(Ordering::Relaxed)
}

#[test]
fn cut_and_damaged_sticks_end_in_an_answer() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.toml"), "x".repeat(5000)).unwrap();
    let images = [ext4(dir.path(), &["-b", "1024"]), fat(&[("config.toml", &[b'x'; 5000])])];
    let mut most = 0;
    for image in images {
        for length in [512, 1024, 2048, 4096, 65536, 1 << 20] {
            most = most.max(reads_of(image[..length].to_vec()));
        }
        // Every byte of the first blocks turned, each alone; the rest is data.
        for at in (0..3072).step_by(7) {
            let mut damaged = image.clone();
            damaged[at] ^= 0xff;
            most = most.max(reads_of(damaged));
        }
    }
    assert!((1..MOST_READS).contains(&most), "{most} reads of one stick");
}

#[test]
fn a_stick_that_answers_too_slowly_is_left() {
    let until = Instant::now();
    let storage = Box::new(MemoryStorage::disk("stick", fat(&[("config.toml", b"x")])));
    let error = look(storage, until, &mut |_, _| {}).unwrap_err();
    assert!(storage::chain(&error).contains("too slowly"), "{error:?}");
}
