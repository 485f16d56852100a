// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config diff` between two files, against a device, and on the device itself.

use crate::door::Door;
use crate::fake::Fake;
use crate::laptop::Laptop;
use crate::ssh::Keygen;

const COLUMNS: usize = 80;

fn config(key: &Keygen, image: &str, more: &str) -> String {
    let public = key.public();
    format!(
        "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"{}\"\n{more}[activation]\n\
         required = [\"web\"]\n[containers.container.web]\nprivileged = false\n\
         [containers.container.web.Container]\nImage = \"{image}\"\nEnvironment = \"SECRET=abc\"\n\
         [containers.container.a-container-with-a-very-long-name-that-takes-its-place]\n\
         privileged = true\n\
         [containers.container.a-container-with-a-very-long-name-that-takes-its-place.Container]\n\
         Image = \"docker.io/library/b:1\"\n",
        public.trim()
    )
}

const MOVED: &str = "[network.dnsmasq]\ngateway_cidr = \"10.9.8.1/24\"\ndhcp_start = \"10.9.8.10\"\n\
                     dhcp_end = \"10.9.8.99\"\n";

#[test]
fn two_files_are_compared_without_a_device_and_without_their_secrets() {
    let laptop = Laptop::alone();
    let key = Keygen::new("ed25519", None);
    let old = laptop.write("old.toml", &config(&key, "docker.io/library/a:1", ""));
    let new = laptop.write("new.toml", &config(&key, "docker.io/library/a:2", MOVED));
    let same = laptop.run(&["config", "diff", &old, &old]);
    assert_eq!((same.code, same.stdout.as_str()), (0, "nothing changes\n"), "{}", same.stderr);
    let ran = laptop.run(&["config", "diff", &old, &new]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    for line in [
        "  changed  quadlet/web.container",
        "  changed  lan-settings.json",
        "  applied  network",
        "  restarts web.service (rootless): its unit is another",
        "  moves    from 172.20.30.1 to 10.9.8.1: use --confirm-within",
    ] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line}: {}", ran.stdout);
    }
    assert!(!ran.stdout.contains("long-name"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("abc"), "{}", ran.stdout);
    let more =
        laptop.write("more.toml", &config(&key, "docker.io/library/a:1", "").replace("b:1", "b:2"));
    let ran = laptop.run(&["config", "diff", &old, &more]);
    let wide = ran.stdout.lines().find(|line| line.chars().count() > COLUMNS);
    assert_eq!(wide, None, "{}", ran.stdout);
    let hawkbit = "[os_upgrade]\nmode = \"hawkbit\"\n[os_upgrade.hawkbit]\nurl = \"https://h.example\"\n\
                   target_token_file = \"/data/config/hawkbit/token\"\n";
    let led = laptop.write("led.toml", &config(&key, "docker.io/library/a:1", hawkbit));
    let ran = laptop.run(&["config", "diff", &old, &led]);
    for line in ["  applied  updates", "  updates  told by hawkBit instead of nobody"] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line}: {}", ran.stdout);
    }
    let json = laptop.json(&["config", "diff", &old, &new]);
    assert_eq!((&json["version"], &json["same"]), (&1.into(), &false.into()));
    assert_eq!(json["services"][0]["service"], "web.service");
    assert_eq!(json["moves"][1], "10.9.8.1");
}

