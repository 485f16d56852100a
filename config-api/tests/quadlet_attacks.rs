// SPDX-License-Identifier: MIT OR Apache-2.0
//! What would a config author write to get out of a container? Quadlet takes values apart with
//! quotes and C escapes and writes a command line from them that systemd takes apart again
//! (podman: `pkg/systemd/parser/split.go`, `pkg/systemd/quadlet/quadlet.go`): what a value looks
//! like before is not what it is afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by them"
)]

use config_api::model::validate;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG a@b";

fn file(lines: &str, rest: &str) -> String {
    format!(
        "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"{KEY}\"\n\
         [activation]\nrequired = [\"web\"]\n\
         [containers.container.web]\nprivileged = false\n\
         [containers.container.web.Container]\nImage = \"registry.example/web:1\"\n{lines}\n{rest}\n"
    )
}

/// The keys of all faults.
fn faults(text: &str) -> Vec<String> {
    match validate(text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(faults) => faults
            .list()
            .iter()
            .map(|fault| fault.path.rsplit('.').next().unwrap().to_owned())
            .collect(),
    }
}

fn all_refused(lines: &[&str]) {
    let key = |line: &str| line.split(' ').next().unwrap().to_owned();
    let wanted: Vec<_> = lines.iter().map(|line| (*line, vec![key(line)])).collect();
    let found: Vec<_> = lines.iter().map(|line| (*line, faults(&file(line, "")))).collect();
    assert_eq!(found, wanted);
}

