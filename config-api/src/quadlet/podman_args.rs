// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which arguments may `PodmanArgs=` hand to `podman run`? For privileged containers a named set,
//! each of which gives the host away knowingly; for others none.

use super::Refused;

/// Arguments that privileged containers may have, whole.
pub(super) const ARGUMENTS: [&str; 9] = [
    "--cgroupns=host",
    "--ipc=host",
    "--no-healthcheck",
    "--pid=host",
    "--privileged",
    "--systemd=always",
    "--systemd=false",
    "--userns=host",
    "--uts=host",
];

pub(super) fn check_podman_args(value: &str) -> Result<(), Refused> {
    for word in value.split_whitespace() {
        if !ARGUMENTS.contains(&word) {
            let hint = format!(
                "allowed for privileged containers: {}; for the rest there are directives",
                ARGUMENTS.join(", ")
            );
            return Err(Refused::new(format!("has an argument not in the list: {word:?}"), hint));
        }
    }
    Ok(())
}
