// SPDX-License-Identifier: MIT OR Apache-2.0
//! A server that drips holds the agent, and nobody else: who stands at the device gets his answers.

use crate::cli_board::{Ran, bundles};
use crate::house::House;
use crate::update_server::{LATEST, Page};
use bootctl::SlotState;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Far more than any answer takes, and less than a server that drips is waited for.
const PATIENCE: Duration = Duration::from_secs(50);

/// A round in a process of its own, which ends with this.
struct Round(Child);

impl Drop for Round {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Round {
    fn begin(house: &House) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_atomix"));
        command.arg("--root").arg(house.board.root()).args(["agent", "poll", "--once"]);
        command.env_remove("TRIGGER_UNIT");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    fn until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < PATIENCE, "{what} does not come");
            assert_eq!(self.0.try_wait().unwrap(), None, "the round has ended before {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn answers(house: &House, args: &[&str]) -> Ran {
    let begun = Instant::now();
    let ran = house.board.run(args);
    assert!(begun.elapsed() < PATIENCE, "{args:?} waits for the server");
    ran
}

/// What only reads.
fn is_told_all(house: &House) {
    let status = answers(house, &["status"]);
    assert_eq!(status.code, 0, "{}{}", status.stdout, status.stderr);
    assert!(status.stdout.contains("booted       A  good"), "{}", status.stdout);
    let agent = answers(house, &["agent", "status"]);
    assert_eq!(agent.code, 0, "{}{}", agent.stdout, agent.stderr);
    assert!(agent.stdout.contains("server     https://127.0.0.1"), "{}", agent.stdout);
    let doctor = answers(house, &["doctor"]);
    assert!(doctor.stdout.lines().count() > 3, "{}{}", doctor.stdout, doctor.stderr);
}

#[test]
fn while_a_server_drips_its_answer_the_device_is_told_of_and_installed_by_hand() {
    let house = House::original();
    house.server.put(LATEST, Page { drips_after: 10, ..Page::new(200, vec![b' '; 60_000]) });
    let mut round = Round::begin(&house);
    let asked = std::cell::Cell::new(false);
    round.until("the question", || {
        asked.set(asked.get() || !house.server.asked().is_empty());
        asked.get()
    });
    is_told_all(&house);
    let ran = answers(&house, &["install", &house.board.offer_good()]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
    assert_eq!(round.0.try_wait().unwrap(), None, "the server held it all the time");
}

#[test]
fn while_a_server_drips_the_bundle_a_technician_hears_who_is_at_work() {
    let house = House::original();
    house.server.offer("2.0.0", bundles::good());
    // The look's parts are smaller than that, and those of an install larger.
    house
        .server
        .put("/os/update.raucb", Page { drips_after: 150_000, ..Page::new(200, bundles::good()) });
    let mut round = Round::begin(&house);
    round.until("the install", || house.board.state().b.state == SlotState::Writing);
    is_told_all(&house);
    let bundle = house.board.offer_good();
    let ran = answers(&house, &["install", &bundle]);
    assert_eq!(ran.code, 5, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    // Who ends the agent has the device for himself.
    drop(round);
    let ran = answers(&house, &["install", &bundle]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(house.holds_good());
}
