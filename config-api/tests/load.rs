// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two hundred clients that each send 32 MiB at once: a few are taken, the others told to come
//! again, and memory does not grow with them. In a process of its own, since memory is measured
//! for a whole process.

#![cfg(all(target_os = "linux", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where it stands, and reads what the kernel says"
)]

mod door;
mod fake;
mod ssh;

use door::{Call, Door, read_answer};
use fake::Fake;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const CLIENTS: usize = 200;
const BODY_BYTES: usize = 32 << 20;
/// The limit, for the whole process with its clients.
const MAX_RSS_KIB: u64 = 128 * 1024;

/// The most memory that this process ever had, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn two_hundred_uploads_at_once_are_no_burden() {
    let door = Door::open(Fake::unprovisioned());
    let (taken, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let head = Call::new("POST", "/api/validate")
        .header("content-length", &BODY_BYTES.to_string())
        .bytes("localhost");
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let piece = [b'#'; 16 * 1024];
                let mut stream = door.connect();
                let _ = stream.write_all(&head);
                for _ in 0..BODY_BYTES / piece.len() {
                    // A refused sender is cut off sooner or later.
                    if stream.write_all(&piece).is_err() {
                        break;
                    }
                }
                match read_answer(&mut stream).map(|answer| answer.status) {
                    Ok(200) => taken.fetch_add(1, Ordering::Relaxed),
                    Ok(429) | Err(_) => refused.fetch_add(1, Ordering::Relaxed),
                    Ok(other) => panic!("{other}"),
                };
            });
        }
        // The others are served meanwhile.
        let health = door.call(&Call::new("GET", "/api/health"));
        assert_eq!(health.status, 200);
    });
    assert!(taken.load(Ordering::Relaxed) >= 2, "some are served");
    assert_eq!(taken.into_inner() + refused.into_inner(), CLIENTS);
    assert_eq!(door.spooled(), 0);
    assert!(peak_kib() <= MAX_RSS_KIB, "{} KiB", peak_kib());
    let before = peak_kib();
    for _ in 0..10_000 {
        // One connection for each, as a stranger would.
        let status = door.call(&Call::new("GET", "/api/nonce")).status;
        assert!(status == 200 || status == 429);
    }
    assert!(peak_kib() <= before + 4096, "nonces cost {} KiB", peak_kib() - before);
}
