// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should this device be? One `config.toml` is validated, rendered to a tree of files, promoted
//! as a whole, activated, and taken back when its services do not become healthy.
//!
//! The way in: [`input::read_input`], [`model::validate`], [`render::render`]; then
//! [`promote::Store`], and [`activate::Driver`] with the services of [`system::LiveServices`].

pub mod activate;
pub mod appliers;
pub mod audit;
pub mod auth;
pub mod client;
pub mod first_boot;
pub mod helper;
#[cfg(feature = "server")]
pub mod http;
pub mod input;
pub mod jobs;
pub mod lock;
pub mod model;
mod plain_text;
pub mod promote;
pub mod protocol;
pub mod quadlet;
pub mod render;
pub mod schema;
mod spool_file;
pub mod system;
pub mod tree;
mod tree_directory;

pub use tree_directory::{WriteTreeError, write_new_directory};

/// The account that rootless containers belong to.
pub const APP_USER: &str = "appsvc";

/// The network of rootless containers.
pub const ROOTLESS_NETWORK: &str = "pasta";

/// Where the rendered configuration stands on the device.
pub const CONFIG_DIR: &str = "/data/config";
