// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is one bundle version older than another?
//!
//! Semantic versions, read a little more widely, because real products say `25.11` and
//! `2026.03.1-02`: missing numbers count as 0 and leading zeros are dropped.

use std::fmt;
use std::str::FromStr;

/// A version that can be compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BundleVersion {
    order: semver::Version,
    text: String,
}

/// The text has no order among versions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a version of the form 1, 1.2, 1.2.3 or 1.2.3-pre")]
pub struct ParseVersionError {
    text: String,
}

impl BundleVersion {
    /// Whether `self` comes before `other`; build metadata does not count.
    #[must_use]
    pub fn is_older_than(&self, other: &Self) -> bool {
        self.order.cmp_precedence(&other.order).is_lt()
    }

    /// The newer of two.
    #[must_use]
    pub fn newer(self, other: Self) -> Self {
        if self.is_older_than(&other) { other } else { self }
    }
}

impl FromStr for BundleVersion {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseVersionError { text: text.to_owned() };
        let core_len = text.find(['-', '+']).unwrap_or(text.len());
        let (core, rest) = text.split_at(core_len);
        let mut numbers = [0_u64; 3];
        let mut places = numbers.iter_mut();
        for part in core.split('.') {
            let place = places.next().ok_or_else(wrong)?;
            if !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            *place = part.parse().map_err(|_| wrong())?;
        }
        let [major, minor, patch] = numbers;
        let rest = without_leading_zeros(rest);
        let order = format!("{major}.{minor}.{patch}{rest}").parse().map_err(|_| wrong())?;
        Ok(Self { order, text: text.to_owned() })
    }
}

/// A pre-release with its numbers as the semantic versions want them; the build stays as it is.
fn without_leading_zeros(rest: &str) -> String {
    let Some(pre) = rest.strip_prefix('-') else { return rest.to_owned() };
    let (pre, build) = pre.split_at(pre.find('+').unwrap_or(pre.len()));
    let number = |part: &str| part.parse::<u64>().map_or(part.to_owned(), |n| n.to_string());
    let parts: Vec<String> = pre.split('.').map(number).collect();
    format!("-{}{build}", parts.join("."))
}

impl fmt::Display for BundleVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn older(a: &str, b: &str) -> bool {
        a.parse::<BundleVersion>().unwrap().is_older_than(&b.parse().unwrap())
    }

    #[test]
    fn short_and_zero_padded_versions_are_ordered_by_number() {
        assert!(older("25.11", "26.05"));
        assert!(older("2026.9.1", "2026.10"));
        assert!(older("1.0.0-rc1", "1"));
        assert!(!older("1.2", "1.2.0"));
        assert!(older("2011.03-02", "2011.03-10"));
        assert!(!older("2011.03-02", "2011.3-2+07"));
        assert!(!older("1.2.0+b", "1.2.0+a"));
    }

    #[test]
    fn what_has_no_order_is_refused() {
        for wrong in ["", "v1", "1..2", "1.2.3.4", "1.-1", "1.2.3-", "99999999999999999999"] {
            assert!(wrong.parse::<BundleVersion>().is_err(), "{wrong:?}");
        }
    }
}
