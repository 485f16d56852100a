// SPDX-License-Identifier: MIT OR Apache-2.0
//! The limits that `docs/parser-limits.md` states are kept by the inputs that were made to break
//! them: bombs, loops, lies about sizes, and as much as fits of whatever costs most.
//!
//! Memory is the most that the allocator had given out, beyond the input itself (and the copies of
//! it that a target makes). Time is the processor's, not the clock's, of an input and of one four
//! times as long: an effort that grows with the square would take sixteen times as much.

use atomix_fuzz::{SparseDisk, TARGETS};
use peak_alloc::PeakAlloc;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

#[allow(dead_code, reason = "shared with the tests of the room bundle, which use other parts")]
#[path = "../../bundle/tests/crafted_squashfs/mod.rs"]
mod crafted_squashfs;

use crafted_squashfs::{CraftedSquashfs, DATA_BLOCK_BYTES, Listing};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Memory is measured for the whole process: one test at a time, making its inputs included.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn target(name: &str) -> fn(&[u8]) {
    let found = TARGETS.iter().find(|(target, _)| *target == name);
    found.expect("the target exists").1
}

/// Most memory that the target took for the input, in bytes.
fn peak(name: &str, input: &[u8]) -> usize {
    // What a target makes once for all inputs does not count.
    target(name)(&[]);
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    target(name)(input);
    MEMORY.peak_usage().saturating_sub(before)
}

/// The processor's time of this thread in nanoseconds.
fn processor_time() -> u64 {
    // The kernel adds up what a thread has used when it gives way, else only at its clock's ticks.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let time = text.split(' ').next().and_then(|field| field.parse().ok());
    time.expect("the first field is a number")
}

/// The processor's time for an input, the least of a few runs.
fn effort(name: &str, input: &[u8]) -> u64 {
    let run = target(name);
    let once = || {
        let before = processor_time();
        run(input);
        processor_time() - before
    };
    (0..3).map(|_| once()).min().unwrap_or(0)
}

