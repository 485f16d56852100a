// SPDX-License-Identifier: MIT OR Apache-2.0
//! Our own settings: those that the initrd's program reads too.

pub use atomix_repart::{
    DiskSettings, HealthSettings, RecorderSettings, SETTINGS_PATH, Settings, SettingsError,
};
