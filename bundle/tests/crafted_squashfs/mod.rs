// SPDX-License-Identifier: MIT OR Apache-2.0
//! Squashfs images that no tool would make: stored tables, byte for byte as the test wants them.

const BLOCK_BYTES: usize = 8192;

/// The size of a data block of these images.
pub const DATA_BLOCK_BYTES: u32 = 4096;
/// No fragment, no extended attributes, no table.
const NONE: u32 = u32::MAX;

/// Tables under construction; inode numbers count from 1 in the order of adding.
#[derive(Default)]
pub struct CraftedSquashfs {
    inodes: Vec<u8>,
    count: u32,
    directories: Vec<u8>,
    root: usize,
}

/// Where a listing lies in the directory table.
#[derive(Clone, Copy)]
pub struct Listing {
    pub at: usize,
    pub bytes: u32,
}

impl CraftedSquashfs {
    fn header(&mut self, kind: u16) -> u32 {
        self.count += 1;
        self.inodes.extend(kind.to_le_bytes());
        self.inodes.extend([0xed, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        self.inodes.extend(self.count.to_le_bytes());
        self.count
    }

    fn words(&mut self, words: &[u32]) {
        self.inodes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    }

    /// A file of `size` bytes with these words of data blocks.
    pub fn file(&mut self, size: u32, blocks: &[u32]) -> u32 {
        let number = self.header(2);
        self.words(&[96, NONE, 0, size]);
        self.words(blocks);
        number
    }

    /// A file in the form for large ones.
    pub fn large_file(&mut self, size: u64, blocks: &[u32]) -> u32 {
        let number = self.header(9);
        self.words(&[96, 0, size as u32, (size >> 32) as u32, 0, 0, 1, NONE, 0, NONE]);
        self.words(blocks);
        number
    }

    /// A directory with the listing at `listing`, which becomes the root unless another follows.
    pub fn directory(&mut self, listing: Listing) -> u32 {
        self.root = self.inodes.len();
        let number = self.header(8);
        let stored = u32::try_from(listing.at / BLOCK_BYTES * (BLOCK_BYTES + 2)).unwrap();
        self.words(&[2, listing.bytes.wrapping_add(3), stored, 0]);
        self.inodes.extend([0, 0]);
        self.inodes.extend(u16::try_from(listing.at % BLOCK_BYTES).unwrap().to_le_bytes());
        self.words(&[NONE]);
        number
    }

    /// A directory whose inode says these things about its listing, true or not.
    pub fn lying_directory(&mut self, size: u32, offset: u16) -> u32 {
        self.root = self.inodes.len();
        let number = self.header(8);
        self.words(&[2, size, 0, 0]);
        self.inodes.extend([0, 0]);
        self.inodes.extend(offset.to_le_bytes());
        self.words(&[NONE]);
        number
    }

    /// A listing of entries: inode, kind of inode, name.
    pub fn listing(&mut self, entries: &[(u32, u16, String)]) -> Listing {
        let at = self.directories.len();
        for run in entries.chunks(256) {
            // Numbers of inodes are told relative to the header's.
            self.run(run[0].0, run);
        }
        Listing { at, bytes: u32::try_from(self.directories.len() - at).unwrap() }
    }

    fn run(&mut self, base: u32, entries: &[(u32, u16, String)]) {
        let count = u32::try_from(entries.len() - 1).unwrap();
        self.directories.extend([count, 0, base].iter().flat_map(|word| word.to_le_bytes()));
        for (inode, kind, name) in entries {
            let relative = i16::try_from(i64::from(*inode) - i64::from(base)).unwrap();
            self.directories.extend(0_u16.to_le_bytes());
            self.directories.extend(relative.to_le_bytes());
            self.directories.extend(kind.to_le_bytes());
            self.directories.extend(u16::try_from(name.len() - 1).unwrap().to_le_bytes());
            self.directories.extend(name.as_bytes());
        }
    }

    /// One entry below a header with any base and any relative number.
    pub fn odd_listing(&mut self, base: u32, relative: i16, name: &str) -> Listing {
        let at = self.directories.len();
        self.run(base, &[(base, 2, name.to_owned())]);
        self.directories[at + 14..at + 16].copy_from_slice(&relative.to_le_bytes());
        Listing { at, bytes: u32::try_from(self.directories.len() - at).unwrap() }
    }

    /// The image; `data` stands behind the superblock, where files begin.
    pub fn image(&self, compressor: u16, data: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 96];
        image.extend(data);
        let inode_table = image.len();
        store(&mut image, &self.inodes);
        let directory_table = image.len();
        store(&mut image, &self.directories);
        let ids = image.len();
        store(&mut image, &[0; 4]);
        let id_table = image.len();
        image.extend((ids as u64).to_le_bytes());
        let block = self.root / BLOCK_BYTES * (BLOCK_BYTES + 2);
        let root = (block << 16) | (self.root % BLOCK_BYTES);
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"hsqs");
        put(4, &self.count.to_le_bytes());
        put(12, &DATA_BLOCK_BYTES.to_le_bytes());
        put(20, &compressor.to_le_bytes());
        put(22, &12_u16.to_le_bytes());
        put(24, &0x210_u16.to_le_bytes());
        put(26, &1_u16.to_le_bytes());
        put(28, &[4, 0, 0, 0]);
        put(32, &(root as u64).to_le_bytes());
        put(48, &(id_table as u64).to_le_bytes());
        for absent in [56, 80, 88] {
            put(absent, &[0xff; 8]);
        }
        put(64, &(inode_table as u64).to_le_bytes());
        put(72, &(directory_table as u64).to_le_bytes());
        let used = image.len() as u64;
        image[40..48].copy_from_slice(&used.to_le_bytes());
        image
    }
}

/// Appends a table as stored metadata blocks.
fn store(image: &mut Vec<u8>, table: &[u8]) {
    for block in table.chunks(BLOCK_BYTES) {
        image.extend((u16::try_from(block.len()).unwrap() | 0x8000).to_le_bytes());
        image.extend(block);
    }
}
