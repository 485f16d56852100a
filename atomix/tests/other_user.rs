// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board that root kept, looked at by somebody else: what may be read is told, what may not is
//! named with the way out, and nothing is guessed in its place.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use atomix::virtual_board::VirtualBoard;
use board_rock64::ROCK64;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

/// Some user who is not root and owns nothing.
const NOBODY: &str = "65534";

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A board with its configuration and blank media of this mode, which only its owner may write.
fn kept(media_mode: u32) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let board = VirtualBoard::create(&home.path().join("board"), &ROCK64).unwrap();
    for (name, text) in ROCK64.generated_files() {
        let path = board.root().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    for medium in board.media() {
        set_mode(&medium, media_mode);
    }
    set_mode(home.path(), 0o755);
    // The build directory may be closed to others. Copied by a program: a file that this process
    // writes can be open in a child that another test is starting, and then does not run.
    let program = home.path().join("atomix");
    let install = ["-m", "755", env!("CARGO_BIN_EXE_atomix")];
    assert!(Command::new("install").args(install).arg(program).status().unwrap().success());
    home
}

/// Runs the program as somebody whom the modes of files stop: root is not.
fn run(home: &Path, args: &[&str]) -> Output {
    let program = home.join("atomix");
    let own = fs::metadata("/proc/self").unwrap();
    let mut command = if own.uid() == 0 {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.arg("--board").arg(home.join("board")).args(args).output().unwrap()
}

#[test]
fn doctor_goes_on_where_a_medium_cannot_be_opened() {
    let home = kept(0o000);
    let ran = run(home.path(), &["doctor"]);
    let said = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(10), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in ["cannot open /dev/mmcblk1", "cannot open /dev/mtd0", "emmc.img", "spi.img"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    for part in ["permission denied", "-> run it as root", "ok clock set", "fw_env matches"] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert!(!said.contains("denied -> compare system.conf"), "{said}");
}

#[test]
fn a_board_that_may_only_be_read_is_read_and_not_changed() {
    let home = kept(0o444);
    let ran = run(home.path(), &["uenv", "print"]);
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.contains("no environment is stored at 0x200000 of /dev/mtd0"), "{said}");
    let before = fs::read(home.path().join("board/spi.img")).unwrap();
    let ran = run(home.path(), &["uenv", "set", "a=b"]);
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    assert!(fs::read(home.path().join("board/spi.img")).unwrap() == before);
}
