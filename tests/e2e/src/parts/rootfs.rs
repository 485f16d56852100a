// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in a slot's root file system? Debian's systemd, unpacked but never configured, with
//! `atomix`, its settings and its units put in as an image builder would.
//!
//! Package scripts do not run: that would be minutes of emulation. What they would have done and
//! a boot needs is done here: users, the linker's cache, links of `/var`, presets.

use crate::apt::{SUITE, files_ending, source_line};
use crate::board::QEMU;
use crate::cache::{Inputs, part};
use crate::parts::{atomix, bundle};
use crate::program::Program;
use anyhow::{Context as _, Result};
use board_rock64::Board;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

const PACKAGES: &str = "base-files,base-passwd,bash,coreutils,dash,dbus,f2fs-tools,findutils,grep,\
    hostname,kmod,libc-bin,libgcc-s1,libssl3t64,libubootenv-tool,login,mawk,mount,sed,systemd,\
    systemd-sysv,udev,util-linux";

/// Units that have nothing to do here or wait for what is not there.
const MASKED: [&str; 7] = [
    "getty@tty1.service",
    "serial-getty@ttyAMA0.service",
    "systemd-networkd-wait-online.service",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-timesyncd.service",
    "systemd-hwdb-update.service",
];

/// The unit that a test has in the guest beside those that ship.
const AGENT_UNIT: (&str, &str) =
    ("system/guest-agent.service", include_str!("../../guest/guest-agent.service"));

/// What ships for the name `rauc` on D-Bus, and where it belongs; the bus starts the service.
const RAUC: [(&str, &str); 3] = [
    ("rauc.service", "usr/lib/systemd/system"),
    ("de.pengutronix.rauc.service", "usr/share/dbus-1/system-services"),
    ("de.pengutronix.rauc.conf", "usr/share/dbus-1/system.d"),
];

/// Anybody may log in: package scripts, which do not run, would have made the real files.
pub(crate) const PAM: [(&str, &str); 4] = [
    ("etc/pam.d/common-auth", "auth required pam_permit.so\n"),
    ("etc/pam.d/common-account", "account required pam_permit.so\n"),
    ("etc/pam.d/common-password", "password required pam_permit.so\n"),
    ("etc/pam.d/common-session", "session required pam_permit.so\n"),
];

/// Health of the emulated board: its bus answers.
const HEALTH: &str = "settle_secs = 60\nwindow_secs = 10\ninterval_secs = 5\non_failure = \"reboot\"\n\
    \n[[probe]]\nname = \"dbus\"\nkind = \"unit\"\nunit = \"dbus.service\"\ncondition = \"active\"\n";

/// Debian's part of it, which changes rarely: the tree `root`.
///
/// # Errors
/// When it cannot be built.
pub fn base() -> Result<PathBuf> {
    let inputs = Inputs::new("base 3").text(PACKAGES).text(SUITE).text(&MASKED.join(" "));
    part("rootfs-base", inputs, |dir| {
        let root = dir.join("root");
        Program::nice("mmdebstrap")
            .args(["--quiet", "--variant=extract", "--arch=arm64"])
            .arg(format!("--include={PACKAGES}"))
            .arg(SUITE)
            .arg(&root)
            .arg(source_line()?)
            .run()?;
        configure(&root)
    })
}

/// Does what the packages' scripts would have done.
fn configure(root: &Path) -> Result<()> {
    for (master, name) in [("passwd.master", "etc/passwd"), ("group.master", "etc/group")] {
        fs::copy(root.join("usr/share/base-passwd").join(master), root.join(name))?;
    }
    // Services look for the bus and for locks below /var, as links into /run.
    for (link, to) in [("var/run", "/run"), ("var/lock", "/run/lock")] {
        let path = root.join(link);
        Program::new("rm").arg("-rf").arg(&path).run()?;
        symlink(to, path)?;
    }
    for (name, text) in [
        ("etc/fstab", ""),
        ("etc/hostname", "board\n"),
        // An empty one costs 20 s of presets in every boot.
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ] {
        fs::write(root.join(name), text)?;
    }
    for (name, text) in PAM {
        put(&root.join(name), text.as_bytes(), 0o644)?;
    }
    emulate(root, "/usr/bin/systemd-sysusers", &[])?;
    emulate(root, "/usr/sbin/ldconfig", &[])?;
    emulate(root, "/usr/bin/systemctl", &["preset-all"])?;
    for unit in MASKED {
        let path = root.join("etc/systemd/system").join(unit);
        Program::new("rm").arg("-f").arg(&path).run()?;
        symlink("/dev/null", path)?;
    }
    let default = root.join("etc/systemd/system/default.target");
    Program::new("rm").arg("-f").arg(&default).run()?;
    symlink("/usr/lib/systemd/system/multi-user.target", default)?;
    for dir in ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"] {
        Program::new("rm").arg("-rf").arg(root.join(dir)).run()?;
    }
    Ok(())
}

/// Runs one of the tree's own programs in it.
fn emulate(root: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let emulator = "/usr/bin/qemu-aarch64-static";
    let done = Program::new("bwrap")
        .arg("--bind")
        .arg(root)
        .args(["/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/run"])
        .args(["--ro-bind", emulator, "/run/emulator", "--chdir", "/"])
        .args(["/run/emulator", program])
        .args(arguments)
        .run();
    done.with_context(|| format!("{program} in the root file system"))
}

