// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which other units may a unit of this file name, and for what?

use super::Refused;
use crate::model::Declared;

/// How far a directive that names units may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Any unit: only this one is delayed by it.
    Any,
    /// Units of this file, targets that are waited for, and services that run anyway.
    OwnOrTarget,
    /// Units of this file, and targets that nothing of the boot waits for: a container is started
    /// after the others, and to be before them as well is a cycle. systemd breaks one by leaving a
    /// unit out, which may be one that the device needs.
    OwnOrLast,
    /// Units of this file alone: others would be stopped or started.
    Own,
    /// Targets that start at boot, and units of this file.
    BootTarget,
}

/// Targets that do nothing by themselves but say that something is there.
const PASSIVE: [&str; 17] = [
    "basic.target",
    "default.target",
    "local-fs.target",
    "multi-user.target",
    "network-online.target",
    "network-pre.target",
    "network.target",
    "nss-lookup.target",
    "nss-user-lookup.target",
    "paths.target",
    "podman-user-wait-network-online.service",
    "remote-fs.target",
    "sockets.target",
    "sysinit.target",
    "time-set.target",
    "time-sync.target",
    "timers.target",
];

/// Services that run on the device in any case, or that answer when they are asked; none is stopped
/// with the container. To want Podman's socket starts it where an image leaves it off: that of the
/// container's own manager, which is the account's for a rootless one. Root's is started for a
/// privileged container alone, which is root anyway.
const RUNNING: [&str; 6] = [
    "chronyd.service",
    "dbus.service",
    "dbus.socket",
    "podman.socket",
    "systemd-networkd.service",
    "systemd-resolved.service",
];

const BOOT: [&str; 2] = ["default.target", "multi-user.target"];

/// Judges a list of units, with spaces between them.
pub(super) fn check_relation(
    value: &str,
    reach: Reach,
    declared: &Declared,
) -> Result<(), Refused> {
    for unit in value.split_whitespace() {
        let own = declared.has_unit(unit);
        let (good, allowed) = match reach {
            Reach::Any => (own || is_unit_name(unit), "a unit's name with its suffix"),
            Reach::OwnOrTarget => (
                own || PASSIVE.contains(&unit) || RUNNING.contains(&unit),
                "units of this file, and targets such as \
                 network-online.target",
            ),
            Reach::Own => (own, "units of this file"),
            Reach::BootTarget | Reach::OwnOrLast => (
                own || BOOT.contains(&unit),
                "default.target, multi-user.target and units of \
                 this file",
            ),
        };
        if !good {
            let problem = format!("names a unit outside: {unit:?}");
            return Err(Refused::new(problem, format!("allowed here: {allowed}")));
        }
    }
    Ok(())
}

fn is_unit_name(text: &str) -> bool {
    let suffixes = [
        ".service",
        ".target",
        ".socket",
        ".mount",
        ".automount",
        ".path",
        ".timer",
        ".device",
        ".slice",
        ".swap",
    ];
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_' | '.' | '-' | '@');
    text.len() <= 255 && text.chars().all(good) && suffixes.iter().any(|s| text.ends_with(s))
}
