// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the gateway consist of? Debian's systemd with dnsmasq, chrony, nft and podman's
//! generator, kept outside the checkout; over it an image of the files in `guest/image`, the units
//! that ship, and the program under test.

use anyhow::{Context as _, Result};
use e2e::apt::{Apt, Packages, SUITE, source_line};
use e2e::cache::{Inputs, part};
use e2e::program::Program;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const PACKAGES: &str = "systemd,systemd-sysv,systemd-resolved,dbus,dbus-user-session,libpam-systemd,dnsmasq-base,\
    chrony,nftables,iproute2,busybox-static,libssl3t64,passwd,procps";

/// Units that wait for what is not there, or that the image has of its own.
const MASKED: [&str; 6] = [
    "chrony.service",
    "console-getty.service",
    "getty@tty1.service",
    "systemd-networkd-wait-online.service",
    "systemd-networkd-persistent-storage.service",
    "systemd-timesyncd.service",
];

/// Units that start at boot, by the target that wants them.
const ENABLED: [&str; 8] = [
    "nftables.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "dnsmasq.service",
    "chronyd.service",
    "ssh-wan-toggle.service",
    "atomix-config-helper.service",
    "atomix-config-api.service",
];

/// The files of this crate.
pub fn own(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guest").join(name)
}

/// Debian's part, which changes rarely: the tree `root`.
pub fn debian() -> Result<PathBuf> {
    let inputs = Inputs::new("gateway 2").text(PACKAGES).text(SUITE).text(&MASKED.join(" "));
    let dir = part("gateway", inputs, |dir| {
        let root = dir.join("root");
        Program::nice("mmdebstrap")
            .args(["--quiet", "--variant=minbase", "--arch=amd64"])
            .arg(format!("--include={PACKAGES}"))
            .arg(SUITE)
            .arg(&root)
            .arg(source_line()?)
            .run()?;
        for unit in MASKED {
            let path = root.join("etc/systemd/system").join(unit);
            Program::new("rm").arg("-f").arg(&path).run()?;
            symlink("/dev/null", path)?;
        }
        // An empty one costs presets in every boot.
        fs::write(root.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n")?;
        generator(dir, &root)
    })?;
    Ok(dir.join("root"))
}

/// Podman's generator alone, for the system and for accounts; podman itself is played.
fn generator(dir: &Path, root: &Path) -> Result<()> {
    let unpacked = dir.join("podman");
    fs::create_dir(&unpacked)?;
    let apt = Apt::of(Packages { suite: SUITE, architecture: "amd64" })?;
    apt.unpack("podman", &unpacked)?;
    fs::copy(unpacked.join("usr/libexec/podman/quadlet"), root.join("usr/bin/quadlet"))?;
    for kind in ["system", "user"] {
        let generators = root.join(format!("usr/lib/systemd/{kind}-generators"));
        fs::create_dir_all(&generators)?;
        symlink("/usr/bin/quadlet", generators.join(format!("podman-{kind}-generator")))?;
    }
    Program::new("rm").arg("-rf").arg(unpacked).run()
}

/// Lays the image out in `dir`, with the program under test.
pub fn image(program: &Path, dir: &Path) -> Result<()> {
    Program::new("cp").arg("-rT").arg(own("image")).arg(dir).run()?;
    Program::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(dir).run()?;
    let binary = dir.join("usr/bin/atomix-config-api");
    fs::copy(program, &binary).with_context(|| format!("no program {}", program.display()))?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config-api/dist");
    for (name, to) in [
        ("atomix-config-api.service", "etc/systemd/system"),
        ("atomix-config-helper.service", "etc/systemd/system"),
        ("atomix-config-user.conf", "usr/lib/sysusers.d"),
        ("atomix-config-api.conf", "usr/lib/tmpfiles.d"),
        ("atomix-config-session.conf", "usr/share/dbus-1/session.d"),
    ] {
        fs::create_dir_all(dir.join(to))?;
        fs::copy(shipped.join(name), dir.join(to).join(name)).with_context(|| name.to_owned())?;
    }
    let wants = dir.join("etc/systemd/system/multi-user.target.wants");
    fs::create_dir_all(&wants)?;
    for unit in ENABLED {
        let ours = Path::new("etc/systemd/system").join(unit);
        let system = if dir.join(&ours).exists() { "etc" } else { "usr/lib" };
        symlink(format!("/{system}/systemd/system/{unit}"), wants.join(unit))?;
    }
    Ok(())
}

/// The Python that has schemathesis and a maker of clients. It has copies, so that it may be moved.
pub fn strangers_python() -> Result<PathBuf> {
    let wanted = include_str!("../strangers.txt");
    let version = Program::new("python3").arg("--version").output()?;
    let inputs = Inputs::new("1").text(wanted).text(&version);
    let dir = part("strangers", inputs, |dir| {
        let list = dir.join("strangers.txt");
        fs::write(&list, wanted)?;
        Program::new("python3").args(["-m", "venv", "--copies"]).arg(dir.join("python")).run()?;
        Program::new(&dir.join("python/bin/python3").display().to_string())
            .args(["-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary", ":all:"])
            .args(["--disable-pip-version-check", "-r"])
            .arg(&list)
            .run()
    })?;
    Ok(dir.join("python/bin/python3"))
}
