// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are worlds found again fast? The standard library's hashes withstand chosen keys; nobody
//! chooses ours. Only speed depends on it: equal hashes are told apart by the whole world.

use std::hash::{BuildHasherDefault, Hasher};

/// For a [`std::collections::HashMap`] of worlds and questions.
pub type Quick = BuildHasherDefault<QuickHasher>;

/// An odd number without a pattern: 2^64 divided by the golden ratio.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// Mixes each number into the ones before by one multiplication.
#[derive(Clone, Copy, Default)]
pub struct QuickHasher(u64);

impl QuickHasher {
    const fn mix(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(FACTOR);
    }
}

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        // The map takes the place from the low bits and a tag from the high ones.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.mix(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number.unsigned_abs() as u64);
    }
}