/// Holds a target to its memory for its worst inputs, which are as long as its parser accepts.
fn holds(name: &str, most: usize, worst: &[(&str, Vec<u8>)]) {
    for (what, input) in worst {
        let found = peak(name, input);
        println!("{name}: {what}: {} bytes in, {} KiB of memory", input.len(), found / KIB);
        assert!(found <= most, "{name}: {what} took {found} bytes, more than {most}");
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/parser-limits.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let stated = format!("{} MiB", most / MIB);
    let row = page.lines().find(|line| line.contains(&format!("`{name}`")));
    let row = row.unwrap_or_else(|| panic!("docs/parser-limits.md has no row for {name}"));
    assert!(row.contains(&stated), "docs/parser-limits.md does not say {stated} of {name}: {row}");
}

/// Four times the input takes less than nine times the time. Inputs of `units` take a
/// millisecond or more, so that the clock's own grain does not matter.
fn grows_slowly(name: &str, what: &str, input: impl Fn(usize) -> Vec<u8>, units: usize) {
    let (short, long) = (effort(name, &input(units)), effort(name, &input(4 * units)));
    println!("{name}: {what}: {} us, of four times as much {} us", short / 1000, long / 1000);
    let floor = 200_000;
    assert!(long <= 9 * short.max(floor), "{name}: {what}: {short} ns, then {long} ns");
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> Vec<u8> {
    (0..count).map(line).collect::<String>().into_bytes()
}

fn many_sections(count: usize) -> Vec<u8> {
    lines(count, |number| format!("[meta.s{number}]\nk={number}\n"))
}

fn many_keys(count: usize) -> Vec<u8> {
    [b"[meta.s]\n".to_vec(), lines(count, |number| format!("k{number}={number}\n"))].concat()
}

fn one_line(bytes: usize) -> Vec<u8> {
    [&b"[update]\ncompatible="[..], &vec![b'x'; bytes]].concat()
}

fn many_images(count: usize) -> Vec<u8> {
    let digest = "0".repeat(64);
    let head = "[update]\ncompatible=x\n[bundle]\nformat=plain\n";
    let image = |number| format!("[image.c{number}]\nfilename=f.img\nsha256={digest}\nsize=1\n");
    [head.as_bytes(), &lines(count, image)].concat()
}

/// The text cut to what the parser accepts at most.
fn cut(mut text: Vec<u8>, most: usize) -> Vec<u8> {
    text.truncate(most);
    text
}

#[test]
fn manifests_and_key_files() {
    let _alone = alone();
    let worst = |most: usize| {
        [
            ("sections", cut(many_sections(9_999), most)),
            ("keys", cut(many_keys(19_000), most)),
            ("one long line", one_line(most - 64)),
            ("escapes", one_line(0).into_iter().chain(b"\\s;".repeat(most / 4)).collect()),
            ("images", many_images(256)),
            ("empty lines", vec![b'\n'; 19_999]),
        ]
    };
    holds("manifest", 16 * MIB, &worst(256 * KIB));
    holds("key_file", 32 * MIB, &worst(MIB));
    // One grammar, and the target of key files looks every group up, which takes the square.
    grows_slowly("manifest", "sections", many_sections, 1_500);
    grows_slowly("manifest", "keys", many_keys, 2_500);
    grows_slowly("manifest", "one long line", one_line, 60_000);
}

fn many_users(count: usize) -> Vec<u8> {
    lines(count, |number| format!("[users.u{number}]\n"))
}

fn many_containers(count: usize) -> Vec<u8> {
    lines(count, |n| format!("[containers.container.c{n}.Container]\nImage='x'\nVolume='d:/d'\n"))
}

fn many_volumes(count: usize) -> Vec<u8> {
    let volumes = lines(count, |number| format!("[containers.volume.v{number}.Volume]\n"));
    [volumes, many_containers(64)].concat()
}

#[test]
fn configurations() {
    let _alone = alone();
    let most = 256 * KIB;
    let flat = |most| cut(lines(30_000, |number| format!("k{number}=1\n")), most);
    let worst = [
        ("users", cut(many_users(20_000), most)),
        ("containers", cut(many_containers(5_000), most)),
        ("volumes", cut(many_volumes(6_000), most)),
        ("unknown keys", flat(most)),
        ("one long list", [b"a=[".to_vec(), b"1,".repeat(most / 2 - 4), b"]".to_vec()].concat()),
        ("one long text", [b"a='".to_vec(), vec![b'x'; most - 8], b"'".to_vec()].concat()),
        ("empty lines", vec![b'\n'; most]),
        ("brackets", vec![b'['; most]),
    ];
    holds("config_toml", 32 * MIB, &worst);
    grows_slowly("config_toml", "users", many_users, 2_000);
    grows_slowly("config_toml", "containers", many_containers, 500);
    grows_slowly("config_toml", "volumes", many_volumes, 1_000);
}

fn many_slots(count: usize) -> Vec<u8> {
    let head = "[system]\ncompatible=x\nbootloader=uboot\n[slot.r.0]\ndevice=/r\nbootname=A\n";
    let slot = |number| format!("[slot.c{number}.0]\ndevice=/{number}\nparent=r.0\n");
    [head.as_bytes(), &lines(count, slot)].concat()
}

fn many_repositories(count: usize) -> Vec<u8> {
    let pair = |number| {
        format!(
            "[artifacts.a{number}]\npath=/a{number}\ntype=files\n[slot.d{number}.0]\ndevice=/d{number}\n"
        )
    };
    [many_slots(1), lines(count, pair)].concat()
}

#[test]
fn system_configurations_and_status_files() {
    let _alone = alone();
    let status = |count| {
        lines(count, |number| format!("[slot.c{number}.0]\nstatus=ok\nbundle.version={number}\n"))
    };
    let worst = [
        ("slots of one group", many_slots(6_000)),
        ("repositories and slots", many_repositories(3_000)),
        ("a list", [many_slots(1), b"a=".to_vec(), b"x;".repeat(400_000)].concat()),
        ("keys", many_keys(19_000)),
    ];
    holds("system_conf", 32 * MIB, &worst);
    let worst = [("slots", cut(status(6_000), 256 * KIB)), ("other groups", many_sections(9_999))];
    holds("slot_status", 16 * MIB, &worst);
    grows_slowly("system_conf", "slots of one group", many_slots, 1_500);
    grows_slowly("system_conf", "repositories and slots", many_repositories, 700);
    grows_slowly("slot_status", "slots", status, 1_000);
}

#[test]
fn environments_and_boot_scripts() {
    let _alone = alone();
    let same = |bytes: usize| [b"a=1\0".repeat(bytes / 4), vec![0; 2]].concat();
    let different =
        |bytes: usize| [lines(bytes / 9, |number| format!("{number:x}=1\0")), vec![0; 2]].concat();
    let long = |bytes: usize| [&b"a="[..], &vec![b'x'; bytes - 4], &[0; 2]].concat();
    let worst = [
        ("one variable again and again", same(MIB)),
        ("variables", different(MIB)),
        ("one long variable", long(MIB)),
    ];
    let framed = |data: &[u8]| [&[0; 5], data].concat();
    let images: Vec<_> = worst.iter().map(|(what, data)| (*what, framed(data))).collect();
    holds("env_data", 32 * MIB, &worst);
    holds("env_image", 32 * MIB, &images);
    grows_slowly("env_data", "one variable again and again", same, 100_000);
    grows_slowly("env_data", "variables", different, 100_000);
    grows_slowly("env_data", "one long variable", long, 100_000);
    let script = |bytes: usize| {
        let mut image = vec![0; 72 + bytes];
        image[..4].copy_from_slice(&0x2705_1956_u32.to_be_bytes());
        let sizes = [u32::try_from(bytes + 8), u32::try_from(bytes)].map(Result::unwrap);
        image[12..16].copy_from_slice(&sizes[0].to_be_bytes());
        image[28..32].copy_from_slice(&[5, 22, 6, 0]);
        image[64..68].copy_from_slice(&sizes[1].to_be_bytes());
        image
    };
    let mut liar = script(100);
    liar[12..16].fill(0xff);
    liar[64..68].fill(0xff);
    holds("boot_script", 8 * MIB, &[("the longest", script(MIB)), ("a lie", liar)]);
    grows_slowly("boot_script", "text", script, 200_000);
}

/// `members` of two bytes each as the certificates of a SignedData, the last one first.
fn signature_of(members: usize) -> Vec<u8> {
    let der = |tag: u8, value: &[u8]| {
        let len = u16::try_from(value.len()).expect("it fits 64 KiB").to_be_bytes();
        [&[tag, 0x82], &len[..], value].concat()
    };
    let member = |number: usize| [&[4, 2], &number.to_be_bytes()[6..]].concat();
    let members: Vec<u8> = (0..members).rev().flat_map(member).collect();
    let data = [
        vec![2, 1, 1],
        der(0x31, &[]),
        der(0x30, &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 7, 1]),
        der(0xa0, &members),
        der(0x31, &[]),
    ];
    let signed_data = vec![6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 13, 1, 7, 2];
    der(0x30, &[signed_data, der(0xa0, &der(0x30, &data.concat()))].concat())
}

/// Sequences inside each other, as deep as fits.
fn nested_signature(levels: usize) -> Vec<u8> {
    let levels = levels.min(16_000);
    let open = (0..levels).flat_map(|level| {
        let inside = u16::try_from(4 * (levels - level - 1)).expect("it fits 64 KiB");
        [&[0x30, 0x82][..], &inside.to_be_bytes()].concat()
    });
    open.collect()
}

#[test]
fn signatures_of_strangers() {
    let _alone = alone();
    let worst = [
        ("members in the wrong order", signature_of(15_000)),
        ("deep", nested_signature(16_000)),
        ("zeros", vec![0; 64 * KIB]),
    ];
    holds("signature", 2 * MIB, &worst);
    grows_slowly("signature", "members in the wrong order", signature_of, 3_500);
    grows_slowly("signature", "deep", nested_signature, 4_000);
    let trailer = |size: u64| [vec![0; 9000], size.to_be_bytes().to_vec()].concat();
    let worst = [("a lie", trailer(u64::MAX)), ("too much", trailer(64 * 1024 + 1))];
    holds("bundle", 2 * MIB, &worst);
}

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let len = u32::try_from(value.len()).expect("it is short").to_be_bytes();
    [&[tag, 0x83], &len[1..], value].concat()
}

