// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the reference accepts and we refuse, one case per row of `docs/config-deviations.md`; and
//! what looks alike and stays allowed.

use crate::site::{KEY, file, judge, paths};
use config_api::model::Checked;

#[test]
fn directives_that_reach_outside_are_refused_in_rootless_containers() {
    let refused = [
        r#"PodmanArgs = "--network=host""#,
        r#"PodmanArgs = "--privileged""#,
        r#"GlobalArgs = "--root=/""#,
        r#"ContainersConfModule = "/etc/x.conf""#,
        r#"ServiceName = "sshd""#,
        r#"Pod = "x.pod""#,
        r#"Rootfs = "/""#,
        r#"Volume = "/:/host""#,
        r#"Volume = "/run/podman/podman.sock:/run/podman.sock""#,
        r#"Volume = "/run/user/1000/podman/podman.sock:/x""#,
        r#"Volume = "${CONFIG_DIR}/users.json:/x""#,
        r#"Volume = "${CONFIG_DIR}:/x""#,
        r#"Volume = "${FILES_DIR}/../users.json:/x""#,
        r#"Volume = "${FILES_DIR}x:/x""#,
        r#"Volume = "/etc/localtime:/etc/localtime""#,
        r#"Volume = "gone.volume:/x""#,
        r#"Mount = "type=bind,source=/run,target=/x""#,
        r#"Mount = "type=volume,source=a,type=bind,source=/run,target=/x""#,
        r#"Mount = "type=bind,source=/srv,src=/run,target=/x""#,
        r#"Mount = "type=volume,volume-opt=device=/run,target=/x""#,
        r#"Mount = "\"type=bind,source=/run\",target=/x""#,
        r#"Volume = "data:/d:O,upperdir=/run""#,
        r#"Mount = "type=glob,src=/run/*,target=/x""#,
        r#"EnvironmentFile = "/etc/shadow""#,
        r#"SeccompProfile = "unconfined""#,
        r#"SecurityLabelDisable = true"#,
        r#"Unmask = "ALL""#,
        r#"UserNS = "host""#,
        r#"GroupAdd = "keep-groups""#,
        r#"Annotation = "run.oci.keep_original_groups=1""#,
        r#"LogOpt = "path=/etc/cron.d/x""#,
        r#"HealthLogDestination = "/etc""#,
        r#"Secret = "x,src=/etc/shadow""#,
    ];
    for line in refused {
        let key = line.split(' ').next().unwrap();
        let path = format!("containers.container.web.Container.{key}");
        assert_eq!(paths(&file(false, line, "")), [path], "{line}");
    }
}

#[test]
fn values_that_are_more_than_one_value_are_refused() {
    let refused = [
        r#"Label = "a\\""#,
        r#"Label = "a\\ ""#,
        r#"Label = "a\u001b[2J""#,
        r#"Label = "%h""#,
        r#"Environment = "A=${HOME}""#,
        r#"Environment = "$HOME""#,
        r#"Exec = ["serve", "--all"]"#,
        r#"PublishPort = "[::1:80:80""#,
        r#"PublishPort = "127.0.0.1:99999:80""#,
        r#"PublishPort = "127.0.0.1::80""#,
        r#"PublishPort = "٨٠:80""#,
        r#"PublishPort = "8000-8010:80-89""#,
        r#"PublishPort = "80:80/http""#,
        r#"Network = "a\nExec=b""#,
    ];
    for line in refused {
        let key = line.split(' ').next().unwrap();
        let path = format!("containers.container.web.Container.{key}");
        assert_eq!(paths(&file(false, line, "")), [path], "{line}");
    }
    for image in ["dir:/etc", "oci-archive:/x.tar", "--privileged", "x.image", "gone.build", " "] {
        let text = file(false, "", "").replace("registry.example/web:1", image);
        assert_eq!(paths(&text), ["containers.container.web.Container.Image"], "{image}");
    }
}

