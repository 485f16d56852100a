// SPDX-License-Identifier: MIT OR Apache-2.0
//! Image assembly: reproducible, refused when something does not fit, and judged by `sgdisk`,
//! `fsck.vfat`, `mtools` and our own repartitioning.

use board_rock64::{
    BootFiles, BootTree, ImageError, ImageEvent, ImagePart, ImageRequest, InitPath, ROCK64,
    build_boot_vfat, build_image,
};
use bundle::{MemorySource, Source, SourceError};
use repart::{Change, PlanOptions, plan, read_table};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use storage::{Access, ByteLen, FileStorage, MemoryStorage, Storage};

const MIB: u64 = 1024 * 1024;
const EPOCH: i64 = 1_700_000_000;

fn source(name: &str, seed: u8, len: usize) -> Arc<dyn Source> {
    let bytes = (0..len).map(|at| u8::try_from(at % 251).unwrap() ^ seed).collect();
    Arc::new(MemorySource::new(name, bytes))
}

fn boot_tree() -> BootTree {
    let files = BootFiles {
        kernel: source("Image", 1, 300_000),
        initrd: source("initrd", 2, 200_000),
        device_tree: source("dtb", 3, 50_000),
        init: InitPath::new("/nix/store/x-system/init").unwrap(),
    };
    BootTree::for_slot(&ROCK64, &files, 1_700_000_000).unwrap()
}

fn request() -> ImageRequest<'static> {
    ImageRequest {
        board: &ROCK64,
        idbloader: Some(source("idbloader.img", 4, 135_168)),
        u_boot: Some(source("u-boot.itb", 5, 924_160)),
        boot: boot_tree(),
        rootfs: source("rootfs.squashfs", 6, 3_000_001),
        version: "1.2.3",
        source_date_epoch: EPOCH,
    }
}

fn sparse_file(path: &Path, len: ByteLen) -> FileStorage {
    File::create(path).unwrap().set_len(len.get()).unwrap();
    FileStorage::open(path, Access::ReadWrite).unwrap()
}

fn build(request: &ImageRequest<'_>, path: &Path) -> Result<board_rock64::BuiltImage, ImageError> {
    let mut out = sparse_file(path, ROCK64.image_len());
    build_image(request, &mut out, &mut |_| {})
}

fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(args)
        .output()
        .unwrap_or_else(|error| panic!("{program} is needed: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{program}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Everything that is not a hole, by offset.
fn written_bytes(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = seek(&file, at, nix_seek::DATA) {
        let end = seek(&file, start, nix_seek::HOLE).unwrap_or(len);
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        file.read_exact_at(&mut bytes, start).unwrap();
        found.push((start, bytes));
        at = end;
    }
    found
}

fn seek(file: &File, at: u64, whence: nix::unistd::Whence) -> Option<u64> {
    let at = i64::try_from(at).unwrap();
    nix::unistd::lseek(file, at, whence).ok().map(|found| u64::try_from(found).unwrap())
}

mod nix_seek {
    pub(super) const DATA: nix::unistd::Whence = nix::unistd::Whence::SeekData;
    pub(super) const HOLE: nix::unistd::Whence = nix::unistd::Whence::SeekHole;
}

#[test]
fn same_input_gives_same_bytes_and_other_input_other_identities() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two, three) = (dir.path().join("1"), dir.path().join("2"), dir.path().join("3"));
    let first = build(&request(), &one).unwrap();
    let second = build(&request(), &two).unwrap();
    assert_eq!(first, second);
    let (first_bytes, second_bytes) = (written_bytes(&one), written_bytes(&two));
    assert!(first_bytes.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > 4_000_000);
    assert!(first_bytes == second_bytes, "two builds differ");

    let other = ImageRequest { rootfs: source("rootfs.squashfs", 7, 3_000_001), ..request() };
    let third = build(&other, &three).unwrap();
    assert_ne!(first.disk_guid, third.disk_guid);
    assert_ne!(first.partitions[1].part_uuid, third.partitions[1].part_uuid);
    assert_ne!(first.partitions[0].part_uuid, first.partitions[1].part_uuid);
}

#[test]
fn the_image_is_accepted_by_sgdisk_fsck_and_mtools() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    build(&request(), &image).unwrap();
    let shown = image.to_str().unwrap();
    assert_eq!(std::fs::metadata(&image).unwrap().len(), (144 + 1024 + 1) * MIB);

    let verified = run("sgdisk", &["--verify", shown]);
    assert!(verified.contains("No problems found"), "{verified}");
    let table = run("sgdisk", &["--print", "--info=1", "--info=2", shown]);
    for wanted in [
        "BC13C2FF-59E6-4262-A352-B275FD6F7172",
        "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
        "First sector: 32768 ",
        "First sector: 294912 ",
        "Partition name: 'boot-a'",
        "Partition name: 'rootfs-a'",
    ] {
        assert!(table.contains(wanted), "{wanted} in {table}");
    }

    let boot = dir.path().join("boot");
    let mut bytes = vec![0; 128 * usize::try_from(MIB).unwrap()];
    File::open(&image).unwrap().read_exact_at(&mut bytes, 16 * MIB).unwrap();
    std::fs::write(&boot, &bytes).unwrap();
    run("fsck.vfat", &["-n", boot.to_str().unwrap()]);
    let listed = run("mdir", &["-/", "-b", "-i", boot.to_str().unwrap(), "::"]);
    for wanted in ["::/boot.scr", "::/Image", "::/initrd", "::/dtbs/rockchip/rk3328-rock64.dtb"] {
        assert!(listed.lines().any(|line| line == wanted), "{wanted} in {listed}");
    }
    let script = run("mtype", &["-i", boot.to_str().unwrap(), "::/boot.scr"]);
    assert!(script.contains("init=/nix/store/x-system/init"), "{script}");
    assert!(script.contains(" gpt "), "{script}");
}

