// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is a script wrapped so that U-Boot's `source` takes it? The legacy uImage of type script,
//! as `mkimage -A arm64 -O linux -T script -C none` writes it, byte for byte.
//!
//! ```text
//!  0  u32 BE  magic 0x27051956          28  u8      operating system (5: Linux)
//!  4  u32 BE  CRC-32 of these 64 bytes  29  u8      architecture (22: arm64)
//!             with this field zero      30  u8      type (6: script)
//!  8  u32 BE  timestamp                 31  u8      compression (0: none)
//! 12  u32 BE  bytes after the header    32  [u8;32] name, NUL padded
//! 16  u32 BE  load address (0)          64  u32 BE  length of the text
//! 20  u32 BE  entry point (0)           68  u32 BE  0, ends the list of lengths
//! 24  u32 BE  CRC-32 after the header   72  text
//! ```
//!
//! Source of the format: U-Boot `include/image.h` (`struct legacy_img_hdr`) and `boot/image.c`.
//! Never interprets the text.

const MAGIC: u32 = 0x2705_1956;
const HEADER_BYTES: usize = 64;
const NAME_BYTES: usize = 32;
const LENGTHS_BYTES: usize = 8;
const OS_LINUX: u8 = 5;
const ARCH_ARM64: u8 = 22;
const TYPE_SCRIPT: u8 = 6;
const COMPRESSION_NONE: u8 = 0;

/// Largest script text. Real ones have a few KiB; U-Boot loads a script between other things in
/// memory, and a length field of 4 GiB must not make anybody allocate that.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// A boot script taken out of its wrapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Name in the header.
    pub name: String,
    /// The text U-Boot runs.
    pub text: Vec<u8>,
    /// Seconds since 1970.
    pub timestamp: u32,
}

/// A script image that cannot be made or does not hold together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// The name does not fit its field or cannot be told from its padding.
    #[error("script name {name:?} does not fit 32 bytes without NUL")]
    BadName {
        /// The name.
        name: String,
    },
    /// U-Boot takes an empty script for a failed one.
    #[error("script is empty")]
    Empty,
    /// The text is larger than any real script.
    #[error("script of {found} bytes is larger than {most}")]
    TooLarge {
        /// Size of the text.
        found: usize,
        /// Largest accepted size.
        most: usize,
    },
    /// Shorter than its header, or than its header says.
    #[error("script image of {found} bytes is shorter than {least}")]
    TooShort {
        /// Bytes given.
        found: usize,
        /// Bytes needed.
        least: usize,
    },
    /// It is something else.
    #[error("{field} of the script image is {found:#x} instead of {expected:#x}")]
    Unexpected {
        /// Header field.
        field: &'static str,
        /// Value found.
        found: u32,
        /// Value of a script.
        expected: u32,
    },
    /// A checksum is wrong.
    #[error("{part} checksum of the script image is {found:08x}, expected {expected:08x}")]
    Checksum {
        /// Header or data.
        part: &'static str,
        /// Checksum stored.
        expected: u32,
        /// Checksum computed.
        found: u32,
    },
}

/// Wraps `text`; equal arguments give equal bytes.
///
/// # Errors
/// [`ScriptError::BadName`], [`ScriptError::Empty`] or [`ScriptError::TooLarge`].
pub fn encode_script(name: &str, text: &[u8], timestamp: u32) -> Result<Vec<u8>, ScriptError> {
    if name.len() > NAME_BYTES || name.contains('\0') {
        return Err(ScriptError::BadName { name: name.to_owned() });
    }
    if text.is_empty() {
        return Err(ScriptError::Empty);
    }
    let too_large = ScriptError::TooLarge { found: text.len(), most: MAX_TEXT_BYTES };
    let Some(text_len) = u32::try_from(text.len()).ok().filter(|_| text.len() <= MAX_TEXT_BYTES)
    else {
        return Err(too_large);
    };
    let mut data = Vec::with_capacity(LENGTHS_BYTES + text.len());
    data.extend_from_slice(&text_len.to_be_bytes());
    data.extend_from_slice(&[0; 4]);
    data.extend_from_slice(text);

    let mut name_field = name.as_bytes().to_vec();
    name_field.resize(NAME_BYTES, 0);
    let header = |header_crc: u32| {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        // text_len is at most MAX_TEXT_BYTES, so the sum fits.
        let words = [MAGIC, header_crc, timestamp, text_len + 8, 0, 0, crc32fast::hash(&data)];
        words.iter().for_each(|word| header.extend_from_slice(&word.to_be_bytes()));
        header.extend_from_slice(&[OS_LINUX, ARCH_ARM64, TYPE_SCRIPT, COMPRESSION_NONE]);
        header.extend_from_slice(&name_field);
        header
    };
    let mut image = header(crc32fast::hash(&header(0)));
    image.extend_from_slice(&data);
    Ok(image)
}

