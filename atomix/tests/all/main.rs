// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tests of this crate from outside, in one program, which is linked once.
//!
//! Programs of their own: `agent_poll` and `service_start` write programs that are started, which
//! fails while another test starts one; `faults` counts on both cores, `kills` and `release_power` on
//! times of the program and its system calls; `other_user`, `rescue_line` and `serial` have users and
//! terminals of the machine; `bad_input` is one table.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "tests"
)]

mod agent_bad_input;
mod agent_starts;
mod agent_units;
mod audited;
mod boot_loaders;
#[path = "../config_laptop/cable.rs"]
mod cable;
#[path = "../cli_board/mod.rs"]
mod cli_board;
mod cli_help;
mod cli_json;
mod cli_screen;
mod clocks;
mod config;
mod config_apply;
mod config_audit;
mod config_diff;
mod config_signing;
mod dead_boots;
mod demo;
mod demo_board;
#[path = "../../../config-api/tests/door/mod.rs"]
mod door;
mod exit_codes;
#[path = "../../../config-api/tests/fake/mod.rs"]
mod fake;
mod foreign_text;
mod image;
#[path = "../config_laptop/mod.rs"]
mod laptop;
mod lost_records;
mod rauc_files;
mod recipe;
mod release;
mod report;
mod rescue;
#[path = "../../../config-api/tests/ssh/mod.rs"]
mod ssh;
mod streamed;
mod technician;
mod told_truly;
mod two_programs;
mod units;
#[path = "../update_server/mod.rs"]
mod update_server;
