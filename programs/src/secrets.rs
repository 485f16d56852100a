// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which variables of ours does no program get?

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

/// Variables with secrets of ours: the PIN of a token and the passphrase of a key. Whoever may read
/// a program's `/proc/PID/environ` would have them, and hooks are other people's code.
pub const SECRET_VARIABLES: [&str; 2] = ["RAUC_PKCS11_PIN", "RAUC_KEY_PASSPHRASE"];

/// `ours` without the secrets, and on top of that what the caller gives.
pub(crate) fn variables(
    ours: impl Iterator<Item = (OsString, OsString)>,
    given: &[(OsString, OsString)],
) -> BTreeMap<OsString, OsString> {
    let mut all: BTreeMap<OsString, OsString> = ours.collect();
    for name in SECRET_VARIABLES {
        all.remove(OsStr::new(name));
    }
    all.extend(given.iter().cloned());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_what_is_given_wins() {
        let pair = |(name, value): (&str, &str)| (OsString::from(name), OsString::from(value));
        let ours = [("RAUC_PKCS11_PIN", "1"), ("RAUC_KEY_PASSPHRASE", "2"), ("A", "3"), ("B", "4")];
        let kept = variables(ours.into_iter().map(pair), &[pair(("B", "5"))]);
        assert_eq!(kept.into_iter().collect::<Vec<_>>(), [("A", "3"), ("B", "5")].map(pair));
    }
}
