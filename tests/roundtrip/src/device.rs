// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device: slots A and B as files, a boot backend that writes down what it is told, a system bus
//! of its own, and a service on it. It runs slot A.

use crate::daemon::Daemon;
use anyhow::{Context as _, Result, ensure};
use e2e::program::{Program, SYSTEM_PATH};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The board's compatible.
pub const COMPATIBLE: &str = "Roundtrip";

const NAME: &str = "de.pengutronix.rauc";

const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=@BUS@</listen>
  <auth>EXTERNAL</auth>
@POLICY@
</busconfig>
"#;

/// Everybody may do everything.
const EVERYTHING: &str = r#"  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_type="method_call"/><allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/><allow receive_type="signal"/>
    <allow receive_type="method_return"/><allow receive_type="error"/>
  </policy>"#;

/// Keeps each answer in a file of its name. Where a file says so, the first answer takes long.
const BACKEND: &str = r#"#!/bin/sh
cd '@DIR@' || exit 1
case $1 in
  get-primary) rm slow 2>/dev/null && sleep 2; cat primary ;;
  set-primary) echo "$2" >primary ;;
  get-state) cat "state.$2" ;;
  set-state) echo "$3" >"state.$2" ;;
  get-current) echo A ;;
  *) exit 1 ;;
esac
"#;

/// A device's files.
#[derive(Clone, Debug)]
pub struct Device {
    /// All of it.
    pub dir: PathBuf,
}

/// What devices differ in.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The `[keyring]` section's lines.
    pub keyring: String,
    /// The key that opens `crypt` bundles.
    pub decrypt: Option<PathBuf>,
    /// The chunk store of `[casync]`.
    pub store: Option<String>,
    /// More lines of the `[system]` section.
    pub system: &'static str,
    /// The slots' type.
    pub slot_type: &'static str,
    /// The slots' size.
    pub slot_bytes: u64,
}

impl Setup {
    /// A device with raw slots that trusts this and needs nothing else.
    #[must_use]
    pub const fn raw(keyring: String, slot_bytes: u64) -> Self {
        Self { keyring, decrypt: None, store: None, system: "", slot_type: "raw", slot_bytes }
    }
}

impl Device {
    /// Makes its files.
    ///
    /// # Errors
    /// When there is no room.
    pub fn make(dir: &Path, setup: &Setup) -> Result<Self> {
        fs::create_dir_all(dir.join("mnt"))?;
        let place = dir.display().to_string();
        let backend = dir.join("backend.sh");
        fs::write(&backend, BACKEND.replace("@DIR@", &place))?;
        fs::set_permissions(&backend, fs::Permissions::from_mode(0o755))?;
        for (name, text) in [("primary", "A\n"), ("state.A", "good\n"), ("state.B", "bad\n")] {
            fs::write(dir.join(name), text)?;
        }
        for slot in ["rootfs-0", "rootfs-1"] {
            fs::File::create(dir.join(slot))?.set_len(setup.slot_bytes)?;
        }
        let mut more = String::new();
        if let Some(key) = &setup.decrypt {
            more.push_str(&format!("[encryption]\nkey={}\n", key.display()));
        }
        if let Some(store) = &setup.store {
            more.push_str(&format!("[casync]\nstorepath={store}\n"));
        }
        let Setup { keyring, slot_type, system, .. } = setup;
        let conf = format!(
            "[system]\ncompatible={COMPATIBLE}\nbootloader=custom\nmountprefix={place}/mnt\n\
             data-directory={place}/data\n{system}\
             [handlers]\nbootloader-custom-backend=backend.sh\n\
             [keyring]\n{keyring}\n{more}\
             [slot.rootfs.0]\ndevice=rootfs-0\ntype={slot_type}\nbootname=A\n\
             [slot.rootfs.1]\ndevice=rootfs-1\ntype={slot_type}\nbootname=B\n",
        );
        fs::write(dir.join("system.conf"), conf)?;
        let device = Self { dir: dir.to_owned() };
        device.guard(EVERYTHING)?;
        Ok(device)
    }

