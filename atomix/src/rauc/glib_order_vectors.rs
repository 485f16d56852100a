// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names in the order of insertion, and in the order in which GLib 2.74 lists them.
#[rustfmt::skip]
pub(super) const VECTORS: &[(&[&str], &[&str])] = &[
    (&["files", "trees"],
     &["trees", "files"]),
    (&["appfs.0", "appfs.1", "rootfs.0", "rootfs.1"],
     &["rootfs.1", "appfs.1", "rootfs.0", "appfs.0"]),
    (&["appfs.0", "appfs.1", "bootloader.0", "rescue.0", "rootfs.0", "rootfs.1"],
     &["rootfs.1", "appfs.1", "bootloader.0", "rescue.0", "appfs.0", "rootfs.0"]),
    (&["composefs", "files", "trees"],
     &["trees", "files", "composefs"]),
    (&["app.0", "rootfs.1", "boot.2", "rootfs.3", "dätä.4"],
     &["rootfs.1", "app.0", "boot.2", "rootfs.3", "dätä.4"]),
    (&["dätä.0", "dätä.1", "dätä.2", "app.3", "rootfs.4", "dätä.5", "rootfs.6"],
     &["app.3", "dätä.1", "rootfs.6", "dätä.5", "dätä.0", "dätä.2", "rootfs.4"]),
    (&["dätä.0", "dätä.1", "rootfs.2", "dätä.3", "boot.4", "app.5", "rootfs.6", "boot.7"],
     &["dätä.1", "rootfs.6", "dätä.0", "app.5", "boot.4", "dätä.3", "rootfs.2", "boot.7"]),
    (&["rootfs.0", "rootfs.1", "rootfs.2", "rootfs.3", "dätä.4", "app.5", "dätä.6", "rootfs.7", "app.8"],
     &["rootfs.7", "rootfs.0", "app.5", "dätä.6", "rootfs.3", "dätä.4", "rootfs.2", "app.8", "rootfs.1"]),
    (&["dätä.0", "dätä.1", "app.2", "boot.3", "app.4", "app.5", "dätä.6", "boot.7", "rootfs.8", "dätä.9", "rootfs.10", "app.11"],
     &["dätä.1", "app.5", "dätä.0", "dätä.6", "boot.3", "app.2", "app.4", "app.11", "boot.7", "rootfs.8", "rootfs.10", "dätä.9"]),
    (&["boot.0", "rootfs.1", "boot.2", "dätä.3", "app.4", "boot.5", "boot.6", "dätä.7", "dätä.8", "rootfs.9", "dätä.10", "app.11", "dätä.12", "dätä.13", "app.14", "boot.15", "boot.16", "rootfs.17", "dätä.18", "rootfs.19"],
     &["dätä.10", "boot.2", "dätä.13", "boot.5", "boot.15", "rootfs.19", "rootfs.9", "boot.0", "dätä.7", "rootfs.1", "boot.6", "boot.16", "app.4", "rootfs.17", "app.11", "app.14", "dätä.8", "dätä.12", "dätä.18", "dätä.3"]),
    (&["app.0", "dätä.1", "boot.2", "dätä.3", "rootfs.4", "dätä.5", "rootfs.6", "boot.7", "dätä.8", "app.9", "app.10", "app.11", "rootfs.12", "app.13", "app.14", "dätä.15", "boot.16", "boot.17", "dätä.18", "boot.19", "rootfs.20", "dätä.21", "app.22", "app.23", "dätä.24", "rootfs.25", "dätä.26", "boot.27", "app.28", "dätä.29", "dätä.30", "boot.31", "dätä.32", "boot.33", "rootfs.34", "boot.35", "dätä.36", "rootfs.37", "app.38", "app.39"],
     &["app.13", "dätä.21", "boot.33", "dätä.32", "app.14", "boot.19", "app.9", "boot.7", "dätä.8", "rootfs.6", "boot.2", "dätä.18", "dätä.3", "boot.35", "rootfs.25", "rootfs.34", "app.10", "dätä.29", "rootfs.20", "dätä.24", "app.0", "app.11", "boot.16", "boot.31", "dätä.5", "rootfs.37", "app.22", "boot.27", "dätä.30", "app.38", "boot.17", "app.28", "dätä.36", "dätä.15", "dätä.26", "rootfs.4", "app.23", "rootfs.12", "dätä.1", "app.39"]),
];
