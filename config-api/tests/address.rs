// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the service listens follows the configuration: at every start, and after every change.

#![cfg(all(target_os = "linux", feature = "server"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may stop where it stands"
)]

mod door;
mod fake;
mod ssh;

use door::{Call, Door, read_answer};
use fake::{CONFIG, Fake};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FIRST: Ipv4Addr = Ipv4Addr::LOCALHOST;
const LAN: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 42);

/// A port that nobody has, on any address of loopback.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

fn answers(address: Ipv4Addr, port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(SocketAddr::from((address, port))) else {
        return false;
    };
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(&Call::new("GET", "/api/health").bytes("localhost")).unwrap();
    read_answer(&mut stream).is_ok_and(|answer| answer.status == 200)
}

fn wait_for(address: Ipv4Addr, port: u16) {
    let end = Instant::now() + Duration::from_secs(60);
    while !answers(address, port) {
        assert!(Instant::now() < end, "nobody listens on {address}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_device_with_a_configuration_listens_on_its_lan_from_the_start() {
    let fake = Fake::provisioned("");
    fake.with(|state| state.gateway = Some(LAN.to_string()));
    let port = free_port();
    let _door = Door::follow(fake, port);
    wait_for(LAN, port);
    assert!(!answers(FIRST, port), "it listens elsewhere too");
}

#[test]
fn a_device_without_a_lan_is_reached_from_itself_alone() {
    let fake = Fake::provisioned("");
    fake.with(|state| state.gateway = None);
    let port = free_port();
    let _door = Door::follow(fake, port);
    wait_for(FIRST, port);
    assert!(!answers(LAN, port));
}

#[test]
fn the_address_follows_the_first_configuration() {
    let fake = Fake::unprovisioned();
    fake.with(|state| state.gateway = Some(LAN.to_string()));
    let port = free_port();
    let door = Door::follow(fake, port);
    wait_for(FIRST, port);
    assert!(!answers(LAN, port));
    let claim = Call::new("POST", "/api/config").body(CONFIG);
    assert_eq!(door.call(&claim).status, 202);
    wait_for(LAN, port);
    assert!(answers(FIRST, port), "the page that sent it can still follow its job");
}

/// Whoever starts it by hand, or reads the journal, must not look at a service that says nothing.
#[test]
fn a_service_without_its_helper_says_what_it_waits_for() {
    let state = tempfile::tempdir().unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_atomix-config-api"))
        .args(["serve", "--helper", "/nowhere/helper.sock", "--device", "0a1b2c3d4e5f", "--state"])
        .arg(state.path())
        .args(["--port", &free_port().to_string()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(service.stderr.take().unwrap()).read_line(&mut line).unwrap();
    service.kill().unwrap();
    service.wait().unwrap();
    assert!(line.contains("the helper cannot be reached"), "{line}");
    assert!(line.contains("waiting for it") && line.contains("systemctl"), "{line}");
}
