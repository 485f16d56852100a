// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should this device be? One `config.toml` is validated, rendered to a tree of files, promoted
//! as a whole, activated, and taken back when its services do not become healthy.
