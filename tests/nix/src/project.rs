// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is checked? A copy of the checkout's files, without what is built beside them: nix copies a
//! flake's whole directory, and faults are planted in the copy.

use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The checkout.
const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A file of the checkout itself.
pub fn checkout(name: &str) -> PathBuf {
    Path::new(CHECKOUT).join(name)
}

/// A copy of the checkout.
pub struct Project {
    dir: TempDir,
}

impl Project {
    /// Copies every file that git knows or would take.
    ///
    /// # Errors
    /// When this is no checkout.
    pub fn copy() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("atomix-flake-").tempdir()?;
        let checkout = fs::canonicalize(CHECKOUT)?;
        let listed = Program::new("git")
            .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"])
            .arg("--exclude-standard")
            .current_dir(&checkout)
            .output()?;
        let mut files = 0;
        for name in listed.split('\0').filter(|name| !name.is_empty()) {
            let from = checkout.join(name);
            // One that was removed and not yet committed.
            if !from.exists() {
                continue;
            }
            let to = dir.path().join(name);
            fs::create_dir_all(to.parent().context("a file without a directory")?)?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
            files += 1;
        }
        ensure!(files > 0, "git lists no files in {}", checkout.display());
        Ok(Self { dir })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Its nix files.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub fn nix_files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut open = vec![self.path().to_owned()];
        while let Some(dir) = open.pop() {
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    open.push(path);
                } else if path.extension().is_some_and(|extension| extension == "nix") {
                    found.push(path);
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Writes `to` in place of `from` in a file while `work` is done, and puts it back.
    ///
    /// # Errors
    /// When `from` does not stand there exactly once, and those of `work`.
    pub fn with_change<T>(
        &self,
        file: &str,
        change: (&str, &str),
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let path = self.path().join(file);
        let (from, to) = change;
        let text = fs::read_to_string(&path).with_context(|| format!("no {file}"))?;
        ensure!(text.matches(from).count() == 1, "{file} has {from:?} not exactly once");
        fs::write(&path, text.replace(from, to))?;
        let done = work();
        fs::write(&path, text)?;
        done
    }
}