#[test]
fn every_part_lies_at_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    let mut out = sparse_file(&image, ROCK64.image_len());
    let mut begun = Vec::new();
    build_image(&request(), &mut out, &mut |event| {
        if let ImageEvent::Begin { part, offset, .. } = event {
            begun.push((part, offset));
        }
    })
    .unwrap();
    assert_eq!(
        begun,
        [
            (ImagePart::Idbloader, 64 * 512),
            (ImagePart::UBoot, 16384 * 512),
            (ImagePart::Rootfs, 144 * MIB),
            (ImagePart::Boot, 16 * MIB),
            (ImagePart::Table, 0),
        ]
    );
    for (offset, seed, len) in [(32_768, 4, 135_168), (8 * MIB, 5, 924_160), (144 * MIB, 6, 100)] {
        let mut found = vec![0; len];
        out.read_at(offset, &mut found).unwrap();
        let mut wanted = vec![0; len];
        source("", seed, len).read_at(0, &mut wanted).unwrap();
        assert!(found == wanted, "at {offset}");
    }
}

/// A source that claims a size; reading it would be a mistake.
struct Claims(ByteLen);

impl Source for Claims {
    fn name(&self) -> &str {
        "huge"
    }

    fn len(&self) -> ByteLen {
        self.0
    }

    fn read_at(&self, _: u64, _: &mut [u8]) -> Result<(), SourceError> {
        panic!("read before its size was checked")
    }
}

#[test]
fn parts_that_do_not_fit_are_refused_by_name_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let claims = |bytes| -> Arc<dyn Source> { Arc::new(Claims(ByteLen::new(bytes))) };
    let mut boot = boot_tree();
    boot.add("more", claims(128 * MIB)).unwrap();
    let wrong = [
        (
            ImageRequest { idbloader: Some(claims((16384 - 64) * 512 + 1)), ..request() },
            "idbloader (huge) of 8355841 bytes does not fit its place of 8355840",
        ),
        (
            ImageRequest { u_boot: Some(claims(8 * MIB + 1)), ..request() },
            "u-boot (huge) of 8388609 bytes does not fit its place of 8388608",
        ),
        (
            ImageRequest { rootfs: claims(1025 * MIB), ..request() },
            "root file system (huge) of 1074790400 bytes does not fit its place of 1073741824",
        ),
        (ImageRequest { rootfs: claims(0), ..request() }, "root file system (huge) is empty"),
        (
            ImageRequest { boot, ..request() },
            "the boot files of 134768623 bytes do not fit the boot partition of 134217728",
        ),
    ];
    for (request, message) in wrong {
        let error = build(&request, &path).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().is_some());
        assert!(written_bytes(&path).is_empty(), "{message}");
    }
}

#[test]
fn an_output_of_another_size_is_refused() {
    let mut out = MemoryStorage::disk("small.img", vec![0; 4096]);
    let error = build_image(&request(), &mut out, &mut |_| {}).unwrap_err();
    assert!(matches!(error, ImageError::OutputSize { .. }));
    assert!(out.bytes().iter().all(|byte| *byte == 0));
}

#[test]
fn a_boot_image_for_a_bundle_is_the_one_in_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    build(&request(), &image).unwrap();
    let mut inside = vec![0; 128 * usize::try_from(MIB).unwrap()];
    File::open(&image).unwrap().read_exact_at(&mut inside, 16 * MIB).unwrap();
    let mut alone = MemoryStorage::disk("boot.vfat", vec![0; inside.len()]);
    build_boot_vfat(&ROCK64, &boot_tree(), "1.2.3", EPOCH, &mut alone).unwrap();
    assert!(alone.bytes() == inside, "boot.vfat differs from boot-a");
}

/// The definitions and the image come from the same facts: the first boot of a flashed disk makes
/// exactly the partitions that the facts name.
#[test]
fn the_first_boot_completes_a_flashed_disk_to_the_layout_of_the_facts() {
    let dir = tempfile::tempdir().unwrap();
    let disk_path = dir.path().join("emmc");
    build(&request(), &disk_path).unwrap();
    // Flashed to a module of 14.5 GiB: the backup table is no longer at the end.
    let file = File::options().write(true).open(&disk_path).unwrap();
    file.set_len(14_848 * MIB).unwrap();
    let disk = FileStorage::open(&disk_path, Access::ReadOnly).unwrap();
    let table = read_table(&disk).unwrap();
    let definitions: Vec<_> = ROCK64
        .repart_definitions()
        .iter()
        .map(|(name, text)| repart::parse_definition(name, text).unwrap())
        .collect();
    let options = PlanOptions { seed: [7; 16], protected_end: ROCK64.disk.gap };
    let plan = plan(&table, &definitions, &options).unwrap();
    assert_eq!(plan.partitions().len(), ROCK64.partitions.len());
    for (planned, facts) in plan.partitions().iter().zip(&ROCK64.partitions) {
        let partition = &planned.partition;
        assert_eq!(partition.number, facts.number);
        assert_eq!(partition.label, facts.label);
        assert_eq!(partition.first_lba.0 * 512, facts.start.get(), "{}", facts.label);
        if let Some(end) = facts.end() {
            assert_eq!((partition.last_lba.0 + 1) * 512, end.get(), "{}", facts.label);
        }
        assert_eq!(planned.change == Change::Keep, facts.is_flashed(), "{}", facts.label);
    }
}
