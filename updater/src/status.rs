// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was installed where and when? RAUC's central status file.
//!
//! A key file: one group `[slot.CLASS.IDX]` per slot with the keys `bundle.compatible`,
//! `bundle.version`, `bundle.description`, `bundle.build`, `bundle.hash`, `status`, `sha256`,
//! `size`, `installed.transaction`, `installed.timestamp`, `installed.count`,
//! `activated.timestamp`, `activated.count`; other groups (`[system]`) are kept. Source: RAUC's
//! reference. The file informs people and `slot check`; no boot decision reads it, so an install
//! goes on without it.

use crate::SlotName;
use bootctl::Timestamp;
use bundle::keyfile::{Group, KeyFile, KeyFileError, KeyFileWriter};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest, Files, FilesError};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Larger than any status of a board; stops a file that fills memory.
pub(crate) const MAX_STATUS: ByteLen = ByteLen::kib(256);

const SLOT_PREFIX: &str = "slot.";

/// The group that is about no slot.
const SYSTEM_GROUP: &str = "system";

/// The group of a file that lies in the slot it is about.
const LOCAL_GROUP: &str = "slot";

/// How the last write of a slot went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotStatusState {
    /// Being written, or a write was cut.
    Pending,
    /// Written and read back.
    Ok,
    /// The write failed.
    Failed,
}

impl SlotStatusState {
    const ALL: [Self; 3] = [Self::Pending, Self::Ok, Self::Failed];

    /// The word in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

/// What the file says about one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotStatus {
    /// The bundle's compatible.
    pub compatible: Option<String>,
    /// The bundle's version.
    pub version: Option<String>,
    /// The bundle's description.
    pub description: Option<String>,
    /// The bundle's build.
    pub build: Option<String>,
    /// SHA-256 of the bundle's manifest.
    pub bundle_hash: Option<Digest>,
    /// How the last write went.
    pub state: Option<SlotStatusState>,
    /// SHA-256 of the image; absent while the content is not certain.
    pub sha256: Option<Digest>,
    /// Length of the image.
    pub size: Option<ByteLen>,
    /// Identity of the install's transaction.
    pub transaction: Option<String>,
    /// When it was installed, ISO 8601 in UTC.
    pub installed_at: Option<String>,
    /// How often it was installed.
    pub installed_count: u64,
    /// When it was made primary, ISO 8601 in UTC.
    pub activated_at: Option<String>,
    /// How often it was made primary.
    pub activated_count: u64,
}

impl SlotStatus {
    /// Reads a file that lies in the slot it is about (`slot.raucs`).
    ///
    /// # Errors
    /// [`StatusError`].
    pub fn parse_local(text: &[u8]) -> Result<Self, StatusError> {
        let file = KeyFile::parse(text)?;
        let group = file.groups().iter().find(|group| group.name() == LOCAL_GROUP);
        group.map_or_else(|| Ok(Self::default()), parse_slot)
    }

    /// The text of such a file.
    #[must_use]
    pub fn encode_local(&self) -> String {
        let mut out = KeyFileWriter::new();
        out.group(LOCAL_GROUP);
        encode_slot(&mut out, self);
        out.finish()
    }
}

/// A status file that was put aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} was broken ({cause}) and is kept as {aside}; the status starts anew",
    path = path.display(), aside = aside.display())]
pub struct StatusPutAside {
    /// The file.
    pub path: PathBuf,
    /// Where it is now.
    pub aside: PathBuf,
    /// What was wrong with it.
    pub cause: StatusError,
}

