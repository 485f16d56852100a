// SPDX-License-Identifier: MIT OR Apache-2.0
//! What partitions should the disk have? Reads definition files in systemd-repart's style.
//!
//! One file is one partition; the files' names order them. Grammar (source: the manual page
//! repart.d(5)): `[Partition]`, `Key=Value` lines, `#` or `;` comments, sizes in bytes or with
//! the suffix K, M, G or T (powers of 1024). Deviates: keys and sections that this crate does not
//! act upon are errors, because a definition that is half understood gives a disk half as wanted.

use crate::{ParseTypeGuidError, TypeGuid};
use std::collections::BTreeSet;
use std::path::Path;
use storage::{ByteLen, Files, FilesError, PartUuid};

/// Largest definition file; stops a file that was swapped for an image from filling memory.
const MAX_DEFINITION_BYTES: ByteLen = ByteLen::kib(64);
/// Most definitions; a GPT holds 128 entries unless somebody made it larger on purpose.
const MAX_DEFINITIONS: usize = 128;
/// Longest label in UTF-16 units: what a GPT entry holds.
const MAX_LABEL_UNITS: usize = 36;
/// What a definition without a minimum asks for, as in systemd-repart.
const DEFAULT_MIN: ByteLen = ByteLen::mib(10);
/// The weight of a definition without one, as in systemd-repart.
const DEFAULT_WEIGHT: u32 = 1000;
/// Largest weight, as in systemd-repart.
const MAX_WEIGHT: u32 = 1_000_000;

/// A file system this crate can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// FAT, in process.
    Vfat,
    /// F2FS, by `mkfs.f2fs`.
    F2fs,
}

impl Format {
    /// The name definition files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Vfat => "vfat",
            Self::F2fs => "f2fs",
        }
    }
}

/// One wanted partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The file's name, for messages and order.
    pub file: String,
    /// Partition type.
    pub type_guid: TypeGuid,
    /// Label; without one, the name of the type.
    pub label: String,
    /// Fixed unique identity; without one it is derived.
    pub part_uuid: Option<PartUuid>,
    /// Smallest acceptable size.
    pub size_min: ByteLen,
    /// Largest acceptable size.
    pub size_max: Option<ByteLen>,
    /// Free space to leave behind the partition.
    pub padding_min: ByteLen,
    /// Share of the free space relative to the others.
    pub weight: u32,
    /// File system to make in the partition when it is new or blank.
    pub format: Option<Format>,
}

/// A definition that cannot be used: where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// A line is neither a section, an assignment, a comment nor empty.
    #[error("{file}:{line}: not a section or an assignment")]
    Syntax {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
    },
    /// A section other than `[Partition]`, or an assignment outside it.
    #[error("{file}:{line}: only the section [Partition] is known")]
    Section {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
    },
    /// A key that is not known, or known to systemd-repart but not done here.
    #[error("{file}:{line}: key {key} is not supported")]
    UnknownKey {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A key given twice.
    #[error("{file}:{line}: key {key} was given before")]
    DuplicateKey {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A value that its key does not take.
    #[error("{file}:{line}: {key}={value} is not {expected}")]
    Value {
        /// File name.
        file: String,
        /// Line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// What was given.
        value: String,
        /// What is taken.
        expected: &'static str,
    },
    /// No `Type=`.
    #[error("{file}: no Type= is given")]
    NoType {
        /// File name.
        file: String,
    },
    /// The smallest size exceeds the largest.
    #[error("{file}: SizeMinBytes of {min} exceeds SizeMaxBytes of {max}")]
    MinAboveMax {
        /// File name.
        file: String,
        /// Smallest size.
        min: ByteLen,
        /// Largest size.
        max: ByteLen,
    },
}

/// The directory of definitions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ReadDefinitionsError {
    /// A file or the directory cannot be read.
    #[error("cannot read partition definitions")]
    Files(#[from] FilesError),
    /// A file is not text.
    #[error("{file} is not UTF-8 text")]
    NotText {
        /// File name.
        file: String,
    },
    /// A definition is wrong.
    #[error("cannot use a partition definition")]
    Definition(#[from] DefinitionError),
    /// More definitions than a partition table holds.
    #[error("{found} partition definitions exceed the limit of {MAX_DEFINITIONS}")]
    TooMany {
        /// Number of files.
        found: usize,
    },
    /// No definition at all: an empty directory would otherwise mean "nothing to do".
    #[error("no partition definitions in {dir}")]
    None {
        /// The directory.
        dir: String,
    },
}

/// Reads every `*.conf` of `dir`, ordered by name.
///
/// # Errors
/// [`ReadDefinitionsError`]; the first wrong file stops the reading.
pub fn read_definitions(
    files: &dyn Files,
    dir: &Path,
) -> Result<Vec<Definition>, ReadDefinitionsError> {
    let mut names = files.list(dir)?;
    names.retain(|name| name.ends_with(".conf"));
    names.sort();
    if names.is_empty() {
        return Err(ReadDefinitionsError::None { dir: dir.display().to_string() });
    }
    if names.len() > MAX_DEFINITIONS {
        return Err(ReadDefinitionsError::TooMany { found: names.len() });
    }
    let mut definitions = Vec::new();
    for name in names {
        // A file that vanished between listing and reading counts as not listed.
        let Some(bytes) = files.read(&dir.join(&name), MAX_DEFINITION_BYTES)? else { continue };
        let Ok(text) = String::from_utf8(bytes) else {
            return Err(ReadDefinitionsError::NotText { file: name });
        };
        definitions.push(parse_definition(&name, &text)?);
    }
    Ok(definitions)
}

/// Parses one definition; `name` is the file's name for messages.
///
/// # Errors
/// [`DefinitionError`] naming file, line and key.
pub fn parse_definition(name: &str, text: &str) -> Result<Definition, DefinitionError> {
    let mut draft = Draft::default();
    let mut seen = BTreeSet::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let at = Place { file: name, line: line_number };
        if line.starts_with('[') {
            inside = line == "[Partition]";
            if !inside {
                return Err(DefinitionError::Section { file: name.to_owned(), line: line_number });
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(DefinitionError::Syntax { file: name.to_owned(), line: line_number });
        };
        if !inside {
            return Err(DefinitionError::Section { file: name.to_owned(), line: line_number });
        }
        let (key, value) = (key.trim_end(), value.trim_start());
        if !seen.insert(key.to_owned()) {
            let (file, key) = (name.to_owned(), key.to_owned());
            return Err(DefinitionError::DuplicateKey { file, line: line_number, key });
        }
        draft.assign(&at, key, value)?;
    }
    draft.finish(name)
}

/// Where an assignment stands.
struct Place<'a> {
    file: &'a str,
    line: usize,
}

impl Place<'_> {
    fn value(&self, key: &str, value: &str, expected: &'static str) -> DefinitionError {
        let (file, key, value) = (self.file.to_owned(), key.to_owned(), value.to_owned());
        DefinitionError::Value { file, line: self.line, key, value, expected }
    }
}

