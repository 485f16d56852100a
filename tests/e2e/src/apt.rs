// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where do Debian's packages for the target come from? The suite's index beside the host's own,
//! in a directory of its own: the host's package database is neither read nor changed.
//!
//! The mirror is the one that the machine uses already.

use crate::cache;
use crate::program::Program;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The suite of everything that runs on the emulated board.
pub const SUITE: &str = "trixie";

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The mirror of the machine's own sources.
///
/// # Errors
/// When the machine has no Debian source.
pub fn mirror() -> Result<String> {
    let listed = Program::new("apt-get")
        .args(["indextargets", "--format", "$(SITE)", "Created-By: Packages", "Origin: Debian"])
        .output()?;
    let first = listed.lines().find(|site| site.ends_with("/debian"));
    first.map(str::to_owned).context("apt knows no Debian mirror: run .ci/setup-e2e")
}

/// One line of `sources.list` for the suite, with the key that must have signed it.
///
/// # Errors
/// As [`mirror`].
pub fn source_line() -> Result<String> {
    line_of(SUITE)
}

fn line_of(suite: &str) -> Result<String> {
    Ok(format!("deb [signed-by={KEYRING}] {} {suite} main", mirror()?))
}

/// A suite and the machines its packages are for.
#[derive(Clone, Copy, Debug)]
pub struct Packages<'a> {
    /// The suite's name.
    pub suite: &'a str,
    /// Debian's name of the architecture.
    pub architecture: &'a str,
}

/// What runs on the emulated board.
const BOARD: Packages<'_> = Packages { suite: SUITE, architecture: "arm64" };

/// The suite's index.
pub struct Apt {
    config: PathBuf,
}

impl Apt {
    /// Reads the index of the board's suite anew.
    ///
    /// # Errors
    /// As [`Apt::of`].
    pub fn update() -> Result<Self> {
        Self::of(BOARD)
    }

    /// Reads the index of these packages anew. A mirror that stands still is good enough: what it
    /// has is signed all the same, only older.
    ///
    /// # Errors
    /// When it cannot be fetched or is not signed.
    pub fn of(packages: Packages<'_>) -> Result<Self> {
        let Packages { suite, architecture } = packages;
        let root = cache::root()?.join(if architecture == BOARD.architecture {
            format!("apt-{suite}")
        } else {
            format!("apt-{suite}-{architecture}")
        });
        for dir in ["state/lists/partial", "cache/archives/partial", "etc/apt.conf.d"] {
            fs::create_dir_all(root.join(dir))?;
        }
        let root_text = root.display();
        let config = root.join("apt.conf");
        fs::write(
            &config,
            format!(
                "Dir::State \"{root_text}/state\";\nDir::State::status \"{root_text}/status\";\n\
                 Dir::Cache \"{root_text}/cache\";\nDir::Etc \"{root_text}/etc\";\n\
                 APT::Architecture \"{architecture}\";\n\
                 APT::Architectures {{ \"{architecture}\"; }};\n\
                 APT::Sandbox::User \"root\";\nAcquire::Languages \"none\";\n\
                 Acquire::Check-Valid-Until \"false\";\n"
            ),
        )?;
        fs::write(root.join("status"), "")?;
        let binary = line_of(suite)?;
        let source = binary.replacen("deb ", "deb-src ", 1);
        fs::write(root.join("etc/sources.list"), format!("{binary}\n{source}\n"))?;
        let apt = Self { config };
        apt.program("apt-get").args(["update", "-qq"]).run()?;
        Ok(apt)
    }

    fn program(&self, name: &str) -> Program {
        Program::new(name).env("APT_CONFIG", &self.config)
    }

    /// Downloads a package with everything it needs to run and unpacks it all into `dir`.
    ///
    /// # Errors
    /// When there is no such package.
    pub fn unpack_whole(&self, package: &str, dir: &Path) -> Result<()> {
        let archives = dir.with_extension("archives");
        fs::create_dir_all(archives.join("partial"))?;
        self.program("apt-get")
            .args(["install", "-y", "-qq", "--no-install-recommends", "--download-only"])
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", archives.display()))
            .arg(package)
            .run()?;
        for deb in files_ending(&archives, ".deb")? {
            Program::new("dpkg-deb").arg("-x").arg(deb).arg(dir).run()?;
        }
        fs::remove_dir_all(&archives)?;
        Ok(())
    }

