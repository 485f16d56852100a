// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite inside user-mode Linux, whose kernel has what this machine's may lack: dm-verity,
//! dm-crypt and network block devices. The host's files are seen read-only there.

use crate::shard::{Shard, Work};
use anyhow::Result;
use e2e::program::Program;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

const INIT: &str = include_str!("uml-init.sh");

/// Seconds that the kernel gets beyond those of the tests.
const BOOT_SECS: u64 = 40;

/// Runs a part in a kernel of its own.
///
/// # Errors
/// When the kernel does not come up, or pytest did not come to an end.
pub fn run(shard: &Shard, work: &Work<'_>, root: &Path) -> Result<()> {
    let dir = shard.dir.with_extension("uml");
    for name in ["memory", "modules/lib"] {
        fs::create_dir_all(dir.join(name))?;
    }
    symlink(root.join("usr/lib/uml/modules"), dir.join("modules/lib/modules"))?;
    let inside = Path::new("/srv/shard");
    let quoted: Vec<String> = shard
        .arguments(inside, work)
        .iter()
        .map(|word| format!("'{}'", word.replace('\'', "'\\''")))
        .collect();
    let text = INIT
        .replace("@MODULES@", &dir.join("modules").display().to_string())
        .replace("@SHARD@", &shard.dir.display().to_string())
        .replace("@ARGUMENTS@", &quoted.join(" "));
    let init = dir.join("init");
    fs::write(&init, text)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let kernel = patched_kernel(root, &dir)?;
    let script = "mount -t tmpfs -o exec tmpfs \"$1/memory\"; export TMPDIR=$1/memory; \
                  exec timeout -k 5 \"$3\" \"$2\" mem=3G rootfstype=hostfs \
                  rootflags=/ ro init=\"$1/init\" con=null con0=fd:0,fd:1 con1=null";
    let console = Program::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&dir)
        .arg(kernel)
        .arg((work.limit + BOOT_SECS).to_string())
        .output()
        .unwrap_or_else(|failed| format!("{failed:#}"));
    fs::write(shard.dir.join("console.log"), console)?;
    shard.came_to_an_end()
}

/// The kernel's program, bound to the C library that came with it. It starts itself again, so a
/// loader in front of it would be lost on the way.
fn patched_kernel(root: &Path, dir: &Path) -> Result<PathBuf> {
    let kernel = dir.join("linux.uml");
    fs::copy(root.join("usr/bin/linux.uml"), &kernel)?;
    Program::new("patchelf")
        .arg("--set-interpreter")
        .arg(root.join("usr/lib64/ld-linux-x86-64.so.2"))
        .arg("--set-rpath")
        .arg(root.join("usr/lib/x86_64-linux-gnu"))
        .arg(&kernel)
        .run()?;
    Ok(kernel)
}