#[test]
fn ordinary_values_stay_allowed() {
    let allowed = [
        r#"Volume = ["data:/d", "/srv/music:/music:ro", "/data/containers/x:/x", "/anonymous"]"#,
        r#"Volume = "/etc/localtime:/etc/localtime:ro""#,
        r#"Volume = ["${FILES_DIR}:/f", "${CONFIG_DIR}/files/a:/a:ro,Z"]"#,
        r#"Mount = ["type=tmpfs,target=/t", "type=bind,source=/srv,target=/s,ro=true"]"#,
        r#"Environment = ["P=$$x", "Q=a$b", "R=100%%", "HASH=a$2b$"]"#,
        r#"Label = 12345678901234567890123456"#,
        r#"StopTimeout = "30""#,
        r#"ReadOnly = "yes""#,
        r#"UserNS = "keep-id:uid=1000,gid=1000""#,
        r#"AddCapability = ["NET_BIND_SERVICE", "CHOWN"]"#,
        r#"AddDevice = "/dev/ttyUSB0""#,
        r#"Secret = "token,type=env,target=TOKEN""#,
        r#"Exec = ["serve"]"#,
        r#"PublishPort = "127.0.0.1:8000-8010:80-90/tcp""#,
    ];
    for line in allowed {
        let text = file(false, line, "");
        assert!(judge(&text).is_ok(), "{line}: {:?}", judge(&text));
    }
}

/// What the reference passes on untouched and Podman understands.
#[test]
fn ports_without_a_number_of_the_host_are_left_to_podman_in_privileged_containers() {
    for port in ["127.0.0.1::80", "[::1]::80-81/udp", "80", "53/udp"] {
        let line = format!("PublishPort = \"{port}\"");
        assert!(judge(&file(true, &line, "")).is_ok(), "{port}");
        assert_eq!(paths(&file(false, &line, "")).len(), 1, "{port}");
    }
    for port in [":80", "::80", "x y::80", "127.0.0.1::0", "127.0.0.1:::80"] {
        let line = format!("PublishPort = \"{port}\"");
        assert_eq!(paths(&file(true, &line, "")).len(), 1, "{port}");
    }
}

#[test]
fn tokens_stand_wherever_a_path_can() {
    let rest = "[containers.container.web.Unit]\n\
                RequiresMountsFor = [\"${CONFIG_DIR}\", \"${FILES_DIR}/a /srv\"]";
    let checked = judge(&file(false, "", rest)).unwrap();
    assert_eq!(
        checked.config.units[0].sections[0].directives[0].values,
        ["${CONFIG_DIR}", "${FILES_DIR}/a /srv"]
    );
    for value in ["${HOME}", "${CONFIG_DIR", "a${FILES_DIR}$"] {
        let text = file(false, &format!("User = \"{value}\""), "");
        assert_eq!(paths(&text), ["containers.container.web.Container.User"], "{value}");
    }
}

#[test]
fn a_volume_in_memory_is_made_of_no_device() {
    let volume = |device: &str| {
        let rest = format!(
            "[containers.volume.d.Volume]\nDriver = \"local\"\nType = \"tmpfs\"\n\
             Device = \"{device}\"\nOptions = \"size=64m,nodev,noexec\""
        );
        paths(&file(false, "Volume = \"d.volume:/d\"", &rest))
    };
    assert!(volume("tmpfs").is_empty());
    for device in ["/dev/sda1", "tmpfs/../etc", "etc", ""] {
        assert_eq!(volume(device), ["containers.volume.d.Volume.Device"], "{device}");
    }
}

#[test]
fn a_number_of_any_length_is_rendered_as_it_stands() {
    let checked = judge(&file(false, "PidsLimit = 12345678901234567890123456", "")).unwrap();
    let hex = judge(&file(false, "PidsLimit = 0xA364C995B21C76F6C0C0", "")).unwrap();
    let value = |checked: &Checked| {
        let directives = &checked.config.units[0].sections[0].directives;
        directives.iter().find(|directive| directive.name == "PidsLimit").unwrap().values.clone()
    };
    assert_eq!(value(&checked), ["12345678901234567890123456"]);
    assert_eq!(value(&hex), ["771604936827131603108032"]);
}

