// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bundles whose true signature covers something that cannot be: the vendor's own mistakes, and
//! names that try to leave their directory.

use crate::cli_board::bundles::{Recipe, resigned};
use crate::cli_board::{BOOT_BYTES, ROOTFS_BYTES};
use crate::table::{After, Case, Row};
use bundle::BundleFormat;

const BUILT_WRONGLY: &str = "its maker has to build it again";

pub fn rows() -> Vec<Row> {
    let mut rows = image_rows();
    rows.extend(text_rows());
    rows.extend(name_rows());
    rows.extend(fit_rows());
    rows
}

fn image_rows() -> Vec<Row> {
    let install = Row::install;
    vec![
        install("image missing", missing, 4, &["BUNDLE", "absent.img", "not in"], BUILT_WRONGLY),
        install(
            "image of another size",
            wrong_size,
            4,
            &["BUNDLE", "rootfs.img", "the manifest says 4096"],
            BUILT_WRONGLY,
        ),
        install(
            "image with another digest",
            wrong_digest,
            4,
            &["BUNDLE", "rootfs.img", "the manifest says 0000"],
            BUILT_WRONGLY,
        )
        // Seen when the medium is hashed; everything else is found before the first write.
        .after(After::Torn),
        install(
            "image with no size",
            no_size,
            4,
            &["size is missing", "image.rootfs"],
            BUILT_WRONGLY,
        ),
    ]
}

fn text_rows() -> Vec<Row> {
    let install = Row::install;
    vec![
        install(
            "section twice in the manifest",
            |case| case.offer(resigned(|text| text + "[update]\ncompatible=small-board\n")),
            4,
            &["duplicate section [update] in line", "first in line 1"],
            BUILT_WRONGLY,
        ),
        install(
            "key twice in the manifest",
            |case| change(case, "version=2.0.0\n", "version=2.0.0\nversion=3.0.0\n"),
            4,
            &["duplicate key version in [update] in line 4"],
            BUILT_WRONGLY,
        ),
        install(
            "unknown section in the manifest",
            |case| case.offer(resigned(|text| text + "[colour]\nred=1\n")),
            4,
            &["unknown section [colour] in line"],
            BUILT_WRONGLY,
        ),
        install(
            "unknown key in the manifest",
            |case| change(case, "version=", "colour=red\nversion="),
            4,
            &["unknown key colour in [update] in line 3"],
            BUILT_WRONGLY,
        ),
        install(
            "no compatible in the manifest",
            |case| change(case, "compatible=small-board\n", ""),
            4,
            &["lacks compatible in [update]"],
            BUILT_WRONGLY,
        ),
    ]
}

fn name_rows() -> Vec<Row> {
    let install = Row::install;
    let path = "a file name that is a path";
    let says = &["filename in [image.rootfs] in line", "a plain file name without a path"];
    vec![
        install("image named ../x", |case| named(case, "../rootfs.img"), 4, says, BUILT_WRONGLY)
            .because(path),
        install("image named /x", |case| named(case, "/etc/passwd"), 4, says, BUILT_WRONGLY)
            .because(path),
        install("image named a/../b", |case| named(case, "a/../b.img"), 4, says, BUILT_WRONGLY)
            .because(path),
        install("image named ..", |case| named(case, ".."), 4, says, BUILT_WRONGLY).because(path),
        install(
            "image named with NUL",
            |case| named(case, "rootfs\0.img"),
            4,
            &["line", "bytes that are not text"],
            BUILT_WRONGLY,
        ),
        install(
            "slot class with a path",
            |case| change(case, "[image.rootfs]", "[image.../x]"),
            4,
            &["image", "../x"],
            BUILT_WRONGLY,
        ),
    ]
}

