// SPDX-License-Identifier: MIT OR Apache-2.0
//! How are files of the builder's machine read and written? A tree of unpacked packages has links
//! that mean places of the *device*: nothing here follows one out of the tree.
#![expect(
    clippy::disallowed_methods,
    reason = "files of the machine that builds, in directories of this run; none is a board's"
)]

use crate::recipe::RecipeError;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// Turns an I/O error into ours.
pub fn failed(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RecipeError {
    let path = path.to_owned();
    move |source| RecipeError::Io { act, path, source }
}

/// The text of a file of at most `most` bytes. What is no regular file is not opened: a pipe would
/// be waited for, a device never ends.
pub fn read_text(path: &Path, most: u64) -> Result<String, RecipeError> {
    must_be_file(path)?;
    let mut text = String::new();
    let file = fs::File::open(path).map_err(failed("read", path))?;
    file.take(most + 1).read_to_string(&mut text).map_err(failed("read", path))?;
    if text.len() as u64 > most {
        let what = format!("has more than {most} bytes");
        return Err(RecipeError::File { path: path.to_owned(), what, hint: "name the right file" });
    }
    Ok(text)
}

/// Refuses what is no regular file.
pub fn must_be_file(path: &Path) -> Result<(), RecipeError> {
    if fs::metadata(path).map_err(failed("read", path))?.is_file() {
        return Ok(());
    }
    let what = "is no regular file".to_owned();
    Err(RecipeError::File { path: path.to_owned(), what, hint: "name a file" })
}

/// The file `name` of the recipe's directory `dir`. A link to a file elsewhere is none of it: it may
/// have come with the recipe.
pub fn beside(dir: &Path, name: &Path) -> Result<PathBuf, RecipeError> {
    let path = dir.join(name);
    must_be_file(&path)?;
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let real = |path: &Path| fs::canonicalize(path).map_err(failed("look at", path));
    if real(&path)?.starts_with(real(dir)?) {
        return Ok(path);
    }
    let what = "is a link to a file outside of the recipe's directory".to_owned();
    Err(RecipeError::File { path, what, hint: "put a copy of that file beside the recipe" })
}

/// Makes a directory and those above it.
pub fn make_dir(path: &Path) -> Result<(), RecipeError> {
    fs::create_dir_all(path).map_err(failed("make", path))
}

/// Writes a file of this run, through to the disk: what is renamed at the end has to be there.
pub fn write(path: &Path, content: &str) -> Result<(), RecipeError> {
    fs::write(path, content).map_err(failed("write", path))?;
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(failed("flush", path))
}

/// The directory `inner` of the tree, made where it is not there, and whether it was made. Links between
/// directories are followed as long as they stay in the tree.
fn inside(root: &Path, inner: &Path) -> Result<(PathBuf, bool), RecipeError> {
    let real_root = fs::canonicalize(root).map_err(failed("look at", root))?;
    let (mut dir, mut is_new) = (real_root.clone(), false);
    for name in inner.components() {
        let next = dir.join(name);
        is_new = fs::symlink_metadata(&next).is_err();
        if is_new {
            fs::create_dir(&next).map_err(failed("make", &next))?;
            fs::set_permissions(&next, fs::Permissions::from_mode(0o755))
                .map_err(failed("make", &next))?;
        }
        let real = fs::canonicalize(&next).map_err(failed("look at", &next))?;
        if !real.starts_with(&real_root) {
            return Err(outside(inner));
        }
        dir = real;
    }
    Ok((dir, is_new))
}

/// What is at `inner` in the tree, under its real name; nothing where nothing is. `inner` may be the
/// tree itself.
fn there(root: &Path, inner: &Path) -> Result<Option<PathBuf>, RecipeError> {
    let path = root.join(inner);
    let real_root = fs::canonicalize(root).map_err(failed("look at", root))?;
    match fs::canonicalize(&path) {
        Ok(real) if real.starts_with(&real_root) => Ok(Some(real)),
        Ok(_) => Err(outside(inner)),
        Err(source) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed("look at", &path)(source)),
    }
}

