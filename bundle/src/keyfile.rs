// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does this key file say? The syntax of manifests and of `system.conf`.
//!
//! GLib's key-file syntax, the strict half of it: groups and keys keep their order and their line
//! numbers, values stay raw until a caller asks for a string, a list or a boolean. Where GLib
//! goes on with a group that occurs twice, takes indented lines or drops localised keys
//! (`key[de]`), we refuse: two readers that read differently would install different things from
//! one signed text. [`KeyFile::parse_as_glib`] is for files that people write and nobody signs.
//!
//! ```text
//! # comment            first byte of the line is '#'; blank lines are skipped
//! [group]              anything but '[', ']' and control characters
//! key=value            spaces around '=' are dropped; \s \n \t \r \\ are escapes
//! list=a;b\;c;         ';' separates, '\;' is a literal semicolon, the last ';' may be missing
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Largest text parsed; stops a manifest that fills the memory of a small device.
const MAX_TEXT_BYTES: usize = 1024 * 1024;
/// Most lines that say something; stops a text of tiny groups from costing much more than its
/// bytes. Blank lines do not count: we write one before each group, and read what we wrote.
const MAX_LINES: usize = 20_000;
/// Longest group or key name; stops names that no message could show.
const MAX_NAME_BYTES: usize = 256;

/// Why a text is no key file. Lines count from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// The text is longer than any key file we read.
    #[error("key file has {found} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Its length.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The text has more lines than any key file we read.
    #[error("key file has more than {limit} lines that say something")]
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// The text is not UTF-8 or has NUL or other control characters in it.
    #[error("line {line} has bytes that are not text")]
    NotText {
        /// Where.
        line: usize,
    },
    /// A line that is neither blank, comment, group nor `key=value`.
    #[error("line {line} is neither a group, a key with a value nor a comment")]
    BadLine {
        /// Where.
        line: usize,
    },
    /// A group name that is empty, too long or has brackets in it.
    #[error("line {line} has a malformed group name")]
    BadGroup {
        /// Where.
        line: usize,
    },
    /// A key that is empty, too long or has characters no key has.
    #[error("line {line} has a malformed key")]
    BadKey {
        /// Where.
        line: usize,
    },
    /// A key before the first group.
    #[error("line {line} has a key before the first group")]
    NoGroup {
        /// Where.
        line: usize,
    },
    /// A group that occurs twice.
    #[error("duplicate section [{group}] in line {line}, first in line {first}")]
    DuplicateGroup {
        /// The group's name.
        group: String,
        /// The second occurrence.
        line: usize,
        /// The first.
        first: usize,
    },
    /// A key that occurs twice in a group.
    #[error("duplicate key {key} in [{group}] in line {line}, first in line {first}")]
    DuplicateKey {
        /// The group's name.
        group: String,
        /// The key.
        key: String,
        /// The second occurrence.
        line: usize,
        /// The first.
        first: usize,
    },
    /// A key for one language, which nobody reads.
    #[error("line {line} has a key for one language in [{group}], which is not read: {key}")]
    Translation {
        /// The group's name.
        group: String,
        /// The key with its language.
        key: String,
        /// Where.
        line: usize,
    },
    /// A backslash that begins no escape.
    #[error("line {line} has an invalid escape sequence in the value of {key}")]
    BadEscape {
        /// The key.
        key: String,
        /// Where.
        line: usize,
    },
    /// A boolean that is not `true` or `false`.
    #[error("line {line} wants true or false for {key}")]
    BadBoolean {
        /// The key.
        key: String,
        /// Where.
        line: usize,
    },
}

/// A parsed key file: groups in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFile {
    groups: Vec<Group>,
}

/// One `[group]` with its entries in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    name: String,
    line: usize,
    entries: Vec<Entry>,
}

/// One `key=value` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    key: String,
    raw: String,
    line: usize,
}

impl KeyFile {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`KeyFileError`]; the first violation in the order of the lines.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let mut reader = Reader::new(Grammar::Strict);
        reader.read(text)?;
        Ok(reader.file)
    }

    /// Parses `text` as GLib does: lines may be indented, comments are any bytes, a group that
    /// occurs twice goes on, and keys for one language are dropped. Only for files that nobody
    /// signed. What of it could be a mistake comes beside the result.
    ///
    /// # Errors
    /// As [`Self::parse`], without [`KeyFileError::DuplicateGroup`].
    pub fn parse_as_glib(text: &[u8]) -> Result<(Self, Vec<KeyFileError>), KeyFileError> {
        let mut reader = Reader::new(Grammar::Glib);
        reader.read(text)?;
        Ok((reader.file, reader.odd))
    }

    /// The groups in the order of the text.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group of this name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.name == name)
    }
}