/// A definition while its file is read.
#[derive(Default)]
struct Draft {
    type_guid: Option<TypeGuid>,
    label: Option<String>,
    part_uuid: Option<PartUuid>,
    size_min: Option<ByteLen>,
    size_max: Option<ByteLen>,
    padding_min: Option<ByteLen>,
    weight: Option<u32>,
    format: Option<Format>,
}

impl Draft {
    fn assign(&mut self, at: &Place<'_>, key: &str, value: &str) -> Result<(), DefinitionError> {
        let size = |value: &str| {
            parse_size(value).ok_or_else(|| at.value(key, value, "a size such as 128M"))
        };
        match key {
            "Type" => {
                let wrong = |_: ParseTypeGuidError| {
                    at.value(key, value, "a GUID or a known partition type")
                };
                self.type_guid = Some(value.parse().map_err(wrong)?);
            }
            "Label" => {
                let wrong = || at.value(key, value, "a label of 1 to 36 characters without %");
                self.label = Some(check_label(value).ok_or_else(wrong)?);
            }
            "UUID" => {
                let wrong = |_| at.value(key, value, "a UUID");
                self.part_uuid = Some(value.parse().map_err(wrong)?);
            }
            "SizeMinBytes" => self.size_min = Some(size(value)?),
            "SizeMaxBytes" => self.size_max = Some(size(value)?),
            "PaddingMinBytes" => self.padding_min = Some(size(value)?),
            "Weight" => {
                let wrong = || at.value(key, value, "a number from 0 to 1000000");
                let weight = value.parse().ok().filter(|weight| *weight <= MAX_WEIGHT);
                self.weight = Some(weight.ok_or_else(wrong)?);
            }
            "Format" => {
                let known = [Format::Vfat, Format::F2fs];
                let format = known.into_iter().find(|format| format.name() == value);
                let wrong = || at.value(key, value, "a supported file system (vfat or f2fs)");
                self.format = Some(format.ok_or_else(wrong)?);
            }
            _ => {
                let (file, key) = (at.file.to_owned(), key.to_owned());
                return Err(DefinitionError::UnknownKey { file, line: at.line, key });
            }
        }
        Ok(())
    }

    fn finish(self, name: &str) -> Result<Definition, DefinitionError> {
        let file = name.to_owned();
        let Some(type_guid) = self.type_guid else {
            return Err(DefinitionError::NoType { file });
        };
        let default_min = self.size_max.map_or(DEFAULT_MIN, |max| DEFAULT_MIN.min(max));
        let size_min = self.size_min.unwrap_or(default_min);
        if let Some(max) = self.size_max
            && max < size_min
        {
            return Err(DefinitionError::MinAboveMax { file, min: size_min, max });
        }
        Ok(Definition {
            file,
            type_guid,
            label: self.label.unwrap_or_else(|| type_guid.name().unwrap_or("linux").to_owned()),
            part_uuid: self.part_uuid,
            size_min,
            size_max: self.size_max,
            padding_min: self.padding_min.unwrap_or(ByteLen::ZERO),
            weight: self.weight.unwrap_or(DEFAULT_WEIGHT),
            format: self.format,
        })
    }
}