#[test]
fn what_a_device_has_in_force_is_compared_with_a_file() {
    let key = Keygen::new("ed25519", None);
    let text = config(&key, "docker.io/library/a:1", "");
    let fake = Fake::provisioned(&key.public());
    fake.with(|state| state.text = Some(text.clone()));
    let door = Door::open(fake);
    let laptop = Laptop::at(&door);
    let same = laptop.write("same.toml", &text);
    let ran = laptop.run(&laptop.with_key(&key, &["diff", &same]));
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "nothing changes\n"), "{}", ran.stderr);
    let other = laptop.write("other.toml", &config(&key, "docker.io/library/a:2", ""));
    let ran = laptop.run(&laptop.with_key(&key, &["diff", &other]));
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    assert!(ran.stdout.contains("restarts web.service"), "{}", ran.stdout);
    assert_eq!(door.fake.with(|state| state.applied.len()), 0);
    // What is wrong here is told before the device is asked.
    let wrong = laptop.write("wrong.toml", "version = 2\n");
    let ran = laptop.run(&laptop.with_key(&key, &["diff", &wrong]));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    let root = laptop.path("root");
    std::fs::create_dir_all(format!("{root}/data/config")).unwrap();
    std::fs::write(format!("{root}/data/config/config.toml"), &text).unwrap();
    let ran = laptop.run(&["--root", &root, "config", "diff", &other]);
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    let ran = laptop.run(&["--root", &root, "config", "diff", &same]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

#[test]
fn what_this_program_does_not_take_is_neither_compared_nor_rendered() {
    let key = Keygen::new("ed25519", None);
    let door = Door::open(Fake::provisioned(&key.public()));
    let laptop = Laptop::at(&door);
    let file = laptop.write("new.toml", &config(&key, "docker.io/library/a:1", ""));
    let root = laptop.path("root");
    std::fs::create_dir_all(format!("{root}/data/config")).unwrap();
    std::fs::write(format!("{root}/data/config/config.toml"), "version = 2\n").unwrap();
    let tree = laptop.path("tree");
    for verb in [vec!["diff", &file], vec!["export", "--tree", &tree]] {
        let ran = laptop.run(&[&["--root", &root, "config"], &verb[..]].concat());
        assert_eq!(ran.code, 3, "{}", ran.stderr);
        assert!(ran.stderr.contains("4 faults; the first at users"), "{}", ran.stderr);
    }
    assert!(!std::path::Path::new(&tree).exists());
}

#[test]
fn files_of_a_bundle_cannot_be_compared_with_a_device_and_that_is_said() {
    let key = Keygen::new("ed25519", None);
    let mount = "Volume = \"${FILES_DIR}/site:/site:ro\"\nEnvironment = \"SECRET=abc\"";
    let text = config(&key, "docker.io/library/a:1", "").replacen(
        "Environment = \"SECRET=abc\"",
        mount,
        1,
    );
    let fake = Fake::provisioned(&key.public());
    fake.with(|state| state.text = Some(text.clone()));
    let door = Door::open(fake);
    let laptop = Laptop::at(&door);
    let same = laptop.write("same.toml", &text);
    let ran = laptop.run(&laptop.with_key(&key, &["diff", &same]));
    assert_eq!(ran.code, 10, "{}", ran.stderr);
    assert!(ran.stdout.contains("unknown  files/"), "{}", ran.stdout);
    assert!(ran.stdout.contains("it reads the configuration's files"), "{}", ran.stdout);
    let ran = laptop.run(&["config", "diff", &same, &same]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
}

/// A session's finding: `config diff A A` named services that start anew and answered 0.
#[test]
fn a_file_against_itself_names_nothing_even_where_services_always_start_anew() {
    let laptop = Laptop::alone();
    let key = Keygen::new("ed25519", None);
    let mount = "Volume = \"${FILES_DIR}/site:/site:ro\"\nEnvironment = \"SECRET=abc\"";
    let text = config(&key, "docker.io/library/a:1", "")
        .replace("required = [\"web\"]", "required = [\"web\"]\nrestart = [\"web\"]")
        .replacen("Environment = \"SECRET=abc\"", mount, 1);
    let (one, copy) = (laptop.write("one.toml", &text), laptop.write("copy.toml", &text));
    for other in [&one, &copy] {
        let ran = laptop.run(&["config", "diff", &one, other]);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "nothing changes\n"), "{}", ran.stderr);
        let json = laptop.json(&["config", "diff", &one, other]);
        assert_eq!((&json["same"], &json["services"]), (&true.into(), &serde_json::json!([])));
    }
}
