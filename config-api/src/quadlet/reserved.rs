// SPDX-License-Identifier: MIT OR Apache-2.0
//! Would a unit of this name take the place of one of the system's?
//!
//! A container named `sshd` would shadow the system's `sshd.service`; its removal would stop it.
//! The same names are refused for rootless units, where they would shadow the user manager's.

/// Services of the systems that this configuration runs on, without `.service`.
const SERVICES: [&str; 53] = [
    "accounts-daemon",
    "acpid",
    "audit",
    "auditd",
    "autovt",
    "avahi-daemon",
    "bluetooth",
    "bolt",
    "bootstrap-wan-toggle",
    "debug-shell",
    "display-manager",
    "emergency",
    "first-boot",
    "firewall",
    "fstrim",
    "fwupd",
    "halt",
    "hostapd",
    "initrd-cleanup",
    "initrd-switch-root",
    "journald",
    "kexec",
    "klogd",
    "lan-gateway-apply",
    "logind",
    "logrotate",
    "ModemManager",
    "mosh",
    "network-setup",
    "NetworkManager",
    "nftables",
    "nix-daemon",
    "nix-gc",
    "nscd",
    "ntpd",
    "os-upgrade",
    "os-verification",
    "poweroff",
    "provisioned-firewall-inbound",
    "quadlet-sync",
    "reboot",
    "reload-systemd-vconsole-setup",
    "rescue",
    "resolvconf",
    "rngd",
    "rtkit-daemon",
    "serial-getty",
    "suid-sgid-wrappers",
    "syslog",
    "udev",
    "udisks2",
    "upower",
    "wpa_supplicant",
];

/// Families of services: everything that begins so.
const FAMILIES: [&str; 29] = [
    "atomix",
    "chrony",
    "console-getty",
    "dbus",
    "dm-event",
    "dnsmasq",
    "dracut",
    "e2scrub",
    "getty",
    "iptables",
    "ip6tables",
    "kmod",
    "lvm2",
    "mdmonitor",
    "modprobe",
    "netavark",
    "network-local",
    "networkd",
    "nixstasis",
    "openvpn",
    "plymouth",
    "podman",
    "polkit",
    "rauc",
    "rsyslog",
    "ssh-wan",
    "sshd",
    "systemd-",
    "user-runtime-dir",
];

/// Names that are all of a name: shorter words that as families would forbid too much.
const EXACT: [&str; 3] = ["ssh", "user", "init"];

/// The unit of the system's that a service of this name would shadow.
pub(crate) fn shadowed(name: &str) -> Option<&'static str> {
    let exact = SERVICES.iter().chain(&EXACT).find(|service| **service == name);
    exact.or_else(|| FAMILIES.iter().find(|family| name.starts_with(**family))).copied()
}
