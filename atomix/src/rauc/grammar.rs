// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does RAUC read a command line? The grammar of GLib's option parser, as far as RAUC uses it:
//! options anywhere, `--name=value` or `--name value`, single letters with their value as the next
//! word, `--` as the end. Pure; knows no option by name.
//!
//! RAUC reads twice. First the global options, where unknown ones are left alone; the first word
//! that is left and is no option is the command. Then that command's options, where unknown ones
//! are refused. So the value of a command's own option that stands before the command is taken for
//! the command, as there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What follows the name of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Nothing.
    Nothing,
    /// Text in UTF-8.
    Text,
    /// A file name, in any bytes.
    File,
    /// Text, unless another option or the end follows.
    TextOrNothing,
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub long: &'static str,
    /// Its letter.
    pub short: Option<u8>,
    /// What follows.
    pub takes: Takes,
    /// What its value is called in the help.
    pub value: Option<&'static str>,
    /// What it does, for the help.
    pub help: &'static str,
    /// Not in the help.
    pub is_hidden: bool,
    /// The option under whose name the value is kept.
    pub keeps: &'static str,
}

/// Options under a title.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The title in the help.
    pub title: &'static str,
    /// Its options, in the order of the help.
    pub entries: &'static [&'static [Entry]],
}

impl Group {
    /// Every option of the group.
    pub fn all(&self) -> impl Iterator<Item = &'static Entry> + use<> {
        self.entries.iter().flat_map(|entries| entries.iter())
    }
}

/// What was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    flags: BTreeSet<&'static str>,
    values: BTreeMap<&'static str, Vec<Option<OsString>>>,
}

impl Given {
    /// Whether an option without a value was given.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.flags.contains(name)
    }

    /// The last value of an option.
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&OsStr> {
        self.values.get(name)?.last()?.as_deref()
    }

    /// The last value of a text option.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        // Text options are refused while parsing when they are not UTF-8.
        self.last(name).map(|value| value.to_string_lossy().into_owned())
    }

    /// Every value of an option, in order; `None` where an optional one was left out.
    #[must_use]
    pub fn all(&self, name: &str) -> &[Option<OsString>] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Why a command line is refused, in GLib's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrammarError {
    /// No such option.
    #[error("Unknown option {option}")]
    Unknown {
        /// As it was given.
        option: String,
    },
    /// The value is missing.
    #[error("Missing argument for {option}")]
    MissingValue {
        /// Its name.
        option: String,
    },
    /// Two letters in one word want the next word.
    #[error("Error parsing option {option}")]
    TwoValues {
        /// The second one.
        option: String,
    },
    /// A text that is none.
    #[error("Invalid byte sequence in conversion input")]
    NotText,
}

/// What happens to options that are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// They stay where they are.
    Left,
    /// They are an error.
    Refused,
}

/// Reads the options of `groups` from `words` into `given` and returns what is left.
///
/// # Errors
/// [`GrammarError`].
pub fn parse(
    words: &[OsString],
    groups: &[&Group],
    strangers: Strangers,
    given: &mut Given,
) -> Result<Vec<OsString>, GrammarError> {
    let mut left = Vec::new();
    let mut end = None;
    let mut has_strangers = false;
    let mut reader = Reader { words, at: 0, groups, given };
    while let Some(word) = words.get(reader.at) {
        reader.at += 1;
        let bytes = word.as_bytes();
        if end.is_some() || bytes.len() < 2 || !bytes.starts_with(b"-") {
            left.push(word.clone());
            continue;
        }
        if bytes == b"--" {
            end = Some(left.len());
            left.push(word.clone());
            continue;
        }
        let stranger = match bytes.strip_prefix(b"--") {
            Some(name) => (!reader.long(name)?).then(|| word.clone()),
            None => reader.letters(&bytes[1..])?,
        };
        if let Some(stranger) = stranger {
            if strangers == Strangers::Refused {
                let option = stranger.to_string_lossy().into_owned();
                return Err(GrammarError::Unknown { option });
            }
            has_strangers = true;
            left.push(stranger);
        }
    }
    // The end mark stays for the second reading only where that has something to read.
    if let Some(at) = end.filter(|_| !has_strangers) {
        left.remove(at);
    }
    Ok(left)
}

struct Reader<'a> {
    words: &'a [OsString],
    /// The next word.
    at: usize,
    groups: &'a [&'a Group],
    given: &'a mut Given,
}

