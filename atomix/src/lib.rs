// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot and update chain as one program.
//!
//! This crate composes: it reads configuration, opens devices, calls the decisions of the crates
//! below and prints. It is a library so that the demo, the tests and the benchmark run the very
//! code that the commands run.

pub mod agent;
pub mod agent_cli;
pub mod audit_trail;
pub mod boot_control;
pub mod boot_view;
pub mod cli;
pub mod commands;
pub mod config_cli;
pub mod context;
pub mod demo;
pub mod device_facts;
pub mod device_name;
pub mod failure;
pub mod image_cli;
pub mod line_cli;
pub mod output;
mod programs;
pub mod progress;
pub mod rauc;
pub mod recipe;
pub mod release_cli;
pub mod report_cli;
pub mod run;
pub mod serial_line;
pub mod settings;
pub mod signals;
pub mod slot_records;
pub mod terminal;
pub mod virtual_board;
