// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every file of the rooms that reads a format is known here, with the targets that reach it or
//! the reason why it reads nothing from outside. A new parser makes this fail until it has a row.
//!
//! "Reads a format" is told by names: a function `parse…`, `decode…`, `from_pem`, `from_env…`,
//! `from_str` or `read_table`, or a call of a parser of TOML, JSON, DER, squashfs or FAT. A parser
//! under another name is not seen: give it one of these.

use atomix_fuzz::TARGETS;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What tells a parser, in the text of a file before its tests.
const MARKS: [&str; 14] = [
    "fn parse",
    "fn decode",
    "fn from_kernel_log",
    "fn from_pem",
    "fn from_env",
    "fn from_str(",
    "fn read_table",
    "Ext4::load(",
    "toml::from_",
    "serde_json::from_",
    "::from_der(",
    "stack_from_pem",
    "FilesystemReader",
    "FileSystem::new",
];

enum Row {
    /// These targets reach it.
    Fuzzed(&'static [&'static str]),
    /// It reads what was made inside.
    Inside(&'static str),
}

use Row::{Fuzzed, Inside};

const PARSERS: &[(&str, Row)] = &[
    ("agents/src/ddi/base.rs", Fuzzed(&["hawkbit"])),
    ("agents/src/ddi/deployment.rs", Fuzzed(&["hawkbit"])),
    ("agents/src/ddi/played.rs", Inside("what a test is about to send")),
    ("agents/src/ddi/request.rs", Inside("a number or a date in a header that `http_head` bounds")),
    ("agents/src/ddi/server.rs", Fuzzed(&["hawkbit"])),
    ("agents/src/ddi/state.rs", Fuzzed(&["hawkbit"])),
    ("agents/src/json.rs", Fuzzed(&["original_answer", "release"])),
    ("agents/src/memory/heard.rs", Inside("what the agent itself heard last, bounded, in /run")),
    ("agents/src/memory/store.rs", Inside("the record that the agent itself wrote, bounded")),
    ("agents/src/memory/store_tests.rs", Inside("what a test has just written")),
    ("agents/src/original.rs", Fuzzed(&["original_answer"])),
    ("agents/src/release.rs", Fuzzed(&["release"])),
    ("agents/src/release_read.rs", Fuzzed(&["release"])),
    ("agents/src/report/signed.rs", Fuzzed(&["device_report"])),
    ("agents/src/secrets.rs", Inside("the owner's own certificates, bounded, read by OpenSSL")),
    ("agents/src/settings.rs", Fuzzed(&["agent_settings"])),
    ("atomix-repart/src/settings.rs", Fuzzed(&["settings"])),
    ("atomix/src/commands/rescue/laptop/dialogue.rs", Fuzzed(&["serial_dialogue"])),
    ("atomix/src/demo/story.rs", Inside("answers of the program's own commands, in the demo")),
    ("atomix/src/rauc/conf.rs", Fuzzed(&["rauc_command", "system_conf"])),
    ("atomix/src/rauc/grammar.rs", Fuzzed(&["rauc_command"])),
    ("atomix/src/rauc/info_view_tests.rs", Inside("what a test had printed")),
    ("atomix/src/rauc/status_text_tests.rs", Inside("what a test had printed")),
    (
        "atomix/src/recipe/components.rs",
        Inside("the list of its own crates, and that of whoever builds an image, bounded"),
    ),
    (
        "atomix/src/recipe/steps.rs",
        Inside("recipe and lock file of whoever builds an image, bounded"),
    ),
    ("atomix/src/serial_line/baud.rs", Inside("a word of the command line, one of twelve")),
    ("atomix/src/virtual_board/system.rs", Fuzzed(&["virtual_system"])),
    ("bootctl/src/attempts.rs", Fuzzed(&["boot_state"])),
    ("bootctl/src/cmdline.rs", Fuzzed(&["kernel_cmdline"])),
    ("bootctl/src/death.rs", Fuzzed(&["dead_kernel"])),
    ("bootctl/src/data_reset.rs", Fuzzed(&["boot_state"])),
    ("bootctl/src/named/barebox.rs", Fuzzed(&["boot_programs"])),
    ("bootctl/src/named/efi_entries.rs", Fuzzed(&["boot_programs"])),
    ("bootctl/src/named/grub.rs", Fuzzed(&["boot_programs"])),
    ("bootctl/src/named/uboot.rs", Fuzzed(&["boot_programs"])),
    ("bootctl/src/reason.rs", Fuzzed(&["boot_state", "kernel_cmdline"])),
    ("bootctl/src/record_codec.rs", Fuzzed(&["recorder"])),
    ("bootctl/src/slot.rs", Fuzzed(&["boot_state", "kernel_cmdline"])),
    ("bootctl/src/state.rs", Fuzzed(&["boot_state"])),
    ("bootctl/src/trail.rs", Fuzzed(&["boot_state"])),
    ("bootctl/src/variables.rs", Fuzzed(&["boot_state"])),
    ("bundle/src/adaptive/block_hash_index.rs", Fuzzed(&["block_hash_index"])),
    ("bundle/src/casync/index.rs", Fuzzed(&["chunk_index"])),
    ("bundle/src/casync/tar.rs", Fuzzed(&["tar"])),
    ("bundle/src/cms.rs", Fuzzed(&["bundle", "signature"])),
    ("bundle/src/cms_sign.rs", Inside("the signer's own key and certificates")),
    ("bundle/src/credential.rs", Fuzzed(&["pkcs11_uri"])),
    ("bundle/src/envelope/parse.rs", Fuzzed(&["envelope"])),
    ("bundle/src/http/head.rs", Fuzzed(&["http_head"])),
    ("bundle/src/http/multipart.rs", Fuzzed(&["http_head"])),
    ("bundle/src/http/url.rs", Fuzzed(&["http_url"])),
    ("bundle/src/image_type.rs", Fuzzed(&["manifest"])),
    ("bundle/src/keyfile.rs", Fuzzed(&["key_file"])),
    ("bundle/src/keyring.rs", Fuzzed(&["keyring"])),
    ("bundle/src/manifest_parse.rs", Fuzzed(&["manifest"])),
    (
        "bundle/src/pkcs11/token.rs",
        Inside("certificates and public keys of the builder's own token"),
    ),
    ("bundle/src/pkcs11/uri.rs", Fuzzed(&["pkcs11_uri"])),
    ("bundle/src/rauc_version.rs", Fuzzed(&["manifest"])),
    ("bundle/src/rsa_scheme.rs", Fuzzed(&["envelope"])),
    ("bundle/src/squashfs.rs", Fuzzed(&["squashfs", "verity_payload"])),
    ("bundle/src/trailer.rs", Fuzzed(&["bundle", "bundle_edits"])),
    ("config-api/src/activate/policy.rs", Fuzzed(&["applier_settings"])),
    ("config-api/src/appliers/firewall.rs", Fuzzed(&["applier_settings"])),
    ("config-api/src/appliers/lan.rs", Fuzzed(&["applier_settings"])),
    ("config-api/src/appliers/quadlets.rs", Fuzzed(&["applier_settings"])),
    ("config-api/src/appliers/settings.rs", Fuzzed(&["applier_settings"])),
    ("config-api/src/audit/line.rs", Fuzzed(&["audit_log"])),
    ("config-api/src/auth/armor.rs", Fuzzed(&["ssh_signature"])),
    ("config-api/src/auth/guard.rs", Fuzzed(&["ssh_signature"])),
    ("config-api/src/auth/nonce.rs", Fuzzed(&["ssh_signature"])),
    ("config-api/src/auth/signers.rs", Fuzzed(&["ssh_signature"])),
    ("config-api/src/auth/verifying_key.rs", Fuzzed(&["ssh_signature"])),
    ("config-api/src/client/address.rs", Fuzzed(&["config_client"])),
    ("config-api/src/client/answers.rs", Fuzzed(&["config_client"])),
    ("config-api/src/client/difference.rs", Inside("a tree that was rendered here")),
    ("config-api/src/client/signed.rs", Fuzzed(&["config_client"])),
    ("config-api/src/first_boot/look.rs", Fuzzed(&["stick"])),
    ("config-api/src/helper/in_force.rs", Inside("what the helper itself has rendered")),
    ("config-api/src/http/routes_change.rs", Inside("a typed body, as `helper_request`'s")),
    ("config-api/src/http/routes_config.rs", Inside("the configuration in force")),
    ("config-api/src/input/form.rs", Fuzzed(&["config_form"])),
    ("config-api/src/jobs/id.rs", Fuzzed(&["helper_request"])),
    ("config-api/src/jobs/store.rs", Inside("jobs that this service wrote")),
    ("config-api/src/model/address.rs", Fuzzed(&["config_toml"])),
    ("config-api/src/model/name.rs", Fuzzed(&["config_toml"])),
    ("config-api/src/model/ssh_key.rs", Fuzzed(&["config_toml", "ssh_key"])),
    ("config-api/src/model/toml_tree.rs", Fuzzed(&["config_toml"])),
    ("config-api/src/model/updates.rs", Fuzzed(&["config_toml"])),
    ("config-api/src/promote/layout.rs", Fuzzed(&["promotion_record"])),
    ("config-api/src/promote/migrate.rs", Fuzzed(&["promotion_record"])),
    ("config-api/src/promote/record.rs", Fuzzed(&["promotion_record"])),
    ("config-api/src/protocol/frame.rs", Fuzzed(&["helper_request"])),
    ("config-api/src/protocol/proof.rs", Fuzzed(&["helper_request"])),
    ("config-api/src/system/units.rs", Inside("what the helper noted in this boot")),
    ("repart/src/definition.rs", Fuzzed(&["repart_definition"])),
    ("repart/src/fat.rs", Fuzzed(&["fat"])),
    ("repart/src/table.rs", Fuzzed(&["partition_table"])),
    ("repart/src/type_guid.rs", Fuzzed(&["repart_definition"])),
    ("storage/src/digest.rs", Fuzzed(&["manifest", "slot_status"])),
    ("storage/src/emmc.rs", Inside("one byte of the eMMC controller's registers")),
    ("storage/src/mounts.rs", Fuzzed(&["mountinfo"])),
    ("storage/src/part_uuid.rs", Fuzzed(&["boot_state"])),
    ("uboot/src/env.rs", Fuzzed(&["env_data"])),
    ("uboot/src/env_image.rs", Fuzzed(&["env_image", "env_store"])),
    ("uboot/src/env_text.rs", Fuzzed(&["env_text"])),
    ("uboot/src/fw_env_config.rs", Fuzzed(&["fw_env_config"])),
    ("uboot/src/script.rs", Fuzzed(&["boot_script"])),
    ("updater/src/artifacts/repository.rs", Inside("names in a directory that only root writes")),
    ("updater/src/bundle_version.rs", Fuzzed(&["bundle_version"])),
    ("updater/src/conf_group.rs", Fuzzed(&["system_conf"])),
    ("updater/src/polling/time.rs", Inside("a number that a test sets")),
    ("updater/src/resume.rs", Inside("a note of the install itself, and nobody believes it")),
    ("updater/src/slot_handlers/region.rs", Fuzzed(&["boot_record"])),
    ("updater/src/slots.rs", Fuzzed(&["system_conf"])),
    ("updater/src/status.rs", Fuzzed(&["slot_status"])),
    ("updater/src/system/bundle_files.rs", Inside("what the kernel says of its free memory")),
    ("updater/src/system/handler_output.rs", Fuzzed(&["handler_lines"])),
    ("updater/src/system_conf.rs", Fuzzed(&["system_conf"])),
    ("updater/src/system_conf/slot.rs", Fuzzed(&["system_conf"])),
    ("updater/src/system_conf/system.rs", Fuzzed(&["system_conf"])),
    ("verifier/src/config.rs", Fuzzed(&["health_config"])),
    ("verifier/src/manifest.rs", Fuzzed(&["required_units"])),
    ("verifier/src/round.rs", Fuzzed(&["gateway_address"])),
    ("verifier/src/system.rs", Inside("one word of systemd's, of which none is refused")),
];

