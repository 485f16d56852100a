// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of a bundle that refuse, fail or never end.

use super::{Refusal, Rig, Told, manifest};
use crate::daemon::until;
use crate::keys::Chain;
use anyhow::{Context as _, Result, ensure};

const CHECK: &str = "[hooks]\nfilename=hook.sh\nhooks=install-check\n";
const OF_SLOT: &str = "[hooks]\nfilename=hook.sh\n";

/// What a program does, where it is named, the program, and what is said.
type Failing = (&'static str, [&'static str; 2], &'static str, &'static str);

const FAILING: [Failing; 7] = [
    (
        "an install-check that refuses",
        [CHECK, ""],
        "echo more >&2\necho 'not on Sundays' >&2\nexit 10\n",
        "not on Sundays",
    ),
    ("an install-check that fails", [CHECK, ""], "exit 1\n", "hook"),
    ("an install-check that is killed", [CHECK, ""], "kill -9 $$\n", "hook"),
    ("a pre-install hook that fails", [OF_SLOT, "hooks=pre-install\n"], "exit 3\n", "hook"),
    ("an install hook that fails", [OF_SLOT, "hooks=install\n"], "exit 3\n", "hook"),
    ("a post-install hook that fails", [OF_SLOT, "hooks=post-install\n"], "exit 3\n", "hook"),
    (
        "a handler that fails",
        ["[handler]\nfilename=hook.sh\n", ""],
        "exit 3\n",
        "exited with code 3",
    ),
];

impl Rig<'_> {
    fn program(&self, name: &str, lines: [&str; 2], program: &str) -> Result<String> {
        let [sections, of_image] = lines;
        let text = manifest("plain", sections, of_image);
        let signing = self.keys.signing(Chain::Root);
        let bundle =
            self.bundle_of(name, &text, Some(&format!("#!/bin/sh\n{program}")), &signing)?;
        Ok(bundle.display().to_string())
    }

    pub(super) fn failing(&self, out: &mut Told<'_>) -> Result<()> {
        for (what, lines, program, says) in FAILING {
            let refusal = Refusal {
                what,
                bundle: &self.program("failing", lines, program)?,
                setup: self.setup(),
                says,
                arguments: &[],
                variables: &[],
            };
            self.refuse(&refusal, out)?;
        }
        Ok(())
    }

    /// A hook that never ends: others are refused meanwhile, the service answers, and it can be told
    /// to stop.
    pub(super) fn endless(&self, out: &mut Told<'_>) -> Result<()> {
        let endless = "sleep 100000 &\nsleep 100000\n";
        let around = [OF_SLOT, "hooks=post-install\n"];
        for (what, lines) in [("install-check", [CHECK, ""]), ("post-install", around)] {
            let bundle = self.program(&format!("endless-{what}"), lines, endless)?;
            let device = self.device(&self.setup())?;
            let service = device.serve(self.rauc)?;
            // Who asks before the install's own look at the system has ended is answered as well.
            device.slow_primary()?;
            let rauc = self.rauc.display().to_string();
            let first = std::thread::scope(|scope| {
                let first = scope.spawn(|| service.try_program(&rauc, &["install", &bundle]));
                let running = || service.property("Operation").is_ok_and(|now| now == "installing");
                let begun = until("the install begins", running, || Ok(None));
                let second = service.try_program(&rauc, &["install", &bundle]);
                let primary = service.primary();
                let hooked = until("the hook runs", sleeps, || Ok(None));
                // In any case, or the client waits for ever.
                service.call("de.atomix.Installer.Cancel")?;
                let first = first.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
                begun.and(hooked)?;
                let second = second?;
                let busy = second.complained.contains("Already processing a different method");
                // RAUC's code for what the bus says no to.
                ensure!(busy && second.code == Some(2), "a second install beside it: {second:?}");
                ensure!(primary? == "rootfs.0", "no answer, or a wrong one, during the install");
                anyhow::Ok(first)
            })
            .with_context(|| format!("an endless {what}"))?;
            let error = self.told(&first, &device, &service)?;
            ensure!(!sleeps(), "{what}: its programs are left behind");
            out.line(&format!("an endless {what}, a second install, a cancel: {error}"))?;
        }
        Ok(())
    }
}

/// Whether the hook's programs run: in this process namespace nobody else sleeps that long.
fn sleeps() -> bool {
    let Ok(processes) = std::fs::read_dir("/proc") else { return false };
    processes.flatten().any(|one| {
        let line = std::fs::read(one.path().join("cmdline")).unwrap_or_default();
        line.starts_with(b"sleep\x00100000\0")
    })
}
