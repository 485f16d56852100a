// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers as RAUC reads them from a boot loader's variables: blanks before, anything behind.
//!
//! Deviates: C's `strtoull` takes a sign and turns `-1` into the largest number. Here a sign is no
//! digit, so that such a counter counts as none left.

/// The number at the beginning of `text`, and whether there was one. What is too large is the
/// largest.
pub(super) fn leading(text: &str, base: Base) -> Option<u64> {
    let text = text.trim_start();
    let (digits, radix) = match (base, text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")))
    {
        (Base::Hexadecimal | Base::AsWritten, Some(rest)) if starts_with_digit(rest, 16) => {
            (rest, 16)
        }
        (Base::Hexadecimal, _) => (text, 16),
        (Base::AsWritten, _) if text.starts_with('0') => (text, 8),
        (Base::AsWritten | Base::Decimal, _) => (text, 10),
    };
    if !starts_with_digit(digits, radix) {
        return None;
    }
    let values = digits.chars().map_while(|digit| digit.to_digit(radix));
    Some(values.fold(0_u64, |sum, digit| {
        sum.saturating_mul(u64::from(radix)).saturating_add(u64::from(digit))
    }))
}

/// How a number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Decimal,
    Hexadecimal,
    /// As in C: `0x` before hexadecimal, `0` before octal.
    AsWritten,
}

fn starts_with_digit(text: &str, radix: u32) -> bool {
    text.starts_with(|letter: char| letter.is_digit(radix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_c_reads_them_but_for_signs() {
        for (text, base, number) in [
            ("3", Base::Hexadecimal, Some(3)),
            ("a", Base::Hexadecimal, Some(10)),
            ("0x1F", Base::Hexadecimal, Some(31)),
            ("0x", Base::Hexadecimal, Some(0)),
            ("3 left", Base::Hexadecimal, Some(3)),
            (" 7\n", Base::Decimal, Some(7)),
            ("12x", Base::Decimal, Some(12)),
            ("x", Base::Decimal, None),
            ("", Base::Hexadecimal, None),
            ("-1", Base::Hexadecimal, None),
            ("010", Base::AsWritten, Some(8)),
            ("0x10", Base::AsWritten, Some(16)),
            ("10", Base::AsWritten, Some(10)),
            ("0", Base::AsWritten, Some(0)),
            ("99999999999999999999999", Base::Decimal, Some(u64::MAX)),
        ] {
            assert_eq!(leading(text, base), number, "{text:?} {base:?}");
        }
    }
}