/// An EnvelopedData for `count` recipients whose encrypted keys have `len` bytes.
fn envelope_for(count: usize, len: usize) -> Vec<u8> {
    let rsa = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    let id = [0x80, 1, 7];
    let key = der(4, &vec![0x11; len]);
    let one = der(0x30, &[&[2, 1, 2][..], &id, &rsa, &key].concat());
    let aes = [0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
    let cipher = [&[6, 9][..], &aes, &[4, 16], &[0; 16]].concat();
    let data = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    let content = der(0x30, &[&data[..], &[0x30, 29], &cipher, &[0x80, 16], &[9; 16]].concat());
    let all = [vec![2, 1, 2], der(0x31, &one.repeat(count)), content].concat();
    let enveloped = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
    // The parser takes the shortest form of a length only.
    shortest(&[&enveloped[..], &der(0xa0, &der(0x30, &all))].concat())
}

/// The content as a ContentInfo with every length in its shortest form.
fn shortest(content: &[u8]) -> Vec<u8> {
    fn rewrite(mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while let [tag, first, rest @ ..] = bytes {
            let (len, rest) = match first {
                0x83 => (u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize, &rest[3..]),
                short => (usize::from(*short), rest),
            };
            let (value, rest) = rest.split_at(len);
            let value = if tag & 0x20 == 0 { value.to_vec() } else { rewrite(value) };
            let len = u32::try_from(value.len()).expect("it is short").to_be_bytes();
            out.push(*tag);
            match value.len() {
                0..=0x7f => out.push(len[3]),
                0x80..=0xff => out.extend([0x81, len[3]]),
                0x100..=0xffff => out.extend([0x82, len[2], len[3]]),
                _ => out.extend([0x83, len[1], len[2], len[3]]),
            }
            out.extend(value);
            bytes = rest;
        }
        out
    }
    rewrite(&der(0x30, content))
}

#[test]
fn envelopes_of_strangers() {
    let _alone = alone();
    let recipients = envelope_for(1_500, 1);
    assert!(recipients.len() < 64 * KIB);
    let parsed = |cms: &[u8]| {
        let bytes =
            [vec![0; 8192], cms.to_vec(), (cms.len() as u64).to_be_bytes().to_vec()].concat();
        let source = std::sync::Arc::new(bundle::MemorySource::new("m", bytes));
        let bundle = bundle::UntrustedBundle::open(source, &bundle::Limits::default());
        bundle.expect("the trailer is right").recipients().expect("it parses").len()
    };
    assert_eq!(parsed(&recipients), 1_500);
    let worst = [
        ("many recipients", recipients),
        ("recipients that could be meant", envelope_for(200, 256)),
        ("zeros", vec![0; 64 * KIB]),
    ];
    holds("envelope", 2 * MIB, &worst);
    grows_slowly("envelope", "recipients", |count| envelope_for(count, 1), 350);
}

#[test]
fn token_uris() {
    let _alone = alone();
    let long = |part: &str| part.repeat(4096 / part.len()).into_bytes();
    let worst = [
        ("escapes", [b"pkcs11:token=".to_vec(), b"%41".repeat(1_360)].concat()),
        ("separators", [b"pkcs11:".to_vec(), long(";")].concat()),
        ("vendors", [b"pkcs11:?".to_vec(), b"x-a=1&".repeat(680)].concat()),
    ];
    holds("pkcs11_uri", MIB, &worst);
}

fn file(inode: u32, name: String) -> (u32, u16, String) {
    (inode, 2, name)
}

/// A squashfs image with one file of these blocks.
fn one_file(size: u32, blocks: &[u32], compressor: u16, data: &[u8]) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let inode = crafted.file(size, blocks);
    let listing = crafted.listing(&[file(inode, "rootfs.img".to_owned())]);
    crafted.directory(listing);
    crafted.image(compressor, data)
}

