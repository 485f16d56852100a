// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may we build from? Reads `deny.toml`, where licences and known duplicates stand once, for
//! `cargo deny` and for us.

use crate::error::TaskError;
use serde::Deserialize;
use std::path::{Path, PathBuf};

const POLICY: &str = "deny.toml";

/// The parts of `deny.toml` that are held here too.
#[derive(Debug, Deserialize)]
pub struct Policy {
    licenses: Licences,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licences {
    allow: Vec<String>,
    #[serde(default)]
    exceptions: Vec<LicenceException>,
}

#[derive(Debug, Deserialize)]
struct LicenceException {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    #[serde(default)]
    skip: Vec<Skip>,
}

#[derive(Debug, Deserialize)]
struct Skip {
    #[serde(rename = "crate")]
    package: String,
}

impl Policy {
    /// Reads the checkout's policy.
    pub fn read() -> Result<Self, TaskError> {
        let path = Path::new(POLICY);
        #[expect(clippy::disallowed_methods, reason = "a maintainer's tool reads its own checkout")]
        let text = std::fs::read_to_string(path)
            .map_err(|source| TaskError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads the text of a `deny.toml`.
    pub fn parse(text: &str) -> Result<Self, TaskError> {
        toml::from_str(text)
            .map_err(|source| TaskError::Policy { path: PathBuf::from(POLICY), source })
    }

    /// Whether an SPDX expression of `package` can be satisfied from the list: every part joined
    /// by AND must offer one listed alternative.
    pub fn licence_allowed(&self, package: &str, expression: &str) -> bool {
        let excepted = self.licenses.exceptions.iter().filter(|one| one.package == package);
        let listed: Vec<&String> =
            self.licenses.allow.iter().chain(excepted.flat_map(|one| &one.allow)).collect();
        let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
        plain.split(" AND ").all(|part| {
            part.split(" OR ")
                .any(|alternative| listed.iter().any(|one| *one == alternative.trim()))
        })
    }

    /// Whether `name` in `version` may stand beside another version of itself.
    pub fn duplicate_allowed(&self, name: &str, version: &str) -> bool {
        self.skipped().any(|skipped| skipped == format!("{name}@{version}"))
    }

    /// The duplicates that are allowed, as `name@version`.
    pub fn skipped(&self) -> impl Iterator<Item = &str> {
        self.bans.skip.iter().map(|skip| skip.package.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;

    const TEXT: &str = "[licenses]\nallow = [\"MIT\", \"Apache-2.0\", \"Unicode-3.0\"]\n\
        exceptions = [{ crate = \"fuzzer\", allow = [\"NCSA\"] }]\n\
        [bans]\nskip = [{ crate = \"old@1.0.0\", reason = \"a\" }]\n";

    #[test]
    fn one_listed_alternative_is_enough_and_every_joined_part_is_needed() {
        let policy = Policy::parse(TEXT).unwrap();
        let allowed = |expression| policy.licence_allowed("any", expression);
        assert!(allowed("MIT OR GPL-3.0"));
        assert!(allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(allowed("Unlicense/MIT"));
        assert!(!allowed("MIT AND GPL-3.0"));
        assert!(!allowed(""));
    }

    #[test]
    fn exceptions_hold_for_their_package_only() {
        let policy = Policy::parse(TEXT).unwrap();
        assert!(policy.licence_allowed("fuzzer", "MIT AND NCSA"));
        assert!(!policy.licence_allowed("other", "MIT AND NCSA"));
        assert!(policy.duplicate_allowed("old", "1.0.0"));
        assert!(!policy.duplicate_allowed("old", "1.0.1"));
    }
}
