// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's table of mounts.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use storage::{Mount, parse_mountinfo};

/// The table of mounts: what is read is escaped as the kernel does and read again as the same.
pub fn mountinfo(data: &[u8]) {
    let mounts = parse_mountinfo(data);
    let mut written = Vec::new();
    for Mount { device: (major, minor), place, source } in &mounts {
        written.extend(format!("1 2 {major}:{minor} / ").bytes());
        written.extend(escape(place));
        written.extend(b" rw shared:1 - fs ");
        written.extend(escape(source));
        written.extend(b" rw\n");
    }
    assert_eq!(parse_mountinfo(&written), mounts);
}

/// The name as the kernel writes it.
fn escape(name: &Path) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in name.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => escaped.extend(format!("\\{byte:03o}").bytes()),
            _ => escaped.push(*byte),
        }
    }
    escaped
}
