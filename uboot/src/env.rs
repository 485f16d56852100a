// SPDX-License-Identifier: MIT OR Apache-2.0
//! What variables does the environment hold?
//!
//! The data area is a run of `name=value` entries, each ended by one NUL; an empty entry (so, two
//! NULs in a row) ends the run and whatever follows is not looked at: libubootenv leaves rests of
//! older contents there. Read as U-Boot's import does (`lib/hashtable.c`): an entry without `=`
//! or with an empty value removes the variable, a later entry replaces an earlier one, blanks
//! before a name are skipped, an entry that starts with `#` is a comment, and an empty name makes
//! U-Boot refuse the whole area.
//!
//! Deviates: U-Boot drops one backslash of each pair when it reads and adds it when it writes;
//! libubootenv does neither. Values are kept as stored, so a value with a backslash is never
//! rewritten differently from how it was found. Nothing of ours contains one.
//!
//! Never touches a device and never loses a variable it does not know, whatever its bytes.

use crate::EnvError;
use std::collections::BTreeMap;

/// The environment: names and values in order of name, so the same value has the same bytes.
///
/// Values that are not UTF-8 are kept and written back, but not shown by [`Env::get`] and
/// [`Env::iter`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Env {
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Env {
    /// No variables.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.get(name.as_bytes()).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Sets `name`; an empty value removes it, as everywhere in U-Boot.
    ///
    /// # Errors
    /// [`EnvError::BadName`] or [`EnvError::BadValue`] for what the format cannot hold.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), EnvError> {
        let unreadable_start = name.starts_with([' ', '\t', '#']);
        if name.is_empty() || unreadable_start || name.contains(['=', '\0']) {
            return Err(EnvError::BadName { name: name.to_owned() });
        }
        if value.contains('\0') {
            return Err(EnvError::BadValue { name: name.to_owned() });
        }
        if value.is_empty() {
            self.unset(name);
        } else {
            self.entries.insert(name.as_bytes().to_vec(), value.as_bytes().to_vec());
        }
        Ok(())
    }

    /// Removes `name` if it is there.
    pub fn unset(&mut self, name: &str) {
        self.entries.remove(name.as_bytes());
    }

    /// Names and values in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().filter_map(|(name, value)| {
            Some((std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?))
        })
    }

    /// Bytes of the data area in use, the closing NUL included.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        let entries = self.entries.iter();
        entries.map(|(name, value)| name.len() + value.len() + 2).sum::<usize>() + 1
    }

    /// Reads a data area. The time taken is linear in its length.
    ///
    /// # Errors
    /// [`EnvError::Unterminated`] or [`EnvError::EmptyName`].
    pub fn parse_data(data: &[u8]) -> Result<Self, EnvError> {
        let mut env = Self::new();
        let mut rest = data;
        loop {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(EnvError::Unterminated)?;
            let (entry, after) = rest.split_at(end);
            if entry.is_empty() {
                return Ok(env);
            }
            env.import_entry(entry)?;
            rest = after.get(1..).unwrap_or_default();
        }
    }

    fn import_entry(&mut self, entry: &[u8]) -> Result<(), EnvError> {
        let blanks = entry.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let entry = entry.get(blanks..).unwrap_or_default();
        if entry.is_empty() || entry.starts_with(b"#") {
            return Ok(());
        }
        let mut halves = entry.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        let value = halves.next().unwrap_or_default();
        if name.is_empty() {
            return Err(EnvError::EmptyName);
        }
        if value.is_empty() {
            self.entries.remove(name);
        } else {
            self.entries.insert(name.to_vec(), value.to_vec());
        }
        Ok(())
    }

    /// Writes a data area of exactly `capacity` bytes, zeros after the last entry.
    ///
    /// # Errors
    /// [`EnvError::TooBig`].
    pub fn encode_data(&self, capacity: usize) -> Result<Vec<u8>, EnvError> {
        // An empty environment still needs both closing NULs.
        let used = self.used_bytes().max(2);
        if used > capacity {
            return Err(EnvError::TooBig { used, capacity });
        }
        let mut data = Vec::with_capacity(capacity);
        for (name, value) in &self.entries {
            data.extend_from_slice(name);
            data.push(b'=');
            data.extend_from_slice(value);
            data.push(0);
        }
        data.resize(capacity, 0);
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(data: &[u8]) -> Vec<(String, String)> {
        let env = Env::parse_data(data).unwrap();
        env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn junk_after_the_double_nul_is_not_read() {
        assert_eq!(parsed(b"a=1\0\0b=2\0\0"), pairs(&[("a", "1")]));
    }

    #[test]
    fn the_last_of_two_entries_with_one_name_wins() {
        assert_eq!(parsed(b"a=1\0b=x=y\0a=2\0\0"), pairs(&[("a", "2"), ("b", "x=y")]));
    }

    #[test]
    fn an_entry_without_a_value_removes_the_variable() {
        assert_eq!(parsed(b"a=1\0b=2\0c=3\0a\0b=\0\0"), pairs(&[("c", "3")]));
    }

    #[test]
    fn blanks_and_comments_are_read_as_the_firmware_reads_them() {
        assert_eq!(parsed(b" \ta=1\0# b=2\0  \0c=3\0\0"), pairs(&[("a", "1"), ("c", "3")]));
    }

    #[test]
    fn an_empty_name_or_a_missing_end_is_refused() {
        assert!(matches!(Env::parse_data(b"=1\0\0"), Err(EnvError::EmptyName)));
        assert!(matches!(Env::parse_data(b"a=1\0"), Err(EnvError::Unterminated)));
        assert!(matches!(Env::parse_data(b""), Err(EnvError::Unterminated)));
    }

    #[test]
    fn a_foreign_value_that_is_not_text_survives_a_rewrite() {
        let data = b"a=\xff\xfe\0b=1\0\0\0";
        let mut env = Env::parse_data(data).unwrap();
        assert_eq!(env.get("a"), None);
        assert_eq!(env.encode_data(data.len()).unwrap(), data);
        env.set("b", "2").unwrap();
        assert_eq!(env.encode_data(data.len()).unwrap(), b"a=\xff\xfe\0b=2\0\0\0");
    }

    #[test]
    fn an_environment_one_byte_too_big_is_refused_by_size_and_capacity() {
        let mut env = Env::new();
        env.set("name", "value").unwrap();
        assert_eq!(env.used_bytes(), 12);
        assert_eq!(env.encode_data(12).unwrap(), b"name=value\0\0");
        let refused = env.encode_data(11);
        assert!(matches!(refused, Err(EnvError::TooBig { used: 12, capacity: 11 })), "{refused:?}");
        assert_eq!(Env::new().encode_data(3).unwrap(), [0, 0, 0]);
    }

    #[test]
    fn names_the_format_cannot_hold_are_refused() {
        let mut env = Env::new();
        for name in ["", "a=b", "a\0b", " a", "#a"] {
            assert!(matches!(env.set(name, "1"), Err(EnvError::BadName { .. })), "{name:?}");
        }
        assert!(matches!(env.set("a", "1\0"), Err(EnvError::BadValue { .. })));
        env.set("a", "1").unwrap();
        env.set("a", "").unwrap();
        assert_eq!(env, Env::new());
    }
}