fn fit_rows() -> Vec<Row> {
    let install = Row::install;
    vec![
        install(
            "image larger than its slot",
            |case| {
                let rootfs_bytes = ROOTFS_BYTES + 4096;
                case.offer(Recipe { rootfs_bytes, ..Recipe::default() }.make());
            },
            3,
            &["rootfs.img", "528384 bytes", "does not fit slot rootfs.1", "524288 bytes"],
            "smaller image",
        )
        .because("larger than the slot"),
        install(
            "boot image larger than its slot",
            |case| {
                let boot_bytes = BOOT_BYTES + 1;
                case.offer(Recipe { boot_bytes, ..Recipe::default() }.make());
            },
            3,
            &["boot.vfat", "65537 bytes", "does not fit slot boot.1"],
            "smaller image",
        )
        .because("boot image larger than the slot"),
        install(
            "wrong compatible",
            |case| {
                let compatible = "large-board";
                case.offer(Recipe { compatible, ..Recipe::default() }.make());
            },
            3,
            &["compatible \"small-board\" is wanted, the bundle is for \"large-board\""],
            "--ignore-compatible",
        ),
        install(
            "older version",
            |case| {
                remember_version(case, "3.0.0");
            },
            3,
            &["bundle version 2.0.0 is older than 3.0.0"],
            "--allow-downgrade",
        ),
        install(
            "version that cannot be compared",
            |case| {
                remember_version(case, "3.0.0");
                case.offer(Recipe { version: "newest", ..Recipe::default() }.make());
            },
            3,
            &["\"newest\" cannot be compared"],
            "--allow-downgrade",
        ),
        install(
            "format that is not allowed",
            |case| {
                let conf = "/etc/rauc/system.conf";
                case.board.replace(conf, "bundle-formats=+plain", "bundle-formats=-plain");
                case.offer(Recipe { format: BundleFormat::Plain, ..Recipe::default() }.make());
            },
            3,
            &["bundles of format plain are not allowed"],
            "allowed format",
        ),
        install(
            "image for a slot class that is not there",
            |case| change(case, "[image.rootfs]", "[image.modem]"),
            3,
            &["slot class modem"],
            "another slot layout",
        ),
        install(
            "image of a type for another slot",
            |case| change(case, "filename=rootfs.img", "filename=rootfs.img\ntype=tar"),
            3,
            &["an image of type tar cannot go to slot rootfs.1 of type raw"],
            "an image of the slot's type",
        ),
        install(
            "bundle with hooks",
            |case| change(case, "[image.boot]", "[hooks]\nfilename=hook.sh\n[image.boot]"),
            3,
            &["needs hooks"],
            "build the bundle without it",
        ),
    ]
}

/// What the slot status says about the running system.
fn remember_version(case: &mut Case, version: &str) {
    let status = format!("[slot.boot.0]\nbundle.version={version}\nstatus=ok\n");
    case.board.write("/data/rauc/status.raucs", status);
}

fn change(case: &mut Case, from: &str, to: &str) {
    case.offer(resigned(|text| text.replacen(from, to, 1)));
}

/// Changes the value of a key of the root file system's image.
fn rootfs_key(case: &mut Case, key: &str, value: Option<&str>) {
    case.offer(resigned(|text| {
        let mut section = "";
        let mut lines = Vec::new();
        for line in text.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let hit = section == "[image.rootfs]" && line.starts_with(&format!("{key}="));
            match (hit, value) {
                (true, None) => {}
                (true, Some(value)) => lines.push(format!("{key}={value}")),
                (false, _) => lines.push(line.to_owned()),
            }
        }
        lines.join("\n") + "\n"
    }));
}

fn missing(case: &mut Case) {
    rootfs_key(case, "filename", Some("absent.img"));
}

fn named(case: &mut Case, name: &str) {
    rootfs_key(case, "filename", Some(name));
}

fn wrong_size(case: &mut Case) {
    rootfs_key(case, "size", Some("4096"));
}

fn wrong_digest(case: &mut Case) {
    rootfs_key(case, "sha256", Some(&"00".repeat(32)));
}

fn no_size(case: &mut Case) {
    rootfs_key(case, "size", None);
}
