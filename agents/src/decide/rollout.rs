// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is it this device's turn? Between the beginning and the end of a rollout ever more devices take
//! it, up to its percentage; after the end everybody does.

use crate::Rollout;
use crate::lot::Lot;
use bundle::UnixTime;

/// From when on the device with this lot takes it.
pub(super) fn turn_of(rollout: &Rollout, lot: Lot) -> UnixTime {
    let (begins, ends) = (i128::from(rollout.begins.0), i128::from(rollout.ends.0));
    if ends <= begins {
        return rollout.begins;
    }
    let percent = i128::from(rollout.percent.min(100));
    // 32, 7 and 65 bits: no product overflows.
    let wanted = i128::from(lot.0) * 100 * (ends - begins);
    let Some(after) = wanted.checked_div(percent << 32) else { return rollout.ends };
    // The ramp passes the lot within this second.
    i64::try_from((begins + after + 1).min(ends)).map_or(rollout.ends, UnixTime)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rollout(begins: i64, ends: i64, percent: u8) -> Rollout {
        Rollout { begins: UnixTime(begins), ends: UnixTime(ends), percent }
    }

    #[test]
    fn the_fleet_follows_the_ramp_and_then_everybody_comes() {
        let five = rollout(1_000_000, 1_100_000, 5);
        let turns: Vec<i64> = (0..10_000)
            .map(|device| {
                let digest = storage::Digest::from_bytes([1; 32]);
                turn_of(&five, Lot::of_rollout(&digest, &format!("device-{device}"))).0
            })
            .collect();
        let by = |time| turns.iter().filter(|turn| **turn <= time).count();
        assert_eq!(by(1_000_000), 0);
        assert!((200..300).contains(&by(1_050_000)), "{}", by(1_050_000));
        assert!((430..570).contains(&by(1_099_999)), "{}", by(1_099_999));
        assert_eq!(by(1_100_000), 10_000);
    }

    #[test]
    fn rollouts_of_everybody_of_nobody_and_of_no_length() {
        assert_eq!(turn_of(&rollout(10, 20, 0), Lot(0)), UnixTime(20));
        assert_eq!(turn_of(&rollout(10, 20, 100), Lot(0)), UnixTime(11));
        assert_eq!(turn_of(&rollout(10, 20, 255), Lot(u32::MAX)), UnixTime(20));
        assert_eq!(turn_of(&rollout(20, 20, 5), Lot(u32::MAX)), UnixTime(20));
        assert_eq!(turn_of(&rollout(20, 10, 5), Lot(u32::MAX)), UnixTime(20));
    }

    proptest! {
        #[test]
        fn nobody_comes_before_the_beginning_or_waits_beyond_the_end(
            begins: i64, ends: i64, percent: u8, lot: u32,
        ) {
            let turn = turn_of(&rollout(begins, ends, percent), Lot(lot));
            prop_assert!(turn.0 >= begins && turn.0 <= ends.max(begins));
        }

        /// Who is in at five percent is in at six: nobody is drawn again.
        #[test]
        fn a_larger_share_only_adds(begins in 0_i64..1 << 40, length in 1_i64..1 << 30, lot: u32) {
            let mut before = i64::MAX;
            for percent in 0..=100 {
                let turn = turn_of(&rollout(begins, begins + length, percent), Lot(lot)).0;
                prop_assert!(turn <= before);
                before = turn;
            }
        }
    }
}
