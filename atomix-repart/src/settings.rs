// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own settings, `/etc/atomix/atomix.toml`: what RAUC's `system.conf` has no key for.
//! Never decides; unknown keys are refused, an unreadable file is a failure and never defaults.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, FilesError};

/// Where the settings lie.
pub const SETTINGS_PATH: &str = "/etc/atomix/atomix.toml";

/// A longer file is not ours; the limit keeps a device file from being read without end.
const MAX_SETTINGS: ByteLen = ByteLen::kib(64);

/// The settings of a device.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The disk with the slots.
    pub disk: DiskSettings,
    /// The flight recorder's place.
    pub recorder: RecorderSettings,
    /// The health probes.
    #[serde(default)]
    pub health: HealthSettings,
}

/// The disk with the slots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskSettings {
    /// The whole disk.
    pub device: PathBuf,
    /// Label of the partition whose unique GUID is the disk's identity (`atomix_disk`).
    pub identity_label: String,
    /// Bytes at the disk's start that belong to the bootloader and are never written.
    pub protected_bytes: u64,
    /// Label of the partition that is mounted on `/data`.
    #[serde(default = "data_label")]
    pub data_label: String,
}

fn data_label() -> String {
    "data".to_owned()
}

/// The flight recorder's place, outside both slots.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RecorderSettings {
    /// The device.
    pub device: PathBuf,
    /// Byte offset of the ring.
    pub offset: u64,
    /// Size of one block in bytes; on NOR flash the erase block.
    pub block_bytes: u32,
    /// Number of blocks, at least 2.
    pub blocks: u32,
}

impl RecorderSettings {
    /// Size of the whole ring.
    #[must_use]
    pub fn len(&self) -> ByteLen {
        ByteLen::new(u64::from(self.block_bytes).saturating_mul(u64::from(self.blocks)))
    }
}

/// The health probes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HealthSettings {
    /// The probe definitions.
    pub config: PathBuf,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self { config: PathBuf::from("/etc/atomix/health.toml") }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file does not exist.
    #[error("{path} does not exist", path = path.display())]
    Absent {
        /// Where it should be.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read the settings")]
    Unreadable(#[from] FilesError),
    /// The file is not UTF-8.
    #[error("{path} is not UTF-8 text", path = path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
    /// The file has a wrong key or value.
    #[error("{path} is wrong in line {line}: {what}", path = path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with it, in one line.
        what: String,
    },
    /// The recorder needs two blocks, so that one survives while the other is erased.
    #[error("{path}: the recorder needs at least 2 blocks, found {found}", path = path.display())]
    TooFewBlocks {
        /// Which file.
        path: PathBuf,
        /// Blocks configured.
        found: u32,
    },
}

impl SettingsError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Absent { .. } => {
                "restore it; on a laptop, name a board by --board DIR (atomix demo --keep)"
            }
            Self::Unreadable(_)
            | Self::NotText { .. }
            | Self::Invalid { .. }
            | Self::TooFewBlocks { .. } => "correct the file; nothing was tried",
        }
    }
}

impl Settings {
    /// Reads the settings.
    ///
    /// # Errors
    /// [`SettingsError`]; absence is a failure, since a guess could write the wrong disk.
    pub fn read(files: &dyn Files) -> Result<Self, SettingsError> {
        let path = Path::new(SETTINGS_PATH);
        let bytes = files
            .read(path, MAX_SETTINGS)?
            .ok_or_else(|| SettingsError::Absent { path: path.to_owned() })?;
        let text = String::from_utf8(bytes)
            .map_err(|_| SettingsError::NotText { path: path.to_owned() })?;
        Self::parse(path, &text)
    }

    /// Reads the text of the file at `path`.
    ///
    /// # Errors
    /// [`SettingsError::Invalid`] or [`SettingsError::TooFewBlocks`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let settings: Self = toml::from_str(text).map_err(|cause| SettingsError::Invalid {
            path: path.to_owned(),
            line: cause.span().map_or(1, |span| line_of(text, span.start)),
            what: cause.message().replace('\n', ", "),
        })?;
        if settings.recorder.blocks < 2 {
            return Err(SettingsError::TooFewBlocks {
                path: path.to_owned(),
                found: settings.recorder.blocks,
            });
        }
        Ok(settings)
    }
}

/// The line, from 1, that a byte of the text stands in.
fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "[disk]\ndevice = \"/dev/mmcblk1\"\nidentity-label = \"boot-b\"\n\
        protected-bytes = 16777216\n[recorder]\ndevice = \"/dev/mtd0\"\noffset = 0x220000\n\
        block-bytes = 65536\nblocks = 4\n";

    #[test]
    fn a_whole_file_is_read_and_health_has_a_default_place() {
        let settings = Settings::parse(Path::new(SETTINGS_PATH), GOOD).unwrap();
        assert_eq!(settings.recorder.len(), ByteLen::kib(256));
        assert_eq!(settings.health.config, Path::new("/etc/atomix/health.toml"));
        assert_eq!(settings.disk.data_label, "data");
    }

    #[test]
    fn unknown_keys_and_single_block_recorders_are_refused() {
        let path = Path::new(SETTINGS_PATH);
        let unknown = GOOD.replace("[recorder]", "colour = 1\n[recorder]");
        let refused = Settings::parse(path, &unknown).unwrap_err().to_string();
        assert!(
            refused
                .starts_with("/etc/atomix/atomix.toml is wrong in line 5: unknown field `colour`"),
            "{refused}"
        );
        let single = GOOD.replace("blocks = 4", "blocks = 1");
        assert!(matches!(
            Settings::parse(path, &single),
            Err(SettingsError::TooFewBlocks { found: 1, .. })
        ));
    }
}
