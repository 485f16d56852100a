// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device's side of an activation, as far as it goes without its services.

use super::*;
use std::time::Duration;
use storage::HostFiles;

fn programs() -> HostPrograms {
    HostPrograms { path: "/usr/sbin:/usr/bin:/sbin:/bin".to_owned() }
}

#[test]
fn a_program_gets_its_input_and_gives_its_answer() {
    let minute = Duration::from_secs(60);
    assert_eq!(programs().run(&["cat"], b"rules\n", minute).unwrap(), b"rules\n");
    let failed = programs().run(&["sh", "-c", "echo why >&2; exit 3"], b"", minute);
    assert!(failed.unwrap_err().to_string().contains("why"));
    assert!(programs().run(&["no-such-program"], b"", minute).is_err());
    assert!(programs().run(&["sleep", "60"], b"", Duration::from_millis(100)).is_err());
}

#[test]
fn the_boot_and_its_age_are_the_kernels_and_nothing_is_guessed() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = HostFiles::new(dir.path());
    assert!(read_boot_facts(&files).is_err());
    use storage::Files as _;
    files.replace("/proc/sys/kernel/random/boot_id".as_ref(), b"0aff-1\n").unwrap();
    files.replace("/proc/uptime".as_ref(), b"x 2\n").unwrap();
    assert!(read_boot_facts(&files).is_err());
    files.replace("/proc/uptime".as_ref(), b"350735.47 234388.90\n").unwrap();
    let facts = read_boot_facts(&files).unwrap();
    assert_eq!((facts.boot.0.as_str(), facts.now.0), ("0aff-1", 350_735));
}
