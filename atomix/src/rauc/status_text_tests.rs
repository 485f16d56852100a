// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of what `rauc status` shows.

use super::*;
use crate::rauc::status_view::{ArtifactView, InstanceView};

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn slot(name: &str, class: &str) -> SlotView {
    SlotView {
        name: name.to_owned(),
        class: class.to_owned(),
        device: format!("/dev/{name}"),
        slot_type: "raw".to_owned(),
        state: "inactive".to_owned(),
        boot_status: "unknown".to_owned(),
        ..SlotView::default()
    }
}

fn view() -> StatusView {
    let installed = InstalledView {
        bundle: [text("Test Config"), text("1"), None, None, None],
        status: text("ok"),
        checksum: Some(("ab".repeat(32), 65536)),
        transaction: text("uuid"),
        installed: Some(("2026-01-02T03:04:05Z".to_owned(), 2)),
        activated: None,
    };
    let instance = InstanceView { checksum: text("cd"), references: vec![String::new()] };
    StatusView {
        compatible: "Test Config".to_owned(),
        boot_slot: "A".to_owned(),
        primary: text("rootfs.0"),
        slots: vec![
            SlotView {
                parent: text("rootfs.0"),
                state: "active".to_owned(),
                ..slot("appfs.0", "appfs")
            },
            SlotView {
                bootname: text("A"),
                state: "booted".to_owned(),
                boot_status: "good".to_owned(),
                mount_point: text("/"),
                ..slot("rootfs.0", "rootfs")
            },
            SlotView { bootname: text("B"), installed, ..slot("rootfs.1", "rootfs") },
        ],
        repositories: vec![RepositoryView {
            name: text("files"),
            path: text("/repo"),
            repository_type: text("files"),
            artifacts: vec![ArtifactView { name: text("one"), instances: vec![instance] }],
            ..RepositoryView::default()
        }],
        ..StatusView::default()
    }
}

#[test]
fn people_see_children_below_their_parents_and_the_primary_marked() {
    let shown = render(&view(), StatusFormat::Readable, Detail::Short, false);
    let bare =
        [BOLD, GREEN, PLAIN, RED, BLUE].iter().fold(shown, |text, code| text.replace(code, ""));
    let expected = "=== System Info ===\nCompatible:     Test Config\nVariant:        \n\
        System Version: \nBooted from:    rootfs.0 (A)\n\n=== Bootloader ===\n\
        Activated: rootfs.0 (A)\n\n=== Slot States ===\n\
        x [rootfs.0] (/dev/rootfs.0, raw, booted)\n      bootname: A\n      mounted: /\n      \
        boot status: good\n    [appfs.0] (/dev/appfs.0, raw, active)\n\n\
        o [rootfs.1] (/dev/rootfs.1, raw, inactive)\n      bootname: B\n      \
        boot status: unknown\n\n=== Artifact Repo States ===\n[files] (/repo)\n  type: files\n  \
        artifacts:\n    [one]\n      checksum: cd\n        active";
    assert_eq!(bare, expected);
}

#[test]
fn full_detail_tells_what_was_installed() {
    let shown = render(&view(), StatusFormat::Readable, Detail::Full, true);
    let expected = "      slot status:\n          bundle:\n              compatible=Test Config\n              \
        version=1\n          checksum:\n              sha256=abab";
    assert!(shown.contains(expected), "{shown}");
    assert!(shown.contains("\u{23fa} ") && shown.contains("\u{25cb} "));
    assert!(shown.contains("transaction=uuid\n          status=ok"));
}

#[test]
fn programs_find_raucs_keys() {
    let json = render(&view(), StatusFormat::Json, Detail::Full, false);
    assert!(json.starts_with(r#"{"compatible":"Test Config","variant":"","system_version":"","booted":"A","boot_primary":"rootfs.0","slots":[{"appfs.0":{"class":"appfs","device":"/dev/appfs.0","type":"raw","bootname":null,"state":"active","parent":"rootfs.0","mountpoint":null,"boot_status":null,"slot_status":{"bundle":{"compatible":null}}}}"#), "{json}");
    let read: serde_json::Value = serde_json::from_str(&json).unwrap();
    let status = &read["slots"][2]["rootfs.1"]["slot_status"];
    assert_eq!(status["installed"]["count"], 2);
    assert_eq!(status["checksum"]["size"], 65536);
    assert!(status.get("activated").is_none());
    let instance = &read["artifact-repositories"][0]["artifacts"][0]["instances"][0];
    assert_eq!(instance["references"][0], "");
    let pretty = render(&view(), StatusFormat::JsonPretty, Detail::Short, false);
    assert!(pretty.contains(r#""compatible" : "Test Config""#));
    assert_eq!(StatusFormat::from_name("json-2"), None);
}

#[test]
fn a_shell_counts_slots_from_one() {
    let shown = render(&view(), StatusFormat::Shell, Detail::Full, false);
    for line in [
        "RAUC_SYSTEM_SLOTS='appfs.0 rootfs.0 rootfs.1'",
        "RAUC_SLOTS='1 2 3'",
        "RAUC_SLOT_BOOT_STATUS_1=''",
        "RAUC_SLOT_BOOT_STATUS_2='good'",
        "RAUC_SLOT_STATUS_INSTALLED_COUNT_3='2'",
        "RAUC_SLOT_STATUS_CHECKSUM_SIZE_1='0'",
        "RAUC_REPO_ARTIFACT_INSTANCE_ACTIVE_1_1_1='1'",
        "RAUC_REPO_ARTIFACT_INSTANCES_1_1='1'",
        "RAUC_REPOS='1'",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line} not in {shown}");
    }
}