/// Unwraps a script after checking both checksums, the kind of image and every size.
///
/// # Errors
/// [`ScriptError`] for the first thing that is wrong.
pub fn parse_script(image: &[u8]) -> Result<Script, ScriptError> {
    let too_short = |least| ScriptError::TooShort { found: image.len(), least };
    let (header, data) =
        image.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| too_short(HEADER_BYTES))?;
    expect_field("magic", word(header, 0), MAGIC)?;
    let mut blanked = *header;
    blanked[4..8].fill(0);
    expect_checksum("header", word(header, 4), &blanked)?;
    for (field, at, expected) in [
        ("operating system", 28, OS_LINUX),
        ("architecture", 29, ARCH_ARM64),
        ("type", 30, TYPE_SCRIPT),
        ("compression", 31, COMPRESSION_NONE),
    ] {
        expect_field(field, u32::from(header[at]), u32::from(expected))?;
    }

    let size = usize::try_from(word(header, 12)).unwrap_or(usize::MAX);
    if size > MAX_TEXT_BYTES + LENGTHS_BYTES {
        return Err(ScriptError::TooLarge { found: size, most: MAX_TEXT_BYTES });
    }
    let data = data.get(..size).ok_or_else(|| too_short(HEADER_BYTES + size))?;
    expect_checksum("data", word(header, 24), data)?;
    let (lengths, text) = data
        .split_first_chunk::<LENGTHS_BYTES>()
        .ok_or_else(|| too_short(HEADER_BYTES + LENGTHS_BYTES))?;
    // One script per image is what mkimage writes and what U-Boot's `source` runs.
    let text_len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    expect_field("text length", word(lengths, 0), text_len)?;
    expect_field("end of lengths", word(lengths, 4), 0)?;
    if text.is_empty() {
        return Err(ScriptError::Empty);
    }

    let name_field = &header[32..];
    let name_end = name_field.iter().position(|byte| *byte == 0).unwrap_or(NAME_BYTES);
    Ok(Script {
        name: String::from_utf8_lossy(&name_field[..name_end]).into_owned(),
        text: text.to_vec(),
        timestamp: word(header, 8),
    })
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>());
    word.map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn expect_field(field: &'static str, found: u32, expected: u32) -> Result<(), ScriptError> {
    if found == expected { Ok(()) } else { Err(ScriptError::Unexpected { field, found, expected }) }
}

fn expect_checksum(part: &'static str, expected: u32, bytes: &[u8]) -> Result<(), ScriptError> {
    let found = crc32fast::hash(bytes);
    if found == expected { Ok(()) } else { Err(ScriptError::Checksum { part, expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_comes_back_as_it_was_wrapped() {
        let image = encode_script("slot A", b"booti\n", 1_700_000_000).unwrap();
        let script = parse_script(&image).unwrap();
        assert_eq!(script.name, "slot A");
        assert_eq!(script.text, b"booti\n");
        assert_eq!(script.timestamp, 1_700_000_000);
    }

    #[test]
    fn every_single_changed_byte_is_noticed() {
        let image = encode_script("a", b"reset", 7).unwrap();
        for at in 0..image.len() {
            let mut broken = image.clone();
            broken[at] ^= 0x20;
            assert!(parse_script(&broken).is_err(), "byte {at}");
        }
        for len in 0..image.len() {
            assert!(parse_script(&image[..len]).is_err(), "length {len}");
        }
    }

    #[test]
    fn what_the_format_or_the_firmware_cannot_take_is_refused() {
        let long = "x".repeat(33);
        assert!(matches!(encode_script(&long, b"a", 0), Err(ScriptError::BadName { .. })));
        assert!(matches!(encode_script("a\0", b"a", 0), Err(ScriptError::BadName { .. })));
        assert_eq!(encode_script("a", b"", 0), Err(ScriptError::Empty));
        let big = vec![b'a'; MAX_TEXT_BYTES + 1];
        assert!(matches!(encode_script("a", &big, 0), Err(ScriptError::TooLarge { .. })));
    }
}