impl Group {
    /// The name between the brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The line of the group's header, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The entries in the order of the text.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Entry {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as written, escapes and all.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// The line of the entry, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The value as one string, escapes resolved.
    ///
    /// # Errors
    /// [`KeyFileError::BadEscape`].
    pub fn string(&self) -> Result<String, KeyFileError> {
        let mut pieces = self.unescape(Separator::Literal)?;
        Ok(pieces.pop().unwrap_or_default())
    }

    /// The value as a list separated by `;`, escapes resolved.
    ///
    /// # Errors
    /// [`KeyFileError::BadEscape`].
    pub fn list(&self) -> Result<Vec<String>, KeyFileError> {
        let mut pieces = self.unescape(Separator::Splits)?;
        if pieces.last().is_some_and(String::is_empty) {
            // What follows the closing ';' is no element.
            pieces.pop();
        }
        Ok(pieces)
    }

    /// The value as `true` or `false`.
    ///
    /// # Errors
    /// [`KeyFileError::BadBoolean`].
    pub fn boolean(&self) -> Result<bool, KeyFileError> {
        match self.raw.trim_end() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(KeyFileError::BadBoolean { key: self.key.clone(), line: self.line }),
        }
    }

    fn unescape(&self, separator: Separator) -> Result<Vec<String>, KeyFileError> {
        let bad = || KeyFileError::BadEscape { key: self.key.clone(), line: self.line };
        let mut pieces = Vec::new();
        let mut piece = String::new();
        let mut chars = self.raw.chars();
        while let Some(c) = chars.next() {
            match (c, separator) {
                (';', Separator::Splits) => pieces.push(std::mem::take(&mut piece)),
                ('\\', _) => piece.push(match (chars.next(), separator) {
                    (Some('s'), _) => ' ',
                    (Some('n'), _) => '\n',
                    (Some('t'), _) => '\t',
                    (Some('r'), _) => '\r',
                    (Some('\\'), _) => '\\',
                    (Some(';'), Separator::Splits) => ';',
                    _ => return Err(bad()),
                }),
                (other, _) => piece.push(other),
            }
        }
        pieces.push(piece);
        Ok(pieces)
    }
}

/// Whose reading of the syntax.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Grammar {
    Strict,
    Glib,
}

/// A text on its way to a [`KeyFile`].
struct Reader {
    grammar: Grammar,
    file: KeyFile,
    odd: Vec<KeyFileError>,
    /// Where each group is, and each key of each group.
    places: BTreeMap<String, usize>,
    keys: BTreeMap<(usize, String), usize>,
    current: Option<usize>,
}

impl Reader {
    fn new(grammar: Grammar) -> Self {
        Self {
            grammar,
            file: KeyFile::default(),
            odd: Vec::new(),
            places: BTreeMap::new(),
            keys: BTreeMap::new(),
            current: None,
        }
    }

