// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gateway: real systemd as process 1 in namespaces of its own. It can be booted anew, and cut off
//! from power; only `/data` lasts.

use crate::console::Console;
use crate::host::wait_until;
use crate::parts::{self, Online};
use crate::space::{GATEWAY, NETWORKS, group_of, make_networks, unplug};
use anyhow::{Context as _, Result, bail, ensure};
use e2e::program::Program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// For a boot to its end, and for the way down.
const BOOT: Duration = Duration::from_secs(60);

/// The gateway, running or not.
pub struct Machine {
    scratch: PathBuf,
    console: Console,
    running: Option<(Child, i32)>,
}

impl Machine {
    /// Lays the gateway out, with nothing in `/data` and `/boot`.
    pub fn new(program: &Path, scratch: &Path, online: Online) -> Result<Self> {
        let machine = Self { scratch: scratch.to_owned(), console: Console::new()?, running: None };
        for dir in ["data", "boot", "image", "place"] {
            let dir = machine.dir(dir);
            if dir.exists() {
                fs::remove_dir_all(&dir)?;
            }
            fs::create_dir_all(dir)?;
        }
        parts::image(program, &machine.dir("image"), online)?;
        Ok(machine)
    }

    /// One of its directories, seen from outside: `data`, `boot` or `image`.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Its serial line.
    pub const fn console(&self) -> &Console {
        &self.console
    }

    /// Switches it on, until its first process runs.
    pub fn start(&mut self) -> Result<()> {
        make_networks()?;
        let join = "echo $$ >\"$0/cgroup.procs\"; exec \"$@\"";
        let mut command = Command::new("bash");
        command.args(["-c", join]).arg(group_of(&self.scratch));
        command.arg("nsenter").arg(format!("--net={NETWORKS}/{GATEWAY}"));
        command.args(["unshare", "-m", "-p", "-u", "-i", "-C", "--fork", "--kill-child"]);
        command.arg("bash").arg(parts::own("enter.sh")).arg(parts::debian()?);
        for dir in ["image", "data", "boot", "place"] {
            command.arg(self.dir(dir));
        }
        command.arg(self.console.line());
        let log = fs::File::create(self.scratch.join("enter.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start the gateway")?;
        let id = child.id();
        let first = wait_until("the gateway's first process", Duration::from_secs(60), || {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            Ok(children.ok().and_then(|list| list.split(' ').next()?.parse().ok()))
        })?;
        self.running = Some((child, first));
        Ok(())
    }

    /// Waits until nothing of the boot is left to be done.
    pub fn wait_booted(&self) -> Result<()> {
        let booted = wait_until("the gateway's boot", BOOT, || {
            let state = self.run(&["systemctl", "is-active", "multi-user.target"]);
            Ok(state.is_ok().then_some(()))
        });
        booted.with_context(|| self.said())
    }

    /// Brings it down as its administrator does.
    pub fn shut_down(&mut self) -> Result<()> {
        // The answer may be cut off with everything else.
        let asked = self.run(&["systemctl", "--no-block", "reboot"]);
        let Some((child, _)) = &mut self.running else { bail!("the gateway is off") };
        let down = wait_until("the way down", BOOT, || Ok(child.try_wait()?));
        if down.is_err() {
            let said = self.said();
            return down.map(drop).with_context(|| format!("{said}\nasked: {asked:?}"));
        }
        self.running = None;
        unplug()
    }

    /// Takes the power away.
    pub fn cut(&mut self) -> Result<()> {
        let Some((mut child, first)) = self.running.take() else { return Ok(()) };
        // All that it started ends with it.
        kill(Pid::from_raw(first), Signal::SIGKILL)?;
        child.wait()?;
        unplug()
    }

    /// A program in the gateway, which gives what it prints.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let Some((_, first)) = &self.running else { bail!("the gateway is off") };
        Program::new("nsenter")
            .args(["--target", &first.to_string(), "--mount", "--uts", "--ipc", "--net", "--pid"])
            .args(["--root", "--wd=/"])
            .args(words)
            .output()
    }

    /// A file of the gateway's.
    pub fn read(&self, path: &str) -> Result<String> {
        self.run(&["cat", path])
    }

    /// A property of a unit.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let asked = format!("--property={name}");
        let shown = self.run(&["systemctl", "show", &asked, "--value", unit])?;
        ensure!(!shown.trim().is_empty(), "{unit} has no {name}");
        Ok(shown.trim().to_owned())
    }

    /// What explains a failure.
    pub fn said(&self) -> String {
        let ask = |words: &[&str]| self.run(words).unwrap_or_else(|error| format!("{error:#}"));
        let enter = fs::read_to_string(self.scratch.join("enter.log")).unwrap_or_default();
        let journal = ask(&["journalctl", "--no-pager", "--boot", "--lines=60", "--output=cat"]);
        let failed = ask(&["systemctl", "--no-pager", "--failed", "--plain", "--no-legend"]);
        let jobs = ask(&["systemctl", "--no-pager", "list-jobs", "--after"]);
        let console = self.console.said();
        format!("{enter}{journal}\nconsole: {console}\nfailed units: {failed}\njobs: {jobs}")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Who judged has told already what is wrong.
        let _off = self.cut();
    }
}
