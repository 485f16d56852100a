// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is one value of `system.conf` read? Typed access to one group, with the line in every
//! refusal. Never supplies a default for a value that is there and wrong.

use crate::SystemConfError;
use bundle::keyfile::{Group, KeyFile};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage::ByteLen;

/// One group of the file, after the key-file grammar and before any meaning.
pub(crate) struct ConfGroup {
    /// Name between the brackets.
    pub name: String,
    /// Line of the head.
    pub line: usize,
    keys: BTreeMap<String, Value>,
}

/// One value; the grammar splits a list before it resolves escapes, so both forms are kept.
struct Value {
    text: String,
    list: Vec<String>,
    line: usize,
}

/// Takes what is odd but has one meaning, or refuses it.
pub(crate) type Oddities<'a> = dyn FnMut(SystemConfError) -> Result<(), SystemConfError> + 'a;

/// Reads the groups of a configuration; at least one must be there.
pub(crate) fn read_groups(
    text: &str,
    odd: &mut Oddities<'_>,
) -> Result<Vec<ConfGroup>, SystemConfError> {
    let (file, merged) = KeyFile::parse_merging(text.as_bytes())?;
    merged.into_iter().try_for_each(|duplicate| odd(duplicate.into()))?;
    if file.groups().is_empty() {
        return Err(SystemConfError::Empty);
    }
    file.groups().iter().map(ConfGroup::new).collect()
}

impl ConfGroup {
    fn new(group: &Group) -> Result<Self, SystemConfError> {
        let mut keys = BTreeMap::new();
        for entry in group.entries() {
            let text = entry.string().or_else(|_| entry.list().map(|items| items.join(";")))?;
            let value = Value { text, list: entry.list()?, line: entry.line() };
            keys.insert(entry.key().to_owned(), value);
        }
        Ok(Self { name: group.name().to_owned(), line: group.line(), keys })
    }

    /// The line of a key, else of the group.
    pub fn line_of(&self, key: &str) -> usize {
        self.keys.get(key).map_or(self.line, |value| value.line)
    }

    /// Refuses every key that is not in `known`.
    pub fn only(&self, known: &[&str]) -> Result<(), SystemConfError> {
        for (key, value) in &self.keys {
            if !known.contains(&key.as_str()) {
                return Err(SystemConfError::UnknownKey {
                    group: self.name.clone(),
                    key: key.clone(),
                    line: value.line,
                });
            }
        }
        Ok(())
    }

    /// The refusal of `key`'s value.
    pub fn invalid(&self, key: &str, expected: &'static str) -> SystemConfError {
        SystemConfError::Invalid {
            group: self.name.clone(),
            key: key.to_owned(),
            value: self.text(key).unwrap_or_default().to_owned(),
            expected,
            line: self.line_of(key),
        }
    }

    /// The value as it stands.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(|value| value.text.trim_end())
    }

    /// An optional value that must not be empty.
    pub fn word(&self, key: &str) -> Result<Option<String>, SystemConfError> {
        match self.text(key) {
            Some("") => Err(self.invalid(key, "a value that is not empty")),
            value => Ok(value.map(str::to_owned)),
        }
    }

    /// A value that must be there.
    pub fn required(&self, key: &str) -> Result<String, SystemConfError> {
        self.word(key)?.ok_or_else(|| SystemConfError::Missing {
            group: self.name.clone(),
            key: key.to_owned(),
            line: self.line,
        })
    }

    /// `true` or `false`.
    pub fn boolean(&self, key: &str, default: Toggle) -> Result<bool, SystemConfError> {
        match self.text(key).map(str::trim) {
            None => Ok(default == Toggle::On),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(_) => Err(self.invalid(key, "true or false")),
        }
    }

    /// A whole number.
    pub fn number(&self, key: &str) -> Result<Option<u64>, SystemConfError> {
        self.text(key)
            .map(|text| text.trim().parse().map_err(|_| self.invalid(key, "a whole number")))
            .transpose()
    }

    /// A size with an optional binary suffix.
    pub fn size(&self, key: &str) -> Result<Option<ByteLen>, SystemConfError> {
        self.text(key)
            .map(|text| {
                parse_size(text).ok_or_else(|| {
                    self.invalid(key, "a size: a whole number, then at most one of K M G T")
                })
            })
            .transpose()
    }

    /// A size that must not be zero.
    pub fn nonzero_size(&self, key: &str, default: ByteLen) -> Result<ByteLen, SystemConfError> {
        match self.size(key)? {
            None => Ok(default),
            Some(ByteLen::ZERO) => Err(self.invalid(key, "a size above zero")),
            Some(size) => Ok(size),
        }
    }

    /// A path; a relative one starts at `base`.
    pub fn path(&self, key: &str, base: &Path) -> Result<Option<PathBuf>, SystemConfError> {
        Ok(self.word(key)?.map(|text| base.join(text)))
    }

    /// A path, or a `pkcs11:` URI, which has no place and stays as it is.
    pub fn path_or_token(
        &self,
        key: &str,
        base: &Path,
    ) -> Result<Option<PathBuf>, SystemConfError> {
        Ok(self.word(key)?.map(|text| match bundle::pkcs11::Pkcs11Uri::is_uri(&text) {
            true => PathBuf::from(text),
            false => base.join(text),
        }))
    }

    /// A list with `;` between the items; one at the end is allowed.
    pub fn list(&self, key: &str) -> Vec<String> {
        let items = self.keys.get(key).map(|value| value.list.as_slice()).unwrap_or_default();
        items.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
    }

    /// One of a fixed set of words.
    pub fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        expected: &'static str,
    ) -> Result<Option<T>, SystemConfError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        match choices.iter().find(|(name, _)| *name == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => Err(self.invalid(key, expected)),
        }
    }

    /// A list of words of a fixed set.
    pub fn choices<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        expected: &'static str,
    ) -> Result<Vec<T>, SystemConfError> {
        self.list(key)
            .iter()
            .map(|item| {
                choices
                    .iter()
                    .find(|(name, _)| name == item)
                    .map(|(_, value)| *value)
                    .ok_or_else(|| self.invalid(key, expected))
            })
            .collect()
    }
}

/// The value of an absent boolean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Toggle {
    On,
    Off,
}

fn parse_size(text: &str) -> Option<ByteLen> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number: u64 = digits.parse().ok()?;
    let shift = match text.get(digits.len()..)? {
        "" => 0,
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return None,
    };
    number.checked_mul(1 << shift).map(ByteLen::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_one_binary_suffix_and_never_wrap() {
        assert_eq!(parse_size("64K"), Some(ByteLen::kib(64)));
        assert_eq!(parse_size("1T"), Some(ByteLen::mib(1024 * 1024)));
        assert_eq!(parse_size("0"), Some(ByteLen::ZERO));
        for wrong in ["", "K", "1KB", "-1", "18446744073709551615K", "1 M x"] {
            assert_eq!(parse_size(wrong), None, "{wrong:?}");
        }
    }
}
