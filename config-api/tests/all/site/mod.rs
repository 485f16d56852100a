// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small configuration that is valid, around the lines that a test is about.

use config_api::model::{Checked, Faults, validate};

/// An administrator's.
pub const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG a@b";

/// A file with `lines` in the section `[Container]` of `web`, and `rest` behind it.
pub fn file(privileged: bool, lines: &str, rest: &str) -> String {
    format!(
        "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"{KEY}\"\n\
         [activation]\nrequired = [\"web\"]\n\
         [containers.container.web]\nprivileged = {privileged}\n\
         [containers.container.web.Container]\nImage = \"registry.example/web:1\"\n{lines}\n{rest}\n"
    )
}

/// What the model says to a file.
pub fn judge(text: &str) -> Result<Checked, Faults> {
    validate(text.as_bytes())
}

/// The paths of all faults.
pub fn paths(text: &str) -> Vec<String> {
    match judge(text) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.list().iter().map(|fault| fault.path.clone()).collect(),
    }
}
