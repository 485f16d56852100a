// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where does nix run? In a small Debian that comes by name over the machine's mirror and is kept;
//! its store is made anew for each run, so that nothing that was built once hides what no longer
//! builds.

use anyhow::{Context as _, Result, ensure};
use e2e::apt::source_line;
use e2e::cache::{Inputs, part};
use e2e::program::Program;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What is in the Debian: nix itself, what it calls, what the derivations call as tools, and
/// the judges of units and rules.
const PACKAGES: &str = "nix-bin,xz-utils,git,mount,fdisk,squashfs-tools,libssl3t64,openssl,systemd,udev,\
    mdbook";

const SUITE: &str = "trixie";

/// Lays the namespace out and becomes what it is given.
const INSIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/inside.sh");

/// The oldest nix whose `flake check` looks at all systems and whose sandbox is meant here.
const NIX: &str = "nix (Nix) 2.26";

/// Directories that are mounted over.
const MOUNTS: [&str; 5] = ["src", "tools", "nix", "oldroot", "etc/nix"];

/// The builder sees Debian's programs and nothing else of the machine. No fallback: without a
/// sandbox nothing is built.
const CONFIG: &str = "experimental-features = nix-command flakes
sandbox = true
sandbox-fallback = false
sandbox-paths = /etc/alternatives /bin /usr /lib /lib64 /sbin
build-users-group =
substituters =
flake-registry =
fsync-metadata = false
warn-dirty = false
";

/// A nix with a store of its own.
pub struct Nix {
    root: PathBuf,
    store: TempDir,
    tools: TempDir,
}

impl Nix {
    /// A nix whose builders may call `program`, the program under test.
    ///
    /// # Errors
    /// When there is no mirror, or its nix is another one.
    pub fn new(program: &Path) -> Result<Self> {
        let root = debian()?.join("root");
        let scratch = || tempfile::Builder::new().prefix("atomix-nix-").tempdir();
        let (store, tools) = (scratch()?, scratch()?);
        fs::copy(program, tools.path().join("atomix"))
            .with_context(|| format!("no program {}", program.display()))?;
        Ok(Self { root, store, tools })
    }

    /// Runs a shell's `script` with `project` at /src and returns what it prints.
    ///
    /// # Errors
    /// When it cannot be run or fails, with the end of what it said.
    pub fn run(&self, project: &Path, script: &str) -> Result<String> {
        Program::new("unshare")
            .args(["--mount", "--pid", "--fork", "--kill-child", "--net", "--propagation=private"])
            .args(["sh", INSIDE])
            .args(["sh", "-euc", script])
            .env("ROOT", &self.root)
            .env("PROJECT", project)
            .env("STORE", self.store.path())
            .env("TOOLS", self.tools.path())
            .env("NIX_CONFIG", CONFIG)
            .output()
    }

    /// Where a path of the store lies on this machine.
    ///
    /// # Errors
    /// When it is no path of the store.
    pub fn on_the_machine(&self, path: &str) -> Result<PathBuf> {
        let below = path.strip_prefix("/nix/").with_context(|| format!("{path} is elsewhere"))?;
        Ok(self.store.path().join(below))
    }
}

fn debian() -> Result<PathBuf> {
    let inputs = Inputs::new("nix 1").text(PACKAGES).text(SUITE).text(NIX);
    part("nix", inputs, |dir| {
        let root = dir.join("root");
        Program::nice("mmdebstrap")
            .args(["--quiet", "--variant=minbase"])
            .arg(format!("--include={PACKAGES}"))
            .arg(SUITE)
            .arg(&root)
            .arg(source_line()?)
            .run()?;
        for name in MOUNTS {
            fs::create_dir_all(root.join(name))?;
        }
        let said = version(&root)?;
        ensure!(said.starts_with(NIX), "this check is written for {NIX}, not for {said}");
        Ok(())
    })
}

/// nix finds itself by /proc, which a bare root has not.
fn version(root: &Path) -> Result<String> {
    let script = "mount -t proc proc \"$1/proc\" && exec chroot \"$1\" nix --version";
    Program::new("unshare")
        .args(["--mount", "--pid", "--fork", "--propagation=private", "sh", "-euc", script, "sh"])
        .arg(root)
        .output()
}
