// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has the harness to know of the emulated board beside its numbers?

pub use board_rock64::ROCK64_QEMU as QEMU;
use storage::ByteLen;

/// What stops U-Boot at its prompt, typed while it waits; it does not wait unless the stored
/// environment has a `bootdelay`.
pub const STOP_TEXT: &str = "atomix-e2e";

/// Size of the slots' disk.
pub const DISK_LEN: ByteLen = ByteLen::mib(1024);

/// What U-Boot needs to drive the emulated devices, beside the board's own fragment.
///
/// The controller's default modes fail or crawl: programmed I/O reads 1.6 MiB/s, and requests
/// beyond 1024 blocks time out now and then.
pub const EMULATOR_FRAGMENT: &str = include_str!("parts/emulator.config");

#[cfg(test)]
mod tests {
    use super::*;
    use board_rock64::Autoboot;

    #[test]
    fn the_stop_text_is_the_one_that_was_hashed() {
        let sha256 = openssl::sha::sha256(STOP_TEXT.as_bytes());
        assert_eq!(QEMU.autoboot, Autoboot::StopText { sha256, delay_secs: 0 });
    }
}
