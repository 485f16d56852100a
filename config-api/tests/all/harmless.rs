// SPDX-License-Identifier: MIT OR Apache-2.0
//! What looks dangerous and is not: the reference accepts it, so do we; and where the line is.

use crate::site::{file, judge, paths};

/// What the reference takes and harms nobody: it is taken, and told where it cannot work.
#[test]
fn places_of_other_machines_are_none_of_the_host() {
    let notes = |text: &str| judge(text).map(|checked| checked.notes);
    let volume = |lines: &str| file(false, "", &format!("[containers.volume.d.Volume]\n{lines}"));
    for lines in [
        "Type = \"nfs\"\nDevice = \"nas.example:/export\"\nOptions = \"addr=192.0.2.5,rw,nfsvers=4\"",
        "Type = \"nfs4\"\nDevice = \":/export\"\nOptions = \"addr=192.0.2.5\"",
        "Device = \"//nas/share\"\nType = \"cifs\"\nOptions = \"guest,prefixpath=a/b\"",
        "Type = \"cifs\"\nDevice = \"//nas/s\"\nOptions = \"credentials=${FILES_DIR}/smb\"",
    ] {
        assert_eq!(notes(&volume(lines)).unwrap(), [""; 0], "{lines}");
    }
    let device = "containers.volume.d.Volume.Device";
    for (lines, path) in [
        ("Type = \"none\"\nDevice = \"//etc/ssh\"\nOptions = \"bind\"", device),
        ("Device = \"nas.example:/export\"", device),
        ("Type = \"nfs\"\nDevice = \"/etc\"", device),
        ("Type = \"overlay\"", "containers.volume.d.Volume.Type"),
        ("Type = \"proc\"", "containers.volume.d.Volume.Type"),
        ("Options = \"credentials=/etc/shadow\"", "containers.volume.d.Volume.Options"),
        ("Options = \"rw,journal_path=/dev/mmcblk1\"", "containers.volume.d.Volume.Options"),
        ("Options = \"X-mount.subdir=..\"", "containers.volume.d.Volume.Options"),
        ("Driver = \"../x\"", "containers.volume.d.Volume.Driver"),
    ] {
        assert_eq!(paths(&volume(lines)), [path], "{lines}");
    }
    let used = volume("Type = \"nfs\"\nDevice = \"nas:/x\"")
        .replace("Image =", "Volume = \"d.volume:/d\"\nImage =");
    assert!(notes(&used).unwrap()[0].contains("only root can mount it"));
    for (lines, word) in
        [("Driver = \"rclone\"", "plugin"), ("Driver = \"image\"", "no Image beside it")]
    {
        assert!(notes(&volume(lines)).unwrap()[0].contains(word), "{lines}");
    }
    let network = "[containers.network.n.Network]\nDriver = \"mine\"";
    assert!(notes(&file(false, "", network)).unwrap()[0].contains("plugin"));
}

#[test]
fn builds_are_made_of_what_lies_below_or_comes_protected() {
    let build = |lines: &str| {
        paths(&file(
            false,
            "",
            &format!("[containers.build.x.Build]\nImageTag = \"l/x:1\"\n{lines}"),
        ))
    };
    for lines in [
        "File = \"./Containerfile\"\nSetWorkingDirectory = \"unit\"",
        "SetWorkingDirectory = \".\"",
        "SetWorkingDirectory = \"./tool/.\"\nIgnoreFile = \"./tool/.ignore\"",
        "SetWorkingDirectory = \"https://git.example/shop/tool.git#v1\"",
        "File = \"https://files.example/Containerfile\"\nSetWorkingDirectory = \"${FILES_DIR}/tool\"",
        "SetWorkingDirectory = \"github.com/example/tool\"",
    ] {
        assert_eq!(build(lines), [""; 0], "{lines}");
    }
    for value in [
        "http://git.example/tool.git",
        "git://git.example/tool.git",
        "ssh://git@git.example/tool.git",
        "git@git.example:tool.git",
        "https://user:secret@git.example/tool.git",
        "../tool",
        "./../tool",
        "-",
    ] {
        for key in ["File", "SetWorkingDirectory"] {
            let path = format!("containers.build.x.Build.{key}");
            assert_eq!(build(&format!("{key} = \"{value}\"")), [path], "{value}");
        }
    }
}

