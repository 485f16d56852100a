// SPDX-License-Identifier: MIT OR Apache-2.0
//! Squashfs images: what a bundle carries, and root file systems.

use bundle::{SquashfsEntry, SquashfsFiles, SquashfsLimits};
use std::io::{Cursor, Read};
use std::path::Component;
use storage::ByteLen;

/// Bytes read of one file: enough to cross blocks, too few for a bomb to cost time.
const DRAIN_BYTES: u64 = 1024 * 1024;
/// Bytes read of all files of an image.
const DRAIN_ALL_BYTES: u64 = 4 * 1024 * 1024;

/// A squashfs image: no name leads out of it, and every file has the size that it claims or
/// fails.
pub fn squashfs(data: &[u8]) {
    let limits = SquashfsLimits { inodes: 1024, tables: ByteLen::mib(1) };
    let Ok(files) = SquashfsFiles::open(Cursor::new(data.to_vec()), &limits) else { return };
    let mut left = DRAIN_ALL_BYTES;
    for (path, entry) in files.entries() {
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        let (SquashfsEntry::File { size }, Some(name)) = (entry, path.to_str()) else { continue };
        let Ok(mut file) = files.open_file(name) else { continue };
        assert_eq!(file.len(), size);
        let read = drain(&mut file);
        assert!(read <= size.get());
        left = left.saturating_sub(read);
        if left == 0 {
            return;
        }
    }
}

/// Reads to the end, the first failure or the limit; returns how many bytes came.
fn drain(stream: &mut dyn Read) -> u64 {
    let mut buf = vec![0; 16 * 1024];
    let mut done = 0;
    while done < DRAIN_BYTES {
        match stream.read(&mut buf) {
            Ok(0) | Err(_) => break,
            Ok(read) => done += read as u64,
        }
    }
    done
}
