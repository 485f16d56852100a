// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the gateway consist of? Debian's systemd with dnsmasq, chrony, nft and podman's
//! generator, kept outside the checkout; over it an image of the files in `guest/image`, the units
//! that ship, and the program under test.

use anyhow::{Context as _, Result, anyhow, bail};
use e2e::apt::{Apt, Packages, SUITE, source_line};
use e2e::cache::{Inputs, part};
use e2e::program::Program;
use e2e::python::python_with;
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

/// The image's units that start at boot; ours say themselves who wants them.
const ENABLED: [&str; 6] = [
    "nftables.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "dnsmasq.service",
    "chronyd.service",
    "ssh-wan-toggle.service",
];

/// Where units of the image lie.
const UNITS: &str = "usr/lib/systemd/system";

/// Whether a boot waits for the network as systemd's own unit does: a device whose cable to the
/// world is not plugged in waits two minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Online {
    /// As on a device.
    Awaited,
    /// The judge looks at nothing that depends on it.
    Taken,
}

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

/// Lays the image out in `dir`, with the program under test and all files that ship.
pub fn image(program: &Path, dir: &Path, online: Online) -> Result<()> {
    Program::new("cp").arg("-rT").arg(own("image")).arg(dir).run()?;
    Program::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(dir).run()?;
    let binary = dir.join("usr/bin/atomix-config-api");
    fs::copy(program, &binary).with_context(|| format!("no program {}", program.display()))?;
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config-api/dist");
    for found in fs::read_dir(&shipped)? {
        let name = found?.file_name().into_string().map_err(|name| anyhow!("{name:?}"))?;
        let to = match name.as_str() {
            "atomix-config-user.conf" => "usr/lib/sysusers.d",
            "atomix-config-api.conf" => "usr/lib/tmpfiles.d",
            "atomix-config-session.conf" => "usr/share/dbus-1/session.d",
            unit if unit.ends_with(".service") => UNITS,
            other => bail!("{other} ships, and this image does not know where it lies"),
        };
        fs::create_dir_all(dir.join(to))?;
        fs::copy(shipped.join(&name), dir.join(to).join(&name)).with_context(|| name.clone())?;
        if to == UNITS {
            enable(dir, &name)?;
        }
    }
    if online == Online::Awaited {
        let unit = "systemd-networkd-wait-online.service";
        symlink(format!("/{UNITS}/{unit}"), dir.join("etc/systemd/system").join(unit))?;
        want(dir, "network-online.target", unit)?;
    }
    for unit in ENABLED {
        want(dir, "multi-user.target", unit)?;
    }
    Ok(())
}

/// Does what `systemctl enable` does.
fn enable(dir: &Path, unit: &str) -> Result<()> {
    let text = fs::read_to_string(dir.join(UNITS).join(unit))?;
    let target = text.lines().find_map(|line| line.strip_prefix("WantedBy="));
    want(dir, target.with_context(|| format!("nobody wants {unit}"))?, unit)
}

fn want(dir: &Path, target: &str, unit: &str) -> Result<()> {
    let wants = dir.join(wants_of(target));
    fs::create_dir_all(&wants)?;
    let is_of_the_image = dir.join("etc/systemd/system").join(unit).exists();
    let system = if is_of_the_image { "etc/systemd/system" } else { UNITS };
    Ok(symlink(format!("/{system}/{unit}"), wants.join(unit))?)
}

fn wants_of(target: &str) -> String {
    format!("etc/systemd/system/{target}.wants")
}

/// Takes a unit out of the image's boot.
pub fn disable(dir: &Path, unit: &str) -> Result<()> {
    fs::remove_file(dir.join(wants_of("multi-user.target")).join(unit)).context(unit.to_owned())
}

/// The Python that has schemathesis and a maker of clients.
pub fn strangers_python() -> Result<PathBuf> {
    python_with("strangers", include_str!("../strangers.txt"))
}