impl Reader<'_> {
    fn entries(&self) -> impl Iterator<Item = &'static Entry> + use<> {
        let groups: Vec<Group> = self.groups.iter().map(|group| **group).collect();
        groups.into_iter().flat_map(|group| group.all().collect::<Vec<_>>())
    }

    /// Whether `--name` was known; its value is taken too.
    fn long(&mut self, name: &[u8]) -> Result<bool, GrammarError> {
        for entry in self.entries() {
            let Some(rest) = name.strip_prefix(entry.long.as_bytes()) else { continue };
            let option = format!("--{}", entry.long);
            match (entry.takes, rest) {
                (Takes::Nothing, []) => {
                    self.given.flags.insert(entry.keeps);
                }
                (Takes::Text | Takes::File | Takes::TextOrNothing, []) => {
                    let value = self.next_value(entry, &option)?;
                    self.keep(entry, value)?;
                }
                (Takes::Text | Takes::File | Takes::TextOrNothing, [b'=', value @ ..]) => {
                    self.keep(entry, Some(OsString::from_vec(value.to_vec())))?;
                }
                _ => continue,
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads a word of single letters; returns the letters that are not known.
    fn letters(&mut self, letters: &[u8]) -> Result<Option<OsString>, GrammarError> {
        let mut unknown = b"-".to_vec();
        let mut has_value = false;
        for letter in letters {
            let Some(entry) = self.entries().find(|entry| entry.short == Some(*letter)) else {
                unknown.push(*letter);
                continue;
            };
            if entry.takes == Takes::Nothing {
                self.given.flags.insert(entry.keeps);
                continue;
            }
            let option = format!("-{}", char::from(*letter));
            if has_value {
                return Err(GrammarError::TwoValues { option });
            }
            let value = self.next_value(entry, &option)?;
            has_value = value.is_some();
            self.keep(entry, value)?;
        }
        Ok((unknown.len() > 1).then(|| OsString::from_vec(unknown)))
    }

    fn next_value(
        &mut self,
        entry: &Entry,
        option: &str,
    ) -> Result<Option<OsString>, GrammarError> {
        let next = self.words.get(self.at);
        let is_optional = entry.takes == Takes::TextOrNothing;
        match next {
            Some(word) if is_optional && word.as_bytes().starts_with(b"-") => Ok(None),
            Some(word) => {
                self.at += 1;
                Ok(Some(word.clone()))
            }
            None if is_optional => Ok(None),
            None => Err(GrammarError::MissingValue { option: option.to_owned() }),
        }
    }

    fn keep(&mut self, entry: &Entry, value: Option<OsString>) -> Result<(), GrammarError> {
        let wants_text = matches!(entry.takes, Takes::Text | Takes::TextOrNothing);
        if wants_text && value.as_ref().is_some_and(|value| value.to_str().is_none()) {
            return Err(GrammarError::NotText);
        }
        self.given.values.entry(entry.keeps).or_default().push(value);
        Ok(())
    }
}

/// The help of GLib: usage, summary, the command's options, the global ones, description.
#[must_use]
pub fn help(
    usage: &str,
    summary: &str,
    group: Option<&Group>,
    main: &Group,
    (description, dots): (&str, &str),
) -> String {
    let mut text = format!("Usage:\n  rauc [OPTION{dots}] {usage}\n\n");
    if !summary.is_empty() {
        text.push_str(summary);
        text.push_str("\n\n");
    }
    let shown = group.into_iter().chain([main]).flat_map(Group::all);
    let width = shown.filter(|entry| !entry.is_hidden).map(width).max().unwrap_or(0) + 4;
    if let Some(group) = group {
        list(&mut text, group.title, group, width);
    }
    let title = if group.is_some() { "Application Options:" } else { "Options:" };
    list(&mut text, title, main, width);
    if !description.is_empty() {
        text.push_str(description);
        text.push('\n');
    }
    text
}

fn width(entry: &Entry) -> usize {
    let letter = if entry.short.is_some() { 4 } else { 0 };
    letter + entry.long.len() + entry.value.map_or(0, |value| value.len() + 1)
}

fn list(text: &mut String, title: &str, group: &Group, width: usize) {
    text.push_str(title);
    text.push('\n');
    for entry in group.all().filter(|entry| !entry.is_hidden) {
        let letter = entry.short.map_or(String::new(), |c| format!("-{}, ", char::from(c)));
        let value = entry.value.map_or(String::new(), |value| format!("={value}"));
        let option = format!("  {letter}--{}{value}", entry.long);
        text.push_str(&format!("{option:pad$} {}\n", entry.help, pad = width + 4));
    }
    text.push('\n');
}

#[cfg(test)]
#[path = "grammar_tests.rs"]
mod tests;
