// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does the environment live? The `fw_env.config` that the firmware's tools read.
//!
//! One line for a single copy, two lines for a redundant environment; `#` starts a comment:
//!
//! ```text
//! device  offset  size  [sector size  [sectors]]
//! ```
//!
//! Numbers are read as `fw_printenv` reads them: the offset follows its prefix (`0x` hexadecimal,
//! else decimal), all other numbers are hexadecimal with or without `0x`, so a size of `8192` is
//! 33170 bytes there and here. A negative offset (counted from the end of the device), which some
//! tools take, is refused: our devices are addressed from their start. We write `0x` everywhere.

use std::fmt::Write as _;
use std::path::PathBuf;

/// A `fw_env.config` has two lines; this stops a wrong file from being read to its end.
const MAX_CONFIG_BYTES: usize = 64 * 1024;

/// The place of one environment copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyPlace {
    /// File, block device or MTD character device.
    pub device: PathBuf,
    /// First byte of the copy.
    pub offset: u64,
    /// Size of the copy, header included.
    pub env_bytes: u32,
    /// Size of an erase block; 0 where nothing is erased.
    pub erase_bytes: u32,
    /// Erase blocks the copy owns; 0 means as many as its size needs.
    pub sectors: u32,
}

/// One or two copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FwEnvConfig {
    /// The copies in the order of the file, which is U-Boot's order.
    pub copies: Vec<CopyPlace>,
}

/// A `fw_env.config` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FwEnvConfigError {
    /// The file is longer than any real one.
    #[error("fw_env.config of {found} bytes is larger than {most}")]
    TooLarge {
        /// Size of the file.
        found: usize,
        /// Largest accepted size.
        most: usize,
    },
    /// A line has too few or too many fields.
    #[error("line {line}: {found} fields instead of 3 to 5")]
    Fields {
        /// Line number from 1.
        line: usize,
        /// Fields found.
        found: usize,
    },
    /// A field is no number of its kind.
    #[error("line {line}: {field} {value:?} is not a number from 0 to {most}")]
    Number {
        /// Line number from 1.
        line: usize,
        /// Which field.
        field: &'static str,
        /// What is there.
        value: String,
        /// Greatest accepted number.
        most: u64,
    },
    /// Neither one nor two copies are named.
    #[error("{found} environment copies are named instead of 1 or 2")]
    Copies {
        /// Copies named.
        found: usize,
    },
}

impl FwEnvConfig {
    /// Reads the text of a `fw_env.config`.
    ///
    /// # Errors
    /// [`FwEnvConfigError`] with the line at fault.
    pub fn parse(text: &str) -> Result<Self, FwEnvConfigError> {
        if text.len() > MAX_CONFIG_BYTES {
            return Err(FwEnvConfigError::TooLarge { found: text.len(), most: MAX_CONFIG_BYTES });
        }
        let mut copies = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            let fields: Vec<&str> = content.split_whitespace().collect();
            if !fields.is_empty() {
                copies.push(parse_copy(index + 1, &fields)?);
            }
        }
        if copies.is_empty() || copies.len() > 2 {
            return Err(FwEnvConfigError::Copies { found: copies.len() });
        }
        Ok(Self { copies })
    }

    /// The text of the `fw_env.config`.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::from("# device offset size [sector-size [sectors]]\n");
        for copy in &self.copies {
            // Writing into a String cannot fail.
            let _ =
                write!(text, "{} {:#x} {:#x}", copy.device.display(), copy.offset, copy.env_bytes);
            if copy.erase_bytes != 0 || copy.sectors != 0 {
                let _ = write!(text, " {:#x}", copy.erase_bytes);
            }
            if copy.sectors != 0 {
                let _ = write!(text, " {:#x}", copy.sectors);
            }
            text.push('\n');
        }
        text
    }
}