    /// Gives its bus another policy.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn guard(&self, policy: &str) -> Result<()> {
        let text = BUS.replace("@BUS@", &format!("{}/bus", self.dir.display()));
        Ok(fs::write(self.dir.join("bus.conf"), text.replace("@POLICY@", policy))?)
    }

    /// The configuration.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.dir.join("system.conf")
    }

    /// The file of the slot that runs.
    #[must_use]
    pub fn running(&self) -> PathBuf {
        self.dir.join("rootfs-0")
    }

    /// The file of the slot that installs go to.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.dir.join("rootfs-1")
    }

    /// The address of its bus.
    #[must_use]
    pub fn bus(&self) -> String {
        format!("unix:path={}/bus", self.dir.display())
    }

    /// The bootname that boots next.
    ///
    /// # Errors
    /// When nobody wrote one.
    pub fn primary(&self) -> Result<String> {
        let text = fs::read_to_string(self.dir.join("primary")).context("no primary")?;
        Ok(text.trim().to_owned())
    }

    /// Lets the next answer about the primary slot take two seconds.
    ///
    /// # Errors
    /// When there is no room.
    pub fn slow_primary(&self) -> Result<()> {
        Ok(fs::write(self.dir.join("slow"), "")?)
    }

    /// The state that the backend was told for a bootname.
    ///
    /// # Errors
    /// When nobody told it one.
    pub fn state(&self, bootname: &str) -> Result<String> {
        let text = fs::read_to_string(self.dir.join(format!("state.{bootname}")))?;
        Ok(text.trim().to_owned())
    }

    /// Whether the target slot begins with these bytes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn holds(&self, image: &[u8]) -> Result<bool> {
        Ok(fs::read(self.target())?.starts_with(image))
    }

    /// Starts the bus and the service of this program.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn serve(&self, rauc: &Path) -> Result<Service<'_>> {
        self.serve_with(rauc, &[])
    }

    /// The same with variables in the service's environment.
    ///
    /// # Errors
    /// As [`Device::serve`].
    pub fn serve_with(&self, rauc: &Path, variables: &[(&str, &str)]) -> Result<Service<'_>> {
        let mut command = Command::new("dbus-daemon");
        command.arg("--nofork").arg(format!("--config-file={}/bus.conf", self.dir.display()));
        let mut bus = Daemon::start("bus", command, &self.dir)?;
        bus.wait_until(|| self.dir.join("bus").exists())?;
        let mut command = Command::new(rauc);
        command
            .arg("service")
            .arg(format!("--conf={}", self.conf().display()))
            .arg("--override-boot-slot=A")
            .envs(variables.iter().copied())
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.bus());
        let daemon = Daemon::start("service", command, &self.dir)?;
        let mut service = Service { device: self, daemon, _bus: bus };
        let address = self.bus();
        service.daemon.wait_until(|| {
            let owned = send(
                &address,
                "org.freedesktop.DBus",
                &["org.freedesktop.DBus.NameHasOwner", &format!("string:{NAME}")],
            );
            owned.is_ok_and(|answer| answer.contains("true"))
        })?;
        Ok(service)
    }
}

/// The running service. The bus ends after it.
pub struct Service<'a> {
    device: &'a Device,
    daemon: Daemon,
    _bus: Daemon,
}