/// A label a GPT entry holds. `%` starts a specifier in systemd's files, which is not expanded
/// here, so it is refused instead of taken literally.
fn check_label(value: &str) -> Option<String> {
    let units = value.encode_utf16().count();
    let fits = (1..=MAX_LABEL_UNITS).contains(&units);
    let plain = !value.contains('%') && !value.chars().any(char::is_control);
    (fits && plain).then(|| value.to_owned())
}

/// Parses `128M`; `None` on anything else or on overflow.
fn parse_size(value: &str) -> Option<ByteLen> {
    let (digits, scale) = match value.strip_suffix(['K', 'M', 'G', 'T']) {
        None => (value, 1_u64),
        Some(digits) if value.ends_with('K') => (digits, 1 << 10),
        Some(digits) if value.ends_with('M') => (digits, 1 << 20),
        Some(digits) if value.ends_with('G') => (digits, 1 << 30),
        Some(digits) => (digits, 1 << 40),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(scale).map(ByteLen::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryFiles;

    const DATA: &str = "# data\n[Partition]\nType=linux-generic\nLabel=data\nFormat=f2fs\n\
                        SizeMinBytes=64M\nWeight = 500\nPaddingMinBytes=1G\n";

    #[test]
    fn every_supported_key_is_read() {
        let found = parse_definition("50-data.conf", DATA).unwrap();
        assert_eq!(found.type_guid, TypeGuid::LINUX_GENERIC);
        assert_eq!((found.label.as_str(), found.format), ("data", Some(Format::F2fs)));
        assert_eq!((found.size_min, found.size_max), (ByteLen::mib(64), None));
        assert_eq!((found.weight, found.padding_min), (500, ByteLen::mib(1024)));
        assert_eq!(found.part_uuid, None);
    }

    #[test]
    fn wrong_lines_name_file_line_and_key() {
        let cases = [
            ("Type=esp\n", "x.conf:1: only the section [Partition] is known"),
            ("[Partition]\n[Other]\n", "x.conf:2: only the section [Partition] is known"),
            ("[Partition]\nType\n", "x.conf:2: not a section or an assignment"),
            ("[Partition]\nCopyBlocks=/a\n", "x.conf:2: key CopyBlocks is not supported"),
            ("[Partition]\nType=esp\nType=esp\n", "x.conf:3: key Type was given before"),
            (
                "[Partition]\nType=boot\n",
                "x.conf:2: Type=boot is not a GUID or a known partition type",
            ),
            (
                "[Partition]\nFormat=ext4\n",
                "x.conf:2: Format=ext4 is not a supported file system (vfat or f2fs)",
            ),
            (
                "[Partition]\nSizeMinBytes=-1\n",
                "x.conf:2: SizeMinBytes=-1 is not a size such as 128M",
            ),
            (
                "[Partition]\nSizeMinBytes=99999999T\n",
                "x.conf:2: SizeMinBytes=99999999T is not a size such as 128M",
            ),
            (
                "[Partition]\nLabel=%o\n",
                "x.conf:2: Label=%o is not a label of 1 to 36 characters without %",
            ),
            (
                "[Partition]\nWeight=1000001\n",
                "x.conf:2: Weight=1000001 is not a number from 0 to 1000000",
            ),
            ("[Partition]\nLabel=a\n", "x.conf: no Type= is given"),
            (
                "[Partition]\nType=esp\nSizeMinBytes=2M\nSizeMaxBytes=1M\n",
                "x.conf: SizeMinBytes of 2.0 MiB exceeds SizeMaxBytes of 1.0 MiB",
            ),
        ];
        for (text, message) in cases {
            assert_eq!(parse_definition("x.conf", text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn files_are_ordered_by_name_and_others_are_left_alone() {
        let mut files = MemoryFiles::new();
        let dir = Path::new("/etc/repart.d");
        files.replace(&dir.join("50-data.conf"), DATA.as_bytes()).unwrap();
        files.replace(&dir.join("10-boot.conf"), b"[Partition]\nType=xbootldr\n").unwrap();
        files.replace(&dir.join("README"), b"not a definition").unwrap();
        let found = read_definitions(&files, dir).unwrap();
        let names: Vec<_> = found.iter().map(|definition| definition.file.as_str()).collect();
        assert_eq!(names, ["10-boot.conf", "50-data.conf"]);
        let none = read_definitions(&files, Path::new("/nowhere")).unwrap_err();
        assert!(matches!(none, ReadDefinitionsError::None { .. }));
    }
}
