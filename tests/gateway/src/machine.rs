// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gateway: real systemd as process 1 in namespaces of its own.

use crate::host::wait_until;
use crate::parts;
use crate::space::{GATEWAY, NETWORKS, group_of, make_networks};
use anyhow::{Context as _, Result, bail};
use e2e::program::Program;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// For a boot until the API answers.
const BOOT: Duration = Duration::from_secs(60);

/// The gateway, running.
pub struct Machine {
    scratch: PathBuf,
    running: Option<(Child, i32)>,
}

impl Machine {
    /// Lays the gateway out and boots it.
    pub fn boot(program: &Path, scratch: &Path) -> Result<Self> {
        for dir in ["data", "image", "place"] {
            fs::create_dir_all(scratch.join(dir))?;
        }
        parts::image(program, &scratch.join("image"))?;
        let mut machine = Self { scratch: scratch.to_owned(), running: None };
        machine.start()?;
        Ok(machine)
    }

    fn start(&mut self) -> Result<()> {
        make_networks()?;
        let join = "echo $$ >\"$0/cgroup.procs\"; exec \"$@\"";
        let mut command = Command::new("bash");
        command.args(["-c", join]).arg(group_of(&self.scratch));
        command.arg("nsenter").arg(format!("--net={NETWORKS}/{GATEWAY}"));
        command.args(["unshare", "-m", "-p", "-u", "-i", "-C", "--fork", "--kill-child"]);
        command.arg("bash").arg(parts::own("enter.sh")).arg(parts::debian()?);
        for dir in ["image", "data", "place"] {
            command.arg(self.scratch.join(dir));
        }
        let log = fs::File::create(self.scratch.join("enter.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("cannot start the gateway")?;
        let id = child.id();
        let first = wait_until("the gateway's first process", Duration::from_secs(10), || {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            Ok(children.ok().and_then(|list| list.split(' ').next()?.parse().ok()))
        })?;
        self.running = Some((child, first));
        let booted = wait_until("the gateway's boot", BOOT, || {
            let state = self.run(&["systemctl", "is-active", "multi-user.target"]);
            Ok(state.is_ok().then_some(()))
        });
        booted.with_context(|| self.said())
    }

    fn stop(&mut self) {
        if let Some((mut child, first)) = self.running.take() {
            // All that it started ends with it.
            let _ = kill(Pid::from_raw(first), Signal::SIGKILL);
            let _ = child.wait();
        }
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

    /// What explains a failure.
    pub fn said(&self) -> String {
        let ask = |words: &[&str]| self.run(words).unwrap_or_else(|error| format!("{error:#}"));
        let enter = fs::read_to_string(self.scratch.join("enter.log")).unwrap_or_default();
        let journal = ask(&["journalctl", "--no-pager", "--boot", "--lines=60", "--output=cat"]);
        let failed = ask(&["systemctl", "--no-pager", "--failed", "--plain", "--no-legend"]);
        let jobs = ask(&["systemctl", "--no-pager", "list-jobs"]);
        format!("{enter}{journal}\nfailed units: {failed}\njobs: {jobs}")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}
