// SPDX-License-Identifier: MIT OR Apache-2.0
//! On which file may a lock be waited for? Whoever can open a file, for reading is enough, can
//! lock it and never let go. So there are two kinds: our own, which nobody else can open, and
//! one that other programs share, of which nothing may depend.
//!
//! Never removes a file: two programs would then hold the lock of two files of one name.

use nix::libc::{O_NOCTTY, O_NOFOLLOW, O_NONBLOCK};
use nix::unistd::geteuid;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

/// Read and write for the owner, nothing for anybody else.
const OWN_FILE_MODE: u32 = 0o600;

/// What makes a directory's entries somebody else's choice.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// What everybody may do who is neither the owner nor in the group.
const EVERYBODY: u32 = 0o007;

/// How often a file may vanish between "it exists" and "it does not" before we give up.
const MAX_OPENS: usize = 4;

/// Opens our own lock file, made with its directory where it is missing: owned by this process's
/// user and closed to everybody else, put right where it is not. A lock that somebody holds stays
/// held; nobody new gets at it.
///
/// A directory that belongs to somebody else is left as it is: on a board nobody but root makes
/// one in `/run`, and below another root it is the board of who owns it.
///
/// # Errors
/// When it cannot be made, opened or put right, or is no regular file.
pub fn open_own_lock(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        make_dir(dir)?;
        let facts = fs::metadata(dir)?;
        if facts.uid() == geteuid().as_raw() && facts.mode() & WRITABLE_BY_OTHERS != 0 {
            let mode = facts.mode() & !WRITABLE_BY_OTHERS;
            fs::set_permissions(dir, Permissions::from_mode(mode))?;
        }
    }
    let file = open_or_make(path)?;
    let facts = file.metadata()?;
    // The owner first: a former owner could open the file up again.
    if facts.uid() != geteuid().as_raw() {
        fchown(&file, Some(geteuid().as_raw()), None)?;
    }
    if facts.mode() & 0o777 != OWN_FILE_MODE {
        file.set_permissions(Permissions::from_mode(OWN_FILE_MODE))?;
    }
    Ok(file)
}

/// Opens a lock file that other programs take too, made where it is missing. What everybody may do
/// with it is taken away where it is ours: the programs that share it, `fw_setenv` for one, open it
/// for writing, so they lose nothing.
///
/// Its directory may be everybody's (`/run/lock` often is). So no link is followed, nothing
/// is waited for (a pipe, a lease), and a file that exists is opened as one that exists: with
/// `O_CREAT` the kernel refuses somebody else's there (`fs.protected_regular`).
///
/// # Errors
/// When it cannot be made or opened, belongs to somebody else, has a second name, or is no
/// regular file.
pub fn open_shared_lock(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        make_dir(dir)?;
    }
    let file = open_or_make(path)?;
    let facts = file.metadata()?;
    if facts.uid() != geteuid().as_raw() {
        let what = format!("it belongs to user {}", facts.uid());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
    }
    // Else the mode of any file of ours could be changed through a name in everybody's directory.
    if facts.nlink() != 1 {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it has another name too"));
    }
    if facts.mode() & EVERYBODY != 0 {
        let mode = facts.mode() & 0o777 & !EVERYBODY;
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    Ok(file)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o755).create(dir)
}

fn open_or_make(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .mode(OWN_FILE_MODE)
        .custom_flags(O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    for _ in 0..MAX_OPENS {
        match options.create_new(false).open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return opened.and_then(regular),
        }
        match options.create_new(true).open(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made,
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "it appears and vanishes again"))
}

fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"))
}
