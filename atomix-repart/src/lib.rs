// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to happen to a board's disk before its system runs?
//!
//! The first boot's partitions, environment and file systems, its end, and the reset of data that
//! somebody asked for: the code of `atomix repart` and of `atomix-repart`, which an initrd carries
//! because it links neither TLS nor an async runtime. Also what both programs share to open a
//! board: its settings, environment and recorder. The deciding is `repart`'s and `bootctl`'s.

mod board;
mod boot;
mod carry_out;
mod class;
pub mod cli;
mod data;
mod decide;
mod failure;
mod file_hint;
mod report;
mod request;
mod reset;
pub mod run;
mod settings;
mod terminal;

pub use board::{Board, BoardRecorder, DataHome, FW_ENV_CONFIG_PATH, INITIAL_ENV_PATH, timestamp};
pub use boot::{OpenBoot, UbootBoot};
pub use carry_out::carry_out;
pub use class::Class;
pub use data::PROVISIONED_PATH;
pub use decide::{Decision, decide};
pub use failure::Failure;
pub use file_hint::{file_hint, files_hint};
pub use report::RepartReport;
pub use request::{Act, Answer, Request, perform};
pub use settings::{
    DiskSettings, HealthSettings, RecorderSettings, SETTINGS_PATH, Settings, SettingsError,
};
pub use terminal::{Folded, Tame, fit, one_line, wrap};