/// The regular file at `inner` in the tree, where there is one.
pub fn file(root: &Path, inner: &Path) -> Result<Option<PathBuf>, RecipeError> {
    Ok(there(root, inner)?.filter(|path| path.is_file()))
}

/// The places in the tree of what is in its directory `inner` and begins so, ordered; each is what it
/// says, and no link.
pub fn listed(root: &Path, inner: &Path, begin: &str) -> Result<Vec<PathBuf>, RecipeError> {
    let Some(dir) = there(root, inner)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for path in named(&dir, begin, "")? {
        let inner = inner.join(path.file_name().unwrap_or_default());
        if fs::symlink_metadata(&path).map_err(failed("look at", &path))?.is_symlink() {
            return Err(RecipeError::File {
                path: Path::new("/").join(inner),
                what: "is a link, where a package has what is used to build".to_owned(),
                hint: "leave the package out that brought it",
            });
        }
        found.push(inner);
    }
    Ok(found)
}

fn outside(inner: &Path) -> RecipeError {
    RecipeError::File {
        path: Path::new("/").join(inner),
        what: "lies behind a link that leaves the root file system".to_owned(),
        hint: "give the place that the link leads to, or leave the package out that brought it",
    }
}

/// The place of `inner` in the tree, with the directories above it.
fn place(root: &Path, inner: &Path) -> Result<PathBuf, RecipeError> {
    let (dir, _) = inside(root, inner.parent().unwrap_or(Path::new("")))?;
    let path = dir.join(inner.file_name().unwrap_or_default());
    match fs::symlink_metadata(&path) {
        Ok(there) if there.is_dir() => Err(RecipeError::File {
            path: Path::new("/").join(inner),
            what: "is a directory of a package".to_owned(),
            hint: "give the place of a file",
        }),
        Ok(_) => fs::remove_file(&path).map_err(failed("replace", &path)).map(|()| path),
        Err(_) => Ok(path),
    }
}

/// Puts a text into the tree.
pub fn put_text(root: &Path, inner: &str, text: &str) -> Result<(), RecipeError> {
    let path = place(root, Path::new(inner))?;
    fs::write(&path, text).map_err(failed("write", &path))?;
    allow(&path, 0o644)
}

/// Puts a file into the tree.
pub fn put_file(root: &Path, inner: &Path, from: &Path, mode: u32) -> Result<(), RecipeError> {
    must_be_file(from)?;
    let path = place(root, inner)?;
    fs::copy(from, &path).map_err(failed("copy", from))?;
    allow(&path, mode)
}

/// Puts a directory into the tree, whatever mask this user has.
pub fn put_dir(root: &Path, inner: &Path, mode: u32) -> Result<(), RecipeError> {
    let (dir, _) = inside(root, inner)?;
    allow(&dir, mode)
}

/// Puts a symbolic link into the tree.
pub fn put_link(root: &Path, inner: &Path, target: &str) -> Result<(), RecipeError> {
    let path = place(root, inner)?;
    symlink(target, &path).map_err(failed("make", &path))
}

/// Sets the permissions of what [`listed`] has found.
pub fn allow_in(root: &Path, inner: &Path, mode: u32) -> Result<(), RecipeError> {
    allow(&root.join(inner), mode)
}

/// Sets permissions, whatever mask this user has. It follows links: `path` is a real name.
fn allow(path: &Path, mode: u32) -> Result<(), RecipeError> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("write", path))
}

/// Moves what a package has into the tree. A link where the package has a directory is followed as
/// dpkg would on the device, as long as it stays in the tree; a file takes the place of a file or link.
pub fn merge(from: &Path, root: &Path, package: &str) -> Result<(), RecipeError> {
    merge_below(from, Path::new(""), root, package).map(drop)
}

