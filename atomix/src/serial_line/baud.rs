// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which speeds does a line have? Those that the terminal interface of Unix has a name for.

use nix::sys::termios::BaudRate;
use std::fmt;
use std::str::FromStr;

/// A speed that a line can be set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Baud {
    bits_per_second: u32,
    rate: BaudRate,
}

/// Not one of the speeds that a line can be set to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such speed; there are {}", KNOWN.map(|known| known.0.to_string()).join(", "))]
pub struct UnknownBaud;

impl Baud {
    /// What the Rock64's boot ROM, U-Boot and kernel speak, in the form that arguments have.
    pub const ROCK64: &str = "1500000";
}

impl FromStr for Baud {
    type Err = UnknownBaud;

    fn from_str(text: &str) -> Result<Self, UnknownBaud> {
        let wanted = text.parse::<u32>().map_err(|_| UnknownBaud)?;
        let known = KNOWN.into_iter().find(|known| known.0 == wanted).ok_or(UnknownBaud)?;
        Ok(Self { bits_per_second: known.0, rate: known.1 })
    }
}

impl fmt::Display for Baud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.bits_per_second)
    }
}

impl From<Baud> for BaudRate {
    fn from(baud: Baud) -> Self {
        baud.rate
    }
}

/// Elsewhere only the old speeds have names.
#[cfg(not(target_os = "linux"))]
const KNOWN: [(u32, BaudRate); 6] = [
    (9_600, BaudRate::B9600),
    (19_200, BaudRate::B19200),
    (38_400, BaudRate::B38400),
    (57_600, BaudRate::B57600),
    (115_200, BaudRate::B115200),
    (230_400, BaudRate::B230400),
];

#[cfg(target_os = "linux")]
const KNOWN: [(u32, BaudRate); 14] = [
    (9_600, BaudRate::B9600),
    (19_200, BaudRate::B19200),
    (38_400, BaudRate::B38400),
    (57_600, BaudRate::B57600),
    (115_200, BaudRate::B115200),
    (230_400, BaudRate::B230400),
    (460_800, BaudRate::B460800),
    (921_600, BaudRate::B921600),
    (1_000_000, BaudRate::B1000000),
    (1_500_000, BaudRate::B1500000),
    (2_000_000, BaudRate::B2000000),
    (2_500_000, BaudRate::B2500000),
    (3_000_000, BaudRate::B3000000),
    (4_000_000, BaudRate::B4000000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boards_speed_is_known_and_an_odd_one_is_refused_with_those_that_are() {
        assert_eq!(Baud::ROCK64.parse::<Baud>().unwrap().to_string(), "1500000");
        for odd in ["1500001", "", "-9600", "fast"] {
            let refused = odd.parse::<Baud>().unwrap_err().to_string();
            assert!(refused.contains("115200, 230400"), "{odd}: {refused}");
        }
    }
}
