// SPDX-License-Identifier: MIT OR Apache-2.0
//! The update agent as it ships: started by systemd, within the limits of its unit, on a real kernel,
//! from a server over TLS, up to the restart that it asks for itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "../../../atomix/tests/update_server/mod.rs"]
mod update_server;

use anyhow::{Result, ensure};
use e2e::live::Board;
use e2e::parts::bundle;
use e2e::scenario::Scenario;
use openssl::base64::encode_block;
use serde_json::json;
use update_server::{LATEST, Page, UpdateServer};

/// A card of the emulator, on which this machine is found at [`THIS_MACHINE`].
const CARD: [&str; 2] = ["-nic", "user,model=virtio-net-pci"];
const THIS_MACHINE: &str = "10.0.2.2";
const NETWORK: &str =
    "modprobe virtio_net && ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0";

const BUNDLE: &str = "/os/update.raucb";

/// Offers the update as the original server does, to a guest of the emulator.
fn serve() -> Result<UpdateServer> {
    let server = UpdateServer::start();
    let bundle = std::fs::read(bundle::update()?.join("update.raucb"))?;
    server.put(BUNDLE, Page::new(200, bundle));
    let answer = json!({ "version": bundle::UPDATE_VERSION, "bundle_url": seen(&server) + BUNDLE });
    server.put(LATEST, Page::new(200, answer.to_string()));
    Ok(server)
}

/// The server's address as the guest sees it.
fn seen(server: &UpdateServer) -> String {
    server.url.replace("127.0.0.1", THIS_MACHINE)
}

fn write(board: &mut Board, path: &str, content: &[u8]) -> Result<()> {
    let text = encode_block(content);
    board.told(&format!("mkdir -p $(dirname {path}) && echo {text} | base64 -d >{path}")).map(drop)
}

/// What a technician would set, in the place where the config API puts it.
fn set_up(board: &mut Board, server: &UpdateServer) -> Result<()> {
    let ca = "/data/config/os-upgrade/ca.pem";
    let settings = json!({
        "server_url": seen(server),
        "mode": "poll",
        "metadata": "original",
        "tls": { "ca_file": ca },
    });
    write(board, ca, &server.ca_pem)?;
    write(board, "/data/config/os-upgrade.json", settings.to_string().as_bytes())
}

/// Fails when a limit of the unit keeps the agent from the network, a slot, the environment, its
/// memory or the restart; all other tests of it start the program by hand.
#[test]
fn the_agents_unit_fetches_installs_and_restarts_and_the_verifier_confirms() -> Result<()> {
    let server = serve()?;
    let scenario = Scenario::new("agent").more_args(&CARD).initrd_hook(NETWORK);
    scenario.run(|board| {
        set_up(board, &server)?;
        board.start("systemctl start --no-block os-upgrade.service")?;
        board.selected("B, trying")?;
        board.guest_up()?;
        let asked = server.asked();
        ensure!(asked.first().is_some_and(|first| first.path == LATEST), "{asked:?}");
        ensure!(asked.iter().any(|one| one.path == BUNDLE && one.range_bytes().is_some()));
        board.await_confirmation()?;
        // The record of slot A's boot is read in slot B's, and the same offer is not taken twice.
        board.told("systemctl start os-upgrade.service")?;
        let again = server.asked();
        ensure!(again.iter().any(|one| one.path == LATEST), "it asked nobody");
        let version = &again[0].headers["x-current-version"];
        assert_eq!(version, bundle::UPDATE_VERSION);
        ensure!(again.iter().all(|one| one.path != BUNDLE), "the same bundle was fetched again");
        let status = board.told("atomix agent status")?;
        ensure!(status.contains("runs already"), "{status}");
        let stored = board.run("ls /data/atomix/bundles")?;
        ensure!(stored.exit != 0, "a bundle was stored: {}", stored.printed);
        Ok(())
    })
}