#[test]
fn what_lies_beside_the_units_is_read_and_not_mounted() {
    let env = judge(&file(false, "EnvironmentFile = [\"web.env\", \"./b/c\"]", "")).unwrap();
    assert_eq!(env.notes.len(), 2);
    assert!(env.notes[0].contains("EnvironmentFile=web.env"), "{:?}", env.notes);
    for value in ["../web.env", "a b", "-/etc/shadow", ""] {
        let text = file(true, &format!("EnvironmentFile = \"{value}\""), "");
        assert_eq!(paths(&text), ["containers.container.web.Container.EnvironmentFile"], "{value}");
    }
    let volume = "Volume = \"./data:/d\"";
    assert_eq!(paths(&file(false, volume, "")), ["containers.container.web.Container.Volume"]);
    assert_eq!(judge(&file(true, volume, "")).unwrap().config.host_access.len(), 1);
    assert_eq!(paths(&file(true, "Volume = \"../x:/d\"", "")).len(), 1);
}

/// A word that Podman takes for nothing would be found out by the rollback only; the others harm
/// nobody.
#[test]
fn values_are_those_that_podman_knows() {
    for line in [
        "CgroupsMode = \"disabled\"",
        "LogDriver = \"k8s-file\"",
        "LogDriver = \"passthrough-tty\"",
        "Pull = \"ifnotpresent\"",
        "Notify = \"yes\"",
    ] {
        assert_eq!(paths(&file(false, line, "")), [""; 0], "{line}");
    }
    for line in [
        "CgroupsMode = \"host\"",
        "LogDriver = \"syslog\"",
        "IP = \"dhcp\"",
        "IP6 = \"fe80::1%eth0\"",
        "ReadOnly = \"ture\"",
        "StopTimeout = \"soon\"",
        "Pull = \"sometimes\"",
    ] {
        let key = line.split(' ').next().unwrap();
        let path = format!("containers.container.web.Container.{key}");
        assert_eq!(paths(&file(false, line, "")), [path], "{line}");
    }
    let network = "[containers.network.n.Network]\nGateway = \"dhcp\"\nIPAMDriver = \"dhcp\"";
    assert_eq!(paths(&file(false, "", network)), ["containers.network.n.Network.Gateway"]);
}

#[test]
fn whatever_stands_where_loopback_will_be_replaced_is_no_danger() {
    for bind in ["*", "eth0", "till_1", "2001:db8::1", "host.example"] {
        let checked =
            judge(&file(false, &format!("PublishPort = \"{bind}:8080:80\""), "")).unwrap();
        let container = &checked.config.units[0].sections[0];
        assert_eq!(container.directives[1].values, ["127.0.0.1:8080:80"], "{bind}");
        assert_eq!(checked.warnings.len(), 1, "{bind}");
    }
    for port in
        ["[*]:1:1", "[::1:1:1", "::1]:1:1", "[]:1:1", "a:b:1:1", "a b:1:1", ":1:1", "[[::1]]:1:1"]
    {
        assert_eq!(
            paths(&file(false, &format!("PublishPort = \"{port}\""), "")).len(),
            1,
            "{port}"
        );
    }
    for port in ["*:8080:80", "8080:80/http", "8080:80/", "8080:80/tcp,"] {
        assert_eq!(paths(&file(true, &format!("PublishPort = \"{port}\""), "")).len(), 1, "{port}");
    }
    for port in ["53:53/UDP", "53:53/tcp,udp"] {
        assert_eq!(paths(&file(true, &format!("PublishPort = \"{port}\""), "")), [""; 0], "{port}");
    }
}

