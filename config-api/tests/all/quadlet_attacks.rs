// SPDX-License-Identifier: MIT OR Apache-2.0
//! What would a config author write to get out of a container? Quadlet takes values apart with
//! quotes and C escapes and writes a command line from them that systemd takes apart again
//! (podman: `pkg/systemd/parser/split.go`, `pkg/systemd/quadlet/quadlet.go`): what a value looks
//! like before is not what it is afterwards.

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

/// The modes of all units but the containers.
fn modes(text: &str) -> Vec<String> {
    let units = validate(text.as_bytes()).unwrap().config.units;
    let of_unit = |unit: &config_api::model::Unit| {
        let modes: Vec<_> = unit.modes.iter().map(|mode| mode.as_str()).collect();
        format!("{} {}", unit.file_name(), modes.join(" "))
    };
    let others = units.iter().filter(|unit| !unit.file_name().ends_with(".container"));
    others.map(of_unit).collect()
}

#[test]
fn no_build_is_roots_without_a_privileged_container() {
    // A build runs its author's commands. The second one mounts what the link of the first one
    // leads to: as root, that is the host.
    let builds = "[containers.build.a.Build]\nImageTag = \"localhost/a:1\"\n\
         Volume = \"${FILES_DIR}:/f\"\nFile = \"${FILES_DIR}/Containerfile\"\n\
         [containers.build.b.Build]\nImageTag = \"localhost/b:1\"\n\
         Volume = \"${FILES_DIR}/l:/host\"\nFile = \"${FILES_DIR}/Containerfile\"";
    assert_eq!(modes(&file("", builds)), ["a.build rootless", "b.build rootless"]);
    let privileged = file("", builds)
        .replace("privileged = false", "privileged = true")
        .replace("registry.example/web:1", "b.build");
    assert_eq!(modes(&privileged), ["a.build rootless", "b.build rootful"]);
}

#[test]
fn a_build_and_a_volume_that_use_one_another_are_of_one_account() {
    // Quadlet finds `x.volume` and `x.build` among the units of the same account alone.
    let rest = "[containers.volume.v.Volume]\nDriver = \"image\"\nImage = \"x.build\"\n\
         [containers.volume.w.Volume]\n[containers.volume.nobodys.Volume]\n\
         [containers.build.x.Build]\nImageTag = \"localhost/x:1\"\nVolume = \"w.volume:/w\"";
    let wanted = |v: &str, w: &str, x: &str| {
        let last = ["nobodys.volume rootful".to_owned(), format!("x.build {x}")];
        [vec![format!("v.volume {v}"), format!("w.volume {w}")], last.to_vec()].concat()
    };
    assert_eq!(modes(&file("", rest)), wanted("rootless", "rootless", "rootless"));
    for used in ["Volume = \"v.volume:/v\"", "Mount = \"type=volume,source=v,target=/v\""] {
        assert_eq!(modes(&file(used, rest)), wanted("rootless", "rootless", "rootless"), "{used}");
        let text = file(used, rest).replace("privileged = false", "privileged = true");
        assert_eq!(modes(&text), wanted("rootful", "rootful", "rootful"), "{used}");
    }
    // The image alone is root's: what nobody uses stays there.
    let mount = "Mount = \"type=image,source=localhost/x:1,target=/x\"";
    let text = file(mount, rest).replace("privileged = false", "privileged = true");
    assert_eq!(modes(&text), wanted("rootful", "rootful", "rootful"));
    let other = "[containers.container.other]\nprivileged = true\n\
         [containers.container.other.Container]\nImage = \"x.build\"\n";
    let text = file("Volume = \"v.volume:/v\"", &format!("{other}{rest}"));
    assert_eq!(modes(&text), wanted("rootless", "rootful rootless", "rootful rootless"));
}

#[test]
fn a_builds_address_leads_into_no_directory() {
    // Buildah joins what follows the colon to the clone's directory, unchecked.
    for fragment in ["v1:../../../../etc", ":..", "v1:sub", "v1:", ":link"] {
        for key in ["File", "SetWorkingDirectory"] {
            let build = format!(
                "[containers.build.b.Build]\n{key} = \"https://git.example/a.git#{fragment}\""
            );
            for privileged in ["false", "true"] {
                let text = file("", &build)
                    .replace("privileged = false", &format!("privileged = {privileged}"))
                    .replace("registry.example/web:1", "b.build");
                assert_eq!(faults(&text), [key], "{fragment}");
            }
        }
    }
    let build =
        "[containers.build.b.Build]\nSetWorkingDirectory = \"https://[2001:db8::1]:8443/a.git#v1\"";
    assert_eq!(faults(&file("", build)), [""; 0]);
}

#[test]
fn a_builds_secret_is_one_file_that_it_may_read() {
    let build = |secret: &str| format!("[containers.build.b.Build]\nSecret = '{secret}'");
    for secret in [
        "id=x",
        "id=etc/shadow",
        "x",
        "id=x,src=${FILES_DIR}/x,src=/etc/shadow",
        "id=x,src=${FILES_DIR}/x,type=file",
        "id=x,type=file,env=/etc/shadow",
        "type=file,id=x,src=${FILES_DIR}/x",
        "id=x,source=${FILES_DIR}/x",
        "id=x,src=etc/shadow",
        "id=x,src=/etc/shadow",
        "id=x,src=/srv/../etc/shadow",
        "id=x,src=",
        "id=,src=/srv/x",
        "id=x,src=/srv/x,",
        "id=x, src=/srv/x",
        "src=/srv/x",
    ] {
        assert_eq!(faults(&file("", &build(secret))), ["Secret"], "{secret}");
    }
    for secret in ["id=x,src=${FILES_DIR}/token", "id=my.token_1,src=/srv/token"] {
        assert_eq!(faults(&file("", &build(secret))), [""; 0], "{secret}");
    }
    let text = file("", &build("id=x,src=/etc/shadow"))
        .replace("privileged = false", "privileged = true")
        .replace("registry.example/web:1", "b.build");
    let access = validate(text.as_bytes()).unwrap().config.host_access;
    assert!(access.iter().any(|one| one.unit == "b.build" && one.directive == "Secret"));
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
