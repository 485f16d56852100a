// SPDX-License-Identifier: MIT OR Apache-2.0
//! The built program as systemd starts and stops it, and what it reports.

use crate::cli_board::{NOW, bundles, run_on};
use crate::house::House;
use crate::update_server::{LATEST, Page};
use atomix::context::{Context, Now};
use bundle::UnixTime;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const NEXT: &str = "/run/atomix/agent/next-question";

fn program(house: &House, args: &[&str]) -> Command {
    let mut command = Command::new("env");
    // What runs in the background of a shell has Ctrl-C ignored, and these tests may.
    command.args(["-u", "TRIGGER_UNIT", "--default-signal=INT,HUP,TERM"]);
    command.arg(env!("CARGO_BIN_EXE_atomix")).arg("--root").arg(house.board.root()).args(args);
    command.stdin(Stdio::null());
    command
}

#[test]
fn a_timer_that_comes_often_asks_at_the_pace_and_a_person_at_once() {
    let house = House::original();
    house.server.put(LATEST, Page::new(204, ""));
    let round = |by_timer: bool| {
        let mut command = program(&house, &["agent", "poll", "--once"]);
        if by_timer {
            let mut timed = Command::new("env");
            timed.arg("TRIGGER_UNIT=os-upgrade.timer").arg(env!("CARGO_BIN_EXE_atomix"));
            timed.arg("--root").arg(house.board.root()).args(["agent", "poll", "--once"]);
            command = timed;
        }
        let ran = command.output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        house.server.asked().len()
    };
    assert_eq!(round(false), 1);
    let next = String::from_utf8(house.board.read(NEXT)).unwrap();
    assert!(next.trim().parse::<u64>().unwrap() > 0);
    assert_eq!(round(true), 0, "not yet");
    assert_eq!(round(false), 1, "a person does not wait");
    house.board.write(NEXT, "1\n");
    assert_eq!(round(true), 1);
    // A network that is not there is no failure of the unit.
    house.server.put(LATEST, Page::new(503, ""));
    house.board.write(NEXT, "1\n");
    assert_eq!(round(true), 1);
}

/// Fails when a medium that is full while the bundle comes is a round that went well, or a server that is
/// away. In its place stands a limit of this program's files.
#[test]
fn a_medium_that_is_full_fails_the_unit_and_is_no_servers_failure() {
    for ranges in [true, false] {
        let house = House::new("original", &json!({ "reboot": "never", "keep_bundles": true }));
        house.server.offer("2.0.0", bundles::good());
        if !ranges {
            house.server.forget_ranges();
        }
        house.board.write(NEXT, "1\n");
        let mut command = Command::new("env");
        command.args(["--ignore-signal=XFSZ", "TRIGGER_UNIT=os-upgrade.timer", "sh", "-c"]);
        command.args(["ulimit -f 64 && exec \"$@\"", "sh", env!("CARGO_BIN_EXE_atomix")]);
        command.arg("--root").arg(house.board.root()).args(["agent", "poll", "--once"]);
        let ran = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot store what was fetched"), "{said}");
        let status = house.board.run(&["agent", "status"]).stdout;
        let words = status.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains("cannot store") && !words.contains("in a row"), "{status}");
        assert_eq!(house.poll(&[]).code, 0);
        assert!(house.holds_good());
    }
}

#[test]
fn an_agent_that_waits_ends_when_it_is_stopped() {
    let house = House::original();
    let mut command = program(&house, &["agent", "run"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(child.try_wait().unwrap(), None, "it waits for its first question");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(status.success(), "{status}");
    assert!(house.server.asked().is_empty());
}

#[test]
fn a_device_that_changed_reports_once_and_signed() {
    let house = House::original();
    let settings = "/data/config/os-upgrade.json";
    let mut read: Value = serde_json::from_slice(&house.board.read(settings)).unwrap();
    read["report_url"] = json!(format!("{}/report", house.server.url));
    house.board.write(settings, read.to_string());
    house.server.put("/report", Page::new(503, "later"));
    house.server.offer("2.0.0", bundles::good());
    let reports = || {
        let asked = house.server.asked();
        asked.into_iter().filter(|asked| asked.path == "/report").collect::<Vec<_>>()
    };
    assert_eq!(house.poll(&[]).code, 0);
    assert_eq!(reports().len(), 1);
    let status = house.board.run(&["agent", "status"]).stdout;
    assert!(status.contains("report     still to be sent"), "{status}");
    // A round after the pause tries again, and after the server has it nothing is sent twice.
    house.server.put("/report", Page::new(200, ""));
    assert_eq!(house.poll(&[]).code, 0);
    assert!(reports().is_empty(), "a server that has a fault gets its pause");
    let later = Context::host(house.board.root(), Now(UnixTime(NOW.0.0 + 600)));
    let again = || run_on(&later, &["agent", "poll", "--once"]);
    assert_eq!(again().code, 0);
    let sent = reports();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].headers["content-type"], "application/cms");
    let key: Value =
        serde_json::from_str(&house.board.run(&["--json", "report", "key"]).stdout).unwrap();
    let certificate = key["certificate"].as_str().unwrap().as_bytes();
    let report = agents::verify_report(&sent[0].body, certificate, NOW.0).unwrap().report;
    assert_eq!(report.agent.mode.as_deref(), Some("poll"));
    assert_eq!(report.boot.next.as_deref(), Some("B"));
    assert_eq!(again().code, 0);
    assert!(reports().is_empty());
}