    /// The version of a package that the suite would install.
    ///
    /// # Errors
    /// When there is none.
    pub fn candidate(&self, package: &str) -> Result<String> {
        let printed = self.program("apt-cache").args(["policy", package]).output()?;
        let mut lines = printed.lines().filter_map(|line| line.trim().strip_prefix("Candidate: "));
        lines.next().map(str::to_owned).with_context(|| format!("there is no package {package}"))
    }

    /// Downloads a package and unpacks it into `dir`, without what it depends on.
    ///
    /// # Errors
    /// When there is no such package.
    pub fn unpack(&self, package: &str, dir: &Path) -> Result<()> {
        let debs = dir.with_extension("debs");
        fs::create_dir_all(&debs)?;
        self.program("apt-get").args(["download", "-qq", package]).current_dir(&debs).run()?;
        for deb in files_ending(&debs, ".deb")? {
            Program::new("dpkg-deb").arg("-x").arg(deb).arg(dir).run()?;
        }
        fs::remove_dir_all(&debs)?;
        Ok(())
    }

    /// The package that a metapackage stands for: its dependency with this prefix.
    ///
    /// # Errors
    /// When there is none.
    pub fn dependency(&self, package: &str, prefix: &str) -> Result<String> {
        let printed = self.program("apt-cache").args(["depends", package]).output()?;
        let mut names = printed.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
        let found = names.find(|name| name.starts_with(prefix));
        found.map(str::to_owned).with_context(|| format!("{package} depends on no {prefix}*"))
    }

    /// Downloads a source package into `dir` and unpacks it into the new directory `tree`, with
    /// Debian's patches applied.
    ///
    /// # Errors
    /// When an archive is missing or a patch does not apply.
    pub fn unpack_source(&self, package: &str, dir: &Path, tree: &Path) -> Result<()> {
        fs::create_dir(tree)?;
        let [upstream, debian] = self.source_archives(package, dir)?;
        let unpack = |archive: &Path| Program::new("tar").arg("-xf").arg(archive).arg("-C");
        unpack(&upstream).arg(tree).arg("--strip-components=1").run()?;
        unpack(&debian).arg(tree).run()?;
        let patches = tree.join("debian/patches");
        // A package without changes to upstream's files has no list of them.
        let series = patches.join("series");
        let series = if series.is_file() { fs::read_to_string(series)? } else { String::new() };
        for name in series.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            apply_patch(tree, &patches.join(name))?;
        }
        fs::remove_file(debian)?;
        fs::remove_file(upstream)?;
        Ok(())
    }

    /// Downloads the archives of a source package into `dir`: upstream's and Debian's changes.
    ///
    /// # Errors
    /// When one of them is missing. A missing `.dsc` is none: mirrors lose it, and each archive
    /// is checked against the signed index without it.
    fn source_archives(&self, package: &str, dir: &Path) -> Result<[PathBuf; 2]> {
        let fetched = self
            .program("apt-get")
            .args(["source", "--download-only", "-qq", package])
            .current_dir(dir)
            .run();
        let mut found = Vec::new();
        for part in [".orig.tar.bz2", ".orig.tar.xz", ".orig.tar.gz", ".debian.tar.xz"] {
            found.extend(files_ending(dir, part)?);
        }
        if found.len() != 2 {
            fetched?;
        }
        ensure!(found.len() == 2, "{package}: archives {found:?}");
        found.try_into().map_err(|found| anyhow::anyhow!("{package}: archives {found:?}"))
    }
}

/// Applies a patch to a source tree.
///
/// # Errors
/// When it does not apply.
pub fn apply_patch(tree: &Path, patch: &Path) -> Result<()> {
    Program::new("patch").args(["-p1", "-s", "-i"]).arg(patch).current_dir(tree).run()
}

/// The files of a directory whose names end so, ordered.
pub(crate) fn files_ending(dir: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
