// SPDX-License-Identifier: MIT OR Apache-2.0
//! No byte from outside may crash, hang or mislead a parser.
//!
//! One function per parser of outside bytes: it takes any input at all, must return, and panics
//! where a promise is broken (what is read is written and read again as the same; nothing
//! tampered is handed out; an empty slot is never booted). `fuzz_targets/` gives each to
//! libFuzzer; `tests/seeds.rs` runs each over its seeds in `corpus/` and over mutations of them
//! on any compiler. Where a checksum guards a structure, the function reads the input once as it
//! is and once with the checksum made right, since no mutation gets past one by luck.

mod agent_settings;
mod agents;
mod atomix;
mod bootctl;
mod bundle;
mod casync;
mod config;
mod config_client;
mod config_service;
mod fixtures;
mod hawkbit;
mod http;
mod promotion;
mod repart;
mod report;
mod sparse_disk;
mod squashfs;
mod storage;
mod text;
mod uboot;
mod updater;
mod verifier;

pub use agent_settings::agent_settings;
pub use agents::{original_answer, release};
pub use atomix::{rauc_command, serial_dialogue, serial_record, settings, virtual_system};
pub use bootctl::{boot_programs, boot_state, dead_kernel, kernel_cmdline, recorder};
pub use bundle::{
    bundle, bundle_edits, envelope, key_file, keyring, manifest, pkcs11_uri, signature,
    verity_payload,
};
pub use casync::{block_hash_index, catar, chunk_file, chunk_index, tar};
pub use config::{config_bundle, config_form, config_toml, ssh_key, stick};
pub use config_client::config_client;
pub use config_service::{helper_request, ssh_signature};
pub use hawkbit::hawkbit;
pub use http::{http_head, http_url};
pub use promotion::{applier_settings, audit_log, promotion_record};
pub use repart::{fat, partition_table, repart_definition};
pub use report::device_report;
pub use sparse_disk::SparseDisk;
pub use squashfs::squashfs;
pub use storage::mountinfo;
pub use uboot::{boot_script, env_data, env_image, env_store, env_text, fw_env_config};
pub use updater::{
    boot_record, bundle_version, handler_lines, shell_words, slot_status, system_conf, system_info,
};
pub use verifier::{gateway_address, health_config, required_units};

/// A target: its name, which is that of its folder of seeds and of its file, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 63] = [
    ("agent_settings", agent_settings),
    ("applier_settings", applier_settings),
    ("audit_log", audit_log),
    ("block_hash_index", block_hash_index),
    ("boot_programs", boot_programs),
    ("boot_record", boot_record),
    ("boot_script", boot_script),
    ("boot_state", boot_state),
    ("bundle", bundle),
    ("bundle_edits", bundle_edits),
    ("bundle_version", bundle_version),
    ("catar", catar),
    ("chunk_file", chunk_file),
    ("chunk_index", chunk_index),
    ("config_bundle", config_bundle),
    ("config_client", config_client),
    ("config_form", config_form),
    ("config_toml", config_toml),
    ("dead_kernel", dead_kernel),
    ("device_report", device_report),
    ("env_data", env_data),
    ("env_image", env_image),
    ("env_store", env_store),
    ("env_text", env_text),
    ("envelope", envelope),
    ("fat", fat),
    ("fw_env_config", fw_env_config),
    ("gateway_address", gateway_address),
    ("handler_lines", handler_lines),
    ("hawkbit", hawkbit),
    ("health_config", health_config),
    ("helper_request", helper_request),
    ("http_head", http_head),
    ("http_url", http_url),
    ("kernel_cmdline", kernel_cmdline),
    ("key_file", key_file),
    ("keyring", keyring),
    ("manifest", manifest),
    ("mountinfo", mountinfo),
    ("original_answer", original_answer),
    ("partition_table", partition_table),
    ("pkcs11_uri", pkcs11_uri),
    ("promotion_record", promotion_record),
    ("rauc_command", rauc_command),
    ("recorder", recorder),
    ("release", release),
    ("repart_definition", repart_definition),
    ("required_units", required_units),
    ("serial_dialogue", serial_dialogue),
    ("serial_record", serial_record),
    ("settings", settings),
    ("shell_words", shell_words),
    ("signature", signature),
    ("slot_status", slot_status),
    ("squashfs", squashfs),
    ("ssh_key", ssh_key),
    ("ssh_signature", ssh_signature),
    ("stick", stick),
    ("system_conf", system_conf),
    ("system_info", system_info),
    ("tar", tar),
    ("verity_payload", verity_payload),
    ("virtual_system", virtual_system),
];