/// A block of 128 KiB, compressed: far more than the 4 KiB that a block of these images may have.
fn bombs() -> Vec<(u16, Vec<u8>)> {
    let compressions =
        [(1, bundle::SquashfsCompression::Gzip), (6, bundle::SquashfsCompression::Zstd)];
    let bomb = |compression| {
        let mut tree = bundle::SquashfsTree::new();
        let content = std::io::Cursor::new(vec![1; 128 * KIB]);
        tree.add_file("f", 0o644, content).expect("the path is free");
        let mut image = std::io::Cursor::new(Vec::new());
        bundle::write_squashfs(tree, compression, 0, &mut image).expect("memory does not fail");
        let image = image.into_inner();
        // The one block of the one file stands between the superblock and the inodes.
        let inodes = image[64..72].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        image[96..inodes as usize].to_vec()
    };
    compressions.map(|(id, compression)| (id, bomb(compression))).to_vec()
}

fn files_of_one_directory(files: usize) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let mut entry = |number| file(crafted.file(0, &[]), format!("f{number}"));
    let entries: Vec<_> = (0..files).map(&mut entry).collect();
    let listing = crafted.listing(&entries);
    crafted.directory(listing);
    crafted.image(1, &[])
}

fn shared_listings(directories: usize) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let inode = crafted.file(0, &[]);
    let names: Vec<_> = (0..1000).map(|number| file(inode, format!("f{number}"))).collect();
    let shared = crafted.listing(&names);
    let dirs: Vec<_> = (0..directories)
        .map(|number| (crafted.directory(shared), 1, format!("d{number}")))
        .collect();
    let root = crafted.listing(&dirs);
    crafted.directory(root);
    crafted.image(1, &[])
}

