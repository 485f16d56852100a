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
    let (file, taken) = KeyFile::parse_as_glib(text.as_bytes())?;
    taken.into_iter().try_for_each(|oddity| odd(oddity.into()))?;
    if file.groups().is_empty() {
        return Err(SystemConfError::Empty);
    }
    file.groups().iter().map(|group| ConfGroup::new(group, odd)).collect()
}

/// Keys whose empty value RAUC takes for none; of other keys it refuses it.
const MAY_BE_EMPTY: [(&str, &[&str]); 9] = [
    ("system", &["mountprefix", "barebox-statename", "barebox-dtbpath", "grubenv"]),
    ("keyring", &["path", "directory"]),
    ("casync", &["storepath", "tmppath", "install-args"]),
    ("streaming", &["sandbox-user", "tls-cert", "tls-key", "tls-ca"]),
    ("encryption", &["key", "cert"]),
    ("autoinstall", &["path"]),
    ("handlers", &["system-info", "pre-install", "post-install"]),
    ("slot", &["type", "bootname", "parent", "efi-loader", "efi-cmdline"]),
    ("artifacts", &["parent-class"]),
];

/// As [`MAY_BE_EMPTY`], of keys that can well say nothing.
const MAY_SAY_NOTHING: [&str; 3] = ["description", "extra-mount-opts", "extra-mkfs-opts"];

fn may_be_empty(group: &str, key: &str) -> bool {
    let kind = group.split_once('.').map_or(group, |(kind, _)| kind);
    MAY_BE_EMPTY.iter().any(|(name, keys)| *name == kind && keys.contains(&key))
}

impl ConfGroup {
    fn new(group: &Group, odd: &mut Oddities<'_>) -> Result<Self, SystemConfError> {
        let mut keys = BTreeMap::new();
        for entry in group.entries() {
            if entry.raw().is_empty() && MAY_SAY_NOTHING.contains(&entry.key()) {
                continue;
            }
            if entry.raw().is_empty() && may_be_empty(group.name(), entry.key()) {
                odd(SystemConfError::NoValue {
                    group: group.name().to_owned(),
                    key: entry.key().to_owned(),
                    line: entry.line(),
                })?;
                continue;
            }
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

    /// The value as it stands, with the blanks at its end: RAUC counts them, here and in manifests.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(|value| value.text.as_str())
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

    /// A whole number; words after it are not looked at.
    pub fn number(&self, key: &str) -> Result<Option<u64>, SystemConfError> {
        let Some(text) = self.text(key) else { return Ok(None) };
        let number = text.split_ascii_whitespace().next().and_then(|word| word.parse::<i32>().ok());
        let number = number.and_then(|number| u64::try_from(number).ok());
        number.map(Some).ok_or_else(|| self.invalid(key, "a whole number"))
    }

    /// A size with an optional binary suffix; words after it are not looked at.
    pub fn size(&self, key: &str) -> Result<Option<ByteLen>, SystemConfError> {
        let size = self.text(key).map(|text| {
            parse_size(text).ok_or_else(|| {
                self.invalid(key, "a size: a whole number, then at most one of K M G T")
            })
        });
        size.transpose()
    }

    /// A size that must not be zero, with nothing behind it.
    pub fn nonzero_size(&self, key: &str, default: ByteLen) -> Result<ByteLen, SystemConfError> {
        let number = self.text(key).map(|text| text.trim_end_matches(['K', 'M', 'G', 'T']));
        match self.size(key)? {
            None => Ok(default),
            Some(_) if number.is_some_and(|text| text.parse::<u64>().is_err()) => {
                Err(self.invalid(key, "a size: a whole number, then at most one of K M G T"))
            }
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
        items.to_vec()
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

/// RAUC looks at one character behind the number. It takes `8 M` for 8 and `x` for 0, which
/// nobody can mean; those are refused.
fn parse_size(text: &str) -> Option<ByteLen> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text.get(..end)?.parse().ok()?;
    let rest = text.get(end..)?;
    let shift = |text: &str| {
        Some(match text.chars().next()?.to_ascii_lowercase() {
            'k' => 10,
            'm' => 20,
            'g' => 30,
            't' => 40,
            _ => return None,
        })
    };
    match shift(rest) {
        Some(shift) => number.checked_mul(1 << shift).map(ByteLen::new),
        None if shift(rest.trim_start()).is_some() => None,
        None => Some(ByteLen::new(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_take_one_binary_suffix_and_never_wrap() {
        assert_eq!(parse_size("64K"), Some(ByteLen::kib(64)));
        assert_eq!(parse_size("1T"), Some(ByteLen::mib(1024 * 1024)));
        assert_eq!(parse_size("0"), Some(ByteLen::ZERO));
        assert_eq!(parse_size("4MiB"), Some(ByteLen::mib(4)));
        assert_eq!(parse_size("64 bytes"), Some(ByteLen::new(64)));
        for wrong in ["", "K", "-1", "+1", " 1", "18446744073709551615K", "1 M x"] {
            assert_eq!(parse_size(wrong), None, "{wrong:?}");
        }
    }
}
