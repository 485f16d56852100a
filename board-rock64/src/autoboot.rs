// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who may stop U-Boot at its prompt over the serial line? Whoever sits there is root.

use crate::board::Board;

/// SHA-256 of nothing: what an empty variable of a build becomes. Nobody can type nothing.
const OF_NOTHING: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// The longest wait of every boot; a stored environment may ask for no more either.
const MAX_DELAY_SECS: u32 = 30;

/// Who may stop U-Boot at its prompt over the serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Autoboot {
    /// Nobody: what arrives is not looked at.
    Closed,
    /// Who types the right text first. U-Boot throws away what arrived before it asks, and then
    /// hashes all that comes: one wrong character in front and it is too late until the next
    /// start. It looks at one character every 10 ms and has the text at hand when the time is up
    /// or boots on; with a delay of 0 it looks once, so that only a text of one character stops.
    /// A `bootdelay` in the stored environment gives up to 30 s; no other variable there counts.
    StopText {
        /// SHA-256 of the text, which has at most 64 characters: `printf %s TEXT | sha256sum`.
        sha256: [u8; 32],
        /// How long it waits.
        delay_secs: u32,
    },
}

/// A stop text that could not be typed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopTextError {
    /// It is not a SHA-256.
    #[error("{text:?} is not a SHA-256 of 64 hexadecimal digits")]
    NotSha256 {
        /// What was given.
        text: String,
    },
    /// It is the SHA-256 of nothing.
    #[error("the stop text is empty: this is the SHA-256 of nothing")]
    Empty,
    /// There is no time to type it, or every boot waits for long.
    #[error("a delay of {secs} s for the stop text is not between 1 and {MAX_DELAY_SECS} s")]
    Delay {
        /// What was given.
        secs: u32,
    },
}

impl Board {
    /// The board with a prompt for those who know a text, of which its image's builder gives the
    /// SHA-256 in hexadecimal digits and never the text itself.
    ///
    /// # Errors
    /// [`StopTextError`].
    pub fn with_stop_text(self, sha256: &str, delay_secs: u32) -> Result<Self, StopTextError> {
        let not = || StopTextError::NotSha256 { text: sha256.to_owned() };
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(not());
        }
        let mut hash = [0; 32];
        for (index, byte) in hash.iter_mut().enumerate() {
            let digits = sha256.get(index * 2..index * 2 + 2).ok_or_else(not)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| not())?;
        }
        if hash == OF_NOTHING {
            return Err(StopTextError::Empty);
        }
        if !(1..=MAX_DELAY_SECS).contains(&delay_secs) {
            return Err(StopTextError::Delay { secs: delay_secs });
        }
        Ok(Self { autoboot: Autoboot::StopText { sha256: hash, delay_secs }, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ROCK64;

    #[test]
    fn a_stop_text_is_given_as_its_hash_in_either_case() {
        let digits = format!("{}{}", "aB".repeat(31), "0f");
        let mut sha256 = [0xab; 32];
        sha256[31] = 0x0f;
        let opened = ROCK64.with_stop_text(&digits, 3).unwrap();
        assert_eq!(opened.autoboot, Autoboot::StopText { sha256, delay_secs: 3 });
        assert_eq!(Board { autoboot: Autoboot::Closed, ..opened }, ROCK64);
    }

    #[test]
    fn a_stop_text_that_cannot_be_typed_is_refused() {
        let long = "ab".repeat(33);
        let signs = "+f".repeat(32);
        let umlauts = "ä".repeat(32);
        for odd in ["", "secret", &long, &signs, &umlauts] {
            let refused = ROCK64.with_stop_text(odd, 3);
            assert_eq!(refused, Err(StopTextError::NotSha256 { text: odd.to_owned() }));
        }
        let nothing: String = OF_NOTHING.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(ROCK64.with_stop_text(&nothing, 3), Err(StopTextError::Empty));
        for secs in [0, 31] {
            let refused = ROCK64.with_stop_text(&"ab".repeat(32), secs);
            assert_eq!(refused, Err(StopTextError::Delay { secs }));
        }
    }
}