fn chain(depth: usize, name_bytes: usize) -> Vec<u8> {
    let mut crafted = CraftedSquashfs::default();
    let mut below = crafted.directory(Listing { at: 0, bytes: 0 });
    for _ in 0..depth {
        let listing = crafted.listing(&[(below, 1, "n".repeat(name_bytes))]);
        below = crafted.directory(listing);
    }
    crafted.image(1, &[])
}

#[test]
fn squashfs_images() {
    let _alone = alone();
    let mut large = CraftedSquashfs::default();
    let inode = large.large_file((1 << 41) - 1, &[0; 4]);
    let listing = large.listing(&[file(inode, "x".to_owned())]);
    large.directory(listing);
    let mut worst = vec![
        ("a file of 2 TiB", large.image(1, &[])),
        ("holes of 4 MiB", one_file(4 << 20, &[0; 1024], 1, &[])),
        ("listings shared by directories", shared_listings(900)),
        ("a chain of long names", chain(1000, 255)),
        ("a chain of short names", chain(1000, 1)),
        ("the longest path that is read", chain(170, 250)),
    ];
    for (compressor, bomb) in bombs() {
        let stored = u32::try_from(bomb.len()).expect("it is small");
        assert!(stored < DATA_BLOCK_BYTES, "{stored}");
        let image = one_file(DATA_BLOCK_BYTES, &[stored], compressor, &bomb);
        worst.push(("a block that expands to more than its size", image));
    }
    holds("squashfs", 16 * MIB, &worst);
    grows_slowly("squashfs", "files of a directory", files_of_one_directory, 230);
    grows_slowly("squashfs", "directories that share", shared_listings, 200);
    let trees: Vec<_> = worst
        .iter()
        .map(|(what, image)| (*what, [&[0], &image[..]].concat()))
        .chain([("a lie about the tree", [&[1][..], &[0xff; 8], &[9; 40]].concat())])
        .collect();
    holds("verity_payload", 16 * MIB, &trees);
}

