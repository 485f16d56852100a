// SPDX-License-Identifier: MIT OR Apache-2.0
//! Indexes, chunks and archives of stores, tars that become archives, indexes of blocks.

use bundle::adaptive::BlockHashIndex;
use bundle::casync::{
    CatarEntry, CatarImage, CatarItem, CatarKind, CatarReader, ChunkDigest, ChunkIndex, ChunkSizes,
    Cutter, FeatureFlags, MAX_DEPTH, pack_chunk, read_tar, unpack_chunk,
};
use bundle::{MemorySource, Source};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};

/// Longest chunk that a target asks for.
const LARGEST_CHUNK: u32 = 1 << 20;

/// A `.caibx` or `.caidx`.
pub fn chunk_index(data: &[u8]) {
    let Ok(index) = ChunkIndex::parse(data) else { return };
    assert_eq!(index.encode(), data, "an index has one spelling");
    let mut end = 0;
    for chunk in index.chunks() {
        assert_eq!(chunk.offset, end, "chunks lie side by side");
        assert!(chunk.len > 0 && chunk.len as usize <= index.sizes().max());
        end += u64::from(chunk.len);
    }
    assert_eq!(index.len().get(), end);
}

/// A file of a store: u32 (little endian) length that the index records, then the file. The same
/// bytes are also cut, packed and unpacked again.
pub fn chunk_file(data: &[u8]) {
    let Some((len, stored)) = data.split_first_chunk::<4>() else { return };
    let len = u32::from_le_bytes(*len) % (LARGEST_CHUNK + 1);
    let digest = ChunkDigest::Sha512Slash256;
    let plain = digest.id_of(stored).expect("the library has the hash");
    if let Ok(bytes) = unpack_chunk(stored.to_vec(), plain, len, digest) {
        assert_eq!(bytes, stored, "only the plain form has this name");
        assert_eq!(bytes.len(), len as usize);
    }
    // What is packed is found again under its name, and under no other length.
    let packed = pack_chunk(stored).expect("memory can be compressed");
    let own = u32::try_from(stored.len()).expect("inputs are short");
    assert_eq!(unpack_chunk(packed.clone(), plain, own, digest).as_deref(), Ok(stored));
    assert!(unpack_chunk(packed, plain, own.wrapping_add(1), digest).is_err());
    let sizes = ChunkSizes::new(16, 64, 256).expect("sizes in order");
    let mut cutter = Cutter::new(stored, bundle::casync::Chunker::new(sizes));
    let mut whole = Vec::new();
    while let Some(chunk) = cutter.next_chunk().expect("memory can be read") {
        assert!(!chunk.is_empty() && chunk.len() <= 256);
        whole.extend_from_slice(chunk);
    }
    assert_eq!(whole, stored);
}

/// An archive.
pub fn catar(data: &[u8]) {
    let _ = walk(data);
}

/// Goes through an archive; `Some` is the number of its files.
fn walk(data: &[u8]) -> Option<usize> {
    let mut reader = CatarReader::new(data);
    let (mut depth, mut files) = (0, 0);
    loop {
        match reader.next_item() {
            Ok(Some(CatarItem::Enter { name, entry })) => {
                files += 1;
                assert_eq!(name.is_none(), depth == 0, "the root alone has no name");
                if let Some(name) = name {
                    let dots = name == b"." || name == b"..";
                    assert!(!dots && !name.contains(&b'/') && !name.contains(&0));
                }
                depth += usize::from(entry.kind == CatarKind::Directory);
                assert!(depth <= MAX_DEPTH);
                check_entry(&entry);
                let mut content = Vec::new();
                let read = reader.content().read_to_end(&mut content);
                if let (CatarKind::File { len }, Ok(_)) = (&entry.kind, read) {
                    assert_eq!(*len, content.len() as u64);
                }
            }
            Ok(Some(CatarItem::Leave)) => depth -= 1,
            Ok(None) => return Some(files),
            Err(_) => {
                assert!(reader.next_item().is_err(), "a failed reader stays failed");
                return None;
            }
        }
    }
}

fn check_entry(entry: &CatarEntry) {
    assert!(entry.permissions <= 0o7777);
    if let CatarKind::Symlink { target } = &entry.kind {
        assert!(!target.is_empty() && !target.contains(&0));
    }
    for (name, value) in &entry.xattrs {
        assert!(name.contains(&b'.') && name.len() <= 255 && value.len() <= 64 * 1024);
    }
}

/// A tar, plain or compressed: what is accepted becomes an archive that is accepted too.
pub fn tar(data: &[u8]) {
    let Ok(tree) = read_tar(data, nameless(), &mut |_| true) else { return };
    let Ok(image) = CatarImage::build("tar", &tree, FeatureFlags::UNIX) else { return };
    let len = image.len().get();
    // Holes are long and cost nothing in a tar that is refused for them; contents are there.
    assert!(len <= 64 * (data.len() as u64 + 1024) * 1024, "a tar of few bytes became {len}");
    if len > 1 << 22 {
        return;
    }
    let mut bytes = vec![0; usize::try_from(len).expect("checked above")];
    image.read_at(0, &mut bytes).expect("contents are in the file");
    assert!(walk(&bytes).is_some(), "what we build can be read");
}

/// A file that is gone when it is closed.
fn nameless() -> File {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("fuzz-tar-{}-{number}", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
    let file = file.expect("temporary files can be made");
    let _ = std::fs::remove_file(path);
    file
}

/// A `block-hash-index`.
pub fn block_hash_index(data: &[u8]) {
    let Ok(index) = BlockHashIndex::parse("index", data) else { return };
    assert_eq!(index.encode(), data);
    let half = index.blocks() / 2;
    let cut = index.clone().cut_to(half.max(1));
    assert_eq!(cut.hashes(), &index.hashes()[..cut.hashes().len()]);
    // An index of the index's own bytes: any content of whole blocks has one.
    let padded = data.len().div_ceil(4096) * 4096;
    let mut content = data.to_vec();
    content.resize(padded, 0);
    let source: std::sync::Arc<dyn Source> = std::sync::Arc::new(MemorySource::new("m", content));
    let built = bundle::adaptive::build_index(&source, &mut |_| true).expect("whole blocks");
    assert_eq!(built.blocks(), padded as u64 / 4096);
}
