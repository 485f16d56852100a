// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix config apply` against the real config API on loopback, whose pipeline is played: the
//! first configuration and later ones, refusals, a failed change, a device that moves, a
//! confirmation, and an operator who leaves.

use crate::cable::Cable;
use crate::door::Door;
use crate::fake::Fake;
use crate::laptop::Laptop;
use crate::ssh::Keygen;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A configuration that is valid by every rule, with this administrator.
fn config(key: &Keygen, image: &str) -> String {
    let public = key.public();
    format!(
        "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"{}\"\n[activation]\n\
         required = [\"web\"]\ntimeout_seconds = 20\n[containers.container.web]\n\
         privileged = false\n[containers.container.web.Container]\nImage = \"{image}\"\n",
        public.trim()
    )
}

fn provisioned(key: &Keygen) -> (Door, Laptop) {
    let door = Door::open(Fake::provisioned(&key.public()));
    let laptop = Laptop::at(&door);
    (door, laptop)
}

fn in_force(door: &Door) -> Option<String> {
    door.fake.with(|state| state.text.clone())
}

/// Waits for something that comes.
fn until(mut came: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !came() {
        assert!(Instant::now() < end, "it did not come");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_first_configuration_needs_no_key_and_the_next_one_its_administrators() {
    let door = Door::open(Fake::unprovisioned());
    let laptop = Laptop::at(&door);
    let key = Keygen::new("ed25519", None);
    let (first, second) = (config(&key, "a:1"), config(&key, "a:2"));
    let file = laptop.write("site.toml", &first);
    let ran = laptop.run(&["config", "apply", &file, "--device", &laptop.device]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("in force and healthy after "), "{}", ran.stdout);
    for step in ["validate", "promote", "service-status web.service running: active (running)"] {
        assert!(ran.stderr.contains(step), "{step}: {}", ran.stderr);
    }
    assert_eq!(in_force(&door), Some(first.clone()));
    let file = laptop.write("site.toml", &second);
    let ran = laptop.run(&["config", "apply", &file, "--device", &laptop.device]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("--ssh-key"), "{}", ran.stderr);
    assert_eq!(in_force(&door), Some(first));
    let ran = laptop.run(&laptop.with_key(&key, &["apply", &file, "--json"]));
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let events: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((names[0], names[1]), ("sending", "accepted"), "{names:?}");
    let last = events.last().unwrap();
    assert_eq!((&last["event"], &last["job"]["state"]), (&"done".into(), &"succeeded".into()));
    assert_eq!(in_force(&door), Some(second));
    let wide = ran.stderr.lines().find(|line| line.chars().count() > 200);
    assert_eq!(wide, None);
}

#[test]
fn what_is_wrong_is_told_here_whole_and_nothing_is_sent() {
    let key = Keygen::new("ed25519", None);
    let (door, laptop) = provisioned(&key);
    let before = in_force(&door);
    let wrong = config(&key, "a:1").replace("20", "0").replace("[\"web\"]", "[\"nobody\"]");
    let file = laptop.write("wrong.toml", &wrong);
    let ran = laptop.run(&laptop.with_key(&key, &["apply", &file]));
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    for told in ["activation.required[0]", "activation.timeout_seconds", "nothing was sent"] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    let ran = laptop.run(&laptop.with_key(&key, &["apply", "/nowhere.toml"]));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert_eq!((in_force(&door), door.fake.with(|state| state.applied.len())), (before, 0));
}

#[test]
fn a_bundle_and_a_condition_travel_signed() {
    let key = Keygen::new("ecdsa", None);
    let (door, laptop) = provisioned(&key);
    let file = laptop.write("größe.toml", &config(&key, "a:1"));
    let etag = crate::fake::etag(crate::fake::CONFIG);
    let ran = laptop.run(&laptop.with_key(&key, &["apply", &file, "--if-match", "another"]));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("another one by now"), "{}", ran.stderr);
    let ran = laptop.run(&laptop.with_key(&key, &["apply", &file, "--if-match", &etag]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../config-api/tests/fixtures");
    let bundle = std::fs::read_dir(fixtures).unwrap().find_map(|dir| {
        let dir = dir.unwrap().path();
        let good = std::fs::read_to_string(dir.join("expected.json")).ok()?.contains("\"ok\"");
        let bundle = dir.join("input.tar.gz");
        (good && bundle.exists()).then_some(bundle)
    });
    let bundle = bundle.unwrap();
    let ran = laptop.run(&laptop.with_key(&key, &["apply", bundle.to_str().unwrap()]));
    // The played pipeline reads text alone: the bundle has arrived, and its job tells the faults.
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("no text") && ran.stderr.contains("nothing was changed"));
    assert!(!ran.stderr.contains("0:0") && !ran.stderr.contains("line 0"), "{}", ran.stderr);
    assert_eq!(door.spooled(), 0);
}

#[test]
fn a_request_that_was_signed_elsewhere_is_sent_once_and_never_with_other_content() {
    let key = Keygen::new("ed25519", None);
    let (door, laptop) = provisioned(&key);
    let text = config(&key, "a:1");
    let file = laptop.write("site.toml", &text);
    let asked = laptop.run(&["config", "request-nonce", "--device", &laptop.device]);
    let request = laptop.write("request", &asked.stdout);
    let key_path = key.path();
    let sign = ["config", "sign", &file, "--request", &request, "--ssh-key", &key_path];
    let signed = laptop.write("signed", &laptop.run(&sign).stdout);
    let other = laptop.write("other.toml", &config(&key, "a:2"));
    let apply = |file: &str| {
        laptop.run(&["config", "apply", file, "--device", &laptop.device, "--signed", &signed])
    };
    let ran = apply(&other);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("signed for other content"), "{}", ran.stderr);
    let ran = apply(&file);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(in_force(&door), Some(text));
    let again = apply(&file);
    assert_eq!(again.code, 4, "{}", again.stderr);
    assert!(again.stderr.contains("nonce"), "{}", again.stderr);
}

#[test]
fn a_change_that_does_not_become_healthy_fails_and_says_what_is_in_force() {
    let key = Keygen::new("ed25519", None);
    let (door, laptop) = provisioned(&key);
    let before = in_force(&door);
    let file = laptop.write("site.toml", &config(&key, "unhealthy:1"));
    let ran = laptop.run(&laptop.with_key(&key, &["apply", &file]));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("web.service: failed (exit-code)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("before is in force again, and its services run"));
    assert_eq!(in_force(&door), before);
}

#[test]
fn a_second_change_meanwhile_is_refused_as_busy_and_the_first_one_can_be_looked_at() {
    let key = Keygen::new("ed25519", None);
    let (door, laptop) = provisioned(&key);
    door.fake.hold();
    let file = laptop.write("site.toml", &config(&key, "a:1"));
    let ran = laptop.run(&laptop.with_key(&key, &["apply", &file, "--no-wait", "--json"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let accepted: Value = serde_json::from_str(ran.stdout.lines().last().unwrap()).unwrap();
    let job = accepted["job"].as_str().unwrap().to_owned();
    let busy = laptop.run(&laptop.with_key(&key, &["apply", &file]));
    assert_eq!(busy.code, 5, "{}", busy.stderr);
    assert!(busy.stderr.contains("another change is under way"), "{}", busy.stderr);
    door.fake.release();
    let look = |job: &str| laptop.run(&["config", "job", job, "--device", &laptop.device]);
    let ran = look(&job);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let unknown = look("5f3c1d52-8a0b-4e5f-9c3a-0123456789ab");
    assert_eq!(unknown.code, 3, "{}", unknown.stderr);
    assert_eq!(look("no job").code, 2);
}

#[test]
fn a_device_that_moves_is_found_again_and_confirmed_over_its_new_address() {
    let key = Keygen::new("ed25519", None);
    let door = Door::open(Fake::unprovisioned());
    let laptop = Laptop::at(&door);
    let (old, new) = (Cable::to(door.address), Cable::unplugged(door.address));
    door.fake.hold();
    let text = config(&key, "a:1");
    let file = laptop.write("site.toml", &text);
    let (was, is) = (old.place(), new.place());
    let key_path = key.path();
    let words = [
        "config",
        "apply",
        &file,
        "--device",
        &was,
        "--moves-to",
        &is,
        "--ssh-key",
        &key_path,
        "--confirm-within",
        "60",
    ];
    let child = laptop.command(&words).spawn().unwrap();
    until(|| !door.fake.with(|state| state.applied.is_empty()) || old.carried() > 0);
    until(|| old.carried() >= 2);
    old.unplug();
    door.fake.release();
    thread::sleep(Duration::from_secs(3));
    assert!(door.fake.with(|state| state.confirmed.is_empty()), "nobody can have reached it");
    new.plug();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("the change goes on, looking for it"), "{told}");
    assert!(told.contains(&format!("http://{is} answers")), "{told}");
    assert!(told.contains(&format!("confirmed over http://{is}")), "{told}");
    assert_eq!(in_force(&door), Some(text));
}

#[test]
fn without_a_confirmation_the_device_goes_back_and_a_key_is_asked_for_before() {
    let key = Keygen::new("ed25519", None);
    let (door, laptop) = provisioned(&key);
    let before = in_force(&door);
    let file = laptop.write("site.toml", &config(&key, "a:1"));
    let words = ["config", "apply", &file, "--device", &laptop.device, "--confirm-within", "10"];
    let ran = laptop.run(&words);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    // Where it has to be reached nobody is.
    let nowhere = Cable::unplugged(door.address).place();
    let confirm = ["apply", &file, "--confirm-within", "10", "--moves-to", &nowhere];
    let ran = laptop.run(&laptop.with_key(&key, &confirm));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("nobody confirmed it in time"), "{}", ran.stderr);
    assert_eq!(in_force(&door), before);
    let late = ["confirm", "5f3c1d52-8a0b-4e5f-9c3a-0123456789ab"];
    let ran = laptop.run(&laptop.with_key(&key, &late));
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

#[test]
fn an_operator_who_leaves_is_told_that_the_change_goes_on() {
    let key = Keygen::new("ed25519", None);
    let (door, laptop) = provisioned(&key);
    door.fake.hold();
    let text = config(&key, "a:1");
    let file = laptop.write("site.toml", &text);
    let leaving = Leaving::from(&laptop.with_key(&key, &["apply", &file]));
    leaving.interrupt();
    door.fake.release();
    until(|| in_force(&door) == Some(text.clone()));
}

#[test]
fn who_leaves_while_a_device_does_not_answer_is_told_the_same() {
    let key = Keygen::new("ed25519", None);
    let (door, mut laptop) = provisioned(&key);
    let cable = Cable::to(door.address);
    laptop.device = cable.place();
    door.fake.hold();
    let file = laptop.write("site.toml", &config(&key, "a:1"));
    let leaving = Leaving::from(&laptop.with_key(&key, &["apply", &file]));
    cable.silence();
    until(|| cable.caught() > 0);
    leaving.interrupt();
}

/// A program whose change was taken, and what it has said since.
struct Leaving {
    child: Child,
    people: BufReader<ChildStderr>,
}

impl Leaving {
    /// Runs it until a job is told.
    fn from(words: &[String]) -> Self {
        // Whoever runs this in the background has it ignore an interrupt, and the program keeps to
        // that.
        let mut command = Command::new("env");
        command.args(["--default-signal=INT", env!("CARGO_BIN_EXE_atomix")]).args(words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut people = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains(" takes it as job ") {
            line.clear();
            assert_ne!(people.read_line(&mut line).unwrap(), 0, "it ended");
        }
        Self { child, people }
    }

    fn interrupt(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGINT).unwrap();
        let mut told = String::new();
        self.people.read_to_string(&mut told).unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(2), "{told}");
        assert!(told.contains("the change goes on without us as job "), "{told}");
    }
}
