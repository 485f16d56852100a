// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is an environment laid out in its place, and which of two copies counts?
//!
//! ```text
//! single      0  u32 LE  CRC-32 of the data area      4  data area up to the end
//! redundant   0  u32 LE  CRC-32 of the data area      4  u8 flag      5  data area up to the end
//! ```
//!
//! Source of the format: U-Boot `include/env_internal.h` (`struct environment_s`). The CRC covers
//! all of the data area, junk after the double NUL included, and never the flag.

use crate::{Env, EnvError};

/// Bytes of the checksum.
const CRC_BYTES: usize = 4;

/// What the flag byte of a redundant copy means. U-Boot takes it from the kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagScheme {
    /// NOR flash: 1 is active; the older copy's flag is then programmed to 0.
    Nor,
    /// Block devices and files: the flag counts up and wraps from 255 to 0.
    Counter,
}

impl FlagScheme {
    /// The flag of the copy that replaces a copy with flag `active`.
    #[must_use]
    pub fn next_flag(self, active: Option<u8>) -> u8 {
        match (self, active) {
            (Self::Nor, _) | (Self::Counter, None) => 1,
            (Self::Counter, Some(flag)) => flag.wrapping_add(1),
        }
    }
}

/// Whether the place holds one copy or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redundancy {
    /// One copy, no flag.
    Single,
    /// Two copies with a flag byte each.
    Redundant(FlagScheme),
}

impl Redundancy {
    /// Bytes before the data area.
    #[must_use]
    pub fn header_bytes(self) -> usize {
        match self {
            Self::Single => CRC_BYTES,
            Self::Redundant(_) => CRC_BYTES + 1,
        }
    }
}

/// Reads one copy: its flag, if it has one, and its variables.
///
/// # Errors
/// [`EnvError::TooShort`], [`EnvError::Checksum`] or what [`Env::parse_data`] refuses.
pub fn parse_image(image: &[u8], redundancy: Redundancy) -> Result<(Option<u8>, Env), EnvError> {
    let (expected, flag, data) = split_image(image, redundancy)?;
    let found = crc32fast::hash(data);
    if found != expected {
        return Err(EnvError::Checksum { expected, found });
    }
    Ok((flag, Env::parse_data(data)?))
}

fn split_image(image: &[u8], redundancy: Redundancy) -> Result<(u32, Option<u8>, &[u8]), EnvError> {
    let too_short =
        || EnvError::TooShort { found: image.len(), least: redundancy.header_bytes() + 2 };
    let (crc, rest) = image.split_first_chunk::<CRC_BYTES>().ok_or_else(too_short)?;
    let (flag, data) = match redundancy {
        Redundancy::Single => (None, rest),
        Redundancy::Redundant(_) => {
            let (flag, data) = rest.split_first().ok_or_else(too_short)?;
            (Some(*flag), data)
        }
    };
    if data.len() < 2 {
        return Err(too_short());
    }
    Ok((u32::from_le_bytes(*crc), flag, data))
}

/// Writes one copy of exactly `size` bytes; `flag` is `None` for a single copy.
///
/// # Errors
/// [`EnvError::TooShort`] or [`EnvError::TooBig`].
pub fn encode_image(env: &Env, size: usize, flag: Option<u8>) -> Result<Vec<u8>, EnvError> {
    let header = CRC_BYTES + usize::from(flag.is_some());
    let capacity = size
        .checked_sub(header)
        .filter(|capacity| *capacity >= 2)
        .ok_or(EnvError::TooShort { found: size, least: header + 2 })?;
    let data = env.encode_data(capacity)?;
    let mut image = Vec::with_capacity(size);
    image.extend_from_slice(&crc32fast::hash(&data).to_le_bytes());
    image.extend(flag);
    image.extend_from_slice(&data);
    Ok(image)
}

/// Which of two valid copies U-Boot uses: index 0 or 1. One rule for both schemes, as in
/// `env_check_redund`: the greater flag, 0 after 255, and copy 1 when they are equal.
pub(crate) fn newer_of(first: u8, second: u8) -> usize {
    match (first, second) {
        (255, 0) => 1,
        (0, 255) => 0,
        (first, second) => usize::from(second > first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_wraps_as_the_firmware_compares_it() {
        assert_eq!(newer_of(255, 0), 1);
        assert_eq!(newer_of(0, 255), 0);
        assert_eq!(newer_of(4, 5), 1);
        assert_eq!(newer_of(5, 4), 0);
        assert_eq!(newer_of(254, 0), 0, "only 255 and 0 are neighbours");
    }

    #[test]
    fn equal_flags_mean_the_first_copy() {
        assert_eq!(newer_of(7, 7), 0);
        assert_eq!(newer_of(1, 1), 0);
    }

    #[test]
    fn the_checksum_covers_junk_but_not_the_flag() {
        let mut env = Env::new();
        env.set("a", "1").unwrap();
        let redundancy = Redundancy::Redundant(FlagScheme::Counter);
        let mut image = encode_image(&env, 64, Some(3)).unwrap();
        image[4] = 9;
        assert_eq!(parse_image(&image, redundancy).unwrap(), (Some(9), env));
        image[63] = 1;
        assert!(matches!(parse_image(&image, redundancy), Err(EnvError::Checksum { .. })));
    }

    #[test]
    fn images_too_short_for_a_header_are_refused() {
        for len in 0..6 {
            let refused = parse_image(&vec![0; len], Redundancy::Single);
            assert!(matches!(refused, Err(EnvError::TooShort { .. })), "{len}: {refused:?}");
        }
        assert!(matches!(encode_image(&Env::new(), 6, Some(1)), Err(EnvError::TooShort { .. })));
        assert_eq!(encode_image(&Env::new(), 7, Some(1)).unwrap().len(), 7);
    }
}