#[test]
fn privileged_containers_say_what_they_have_of_the_host() {
    let lines = r#"PodmanArgs = "--pid=host --privileged"
Volume = ["/:/host:rslave", "/run/dbus:/run/dbus", "data:/d"]
AddDevice = "/dev/mem""#;
    let checked = judge(&file(true, lines, "")).unwrap();
    let access: Vec<_> = checked.config.host_access.iter().map(|a| a.value.as_str()).collect();
    let expected = ["--pid=host --privileged", "/:/host:rslave", "/run/dbus:/run/dbus", "/dev/mem"];
    assert_eq!(access, expected);
    assert_eq!(checked.warnings.len(), 4);
    for line in [
        r#"PodmanArgs = "--network=bridge""#,
        r#"PodmanArgs = "--privileged --volume=/:/x""#,
        r#"PodmanArgs = "--pid host""#,
        r#"Sysctl = "net.ipv4.ip_forward=1""#,
        r#"ServiceName = "sshd""#,
    ] {
        assert_eq!(paths(&file(true, line, "")).len(), 1, "{line}");
    }
}

#[test]
fn units_reach_units_of_the_file_alone() {
    let own = "[containers.container.db]\nprivileged = false\n\
               [containers.container.db.Container]\nImage = \"x/db:1\"";
    let unit =
        |lines: &str| file(false, "", &format!("[containers.container.web.Unit]\n{lines}\n{own}"));
    for line in [
        r#"Conflicts = "nftables.service""#,
        r#"Requires = "reboot.target""#,
        r#"Wants = ["db.service", "poweroff.target"]"#,
        r#"BindsTo = "sshd.service""#,
        r#"Before = "sshd.service""#,
        r#"OnFailure = "emergency.target""#,
        r#"SuccessAction = "reboot-force""#,
        r#"FailureAction = "reboot""#,
        r#"StartLimitAction = "reboot""#,
        r#"JobTimeoutAction = "reboot""#,
        r#"PropagatesStopTo = "sshd.service""#,
        r#"JoinsNamespaceOf = "sshd.service""#,
        r#"DefaultDependencies = false"#,
        r#"After = "a b\tc""#,
        r#"Description = "%H""#,
    ] {
        assert_eq!(paths(&unit(line)).len(), 1, "{line}");
    }
    for line in [
        r#"Requires = "db.service""#,
        r#"Requires = "db.container""#,
        r#"After = ["network-online.target", "db.service", "chronyd.service"]"#,
        r#"Wants = "network-online.target db.service""#,
        r#"Description = "costs 5 $ and ${HOME}""#,
        r#"ConditionPathExists = "${FILES_DIR}/on""#,
    ] {
        assert!(judge(&unit(line)).is_ok(), "{line}: {:?}", judge(&unit(line)));
    }
    let install =
        |line: &str| file(false, "", &format!("[containers.container.web.Install]\n{line}"));
    assert!(judge(&install(r#"WantedBy = ["default.target", "multi-user.target"]"#)).is_ok());
    for line in [
        r#"WantedBy = "sshd.service""#,
        r#"RequiredBy = "multi-user.target""#,
        r#"Alias = "sshd.service""#,
    ] {
        assert_eq!(paths(&install(line)).len(), 1, "{line}");
    }
}

#[test]
fn names_of_the_systems_units_and_accounts_are_refused() {
    for name in ["sshd", "nftables", "systemd-networkd", "dbus", "rauc", "atomix-health", "podman"]
    {
        let rest = format!(
            "[containers.container.{name}]\nprivileged = true\n\
             [containers.container.{name}.Container]\nImage = \"x/y:1\""
        );
        assert_eq!(paths(&file(false, "", &rest)), [format!("containers.container.{name}")]);
    }
    for name in ["wheel", "sshd", "messagebus", "podman", "systemd-oom", "root"] {
        let rest = format!("[users.{name}]");
        assert_eq!(paths(&file(false, "", &rest)), [format!("users.{name}")]);
    }
    assert_eq!(paths(&file(false, "", "[users.\"admin2\\n\"]")).len(), 1);
}

#[test]
fn builds_and_volumes_reach_the_host_for_privileged_containers_alone() {
    let volume = |used: &str| {
        format!(
            "[containers.volume.d.Volume]\nType = \"none\"\nOptions = \"bind\"\nDevice = \"/etc\"\n{used}"
        )
    };
    assert_eq!(paths(&file(true, "", &volume(""))), ["containers.volume.d.Volume.Device"]);
    let used = file(false, "Volume = \"d.volume:/d\"", &volume(""));
    assert_eq!(paths(&used), ["containers.volume.d.Volume.Device"]);
    let used = judge(&file(true, "Volume = \"d.volume:/d\"", &volume(""))).unwrap();
    assert_eq!(used.config.host_access[0].unit, "d.volume");
    let build = "[containers.build.x.Build]\nImageTag = \"localhost/x:1\"\nFile = \"/etc/shadow\"";
    assert_eq!(paths(&file(false, "", build)), ["containers.build.x.Build.File"]);
}

#[test]
fn a_volume_or_build_named_as_quadlet_does_is_the_containers_own() {
    let rest = "[containers.volume.d.Volume]\n[containers.build.x.Build]\nImageTag = \"l/x:1\"";
    let text =
        file(false, "Volume = \"d.volume:/d\"", rest).replace("registry.example/web:1", "x.build");
    let units = judge(&text).unwrap().config.units;
    let modes: Vec<_> =
        units.iter().map(|unit| (unit.file_name(), unit.modes[0].as_str())).collect();
    let rootless = |name: &str| (name.to_owned(), "rootless");
    assert_eq!(modes, [rootless("web.container"), rootless("d.volume"), rootless("x.build")]);
}

#[test]
fn addresses_that_no_machine_can_have_are_refused() {
    let lan = |gateway: &str, start: &str, end: &str| {
        let rest = format!(
            "[network.dnsmasq]\ngateway_cidr = \"{gateway}\"\ndhcp_start = \"{start}\"\n\
             dhcp_end = \"{end}\""
        );
        paths(&file(false, "", &rest))
    };
    for (gateway, start, end) in [
        ("127.0.0.1/24", "127.0.0.2", "127.0.0.9"),
        ("224.0.0.1/24", "224.0.0.2", "224.0.0.9"),
        ("0.1.0.1/24", "0.1.0.2", "0.1.0.9"),
        ("10.0.0.0/24", "10.0.0.2", "10.0.0.9"),
        ("10.0.0.255/24", "10.0.0.2", "10.0.0.9"),
        ("10.0.0.1/24", "10.0.0.0", "10.0.0.0"),
        ("10.0.0.1/24", "10.0.0.2", "10.0.0.255"),
    ] {
        assert!(!lan(gateway, start, end).is_empty(), "{gateway} {start} {end}");
    }
    assert!(lan("10.0.0.1/24", "10.0.0.2", "10.0.0.254").is_empty());
    let rest = |text: &str| paths(&file(false, "", text));
    let overlap = "[network.interfaces.eth0]\nmode = \"static\"\naddress = \"172.20.30.9/16\"";
    assert_eq!(rest(overlap), ["network.interfaces.eth0.address"]);
    let zone = "[network]\ndns_servers = [\"fe80::1%x\\nIPv4Forwarding=yes\"]";
    assert_eq!(rest(zone), ["network.dns_servers[0]"]);
    let long = "[network.interfaces.eth99999999999999999999]\nmode = \"dhcp\"";
    assert_eq!(rest(long), ["network.interfaces.eth99999999999999999999"]);
    let ssh = "[network.firewall.inbound.wan]\ntcp = [22]";
    assert_eq!(rest(ssh), ["network.firewall.inbound.wan.tcp[0]"]);
    let ntp = "[network.ntp]\nservers = [\"time.cloudflare.com.\", \"fe80::1%eth0\"]";
    assert_eq!(rest(ntp), ["network.ntp.servers[1]"]);
}

#[test]
fn keys_that_nobody_can_log_in_with_are_refused() {
    for key in [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKoc=",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocGAA==",
        "no-pty ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG",
        "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDx",
        "ssh-ed25519",
    ] {
        let text = file(false, "", "").replace(KEY, key);
        assert_eq!(paths(&text), ["users.admin.ssh_key"], "{key}");
    }
}

/// Whole keys of ones alone: only their length differs.
#[test]
fn an_rsa_key_below_2048_bits_is_refused_for_its_size() {
    let head = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAA";
    let short = format!("{head}AgQD{}w==", "/".repeat(170));
    let enough = format!("{head}BAQD{}", "/".repeat(341));
    let with = |key: &str| judge(&file(false, "", "").replace(KEY, key));
    assert!(with(&enough).is_ok());
    let faults = with(&short).unwrap_err().to_string();
    assert!(faults.contains("an RSA key of 1024 bits"), "{faults}");
}

#[test]
fn what_only_newer_toml_has_is_refused_and_order_is_that_of_first_mention() {
    for line in ["Label = \"\\e[1m\"", "Label = \"\\x41\""] {
        assert_eq!(paths(&file(false, line, "")), [""], "{line}");
    }
    for rest in ["a = {b = 1,}", "a = {b = 1\n}", "a = {b = [1,\n2], # c\n}"] {
        let faults = judge(&file(false, "", &format!("[os_upgrade]\n{rest}"))).unwrap_err();
        assert!(faults.to_string().contains("TOML 1.0"), "{rest}: {faults}");
    }
    let text = file(false, "", "[containers.container.b]\nprivileged = false").replace(
        "version = 1\n",
        "version = 1\n[containers.container.b.Container]\nImage = \"x/b:1\"\n",
    );
    let units = judge(&text).unwrap().config.units;
    assert_eq!(units[0].name.as_str(), "b");
}

#[test]
fn digits_that_are_missing_or_others_are_no_number() {
    for number in ["0x", "0o", "0b", "7_b", "1_0\"", "2_6+", "4_5T-", "5_6\"7", "0x1_g"] {
        let one = file(false, &format!("Label = {number}"), "");
        assert_eq!(paths(&one), [""], "{number}");
        let list = file(false, &format!("Label = [1, {number}]"), "");
        assert_eq!(paths(&list), [""], "{number}");
    }
    for number in ["+0", "-0", "1_0", "0xdead_BEEF", "0o17", "0b1_0"] {
        let good = file(false, &format!("Label = {number}"), "");
        assert!(judge(&good).is_ok(), "{number}");
    }
}

#[test]
fn deep_and_long_files_are_refused_in_time() {
    let deep = format!("{} = 1", vec!["a"; 100_000].join("."));
    assert_eq!(paths(&deep), [""]);
    let nested = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(paths(&nested), [""]);
    let tables = format!("a = {}", "{b = ".repeat(40_000));
    assert_eq!(paths(&tables), [""]);
    let header = format!("[{}]", vec!["a"; 100_000].join("."));
    assert_eq!(paths(&header), [""]);
    assert_eq!(paths(&"#".repeat(300_000)), [""]);
    let many: String = (0..20_000).map(|n| format!("k{n} = 1\n")).collect();
    let faults = judge(&many).unwrap_err();
    assert_eq!(faults.list().len(), 200);
    assert!(faults.untold() > 19_000);
}

/// The example of the manual, and that what it has of the host is all told.
#[test]
fn the_example_of_a_console_behind_single_sign_on_is_valid_and_told() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/examples/oidc/config.toml");
    let checked = judge(&std::fs::read_to_string(path).unwrap()).unwrap();
    let access: Vec<&str> =
        checked.config.host_access.iter().map(|access| access.value.as_str()).collect();
    let socket = "/run/podman/podman.sock:/run/podman/podman.sock";
    assert_eq!(access, ["--pid=host --privileged", "/:/host", "/run/dbus:/run/dbus", socket]);
    let modes = checked.config.units.iter().flat_map(|unit| &unit.modes);
    assert!(modes.map(|mode| mode.as_str()).all(|mode| mode == "rootful"));
}
