// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long does it take to judge the largest legal configuration, and how many times what the TOML
//! library takes alone to read it? `cargo bench -p config-api --no-default-features`.
//!
//! Never asserts a time: a busy machine says nothing. The budget is 10 ms.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and stops where something is wrong"
)]

use config_api::model::{MAX_CONFIG_BYTES, validate};
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};
use toml::de::DeTable;

/// As many containers as fit, each with what containers commonly have.
fn largest() -> String {
    let mut text = String::from(
        "version = 1\n[users.admin]\nisAdmin = true\nssh_key = \"ssh-ed25519 \
         AAAAC3NzaC1lZDI1NTE5AAAAIIBGoVskIFs63KKKMnX0pH1k1PYTOqw4q2I6LVuMKocG a@b\"\n\
         [activation]\nrequired = [\"c0\"]\n",
    );
    for number in 0.. {
        let mut unit = String::new();
        writeln!(
            unit,
            "[containers.volume.v{number}.Volume]\nLabel = \"n={number}\"\n\
             [containers.container.c{number}]\nprivileged = false\n\
             [containers.container.c{number}.Unit]\nDescription = \"Number {number}\"\n\
             After = [\"network-online.target\", \"c0.service\"]\n\
             [containers.container.c{number}.Container]\n\
             Image = \"registry.example/shop/c{number}:1.4\"\n\
             PublishPort = [\"{port}:80\", \"127.0.0.1:{port}:81/udp\"]\n\
             Volume = [\"v{number}.volume:/data\", \"${{FILES_DIR}}/c{number}:/etc/c:ro\"]\n\
             Environment = [\"TZ=UTC\", \"NAME=c{number}\", \"LOG_LEVEL=info\"]\n\
             HealthCmd = \"curl -fsS http://127.0.0.1/health\"\nPidsLimit = 512\nReadOnly = true\n\
             [containers.container.c{number}.Install]\nWantedBy = \"default.target\"",
            port = 10_000 + number
        )
        .unwrap();
        if text.len() + unit.len() > MAX_CONFIG_BYTES {
            return text;
        }
        text.push_str(&unit);
    }
    text
}

/// The least time of many runs: what else runs on the machine only adds.
fn least(mut act: impl FnMut()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        act();
        start.elapsed()
    };
    (0..50).map(once).min().unwrap()
}

fn main() {
    let text = largest();
    let units = validate(text.as_bytes()).unwrap().config.units.len();
    let toml = least(|| drop(black_box(DeTable::parse(black_box(&text)).unwrap())));
    let all = least(|| drop(black_box(validate(black_box(text.as_bytes())).unwrap())));
    let ratio = all.as_secs_f64() / toml.as_secs_f64();
    println!("{} bytes, {units} units", text.len());
    println!("TOML alone {toml:?}, validate {all:?}: {ratio:.2} times");
}