/// The root file system of the first release: `rootfs.squashfs`.
///
/// # Errors
/// When it cannot be built.
pub fn rootfs() -> Result<PathBuf> {
    release("1.0")
}

/// The root file system of a release; releases differ in what they call themselves.
///
/// # Errors
/// When it cannot be built.
pub fn release(version: &str) -> Result<PathBuf> {
    let (base, atomix, keys) = (base()?, atomix::aarch64()?, bundle::keys()?);
    let mut inputs = Inputs::new("rootfs 5").part(&base).part(&atomix).part(&keys).text(version);
    let mut files = settings();
    files.extend(rauc_files()?);
    for (name, text) in &files {
        inputs = inputs.text(name).text(text);
    }
    let units = units()?;
    for (name, text) in &units {
        inputs = inputs.text(name).text(text);
    }
    part(&format!("rootfs-{version}"), inputs, |dir| {
        let root = dir.join("root");
        Program::new("cp").arg("-a").arg(base.join("root")).arg(&root).run()?;
        put(&root.join("usr/bin/atomix"), &fs::read(atomix.join("atomix"))?, 0o755)?;
        symlink("atomix", root.join("usr/bin/rauc"))?;
        for (name, text) in &files {
            put(&root.join(name), text.as_bytes(), 0o644)?;
        }
        put(&root.join("etc/rauc/ca.cert.pem"), &fs::read(keys.join("ca.pem"))?, 0o644)?;
        let release = format!(
            "{}IMAGE_VERSION={version}\n",
            fs::read_to_string(root.join("etc/os-release"))?
        );
        Program::new("rm").arg("-f").arg(root.join("etc/os-release")).run()?;
        put(&root.join("etc/os-release"), release.as_bytes(), 0o644)?;
        for (name, text) in &units {
            install_unit(&root.join("etc/systemd"), name, text)?;
        }
        fs::create_dir_all(root.join("data"))?;
        symlink("/sbin/init", root.join("init"))?;
        for stamp in ["etc/.updated", "var/.updated"] {
            // Newer than /usr: nothing is rebuilt at boot.
            put(&root.join(stamp), b"", 0o644)?;
        }
        Program::nice("mksquashfs")
            .arg(&root)
            .arg(dir.join("rootfs.squashfs"))
            .args(["-noappend", "-quiet", "-no-progress", "-comp", "zstd", "-all-root"])
            .args(["-mkfs-time", "1700000000", "-all-time", "1700000000"])
            .run()?;
        Program::new("rm").arg("-rf").arg(&root).run()
    })
}

/// What ships for the name `rauc` on D-Bus, by its path.
pub(crate) fn rauc_files() -> Result<Vec<(String, String)>> {
    let shipped = atomix::checkout()?.join("atomix/dist/rauc");
    let read = |(name, place): (&str, &str)| {
        let text = fs::read_to_string(shipped.join(name)).with_context(|| name.to_owned())?;
        Ok((format!("{place}/{name}"), text))
    };
    RAUC.into_iter().map(read).collect()
}

/// The units that ship and the test's own, by their path below `/etc/systemd`.
pub(crate) fn units() -> Result<Vec<(String, String)>> {
    let mut units = shipped_units()?;
    units.push((AGENT_UNIT.0.to_owned(), AGENT_UNIT.1.to_owned()));
    units.sort();
    Ok(units)
}

/// The units that ship.
pub(crate) fn shipped_units() -> Result<Vec<(String, String)>> {
    let shipped = atomix::checkout()?.join("atomix/units");
    let (mut units, mut files) = (Vec::new(), Vec::new());
    for path in files_ending(&shipped, "")? {
        if path.is_dir() { files.extend(files_ending(&path, "")?) } else { files.push(path) }
    }
    for path in files {
        let name = path.strip_prefix(&shipped)?.to_string_lossy().into_owned();
        let below = if name.starts_with("system.conf.d/") { "" } else { "system/" };
        let text = fs::read_to_string(&path).with_context(|| name.clone())?;
        units.push((format!("{below}{name}"), text));
    }
    units.sort();
    Ok(units)
}

/// The targets that a unit's own `[Install]` section names.
pub(crate) fn wanted_by(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("WantedBy="))
}

/// Puts a unit in its place and enables it as its own `[Install]` section says.
fn install_unit(dir: &Path, name: &str, text: &str) -> Result<()> {
    put(&dir.join(name), text.as_bytes(), 0o644)?;
    for target in wanted_by(text) {
        let wants = dir.join(format!("system/{target}.wants"));
        fs::create_dir_all(&wants)?;
        let file = Path::new(name).file_name().context("a unit without a name")?;
        symlink(Path::new("..").join(file), wants.join(file))?;
    }
    Ok(())
}

/// The emulated board's files below `/etc`, for the root file system and for the initrd.
#[must_use]
pub fn settings() -> Vec<(String, String)> {
    let mut files = settings_of(&QEMU);
    for (name, text) in &mut files {
        if name == "etc/atomix/health.toml" {
            HEALTH.clone_into(text);
        }
    }
    files
}

/// A board's, as they are checked in.
#[must_use]
pub fn settings_of(board: &Board) -> Vec<(String, String)> {
    let files = board.generated_files().into_iter().filter(|(name, _)| name.starts_with("etc/"));
    files.chain([("etc/u-boot-initial-env".to_owned(), board.selector())]).collect()
}

/// Writes a file of a tree, and the directories above it.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn put(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    let parent = path.parent().context("a path without a directory")?;
    fs::create_dir_all(parent)?;
    fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(())
}
