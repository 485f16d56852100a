// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do large transfers pass the page cache by, and do both ways agree on every byte?
//!
//! Alone in its process: what a process has read from media is counted by the kernel.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use proptest::prelude::*;
use storage::{Access, AlignedBuffer, ByteLen, FileStorage, Storage};
use tempfile::TempDir;

const SIZE: usize = 1024 * 1024 + 700;

/// Beside the build's output: where temporary files go may be memory, which nothing passes by.
fn image() -> (TempDir, FileStorage) {
    let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let size = ByteLen::new(SIZE as u64);
    let file = FileStorage::create_sparse(&dir.path().join("disk.img"), size).unwrap();
    (dir, file)
}

/// Bytes that this process had fetched from media so far.
fn fetched() -> u64 {
    let io = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("read_bytes: ")).unwrap();
    line.parse().unwrap()
}

#[derive(Clone, Debug)]
struct Transfer {
    write: bool,
    aligned: bool,
    offset: usize,
    len: usize,
    fill: u8,
}

fn transfer() -> impl Strategy<Value = Transfer> {
    let place = prop_oneof![Just(4096_usize), Just(512), Just(1)].prop_flat_map(|unit| {
        (0..SIZE / unit, 0..SIZE / unit).prop_map(move |(offset, len)| (offset * unit, len * unit))
    });
    (any::<bool>(), any::<bool>(), place, any::<u8>()).prop_map(
        |(write, aligned, (offset, len), fill)| {
            let len = len.min(SIZE - offset);
            Transfer { write, aligned, offset, len, fill }
        },
    )
}

/// Bytes at an address that no device takes directly.
fn unaligned(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len + 1];
    if bytes.as_ptr().align_offset(2) == 0 {
        bytes.rotate_left(1);
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn both_ways_agree_on_every_byte(transfers in proptest::collection::vec(transfer(), 1..12)) {
        let (_dir, mut disk) = image();
        let mut model = vec![0; SIZE];
        for Transfer { write, aligned, offset, len, fill } in transfers {
            let mut straight = AlignedBuffer::zeroed(len);
            let mut crooked = unaligned(len);
            let buffer = if aligned { &mut straight[..] } else { &mut crooked[1..] };
            if write {
                for (at, byte) in buffer.iter_mut().enumerate() {
                    *byte = fill.wrapping_add((at / 97).to_le_bytes()[0]);
                }
                disk.write_at(offset as u64, buffer).unwrap();
                model[offset..offset + len].copy_from_slice(buffer);
            } else {
                disk.read_at(offset as u64, buffer).unwrap();
                prop_assert!(buffer[..] == model[offset..offset + len], "{offset} {len}");
            }
        }
        disk.flush().unwrap();
        let mut all = vec![0; SIZE];
        disk.read_at(0, &mut all).unwrap();
        prop_assert!(all == model);
    }
}

#[test]
fn large_aligned_reads_come_from_the_medium_though_the_cache_has_the_bytes() {
    let (dir, mut disk) = image();
    disk.write_at(0, &vec![5; SIZE]).unwrap();
    disk.flush().unwrap();
    let path = dir.path().join("disk.img");
    assert_eq!(std::fs::read(&path).unwrap(), vec![5; SIZE]);
    let disk = FileStorage::open(&path, Access::ReadOnly).unwrap();
    let mut buffer = AlignedBuffer::zeroed(512 * 1024);
    let before = fetched();
    disk.read_at(4096, &mut buffer).unwrap();
    assert!(fetched() - before >= 512 * 1024, "{before} {}", fetched());
    assert!(buffer.iter().all(|byte| *byte == 5));
}