/// Comes back with the permissions that the package's directory had.
fn merge_below(
    from: &Path,
    inner: &Path,
    root: &Path,
    package: &str,
) -> Result<fs::Permissions, RecipeError> {
    let dir = from.join(inner);
    let permissions = fs::metadata(&dir).map_err(failed("look at", &dir))?.permissions();
    // From one that may not be written to nothing can be moved.
    allow(&dir, 0o700)?;
    for path in named(&dir, "", "")? {
        let inner = inner.join(path.file_name().unwrap_or_default());
        let kind = fs::symlink_metadata(&path).map_err(failed("look at", &path))?.file_type();
        let by_package = |cause: RecipeError| of_package(cause, package);
        if kind.is_dir() {
            let (made, is_new) = inside(root, &inner).map_err(by_package)?;
            let permissions = merge_below(from, &inner, root, package)?;
            if is_new {
                fs::set_permissions(&made, permissions).map_err(failed("write", &made))?;
            }
        } else {
            let to = place(root, &inner).map_err(by_package)?;
            fs::rename(&path, &to).map_err(failed("move", &path))?;
        }
    }
    Ok(permissions)
}

/// Which package it is that does not fit.
fn of_package(cause: RecipeError, package: &str) -> RecipeError {
    match cause {
        RecipeError::File { path, what, .. } => RecipeError::File {
            path,
            what: format!("{what}; {package} has a file there"),
            hint: "leave that package out, or the one that brought the link or directory",
        },
        other @ (RecipeError::Recipe { .. }
        | RecipeError::Lock { .. }
        | RecipeError::Io { .. }
        | RecipeError::Tool { .. }
        | RecipeError::Answer { .. }) => other,
    }
}

/// Takes a directory of this run away, with all that is in it.
pub fn remove_all(dir: &Path) -> Result<(), RecipeError> {
    fs::remove_dir_all(dir).map_err(failed("remove", dir))
}

/// The paths in a directory that begin and end so, ordered; none where there is no directory.
pub fn named(dir: &Path, begin: &str, end: &str) -> Result<Vec<PathBuf>, RecipeError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(failed("list", dir)(source)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed("list", dir))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(begin) && name.ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Moves what lies beside it.
pub fn rename(from: &Path, to: &Path) -> Result<(), RecipeError> {
    fs::rename(from, to).map_err(failed("rename", from))
}

/// Takes a file or a directory out of the tree, where there is one.
pub fn remove(root: &Path, inner: &Path) -> Result<(), RecipeError> {
    let Some(dir) = there(root, inner.parent().unwrap_or(Path::new("")))? else { return Ok(()) };
    let path = dir.join(inner.file_name().unwrap_or_default());
    let removed = match fs::symlink_metadata(&path) {
        Ok(there) if there.is_dir() => fs::remove_dir_all(&path),
        Ok(_) => fs::remove_file(&path),
        Err(_) => Ok(()),
    };
    removed.map_err(failed("remove", &path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_s_link_leads_no_file_out_of_the_tree() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::create_dir(&outside).unwrap();
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink(&outside, root.join("etc")).unwrap();
        fs::write(outside.join("secret"), "kept").unwrap();
        symlink(outside.join("secret"), root.join("usr/link")).unwrap();

        put_text(&root, "bin/tool", "in").unwrap();
        assert_eq!(fs::read_to_string(root.join("usr/bin/tool")).unwrap(), "in");
        let refused = put_text(&root, "etc/hostname", "x").unwrap_err();
        assert!(refused.to_string().contains("leaves the root file system"), "{refused}");
        put_text(&root, "usr/link", "replaced").unwrap();
        assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "kept");
        assert!(!outside.join("hostname").exists());
        put_text(&root, "usr", "x").unwrap_err();
    }

    #[test]
    fn what_is_no_file_or_too_long_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("long");
        fs::write(&path, "123456").unwrap();
        assert_eq!(read_text(&path, 6).unwrap(), "123456");
        for (path, says) in
            [(path.as_path(), "more than 5"), (Path::new("/dev/zero"), "no regular")]
        {
            let refused = read_text(path, 5).unwrap_err();
            assert!(refused.to_string().contains(says), "{refused}");
        }
    }
}
