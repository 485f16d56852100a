// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the whole of it does against servers that misbehave.

mod bundles;
mod exchange;
mod faults;
mod files;
mod limits;
mod mirrors;
mod nginx;
mod proxy;
mod reading;
mod redirects;
mod tls;

use super::options::{HttpOptions, Patience};
use std::time::Duration;
use storage::chain;

/// Options that lose no time between tries; the waits only end tests that would hang.
fn quick() -> HttpOptions {
    let patience = Patience {
        connect: Duration::from_secs(60),
        stall: Duration::from_secs(60),
        min_bytes_per_sec: 512,
        pause: Duration::from_millis(5),
        longest_pause: Duration::from_millis(20),
        ..Patience::default()
    };
    HttpOptions { patience, user_agent: "rauc/1.2.3".to_owned(), ..HttpOptions::default() }
}

/// Bytes that differ everywhere.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
