// SPDX-License-Identifier: MIT OR Apache-2.0
//! One file that runs on every Linux: in a root file system with nothing else in it, it tells the
//! whole story of a board, and reads a bundle as the program does that is linked with libraries.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use anyhow::Result;
use e2e::parts::{atomix, bundle, static_program};
use std::path::Path;
use std::process::Command;

fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn the_static_program_does_all_its_work_where_nothing_else_is() -> Result<()> {
    let program = static_program::atomix()?.join("atomix");
    let headers = printed(Command::new("readelf").args(["-lW", "-dW"]).arg(&program));
    assert!(headers.contains("LOAD"), "{headers}");
    assert!(!headers.contains("INTERP") && !headers.contains("NEEDED"), "{headers}");

    let (update, keys) = (bundle::update()?, bundle::keys()?);
    let in_nothing = |arguments: &[&str]| {
        let mut bwrap = Command::new("bwrap");
        bwrap.args(["--unshare-all", "--clearenv", "--dev", "/dev", "--proc", "/proc"]);
        bwrap.args(["--tmpfs", "/tmp", "--ro-bind"]).arg(&program).arg("/atomix");
        bwrap.arg("--ro-bind").arg(&update).arg(&update);
        bwrap.arg("--ro-bind").arg(&keys).arg(&keys).arg("/atomix").args(arguments);
        printed(&mut bwrap)
    };
    // Signature, certificates and squashfs: most of what foreign code does for it.
    let (bundle, ca) = (update.join("update.raucb"), keys.join("ca.pem"));
    let info = ["bundle", "info", "--json", "--keyring", text(&ca), text(&bundle)];
    let linked = printed(Command::new(atomix::native()?).args(info));
    assert!(linked.contains("CN = e2e signer"), "{linked}");
    assert_eq!(in_nothing(&info), linked);
    let story = in_nothing(&["demo"]);
    assert!(story.contains("next boot   slot B is the primary and good"), "{story}");
    Ok(())
}