/// Whole names and families with their hyphen: what only begins alike shadows nothing.
#[test]
fn names_that_only_begin_like_the_systems_are_free() {
    let container = |name: &str| {
        let rest = format!(
            "[containers.container.{name}]\nprivileged = true\n\
             [containers.container.{name}.Container]\nImage = \"x/y:1\""
        );
        paths(&file(false, "", &rest))
    };
    for name in [
        "podman-exporter",
        "dbus-proxy",
        "chrony-exporter",
        "dnsmasq-exporter",
        "raucous",
        "sshd-honeypot",
        "openvpn-server",
        "rsyslog-collector",
        "nixstasis-ui",
        "getty-web",
        "atomixer",
        "users",
        "networkdb",
        "nginx",
        "postgresql",
        "caddy-gateway",
        "systemd",
    ] {
        assert_eq!(container(name), [""; 0], "{name}");
    }
    for name in [
        "chrony",
        "chronyd",
        "podman-restart",
        "podman-auto-update",
        "rauc-mark-good",
        "ssh-wan-toggle",
        "openvpn-recovery",
        "nixstasis-poll",
        "atomixos-config-recover",
        "atomix-started",
        "rsyslog",
        "network-addresses-eth0",
        "getty",
        "polkit",
        "os-verification",
        "quadlet-sync",
        "lan-gateway-apply",
    ] {
        assert_eq!(container(name), [format!("containers.container.{name}")], "{name}");
    }
    let rest = "[containers.network.systemd.Network]";
    assert_eq!(paths(&file(false, "", rest)), ["containers.network.systemd"]);
    for name in
        ["atomix", "atomixos", "atomix-config2", "nixbldr", "www-data", "sync", "netdev", "systemd"]
    {
        assert_eq!(paths(&file(false, "", &format!("[users.{name}]"))), [""; 0], "{name}");
    }
    for name in ["atomix-config", "nixbld", "nixbld12", "systemd-x", "polkituser"] {
        assert_eq!(paths(&file(false, "", &format!("[users.{name}]"))), [format!("users.{name}")]);
    }
}

/// A container can ask for its manager's socket: a rootless one's is the account's, not root's.
/// Asking for a condition changes nothing.
#[test]
fn what_answers_a_container_can_be_wanted() {
    let unit =
        |lines: &str| paths(&file(false, "", &format!("[containers.container.web.Unit]\n{lines}")));
    for line in [
        "Requires = \"podman.socket\"",
        "Wants = [\"chronyd.service\", \"dbus.socket network-online.target\"]",
        "ConditionPathIsSocket = \"/run/dbus/system_bus_socket\"",
        "AssertKernelModuleLoaded = \"tun\"",
    ] {
        assert_eq!(unit(line), [""; 0], "{line}");
    }
    for line in [
        "Conflicts = \"chronyd.service\"",
        "PropagatesStopTo = \"dbus.service\"",
        "Before = \"dbus.service\"",
        "Wants = \"nftables.service\"",
    ] {
        assert_eq!(unit(line).len(), 1, "{line}");
    }
}

#[test]
fn space_around_a_value_is_kept_and_does_no_harm() {
    let rest = "[containers.build.x.Build]\nImageTag = \" localhost/x:1 \"";
    let text = file(false, "HostName = \"till \"\nTimezone = \" local\"", rest)
        .replace("registry.example/web:1", "localhost/x:1 ");
    let units = judge(&text).unwrap().config.units;
    assert_eq!(units[1].modes, units[0].modes, "the build is its container's");
    assert_eq!(units[1].sections[0].directives[0].values, [" localhost/x:1 "]);
    for line in ["Volume = \" /etc:/x\"", "Mount = \" type=bind,source=/etc,target=/x\""] {
        assert_eq!(paths(&file(false, line, "")).len(), 1, "{line}");
    }
    assert_eq!(paths(&file(false, "HostName = \"a b\"", "")).len(), 1);
}

#[test]
fn no_unit_takes_the_place_of_one_that_we_ship() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for dir in ["dist", "../atomix/units", "../atomix/dist/rauc"] {
        for entry in std::fs::read_dir(root.join(dir)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(name) = name.strip_suffix(".service") else { continue };
            // Templates and names of D-Bus are none that a container can have.
            if !name.contains(['@', '.']) {
                names.push(name.to_owned());
            }
        }
    }
    assert!(names.len() >= 12, "{names:?}");
    for name in names {
        let rest = format!(
            "[containers.container.{name}]\nprivileged = false\n\
             [containers.container.{name}.Container]\nImage = \"x/y:1\""
        );
        assert_eq!(paths(&file(false, "", &rest)), [format!("containers.container.{name}")]);
    }
}
