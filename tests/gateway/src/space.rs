// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is the machine left as it was? The program starts itself again in mount, network and process
//! namespaces of its own, in which three hosts are made: the gateway, one in its LAN, one in the
//! world. None of them has a way out.

use crate::cli::Cli;
use anyhow::{Context as _, Result, ensure};
use e2e::program::{Program, SYSTEM_PATH};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the network namespaces have their names.
pub const NETWORKS: &str = "/run/netns";

/// The host beyond the LAN's interface.
pub const LAN: &str = "lan";
/// The host beyond the world's.
pub const WAN: &str = "wan";
/// The hardware address of the gateway in the world, which signatures are bound to.
pub const WORLD_MAC: &str = "02:00:5e:00:00:01";
/// And of the host there.
pub const STRANGER_MAC: &str = "02:00:5e:00:01:01";
/// Where the gateway is found in the world.
pub const WORLD_IP: &str = "192.0.2.10";
/// Of its own making, from its hardware address.
pub const WORLD_LOCAL: &str = "fe80::5eff:fe00:1";
/// The host in the world.
pub const STRANGER_IP: &str = "192.0.2.1";
/// The same, of its own making.
pub const STRANGER_LOCAL: &str = "fe80::5eff:fe00:101";
/// The gateway's.
pub const GATEWAY: &str = "gateway";

/// Runs the same command line inside.
pub fn enter(cli: &Cli, scratch: &Path) -> Result<()> {
    let own = std::env::current_exe().context("cannot find this program")?;
    let judges: Vec<&str> = cli.judge.iter().map(|judge| judge.name()).collect();
    let mut command = Command::new("unshare");
    command.args(["-m", "-n", "-p", "-f", "--mount-proc", "--kill-child"]).arg(own);
    command.arg(&cli.program).arg(format!("--judge={}", judges.join(",")));
    command.arg(format!("--inside={}", scratch.display()));
    command.env("PATH", SYSTEM_PATH).env("LC_ALL", "C.UTF-8").env_remove("TMPDIR");
    let ended = command.status().context("cannot start unshare")?;
    let tidied = forget_groups(scratch);
    ensure!(ended.success(), "not all judges are content");
    tidied
}

/// What the namespaces need before anything can run there.
pub fn furnish(scratch: &Path) -> Result<()> {
    Program::new("mount").args(["--make-rprivate", "/"]).run()?;
    fs::create_dir_all(NETWORKS)?;
    Program::new("mount").args(["-t", "tmpfs", "tmpfs", NETWORKS]).run()?;
    Program::new("ip").args(["link", "set", "lo", "up"]).run()?;
    let groups = groups_of(scratch);
    fs::create_dir_all(&groups)?;
    Program::new("mount").args(["-t", "cgroup2", "cgroup2"]).arg(&groups).run()?;
    fs::create_dir_all(group_of(scratch))?;
    Ok(())
}

/// Where the tree of control groups is mounted inside.
fn groups_of(scratch: &Path) -> PathBuf {
    scratch.join("cgroup")
}

/// The control group of this run.
pub fn group_of(scratch: &Path) -> PathBuf {
    groups_of(scratch).join(scratch.file_name().unwrap_or_default())
}

/// All processes are gone with their namespace; the groups stay, as directories, until removed.
fn forget_groups(scratch: &Path) -> Result<()> {
    let groups = groups_of(scratch);
    fs::create_dir_all(&groups)?;
    Program::new("mount").args(["-t", "cgroup2", "cgroup2"]).arg(&groups).run()?;
    let group = group_of(scratch);
    let removed = match group.is_dir() {
        true => Program::new("find")
            .arg(&group)
            .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
            .run(),
        false => Ok(()),
    };
    Program::new("umount").arg(&groups).run()?;
    removed
}

/// The hosts beside the gateway, which stay while it is off.
pub fn make_hosts() -> Result<()> {
    [LAN, WAN].into_iter().filter(|name| !is_there(name)).try_for_each(make_network)
}

/// Takes the gateway's network away: a device that is off does not answer, and namespaces would.
pub fn unplug() -> Result<()> {
    for name in [LAN, WAN] {
        // Both ends go at once; with the gateway's network it might be in a moment only. There may be
        // none.
        let _gone = Program::new("ip").args(["-n", name, "link", "delete", "cable"]).run();
    }
    match is_there(GATEWAY) {
        true => Program::new("ip").args(["netns", "delete", GATEWAY]).run(),
        false => Ok(()),
    }
}

/// Makes the gateway's network anew, and its cables to the hosts.
pub fn make_networks() -> Result<()> {
    make_hosts()?;
    unplug()?;
    make_network(GATEWAY)?;
    for (interface, address, peer, its) in [
        ("eth0", WORLD_MAC, WAN, STRANGER_MAC),
        ("eth1", "02:00:5e:00:00:02", LAN, "02:00:5e:00:01:02"),
    ] {
        Program::new("ip")
            .args(["-n", GATEWAY, "link", "add", interface, "address", address])
            .args(["type", "veth", "peer", "name", "cable", "address", its, "netns", peer])
            .run()?;
        let link = ["-n", peer, "link", "set", "cable"];
        Program::new("ip").args(link).args(["addrgenmode", "none", "up"]).run()?;
    }
    for address in ["172.20.30.7/24", "10.44.0.7/24"] {
        Program::new("ip").args(["-n", LAN, "address", "add", address, "dev", "cable"]).run()?;
    }
    let stranger = format!("{STRANGER_IP}/24");
    Program::new("ip").args(["-n", WAN, "address", "add", &stranger, "dev", "cable"]).run()?;
    Program::new("ip")
        .args(["-n", WAN, "address", "add", &format!("{STRANGER_LOCAL}/64"), "dev", "cable"])
        // Whoever looks from the first moment on does not wait whether another one has it.
        .arg("nodad")
        .run()?;
    Program::new("ip").args(["-n", WAN, "route", "add", "10.44.0.0/24", "via", WORLD_IP]).run()
}

fn is_there(name: &str) -> bool {
    Path::new(NETWORKS).join(name).exists()
}

fn make_network(name: &str) -> Result<()> {
    Program::new("ip").args(["netns", "add", name]).run()?;
    Program::new("ip").args(["-n", name, "link", "set", "lo", "up"]).run()
}
