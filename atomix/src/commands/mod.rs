// SPDX-License-Identifier: MIT OR Apache-2.0
//! One module per noun: reads what the command needs, calls the decision, renders the answer.

pub mod agent;
pub mod agent_hawkbit;
pub mod agent_status;
pub mod agent_view;
pub mod boot;
pub mod bundle;
pub mod config;
pub mod config_audit;
pub mod config_device;
pub mod config_lan;
pub mod dead_end;
pub mod doctor;
pub mod flash;
pub mod flight_record;
pub mod health;
pub mod image;
pub mod install;
pub mod last_failure;
pub mod last_words;
pub mod manual;
pub mod release;
pub mod release_view;
pub mod repart;
pub mod report;
pub mod rescue;
pub mod room;
pub mod seed;
pub mod serial;
pub mod serial_root;
pub mod slot;
pub mod status;
pub mod transfer;
pub mod uenv;
pub mod why;