    fn read(&mut self, text: &[u8]) -> Result<(), KeyFileError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(KeyFileError::TooLarge { found: text.len(), limit: MAX_TEXT_BYTES });
        }
        let mut said = 0;
        for (index, bytes) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = index + 1;
            let mut bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            if self.grammar == Grammar::Glib {
                bytes = bytes.trim_ascii_start();
                // What nobody reads may be in any encoding.
                if bytes.starts_with(b"#") {
                    continue;
                }
            }
            let text = std::str::from_utf8(bytes).map_err(|_| KeyFileError::NotText { line })?;
            if text.chars().any(|c| c.is_control() && c != '\t') {
                return Err(KeyFileError::NotText { line });
            }
            if text.starts_with('#') || text.trim().is_empty() {
                continue;
            }
            said += 1;
            if said > MAX_LINES {
                return Err(KeyFileError::TooManyLines { limit: MAX_LINES });
            }
            match text.starts_with('[') {
                true => self.group(text, line)?,
                false => self.entry(text, line)?,
            }
        }
        Ok(())
    }

    fn group(&mut self, text: &str, line: usize) -> Result<(), KeyFileError> {
        let name = group_name(text, line)?;
        let place = *self.places.entry(name.to_owned()).or_insert(self.file.groups.len());
        self.current = Some(place);
        match self.file.groups.get(place) {
            Some(Group { line: first, .. }) => {
                let group = name.to_owned();
                let twice = KeyFileError::DuplicateGroup { group, line, first: *first };
                match self.grammar {
                    Grammar::Strict => return Err(twice),
                    Grammar::Glib => self.odd.push(twice),
                }
            }
            None => self.file.groups.push(Group { name: name.to_owned(), line, entries: vec![] }),
        }
        Ok(())
    }

    fn entry(&mut self, text: &str, line: usize) -> Result<(), KeyFileError> {
        let place = self.current.ok_or(KeyFileError::NoGroup { line })?;
        let group = self.file.groups.get_mut(place).ok_or(KeyFileError::NoGroup { line })?;
        if self.grammar == Grammar::Glib
            && let Some(key) = translated_key(text)
        {
            let (group, key) = (group.name.clone(), key.to_owned());
            self.odd.push(KeyFileError::Translation { group, key, line });
            return Ok(());
        }
        let entry = entry(text, line)?;
        let at = *self.keys.entry((place, entry.key.clone())).or_insert(group.entries.len());
        match group.entries.get(at) {
            Some(Entry { line: first, .. }) => {
                let (group, key, first) = (group.name.clone(), entry.key, *first);
                Err(KeyFileError::DuplicateKey { group, key, line, first })
            }
            None => {
                group.entries.push(entry);
                Ok(())
            }
        }
    }
}

/// The key of a line `key[language]=…`, if it is one.
fn translated_key(text: &str) -> Option<&str> {
    let (key, _) = text.split_once('=')?;
    let key = key.trim_ascii_end();
    let (name, language) = key.strip_suffix(']')?.split_once('[')?;
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    let is_one = is_key(name) && !language.is_empty() && language.chars().all(legal);
    is_one.then_some(key)
}

/// Whether a key of this name can be meant.
fn is_key(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && name.len() <= MAX_NAME_BYTES && name.chars().all(legal)
}

#[derive(Clone, Copy)]
enum Separator {
    Splits,
    Literal,
}

fn group_name(text: &str, line: usize) -> Result<&str, KeyFileError> {
    let name = text
        .trim_end()
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .ok_or(KeyFileError::BadGroup { line })?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains(['[', ']', '\t']) {
        return Err(KeyFileError::BadGroup { line });
    }
    Ok(name)
}

fn entry(text: &str, line: usize) -> Result<Entry, KeyFileError> {
    let (key, raw) = text.split_once('=').ok_or(KeyFileError::BadLine { line })?;
    let key = key.trim_matches([' ', '\t']);
    if !is_key(key) {
        return Err(KeyFileError::BadKey { line });
    }
    let raw = raw.trim_start_matches([' ', '\t']);
    Ok(Entry { key: key.to_owned(), raw: raw.to_owned(), line })
}

/// Writes a key file as GLib does: one blank line between groups, values escaped.
#[derive(Clone, Debug, Default)]
pub struct KeyFileWriter {
    text: String,
}

impl KeyFileWriter {
    /// An empty key file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a group.
    pub fn group(&mut self, name: &str) {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{gap}[{name}]");
    }

    /// Adds a string.
    pub fn string(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.text, "{key}={}", escape(value, Separator::Literal));
    }

    /// Adds a list; every element is closed by `;`.
    pub fn list<T: AsRef<str>>(&mut self, key: &str, values: &[T]) {
        let _ = write!(self.text, "{key}=");
        for value in values {
            let _ = write!(self.text, "{};", escape(value.as_ref(), Separator::Splits));
        }
        self.text.push('\n');
    }

    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }
}

fn escape(value: &str, separator: Separator) -> String {
    let mut text = String::with_capacity(value.len());
    let mut leading = true;
    for c in value.chars() {
        match (c, separator) {
            (' ', _) if leading => text.push_str("\\s"),
            ('\t', _) if leading => text.push_str("\\t"),
            ('\n', _) => text.push_str("\\n"),
            ('\r', _) => text.push_str("\\r"),
            ('\\', _) => text.push_str("\\\\"),
            (';', Separator::Splits) => text.push_str("\\;"),
            (other, _) => text.push(other),
        }
        leading = leading && matches!(c, ' ' | '\t');
    }
    text
}

#[cfg(test)]
mod tests;
