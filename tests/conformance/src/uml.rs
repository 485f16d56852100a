// SPDX-License-Identifier: MIT OR Apache-2.0
//! The suite inside user-mode Linux, whose kernel has what this machine's may lack: dm-verity,
//! dm-crypt and network block devices. The host's files are seen read-only there.

use crate::shard::{Shard, Work};
use anyhow::Result;
use e2e::program::Program;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

const INIT: &str = include_str!("uml-init.sh");

/// Seconds that the kernel gets beyond those of the tests.
const BOOT_SECS: u64 = 40;

/// MiB that a guest needs for itself and for small images.
pub const MEMORY: usize = 3072;

/// What the guest's console says while it runs, beside the files.
pub const CONSOLE: &str = "console.log";

/// Where the guest sees its own copy of the files it is given.
pub const INSIDE: &str = "/srv/shard";

/// What a guest does.
#[derive(Clone, Debug)]
pub struct Guest<'a> {
    /// Its files, copied to [`INSIDE`].
    pub files: &'a Path,
    /// A program and its arguments.
    pub command: Vec<String>,
    /// Names of files that are copied back.
    pub results: &'a [&'a str],
    /// Seconds for all of it.
    pub limit: u64,
    /// Its memory, in MiB. A guest fills with its caches what it is given.
    pub memory: usize,
}

/// Runs a part in a kernel of its own.
///
/// # Errors
/// When the kernel does not come up, or pytest did not come to an end.
pub fn run(shard: &Shard, work: &Work<'_>, root: &Path) -> Result<()> {
    let mut command = vec!["/bin/bash".to_owned(), format!("{INSIDE}/shard.sh")];
    command.extend(shard.arguments(Path::new(INSIDE), work));
    let results = &["results", "pytest.log", "nginx.log", "backend.log"];
    let guest = Guest {
        files: &shard.dir,
        command,
        results,
        limit: work.limit + BOOT_SECS,
        memory: MEMORY,
    };
    boot(&guest, root)?;
    shard.came_to_an_end()
}

/// Boots a kernel of `root`, the unpacked package, that does what the guest is told, and leaves
/// [`CONSOLE`] with the files, line by line as it comes.
///
/// # Errors
/// When it cannot be prepared; what the command did, only its results tell.
pub fn boot(guest: &Guest<'_>, root: &Path) -> Result<()> {
    let Guest { files, command, results, limit, memory } = guest;
    let dir = files.with_extension("uml");
    for name in ["memory", "modules/lib"] {
        fs::create_dir_all(dir.join(name))?;
    }
    symlink(root.join("usr/lib/uml/modules"), dir.join("modules/lib/modules"))?;
    let quoted: Vec<String> =
        command.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    let text = INIT
        .replace("@MODULES@", &dir.join("modules").display().to_string())
        .replace("@FILES@", &files.display().to_string())
        .replace("@RESULTS@", &results.join(" "))
        .replace("@COMMAND@", &quoted.join(" "));
    let init = dir.join("init");
    fs::write(&init, text)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let kernel = patched_kernel(root, &dir)?;
    let script = "mount -t tmpfs -o exec tmpfs \"$1/memory\"; export TMPDIR=$1/memory; \
                  exec timeout -k 5 \"$3\" \"$2\" mem=$5M rootfstype=hostfs \
                  rootflags=/ ro init=\"$1/init\" con=null con0=fd:0,fd:1 con1=null \
                  >\"$4\" 2>&1";
    let ended = Program::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(&dir)
        .arg(kernel)
        .arg(limit.to_string())
        .arg(files.join(CONSOLE))
        .arg(memory.to_string())
        .run();
    // What the command did, its results tell; why the kernel ended, only this.
    if let Err(failed) = ended {
        let mut console =
            fs::File::options().append(true).create(true).open(files.join(CONSOLE))?;
        writeln!(console, "{failed:#}")?;
    }
    Ok(())
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