const ROOMS: [&str; 12] = [
    "agents",
    "atomix",
    "atomix-repart",
    "board-rock64",
    "bootctl",
    "bundle",
    "config-api",
    "repart",
    "storage",
    "uboot",
    "updater",
    "verifier",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The files with a parser, and the first mark in each.
fn parsers() -> BTreeMap<String, &'static str> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = BTreeMap::new();
    for room in ROOMS {
        let mut files = Vec::new();
        sources(&root.join(room).join("src"), &mut files);
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source can be read");
            let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            if let Some(mark) = MARKS.iter().find(|mark| code.contains(**mark)) {
                let name = file.strip_prefix(&root).expect("it lies below the root");
                found.insert(name.display().to_string(), *mark);
            }
        }
    }
    found
}

#[test]
fn every_file_with_a_parser_is_fuzzed_or_reads_nothing_from_outside() {
    let parsers = parsers();
    for (file, mark) in &parsers {
        let known = PARSERS.iter().any(|(row, _)| row == file);
        assert!(known, "{file} has a parser ({mark}…) and no row here");
    }
    for (file, row) in PARSERS {
        assert!(parsers.contains_key(*file), "{file} has no parser any more");
        match row {
            Fuzzed(targets) => {
                assert!(!targets.is_empty(), "{file} has no target");
                for target in *targets {
                    let exists = TARGETS.iter().any(|(name, _)| name == target);
                    assert!(exists, "{file} names the target {target}, which does not exist");
                }
            }
            Inside(reason) => assert!(!reason.is_empty(), "{file} has no reason"),
        }
    }
}
