// SPDX-License-Identifier: MIT OR Apache-2.0
//! Was this part built before, from the same inputs?
//!
//! A part is a directory `$XDG_CACHE_HOME/atomix/e2e/<name>-<digest of its inputs>`. It is built
//! in a temporary directory beside it and renamed, so a directory of that name is complete. A
//! lock file keeps two runs from building the same part at once. Older builds of a part are
//! removed when a new one is made, except the last ones and what was used lately: two checkouts may
//! be tested side by side.

use crate::program::Program;
use crate::progress::timed;
use anyhow::{Context as _, Result};
use openssl::sha::Sha256;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Builds of a part that are kept, the new one included.
const KEPT_BUILDS: usize = 3;

/// A build that was used since then is kept as well: a test may be at it.
const IN_USE: Duration = Duration::from_secs(6 * 3600);

/// Digits of the digest in a directory's name; 64 bits are enough to tell builds apart.
const DIGEST_DIGITS: usize = 16;

/// What a part is made of.
pub struct Inputs(Sha256);

impl Inputs {
    /// Begins with the recipe: everything in the code that changes the result.
    #[must_use]
    pub fn new(recipe: &str) -> Self {
        Self(Sha256::new()).text(recipe)
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    /// Adds another part; its path names its own inputs.
    #[must_use]
    pub fn part(self, part: &Path) -> Self {
        let name = part.file_name().unwrap_or_default().to_string_lossy().into_owned();
        self.text(&name)
    }

    /// Adds a file's content.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn file(mut self, path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(&bytes);
        Ok(self)
    }

    /// The digest so far.
    #[must_use]
    pub fn digest(self) -> String {
        let mut digits = hex::encode(self.0.finish());
        digits.truncate(DIGEST_DIGITS);
        digits
    }
}

/// The directory of all parts; it exists afterwards.
///
/// # Errors
/// When it cannot be made.
pub fn root() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    let root = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("atomix/e2e");
    fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
    Ok(root)
}

/// The part's directory, built by `make` in the directory it is given unless it is there already.
///
/// # Errors
/// Those of `make`; nothing is kept then.
pub fn part(name: &str, inputs: Inputs, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = root()?;
    let done = root.join(format!("{name}-{}", inputs.digest()));
    if done.is_dir() {
        // The time of the last use; a foreign cache that cannot be marked is still a cache.
        let _ = fs::File::open(&done).and_then(|dir| dir.set_modified(SystemTime::now()));
        return Ok(done);
    }
    let lock = fs::File::create(root.join(format!("{name}.lock")))?;
    lock.lock()?;
    if done.is_dir() {
        return Ok(done);
    }
    let building = root.join(format!("{name}.building"));
    remove_tree(&building)?;
    fs::create_dir_all(&building)?;
    timed(name, || make(&building))?;
    fs::rename(&building, &done)?;
    forget_old_builds(&root, name)?;
    Ok(done)
}

fn forget_old_builds(root: &Path, name: &str) -> Result<()> {
    let mut builds = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let file_name = entry.file_name().to_string_lossy().into_owned();
        let digest = file_name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        if digest.is_some_and(|digest| {
            digest.len() == DIGEST_DIGITS && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        }) {
            builds.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    builds.sort();
    let surplus = builds.len().saturating_sub(KEPT_BUILDS);
    let now = SystemTime::now();
    let unused = |used: &SystemTime| now.duration_since(*used).is_ok_and(|age| age > IN_USE);
    let mut old = builds.iter().take(surplus).filter(|(used, _)| unused(used));
    old.try_for_each(|(_, path)| remove_tree(path))
}

/// Removes a tree that may hold read-only directories and what an emulated system left.
fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => Program::new("rm").args(["-rf", "--one-file-system", "--"]).arg(path).run(),
    }
}