#[test]
fn no_second_command_begins_on_the_host() {
    // systemd takes a word `;` for the end of a command, and Quadlet does not quote it: what
    // follows in `ExecReload=` runs outside of the container.
    all_refused(&[
        r#"ReloadCmd = "true ; /bin/sh -c id""#,
        r#"ReloadCmd = 'true ";" /bin/sh -c id'"#,
        r#"ReloadCmd = 'true \x3b /bin/sh -c id'"#,
        r#"ReloadCmd = 'true \073 /bin/sh'"#,
        r#"ReloadCmd = 'true \u003b /bin/sh'"#,
        r#"ReloadCmd = 'true "\x3b" /bin/sh'"#,
        r#"Exec = "serve ; /bin/sh""#,
        r#"ContainerName = ";""#,
        r#"StopSignal = ";""#,
        r#"HostName = ";""#,
        r#"HealthCmd = ";""#,
        r#"Entrypoint = " ; ""#,
    ]);
    assert_eq!(faults(&file(r#"Exec = 'sh -c "true ; true"'"#, "")), [""; 0]);
    assert_eq!(faults(&file(r#"Exec = 'printf "a\nb\t%%\\"'"#, "")), [""; 0]);
}

#[test]
fn escapes_hide_nothing_from_systemd() {
    // Quadlet decodes the escape and writes `%h` and `${HOME}` into the unit.
    all_refused(&[
        r"Exec = '\x25h'",
        r"Exec = 'a\045h'",
        r"Exec = '\x24{HOME}'",
        r"Exec = '\u0024HOME'",
        r"Environment = 'A=\x25h'",
        r"Label = 'a=\U00000025h'",
        r"ReloadCmd = '\x24HOME'",
    ]);
}

#[test]
fn escapes_and_quotes_hide_no_path() {
    all_refused(&[
        r"EnvironmentFile = '/srv/\x2e\x2e/etc/shadow'",
        r"EnvironmentFile = '/srv/a /etc/shadow'",
        r#"EnvironmentFile = '/srv/a" /etc/shadow"'"#,
        "EnvironmentFile = \"/srv/a\\t/etc/shadow\"",
        r"Mount = 'type=bind,source=/srv/\x2e\x2e/run,target=/x'",
        r"Mount = 'target=/x\x2ctype=bind\x2csource=/etc'",
        "Mount = \"type=tmpfs,target=/a\\ttype=bind,target=/b\"",
        r"Mount = 'type=volume,source=a,target=/x,volume-opt=type=none,volume-opt=device=..,volume-opt=o=bind'",
        r"Volume = '/srv/\x2e\x2e/etc:/x'",
        r"Volume = '/srv/a /etc:/x'",
        r"Secret = 'x,\x73rc=/etc/shadow'",
        r"AddDevice = '/dev/null /etc/shadow'",
        r"AddDevice = '/dev/null:/dev/x /run/podman/podman.sock'",
        r"AddDevice = '/dev/\x2e\x2e/etc'",
    ]);
}

#[test]
fn escapes_and_quotes_hide_no_option() {
    all_refused(&[
        r"Annotation = '\x72un.oci.keep_original_groups=1'",
        r#"Annotation = 'r"un.oci.keep_original_groups=1"'"#,
        r#"Annotation = "org.systemd.property.ExecStopPost=x""#,
        r"LogOpt = '\x70ath=/etc/x'",
        r#"LogOpt = 'p"ath=/etc/x"'"#,
    ]);
}

#[test]
fn a_name_is_no_option_of_podman() {
    // `podman rm -v -f -i --all`, in `ExecStopPost=`.
    all_refused(&[
        r#"ContainerName = "--all""#,
        r#"ContainerName = "a b""#,
        r#"HostName = "a b""#,
        r#"Timezone = "../../../etc/shadow""#,
    ]);
    let volume = "[containers.volume.v.Volume]\nVolumeName = \"--all\"";
    assert_eq!(faults(&file("", volume)), ["VolumeName"]);
    let network = "[containers.network.n.Network]\nNetworkName = \"--force\"";
    assert_eq!(faults(&file("", network)), ["NetworkName"]);
    for image in ["sif:/etc/x", "tarball:/etc/x", "docker-archive:/x", "oci:/x:y", "atomic:x"] {
        let text = file("", "").replace("registry.example/web:1", image);
        assert_eq!(faults(&text), ["Image"], "{image}");
    }
}

#[test]
fn a_build_writes_its_image_nowhere_but_among_the_images() {
    // Buildah takes a tag for a place when it looks like one: root would write into it.
    for tag in [
        "dir:/etc/cron.d",
        "oci-archive:/etc/cron.d/x",
        "docker-archive:/data/x",
        "oci:/etc/x:y",
        "docker://registry.example/x",
        "containers-storage:x",
    ] {
        let build =
            format!("[containers.build.b.Build]\nImageTag = [\"localhost/b:1\", \" {tag}\"]");
        assert_eq!(faults(&file("", &build)), ["ImageTag[1]"], "{tag}");
    }
}

#[test]
fn a_container_is_restarted_under_no_name_but_its_own() {
    all_refused(&[
        r#"Label = "PODMAN_SYSTEMD_UNIT=nftables.service""#,
        r#"Label = '"PODMAN_SYSTEMD_UNIT=nftables.service"'"#,
        r#"Label = 'a=b \x50ODMAN_SYSTEMD_UNIT=sshd.service'"#,
    ]);
    assert_eq!(faults(&file(r#"Label = "unit=PODMAN_SYSTEMD_UNIT""#, "")), [""; 0]);
}

#[test]
fn a_container_cannot_stand_in_the_way_of_the_boot() {
    // A container is started after basic.target and the network: to be before them is a cycle,
    // which systemd breaks by leaving something out, perhaps not the container.
    for target in [
        "sysinit.target",
        "basic.target",
        "local-fs.target",
        "sockets.target",
        "network-pre.target",
        "network.target",
        "network-online.target",
        "podman-user-wait-network-online.service",
    ] {
        let unit = format!("[containers.container.web.Unit]\nBefore = \"{target}\"");
        assert_eq!(faults(&file("", &unit)), ["Before"], "{target}");
    }
    let unit = "[containers.container.web.Unit]\nBefore = \"multi-user.target\"";
    assert_eq!(faults(&file("", unit)), [""; 0]);
}

#[test]
fn what_is_told_is_bounded_and_does_nothing_to_a_terminal() {
    let key = "k".repeat(100_000);
    let bad = "x = 1\n";
    let mut text = file("", "");
    text += &format!("[containers.container.\"{key}\".Container]\n{bad}");
    for number in 0..300 {
        text += &format!("y{number} = 1\n");
    }
    text += "EnvironmentFile = \"";
    text += &"/\u{202e}".repeat(20_000);
    text += "\"\n";
    let Err(faults) = validate(text.as_bytes()) else { panic!("it is valid") };
    let json = serde_json::to_vec(faults.list()).unwrap();
    assert!(json.len() < 600 * 1024, "more than a message: {}", json.len());
    let shown = config_api::model::faults_text(&faults, "config.toml", text.as_bytes());
    assert!(!shown.contains(['\u{1b}', '\u{202e}']));
}