/// A GPT of `entries` partitions of one sector each; checksums are the target's to mend.
fn table_of(entries: u32) -> Vec<u8> {
    let sectors = 1_u64 << 15;
    let array_sectors = u64::from(entries) * 128 / 512;
    let mut disk = vec![0; (sectors * 512) as usize];
    let first = 2 + array_sectors;
    for (header, array) in [(1, 2), (sectors - 1, sectors - 1 - array_sectors)] {
        let at = (header * 512) as usize;
        let other = sectors - header;
        disk[at..at + 8].copy_from_slice(b"EFI PART");
        disk[at + 8..at + 16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        let fields = [header, other, first, sectors - 2 - array_sectors];
        for (field, value) in fields.into_iter().enumerate() {
            disk[at + 24 + 8 * field..at + 32 + 8 * field].copy_from_slice(&value.to_le_bytes());
        }
        disk[at + 72..at + 80].copy_from_slice(&array.to_le_bytes());
        disk[at + 80..at + 84].copy_from_slice(&entries.to_le_bytes());
        disk[at + 84..at + 88].copy_from_slice(&128_u32.to_le_bytes());
        for entry in 0..u64::from(entries) {
            let at = (array * 512 + entry * 128) as usize;
            disk[at..at + 32].fill(7);
            disk[at + 16..at + 24].copy_from_slice(&entry.to_le_bytes());
            for place in [32, 40] {
                let lba = (first + entry).to_le_bytes();
                disk[at + place..at + place + 8].copy_from_slice(&lba);
            }
            disk[at + 56..at + 128].fill(b'x');
        }
    }
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    SparseDisk::encode(&disk)
}

/// A FAT16 whose directory `D` leads from cluster to cluster and back to its first one, each in
/// another block of 64 KiB, and lists nothing but removed entries.
fn endless_directory() -> Vec<u8> {
    const SECTORS: usize = 1 << 16;
    const DATA: usize = 1 + 256 + 1;
    let mut disk = vec![0; SECTORS * 512];
    disk[..3].copy_from_slice(&[0xeb, 0x3c, 0x90]);
    let boot: [(usize, &[u8]); 9] = [
        (11, &[0, 2]),
        (13, &[1]),
        (14, &[1, 0]),
        (16, &[1]),
        (17, &[16, 0]),
        (21, &[0xf8]),
        (22, &[0, 1]),
        (32, &[0, 0, 1, 0]),
        (38, &[0x29]),
    ];
    for (at, bytes) in boot {
        disk[at..at + bytes.len()].copy_from_slice(bytes);
    }
    // The type is told by the number of clusters: below 65525.
    disk[32..36].copy_from_slice(&60_000_u32.to_le_bytes());
    disk[510..512].copy_from_slice(&[0x55, 0xaa]);
    let clusters: Vec<usize> = (0..400).map(|hop| 2 + hop * 128).collect();
    for (hop, cluster) in clusters.iter().enumerate() {
        let next = clusters[(hop + 1) % clusters.len()];
        let at = 512 + cluster * 2;
        disk[at..at + 2].copy_from_slice(&u16::try_from(next).expect("below 60000").to_le_bytes());
        let place = (DATA + cluster - 2) * 512;
        disk[place..place + 512].fill(0xe5);
    }
    let root = (1 + 256) * 512;
    disk[root..root + 11].copy_from_slice(b"D          ");
    disk[root + 11] = 0x10;
    disk[root + 26..root + 28].copy_from_slice(&2_u16.to_le_bytes());
    SparseDisk::encode(&disk)
}

#[test]
fn disks() {
    let _alone = alone();
    let tables = [("all entries of the largest table", table_of(1024)), ("none", vec![0xff; 600])];
    holds("partition_table", 16 * MIB, &tables);
    grows_slowly("partition_table", "entries", |entries| table_of(entries as u32), 256);
    holds("fat", 16 * MIB, &[("a directory that leads back", endless_directory())]);
    let definition = |bytes: usize| {
        [b"[Partition]\nType=var\n".to_vec(), b"# a comment\n".repeat(bytes / 12)].concat()
    };
    let long = [&b"[Partition]\nType=var\nLabel="[..], &vec![b'x'; 60_000]].concat();
    let worst = [("comments", definition(64 * KIB)), ("a long value", long)];
    holds("repart_definition", MIB, &worst);
    grows_slowly("repart_definition", "comments", definition, 100_000);
}

/// A region full of beginnings of records, or of whole ones: the target mends the checksums.
fn records(bytes: usize, payload: u8) -> Vec<u8> {
    let mut record = b"AXR1".to_vec();
    record.extend([payload, 0, 9, 1]);
    record.extend([1; 16]);
    record.extend(vec![0; usize::from(payload)]);
    record.extend([0; 4]);
    record.resize(record.len().next_multiple_of(4), 0xff);
    cut(record.repeat(bytes / record.len() + 1), bytes)
}

#[test]
fn flight_recorders() {
    let _alone = alone();
    let worst = [
        ("the shortest records", records(64 * KIB, 0)),
        ("records", records(64 * KIB, 24)),
        ("beginnings of records", b"AXR1".repeat(16 * KIB)),
        ("zeros", vec![0; 64 * KIB]),
    ];
    holds("recorder", 4 * MIB, &worst);
    grows_slowly("recorder", "records", |blocks| records(blocks * 4096, 24), 4);
    grows_slowly("recorder", "beginnings", |blocks| b"AXR1".repeat(blocks * 1024), 4);
}

#[test]
fn answers_of_servers() {
    let _alone = alone();
    let head = |count: usize| {
        let headers = lines(count, |number| format!("X-{number}: some value of some length\r\n"));
        [b"HTTP/1.1 206 Partial\r\n".to_vec(), headers].concat()
    };
    let parts = |count: usize| {
        let part = |at| format!("--B\r\nContent-Range: bytes {at}-{at}/10000\r\n\r\nx\r\n");
        [lines(count, part), b"--B--".to_vec()].concat()
    };
    let worst = [
        ("headers", head(255)),
        ("one long header", cut(head(1), 60).into_iter().chain(vec![b'y'; 65_000]).collect()),
        ("parts", parts(256)),
        ("too many parts", parts(2000)),
    ];
    holds("http_head", 4 * MIB, &worst);
    grows_slowly("http_head", "parts", parts, 60);
    let dots = |count: usize| [b"http://h/".to_vec(), b"a/../".repeat(count)].concat();
    let far = |count: usize| [dots(1), b"\0".to_vec(), b"../".repeat(count)].concat();
    let wide = "http://h/".to_owned() + &"\u{fc}".repeat(1200);
    let worst = [("dots", dots(1600)), ("far", far(2700)), ("wide", wide.into_bytes())];
    holds("http_url", MIB, &worst);
    grows_slowly("http_url", "dots", dots, 400);
}
