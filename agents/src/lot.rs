// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this device draw? A number from its name: the same at every question, no two devices
//! alike, and nobody has to remember anybody.

use openssl::sha::Sha256;
use std::time::Duration;
use storage::Digest;

/// A number drawn evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Lot(pub u32);

impl Lot {
    /// What `device` draws in the rollout of the bundle with this manifest. Part of what a fleet is
    /// promised: who draws low is always early. The promise is this one line:
    /// the first four bytes, big-endian, of SHA-256 over `atomix-rollout-v1`, the 32 bytes of the
    /// digest and the device's name.
    pub fn of_rollout(manifest: &Digest, device: &str) -> Self {
        Self::over(&[b"atomix-rollout-v1", manifest.as_bytes(), device.as_bytes()])
    }

    /// What `device` draws for moment number `round` of the kind `what`.
    pub fn of_time(what: &str, round: u64, device: &str) -> Self {
        let round = round.to_be_bytes();
        Self::over(&[b"atomix-time-v1 ", what.as_bytes(), &[0], &round, device.as_bytes()])
    }

    fn over(parts: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(part);
        }
        let [a, b, c, d, ..] = hash.finish();
        Self(u32::from_be_bytes([a, b, c, d]))
    }

    /// This device's part of `whole`: from nothing up to, and without, all of it.
    pub fn of(self, whole: Duration) -> Duration {
        let nanos = (whole.as_nanos() >> 32).saturating_mul(u128::from(self.0))
            + (((whole.as_nanos() & u128::from(u32::MAX)) * u128::from(self.0)) >> 32);
        let secs = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        // The remainder of a division by 10⁹ fits.
        Duration::new(secs, u32::try_from(nanos % 1_000_000_000).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when a release of ours draws otherwise than the one before: half a fleet would jump.
    #[test]
    fn what_is_drawn_never_changes() {
        let digest = Digest::from_bytes([7; 32]);
        let mut promised = b"atomix-rollout-v1".to_vec();
        promised.extend([7; 32]);
        promised.extend(b"0123456789ab");
        let [a, b, c, d, ..] = openssl::sha::sha256(&promised);
        let drawn = Lot::of_rollout(&digest, "0123456789ab");
        assert_eq!(drawn, Lot(u32::from_be_bytes([a, b, c, d])));
        assert_eq!(drawn, Lot(1_600_909_204));
    }

    #[test]
    fn a_part_is_never_the_whole() {
        for whole in [Duration::ZERO, Duration::from_secs(3600), Duration::MAX] {
            assert_eq!(Lot(0).of(whole), Duration::ZERO);
            assert!(Lot(u32::MAX).of(whole) < whole || whole.is_zero());
        }
        let half = Lot(1 << 31).of(Duration::from_secs(3600));
        assert_eq!(half, Duration::from_secs(1800));
    }

    #[test]
    fn draws_are_even() {
        let mut tenths = [0_u32; 10];
        for device in 0..10_000 {
            let lot = Lot::of_time("poll", 0, &format!("device-{device}"));
            tenths[usize::try_from((u64::from(lot.0) * 10) >> 32).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|count| (850..1150).contains(count)), "{tenths:?}");
    }
}
