// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which RAUC does a bundle ask for at least? The rules of `[update] min-rauc-version`.
//!
//! A version is `Major[.Minor[.Patch]][-pre_release][+build]`, ordered as semantic versions are;
//! missing numbers are 0, the build does not count.

use std::cmp::Ordering;
use std::str::FromStr;

/// Releases before this did not know the field.
const FIRST_KNOWING: RaucVersion = RaucVersion { numbers: [1, 13, 0], pre: None };
/// Longer ones are no versions.
const MAX_BYTES: usize = 128;

/// A version of RAUC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaucVersion {
    numbers: [u64; 3],
    pre: Option<PreRelease>,
}

/// The text behind `-`; fixed size, so that a version stays a plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PreRelease {
    bytes: [u8; MAX_BYTES],
    len: usize,
}

impl PreRelease {
    fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The text is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no version: Major[.Minor[.Patch]][-pre_release] is expected")]
pub struct ParseRaucVersionError {
    /// The text.
    pub text: String,
}

/// Why a bundle cannot ask for this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MinVersionError {
    /// No version at all.
    #[error("cannot read min-rauc-version")]
    Syntax(#[from] ParseRaucVersionError),
    /// Installers of that time do not know the field.
    #[error("min-rauc-version is supported since 1.14 only, not {found}")]
    TooOld {
        /// The text.
        found: String,
    },
    /// A newer one than the program at hand.
    #[error("min-rauc-version {found} is newer than this program")]
    TooNew {
        /// The text.
        found: String,
    },
}

impl RaucVersion {
    /// Whether a bundle that asks for `text` can be made, or installed, by this version.
    ///
    /// # Errors
    /// [`MinVersionError`].
    pub fn satisfies(self, text: &str) -> Result<(), MinVersionError> {
        let wanted: Self = text.parse()?;
        if wanted <= FIRST_KNOWING {
            return Err(MinVersionError::TooOld { found: text.to_owned() });
        }
        if wanted > self {
            return Err(MinVersionError::TooNew { found: text.to_owned() });
        }
        Ok(())
    }
}

impl FromStr for RaucVersion {
    type Err = ParseRaucVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .ok_or_else(|| ParseRaucVersionError { text: text.chars().take(MAX_BYTES).collect() })
    }
}

fn parse(text: &str) -> Option<RaucVersion> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let word = |text: &str| {
        let legal = |c: char| c.is_ascii_alphanumeric() || c == '-';
        text.split('.').all(|part| !part.is_empty() && part.chars().all(legal))
    };
    let (rest, build) = text.split_once('+').map_or((text, None), |(a, b)| (a, Some(b)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(a, b)| (a, Some(b)));
    if !build.is_none_or(word) || !pre.is_none_or(word) {
        return None;
    }
    let mut numbers = [0; 3];
    let parts: Vec<&str> = core.split('.').collect();
    if parts.len() > numbers.len() {
        return None;
    }
    for (number, part) in numbers.iter_mut().zip(parts) {
        // A sign is no digit, though the standard library takes one.
        *number = part.parse().ok().filter(|_| part.bytes().all(|b| b.is_ascii_digit()))?;
    }
    let pre = pre.map(|pre| {
        let mut bytes = [0; MAX_BYTES];
        for (to, from) in bytes.iter_mut().zip(pre.bytes()) {
            *to = from;
        }
        PreRelease { bytes, len: pre.len() }
    });
    Some(RaucVersion { numbers, pre })
}

impl Ord for RaucVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        let pre = match (&self.pre, &other.pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(one), Some(other)) => compare_pre(one.text(), other.text()),
        };
        self.numbers.cmp(&other.numbers).then(pre)
    }
}

impl PartialOrd for RaucVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Part by part: numbers by value and before words, the shorter list first.
fn compare_pre(one: &[u8], other: &[u8]) -> Ordering {
    let number = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let trimmed = |part: &[u8]| part.iter().copied().skip_while(|b| *b == b'0').collect::<Vec<_>>();
    let (mut left, mut right) = (one.split(|b| *b == b'.'), other.split(|b| *b == b'.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (number(a), number(b)) {
                (true, true) => {
                    let (a, b) = (trimmed(a), trimmed(b));
                    a.len().cmp(&b.len()).then(a.cmp(&b))
                }
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> RaucVersion {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_ordered_as_semantic_versions() {
        let rising =
            ["1.13", "1.14-dev", "1.14-dev.2", "1.14-dev.10", "1.14-dev.x", "1.14", "1.14.1", "2"];
        for pair in rising.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("1.14+x").cmp(&version("1.14.0+y")), Ordering::Equal);
    }

    #[test]
    fn what_a_bundle_may_ask_for_is_what_rauc_lets_it() {
        let ours = version("1.16");
        assert_eq!(ours.satisfies("1.14-dev"), Ok(()));
        assert_eq!(ours.satisfies("1.16"), Ok(()));
        let found = |text: &str| text.to_owned();
        let new = "1000-rc.1+21000101";
        assert_eq!(ours.satisfies(new), Err(MinVersionError::TooNew { found: found(new) }));
        assert_eq!(ours.satisfies("1.13"), Err(MinVersionError::TooOld { found: found("1.13") }));
        for text in ["bad_version", "", "1.", "1.2.3.4", "+1", "1-", "1.+2", "-1"] {
            assert!(matches!(ours.satisfies(text), Err(MinVersionError::Syntax(_))), "{text}");
        }
    }
}
