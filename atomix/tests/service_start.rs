// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service's start can take as long as the system-info handler likes, and can be ended all the
//! same: a service manager that stops it must not have to kill it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]
#![cfg(target_os = "linux")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than the end takes, and far less than the handler does.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_handler_that_never_ends_does_not_keep_the_service_from_ending() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let begun = path("begun").display().to_string();
    fs::write(path("info"), format!("#!/bin/sh\necho > {begun}\nexec sleep 600\n")).unwrap();
    fs::set_permissions(path("info"), fs::Permissions::from_mode(0o755)).unwrap();
    let conf = "[system]\ncompatible=x\nbootloader=noop\n[handlers]\nsystem-info=info\n\
                [slot.rootfs.0]\ndevice=/dev/null\nbootname=A\n";
    fs::write(path("system.conf"), conf).unwrap();
    // What runs in the background of a shell has Ctrl-C ignored, and these tests may.
    let mut service = Command::new("env")
        .arg("--default-signal=INT,HUP,TERM")
        .arg(env!("CARGO_BIN_EXE_atomix"))
        .args(["rauc", "service", "--conf"])
        .arg(path("system.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    while !path("begun").exists() {
        assert!(service.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(since.elapsed() < LONG, "the handler was not started");
        std::thread::yield_now();
    }
    let pid = i32::try_from(service.id()).unwrap();
    kill(Pid::from_raw(pid), Signal::SIGTERM).unwrap();
    let since = Instant::now();
    let ended = loop {
        if let Some(status) = service.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > LONG {
            service.kill().unwrap();
            service.wait().unwrap();
            panic!("the service did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(0));
}