impl Service<'_> {
    /// A property of the installer.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn property(&self, name: &str) -> Result<String> {
        let member = "org.freedesktop.DBus.Properties.Get";
        let interface = format!("string:{NAME}.Installer");
        let answer =
            send(&self.device.bus(), NAME, &[member, &interface, &format!("string:{name}")])?;
        let value = answer.trim();
        let value = value.strip_prefix("variant").unwrap_or(value);
        Ok(value.trim().to_owned())
    }

    /// The slot that boots next, as the service says.
    ///
    /// # Errors
    /// When it does not answer.
    pub fn primary(&self) -> Result<String> {
        let member = format!("{NAME}.Installer.GetPrimary");
        Ok(send(&self.device.bus(), NAME, &[&member])?.trim().to_owned())
    }

    /// Calls a method without arguments.
    ///
    /// # Errors
    /// When the service refuses it.
    pub fn call(&self, member: &str) -> Result<()> {
        send(&self.device.bus(), NAME, &[member]).map(drop)
    }

    /// Runs any program beside it, to whatever end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn try_program(&self, program: &str, arguments: &[&str]) -> Result<Tried> {
        try_on(&self.device.bus(), program, arguments)
    }

    /// The end of what it printed.
    #[must_use]
    pub fn said(&self) -> String {
        self.daemon.said()
    }

    /// The service's process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.daemon.id()
    }

    /// Runs the command line of the same program against it.
    ///
    /// # Errors
    /// When it fails, with what it and the service said.
    pub fn client(&self, rauc: &Path, arguments: &[&str]) -> Result<String> {
        let ran = Program::new(&rauc.display().to_string())
            .args(arguments)
            .env("DBUS_SYSTEM_BUS_ADDRESS", self.device.bus())
            .output();
        ran.with_context(|| format!("the service said:\n{}", self.said()))
    }
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its exit code; a signal has none.
    pub code: Option<i32>,
    /// What it printed.
    pub printed: String,
    /// What it complained about.
    pub complained: String,
}

/// Runs any program with this bus as the system's, to whatever end.
///
/// # Errors
/// When it cannot be started.
pub fn try_on(bus: &str, program: &str, arguments: &[&str]) -> Result<Tried> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env("LC_ALL", "C.UTF-8");
    command.env("PATH", SYSTEM_PATH).env("DBUS_SYSTEM_BUS_ADDRESS", bus);
    let ended = command.output().with_context(|| format!("cannot start {program}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Tried {
        code: ended.status.code(),
        printed: text(&ended.stdout),
        complained: text(&ended.stderr),
    })
}

/// A call by a program that is neither's.
fn send(address: &str, name: &str, call: &[&str]) -> Result<String> {
    let [member, arguments @ ..] = call else { anyhow::bail!("no member to call") };
    Program::new("dbus-send")
        .args(["--system", "--print-reply=literal", "--reply-timeout=20000"])
        .arg(format!("--dest={name}"))
        .args(["/", member])
        .args(arguments)
        .env("DBUS_SYSTEM_BUS_ADDRESS", address)
        .output()
}

/// Makes a bundle with this program.
///
/// # Errors
/// When it does not.
pub fn make_bundle(rauc: &Path, recipe: &Recipe<'_>, to: &Path) -> Result<()> {
    make_bundle_by(rauc, recipe, to, None)
}

/// The same with programs of this directory before those of the system.
///
/// # Errors
/// As [`make_bundle`].
pub fn make_bundle_by(
    rauc: &Path,
    recipe: &Recipe<'_>,
    to: &Path,
    programs: Option<&Path>,
) -> Result<()> {
    let content = to.with_extension("content");
    if content.exists() {
        fs::remove_dir_all(&content)?;
    }
    if to.exists() {
        fs::remove_file(to)?;
    }
    fs::create_dir_all(&content)?;
    fs::write(content.join("manifest.raucm"), recipe.manifest)?;
    for (name, bytes) in recipe.files {
        fs::write(content.join(name), bytes)?;
    }
    if let Some(hook) = recipe.hook {
        fs::write(content.join("hook.sh"), hook)?;
        fs::set_permissions(content.join("hook.sh"), fs::Permissions::from_mode(0o755))?;
    }
    let mut bundler = Program::new(&rauc.display().to_string());
    if let Some(dir) = programs {
        bundler = bundler.env("PATH", format!("{}:{SYSTEM_PATH}", dir.display()));
    }
    bundler.arg("bundle").args(recipe.arguments).arg(&content).arg(to).run()?;
    ensure!(to.is_file(), "no bundle was made");
    Ok(())
}

/// What goes into a bundle.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// Its text.
    pub manifest: &'a str,
    /// Its files.
    pub files: &'a [(&'a str, &'a [u8])],
    /// The hooks' program.
    pub hook: Option<&'a str>,
    /// Arguments of `bundle`: who signs, how it is compressed.
    pub arguments: &'a [String],
}
