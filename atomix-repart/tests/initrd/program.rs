// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program itself: exit codes, streams, and what it says of itself.

use std::process::{Command, Output};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_atomix-repart")).args(args).output().unwrap()
}

#[test]
fn failures_have_the_exit_codes_and_the_json_of_the_large_program() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let ran = run(&["--root", root, "--json"]);
    assert_eq!(ran.status.code(), Some(2), "settings are missing");
    let json: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!((&json["version"], &json["error"]["code"]), (&1.into(), &2.into()));
    let said = String::from_utf8(ran.stderr).unwrap();
    assert!(said.starts_with("atomix-repart: cannot use the settings: "), "{said}");
    assert!(said.contains("\nhint: "), "{said}");
    assert_eq!(run(&["--reset-data", "--keep-data"]).status.code(), Some(2));
    assert_eq!(run(&["--reset-data", "--dry-run"]).status.code(), Some(2));
}

#[test]
fn help_fits_a_serial_console_and_names_every_exit_code() {
    for form in ["-h", "--help"] {
        let ran = run(&[form]);
        let help = String::from_utf8(ran.stdout).unwrap();
        assert!(ran.status.success());
        assert_eq!(help.lines().find(|line| line.chars().count() > 80), None, "{form}");
        for option in ["--dry-run", "--json", "--disk", "--definitions", "--reset-data"] {
            assert!(help.contains(option), "{form}: {option}");
        }
        assert!(help.contains("3 refused"), "{form}: {help}");
    }
}