/// Why a status file is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatusError {
    /// It is no key file.
    #[error(transparent)]
    Grammar(#[from] KeyFileError),
    /// A value is not of its kind.
    #[error("line {line} has a wrong value for {key}")]
    Value {
        /// Its key.
        key: String,
        /// Its line.
        line: usize,
    },
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotStatusFile {
    /// One entry per slot that was ever written.
    pub slots: BTreeMap<SlotName, SlotStatus>,
    /// Groups that are not about slots, kept as they are.
    others: Vec<(String, Vec<(String, String)>)>,
}

impl SlotStatusFile {
    /// Reads the text of a status file.
    ///
    /// # Errors
    /// [`StatusError`].
    pub fn parse(text: &[u8]) -> Result<Self, StatusError> {
        let mut file = Self::default();
        for group in KeyFile::parse(text)?.groups() {
            let name = group.name().strip_prefix(SLOT_PREFIX).and_then(|name| name.parse().ok());
            if let Some(name) = name {
                file.slots.insert(name, parse_slot(group)?);
                continue;
            }
            let mut entries = Vec::new();
            for entry in group.entries() {
                entries.push((entry.key().to_owned(), entry.string()?));
            }
            file.others.push((group.name().to_owned(), entries));
        }
        Ok(file)
    }

    /// The text of the file; the same status gives the same text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = KeyFileWriter::new();
        for (name, entries) in &self.others {
            out.group(name);
            for (key, value) in entries {
                out.string(key, value);
            }
        }
        for (name, status) in &self.slots {
            out.group(&format!("{SLOT_PREFIX}{name}"));
            encode_slot(&mut out, status);
        }
        out.finish()
    }

    /// Loads the file at `path`; an absent one is an empty status. A broken one is kept beside it
    /// as `.broken`, said in the second value, and the status starts anew.
    ///
    /// # Errors
    /// [`FilesError`] when the file is there and cannot be read.
    pub fn load(
        files: &mut dyn Files,
        path: &Path,
    ) -> Result<(Self, Option<StatusPutAside>), FilesError> {
        let Some(bytes) = files.read(path, MAX_STATUS)? else {
            return Ok((Self::default(), None));
        };
        match Self::parse(&bytes) {
            Ok(file) => Ok((file, None)),
            Err(cause) => {
                let mut aside = path.as_os_str().to_owned();
                aside.push(".broken");
                let aside = PathBuf::from(aside);
                // Copied before it is removed: a cut between leaves it to be put aside again.
                files.replace(&aside, &bytes)?;
                files.remove(path)?;
                Ok((Self::default(), Some(StatusPutAside { path: path.to_owned(), aside, cause })))
            }
        }
    }

    /// Takes over what a newer file tells, and keeps what it does not tell of.
    pub(crate) fn take_newer(&mut self, newer: Self) {
        self.slots.extend(newer.slots);
        for (group, entries) in newer.others {
            match self.others.iter_mut().find(|(known, _)| *known == group) {
                Some((_, known)) => {
                    known.retain(|(key, _)| !entries.iter().any(|(newer, _)| newer == key));
                    known.extend(entries);
                }
                None => self.others.push((group, entries)),
            }
        }
    }

    /// A value of the group `[system]`, which is about no slot.
    #[must_use]
    pub fn system(&self, key: &str) -> Option<&str> {
        let (_, entries) = self.others.iter().find(|(group, _)| group == SYSTEM_GROUP)?;
        entries.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Sets a value of the group `[system]`.
    pub fn set_system(&mut self, key: &str, value: &str) {
        let group = match self.others.iter_mut().position(|(group, _)| group == SYSTEM_GROUP) {
            Some(at) => self.others.get_mut(at),
            None => {
                self.others.insert(0, (SYSTEM_GROUP.to_owned(), Vec::new()));
                self.others.first_mut()
            }
        };
        let Some((_, entries)) = group else { return };
        entries.retain(|(known, _)| known != key);
        entries.push((key.to_owned(), value.to_owned()));
    }

    /// Writes the file durably.
    ///
    /// # Errors
    /// [`FilesError::Write`].
    pub fn store(&self, files: &mut dyn Files, path: &Path) -> Result<(), FilesError> {
        files.replace(path, self.encode().as_bytes())
    }
}

/// The time as the file writes it; nothing while the clock was not set.
pub(crate) fn timestamp_text(at: Timestamp) -> Option<String> {
    let secs = i64::try_from(at.unix_secs?).ok()?;
    OffsetDateTime::from_unix_timestamp(secs).ok()?.format(&Rfc3339).ok()
}

fn parse_slot(group: &Group) -> Result<SlotStatus, StatusError> {
    let text = |key: &str| -> Result<Option<String>, StatusError> {
        Ok(group.get(key).map(bundle::keyfile::Entry::string).transpose()?)
    };
    let wrong = |key: &str| StatusError::Value {
        key: key.to_owned(),
        line: group.get(key).map_or(group.line(), bundle::keyfile::Entry::line),
    };
    let number = |key: &str| -> Result<Option<u64>, StatusError> {
        text(key)?.map(|value| value.trim().parse().map_err(|_| wrong(key))).transpose()
    };
    let digest = |key: &str| -> Result<Option<Digest>, StatusError> {
        text(key)?
            .filter(|value| !value.is_empty())
            .map(|value| value.trim().parse().map_err(|_| wrong(key)))
            .transpose()
    };
    let state = text("status")?
        .map(|value| {
            let known = SlotStatusState::ALL.into_iter().find(|state| state.name() == value);
            known.ok_or_else(|| wrong("status"))
        })
        .transpose()?;
    Ok(SlotStatus {
        compatible: text("bundle.compatible")?,
        version: text("bundle.version")?,
        description: text("bundle.description")?,
        build: text("bundle.build")?,
        bundle_hash: digest("bundle.hash")?,
        state,
        sha256: digest("sha256")?,
        size: number("size")?.map(ByteLen::new),
        transaction: text("installed.transaction")?,
        installed_at: text("installed.timestamp")?,
        installed_count: number("installed.count")?.unwrap_or(0),
        activated_at: text("activated.timestamp")?,
        activated_count: number("activated.count")?.unwrap_or(0),
    })
}

fn encode_slot(out: &mut KeyFileWriter, status: &SlotStatus) {
    let digest = |digest: &Option<Digest>| digest.map(|digest| digest.to_string());
    let count = |count: u64| (count > 0).then(|| count.to_string());
    let values = [
        ("bundle.compatible", status.compatible.clone()),
        ("bundle.version", status.version.clone()),
        ("bundle.description", status.description.clone()),
        ("bundle.build", status.build.clone()),
        ("bundle.hash", digest(&status.bundle_hash)),
        ("status", status.state.map(|state| state.name().to_owned())),
        ("sha256", digest(&status.sha256)),
        ("size", status.size.map(|size| size.get().to_string())),
        ("installed.transaction", status.transaction.clone()),
        ("installed.timestamp", status.installed_at.clone()),
        ("installed.count", count(status.installed_count)),
        ("activated.timestamp", status.activated_at.clone()),
        ("activated.count", count(status.activated_count)),
    ];
    for (key, value) in values {
        if let Some(value) = value {
            out.string(key, &value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryFiles;

    const RAUC_TEXT: &[u8] = b"[system]\nboot-id=0b1c\n\n[slot.rootfs.1]\n\
        bundle.compatible=rock64\nbundle.version=25.11\nstatus=ok\n\
        sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\nsize=0\n\
        installed.timestamp=2026-11-21T03:00:00Z\ninstalled.count=4\n";

    #[test]
    fn status_written_by_rauc_is_read_and_written_back_with_its_other_groups() {
        let file = SlotStatusFile::parse(RAUC_TEXT).unwrap();
        let slot = &file.slots[&"rootfs.1".parse().unwrap()];
        assert_eq!(slot.state, Some(SlotStatusState::Ok));
        assert_eq!(slot.installed_count, 4);
        let text = file.encode();
        assert!(text.contains("boot-id=0b1c"), "{text}");
        assert_eq!(SlotStatusFile::parse(text.as_bytes()).unwrap(), file);
    }

    #[test]
    fn broken_status_is_put_aside_whole_and_started_anew() {
        let path = Path::new("/data/rauc/status.raucs");
        for broken in [&b"[slot.rootfs.0]\nstatus=perhaps\n"[..], b"no key file", b"\xff\xfe"] {
            let mut files = MemoryFiles::new();
            files.replace(path, broken).unwrap();
            let (file, aside) = SlotStatusFile::load(&mut files, path).unwrap();
            assert_eq!(file, SlotStatusFile::default());
            let aside = aside.unwrap().aside;
            assert_eq!(aside, Path::new("/data/rauc/status.raucs.broken"));
            assert_eq!(files.read(&aside, MAX_STATUS).unwrap().unwrap(), broken);
            assert_eq!(files.read(path, MAX_STATUS).unwrap(), None);
        }
    }

    #[test]
    fn times_are_utc_and_an_unset_clock_leaves_none() {
        let at = Timestamp::from_unix(1_795_230_000);
        assert_eq!(timestamp_text(at).as_deref(), Some("2026-11-21T03:00:00Z"));
        assert_eq!(timestamp_text(Timestamp::UNKNOWN), None);
    }
}