fn parse_copy(line: usize, fields: &[&str]) -> Result<CopyPlace, FwEnvConfigError> {
    let wrong_count = || FwEnvConfigError::Fields { line, found: fields.len() };
    let (device, offset, size, rest) = match fields {
        [device, offset, size, rest @ ..] if rest.len() <= 2 => (device, offset, size, rest),
        _ => return Err(wrong_count()),
    };
    let optional =
        |index: usize, field| rest.get(index).map_or(Ok(0), |value| parse_hex(line, field, value));
    Ok(CopyPlace {
        device: PathBuf::from(device),
        offset: parse_offset(line, offset)?,
        env_bytes: parse_hex(line, "size", size)?,
        erase_bytes: optional(0, "sector size")?,
        sectors: optional(1, "number of sectors")?,
    })
}

/// Offsets stay below this, so that no sum with a size can overflow.
const MAX_OFFSET: u64 = i64::MAX as u64;

fn parse_offset(line: usize, value: &str) -> Result<u64, FwEnvConfigError> {
    let number = match hex_digits(value) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None if value.bytes().all(|byte| byte.is_ascii_digit()) => value.parse().ok(),
        None => None,
    };
    number.filter(|offset| *offset <= MAX_OFFSET).ok_or_else(|| FwEnvConfigError::Number {
        line,
        field: "offset",
        value: value.to_owned(),
        most: MAX_OFFSET,
    })
}

fn parse_hex(line: usize, field: &'static str, value: &str) -> Result<u32, FwEnvConfigError> {
    let digits = hex_digits(value).unwrap_or(value);
    let signless = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    signless.then(|| u32::from_str_radix(digits, 16).ok()).flatten().ok_or_else(|| {
        FwEnvConfigError::Number { line, field, value: value.to_owned(), most: u64::from(u32::MAX) }
    })
}

fn hex_digits(value: &str) -> Option<&str> {
    let digits = value.strip_prefix("0x").or_else(|| value.strip_prefix("0X"))?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROCK64: &str = "# both copies in SPI NOR\n\
        /dev/mtd0\t0x200000 0x10000 0x1000 0x10 # first\n\n  /dev/mtd0 0x210000 10000 1000 10\n";

    #[test]
    fn two_lines_name_two_copies_with_comments_and_bare_hexadecimal_sizes() {
        let config = FwEnvConfig::parse(ROCK64).unwrap();
        let copy = |offset| CopyPlace {
            device: PathBuf::from("/dev/mtd0"),
            offset,
            env_bytes: 0x10000,
            erase_bytes: 0x1000,
            sectors: 16,
        };
        assert_eq!(config.copies, [copy(0x20_0000), copy(0x21_0000)]);
        assert_eq!(FwEnvConfig::parse(&config.encode()), Ok(config));
    }

    #[test]
    fn a_decimal_offset_is_decimal_but_a_size_never_is() {
        let config = FwEnvConfig::parse("env.bin 4096 4096").unwrap();
        assert_eq!(config.copies.first().map(|copy| copy.offset), Some(4096));
        assert_eq!(config.copies.first().map(|copy| copy.env_bytes), Some(0x4096));
    }

    #[test]
    fn what_is_not_a_place_is_refused_with_its_line() {
        let fields = |found| FwEnvConfigError::Fields { line: 2, found };
        assert_eq!(FwEnvConfig::parse("\n/dev/mtd0 0\n"), Err(fields(2)));
        assert_eq!(FwEnvConfig::parse("\na 0 1 1 1 1"), Err(fields(6)));
        assert_eq!(FwEnvConfig::parse("# no"), Err(FwEnvConfigError::Copies { found: 0 }));
        let three = "a 0 1\n".repeat(3);
        assert_eq!(FwEnvConfig::parse(&three), Err(FwEnvConfigError::Copies { found: 3 }));
        for text in ["a -1 1", "a 0x 1", "a 0 1g", "a 0 +1", "a 0 100000000", "a ffff 1"] {
            let refused = FwEnvConfig::parse(text);
            assert!(matches!(refused, Err(FwEnvConfigError::Number { line: 1, .. })), "{text}");
        }
    }
}
