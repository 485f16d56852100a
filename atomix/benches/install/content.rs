// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes to install, the same in every run: nothing that a compressor, a deduplicating disk or
//! the installer's own comparison could save work on.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What a file is filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Pseudo-random bytes of this seed.
    Noise(u64),
    /// Pseudo-random words of a small vocabulary: shrinks to less than half, like programs do.
    Words(u64),
    /// 0xFF: erased flash.
    Erased,
}

/// A generator of 64 bits per step (xorshift64*); no library's stream is worth a dependency.
struct Noise(u64);

impl Noise {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// Bytes that a vocabulary of [`Fill::Words`] has; a word is 8 bytes.
const VOCABULARY: u64 = 4096;

/// Writes a new file of `bytes` bytes, a multiple of 8, and syncs it.
pub fn write_file(path: &Path, bytes: u64, fill: Fill) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1024 * 1024, File::create(path)?);
    // Never zero, or the generator would stay there.
    let mut noise = Noise(match fill {
        Fill::Noise(seed) | Fill::Words(seed) => seed | 1 << 63,
        Fill::Erased => 1,
    });
    for _ in 0..bytes / 8 {
        let word = match fill {
            Fill::Noise(_) => noise.next(),
            Fill::Words(_) => (noise.next() % VOCABULARY).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            Fill::Erased => u64::MAX,
        };
        out.write_all(&word.to_le_bytes())?;
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}
