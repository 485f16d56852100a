// SPDX-License-Identifier: MIT OR Apache-2.0
//! Content that other programs have a hand in: unpacked archives, composefs images, a squashfs by
//! mksquashfs.
//!
//! The content is put together in a directory beside the output, by hard links where that goes
//! and by copies elsewhere, so that neither the content directory is written to nor a program
//! meets a file that was not gathered. The directory is removed whatever happens. Images are
//! digested before; that they stay the same meanwhile is the caller's affair here, as it is with
//! RAUC (the packer reads them by name).

use crate::create_content::{Item, MANIFEST_NAME, OBJECT_STORE};
use crate::fakeroot::Fakeroot;
use crate::operations::NewDirectory;
use crate::{CreateError, Image, Manifest};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Whether an image is still to be converted.
pub(crate) fn needs_stage(image: &Image) -> bool {
    !image.convert.is_empty()
}

/// Converts what the manifest asks for, writes the manifest beside it and packs all of it.
pub(crate) fn pack_staged(
    file: &mut File,
    output: &Path,
    manifest: &mut Manifest,
    items: &BTreeMap<String, Item<'_>>,
    args: &[String],
) -> Result<(), CreateError> {
    let work = work_place(output);
    let work = NewDirectory::create_private(&work).map_err(|source| work_failed(&work, source))?;
    let stage = work.path().join("content");
    std::fs::create_dir(&stage).map_err(|source| work_failed(&stage, source))?;
    for (path, item) in items {
        let place = stage.join(path);
        put(item, &place).map_err(|source| work_failed(&place, source))?;
    }
    let state = work.path().join("owners");
    let converts = manifest.images.iter().any(is_tree);
    let root = if converts { Fakeroot::new(&state) } else { Fakeroot::none() };
    for image in &mut manifest.images {
        convert(image, &stage, &root)?;
    }
    squash(file, &stage, work.path(), manifest, &root, args)
}

/// Packs `dir`, which is ours and holds trees already, as it stands.
pub(crate) fn pack_whole(
    file: &mut File,
    output: &Path,
    manifest: &Manifest,
    dir: &Path,
    args: &[String],
) -> Result<(), CreateError> {
    if !nix::unistd::geteuid().is_root() {
        // Without that the owners of the trees would silently become ours.
        return Err(CreateError::Unsupported { what: "unpacked archives except by root" });
    }
    let place = work_place(output);
    let work =
        NewDirectory::create_private(&place).map_err(|source| work_failed(&place, source))?;
    squash(file, dir, work.path(), manifest, &Fakeroot::none(), args)
}

fn work_place(output: &Path) -> PathBuf {
    let name = output.file_name().unwrap_or_default().to_string_lossy();
    output.with_file_name(format!(".{name}.work-{}", std::process::id()))
}

/// Writes the manifest into `stage` and all of that into `file`.
fn squash(
    file: &mut File,
    stage: &Path,
    work: &Path,
    manifest: &Manifest,
    root: &Fakeroot<'_>,
    args: &[String],
) -> Result<(), CreateError> {
    let place = stage.join(MANIFEST_NAME);
    write_new(&place, manifest.encode().as_bytes())
        .map_err(|source| work_failed(&place, source))?;
    let packed = work.join("squashfs");
    let mut line: Vec<OsString> = vec![stage.into(), packed.clone().into()];
    line.extend(["-noappend", "-no-progress", "-quiet"].map(OsString::from));
    // Trees out of archives keep their owners and attributes, everything else is root's.
    if !manifest.images.iter().any(|image| image.convert.iter().any(|how| how == "tar-extract")) {
        line.extend(["-all-root", "-no-xattrs"].map(OsString::from));
    }
    line.extend(args.iter().map(OsString::from));
    root.run("mksquashfs", &line)?;
    let mut made = File::open(&packed).map_err(|source| work_failed(&packed, source))?;
    io::copy(&mut made, file).map_err(|source| work_failed(&packed, source))?;
    Ok(())
}

fn work_failed(path: &Path, source: io::Error) -> CreateError {
    CreateError::Work { path: path.to_owned(), source }
}

fn is_tree(image: &Image) -> bool {
    image.convert.iter().any(|how| how == "tar-extract" || how == "composefs")
}

fn put(item: &Item<'_>, place: &Path) -> io::Result<()> {
    match item {
        Item::Directory => std::fs::create_dir(place),
        Item::Symlink { target } => symlink(target, place),
        Item::File(content) => {
            // The mode of a link is that of the file it shares; only ours may be set.
            if let Some(path) = content.path()
                && std::fs::hard_link(path, place).is_ok()
            {
                return Ok(());
            }
            let mut file = OpenOptions::new().write(true).create_new(true).open(place)?;
            io::copy(&mut content.open()?, &mut file)?;
            file.set_permissions(Permissions::from_mode(u32::from(content.mode)))
        }
    }
}

fn write_new(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(place)?;
    file.write_all(bytes)
}

fn convert(image: &mut Image, stage: &Path, root: &Fakeroot<'_>) -> Result<(), CreateError> {
    let Some(name) = image.filename.clone() else { return Ok(()) };
    if image.convert.is_empty() {
        return Ok(());
    }
    let known = ["tar-extract", "composefs", "keep"];
    if let Some(method) = image.convert.iter().find(|how| !known.contains(&how.as_str())) {
        return Err(CreateError::UnknownConverter { name, method: method.clone() });
    }
    let tree = format!("{name}.extracted");
    if is_tree(image) {
        extract(&stage.join(&name), &stage.join(&tree), root)?;
    }
    let mut converted = Vec::new();
    for how in &image.convert {
        converted.push(match how.as_str() {
            "tar-extract" => tree.clone(),
            "composefs" => compose(&name, &stage.join(&tree), stage, root)?,
            _ => name.clone(),
        });
    }
    if is_tree(image) && !image.convert.iter().any(|how| how == "tar-extract") {
        let tree = stage.join(&tree);
        std::fs::remove_dir_all(&tree).map_err(|source| work_failed(&tree, source))?;
    }
    if !image.convert.iter().any(|how| how == "keep") {
        remove_link(&stage.join(&name))?;
    }
    image.converted = converted;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a name in our own directory")]
fn remove_link(path: &Path) -> Result<(), CreateError> {
    std::fs::remove_file(path).map_err(|source| work_failed(path, source))
}

fn extract(archive: &Path, tree: &Path, root: &Fakeroot<'_>) -> Result<(), CreateError> {
    std::fs::create_dir(tree).map_err(|source| work_failed(tree, source))?;
    let line = ["--numeric-owner".into(), "-xf".into(), archive.into(), "-C".into(), tree.into()];
    Ok(root.run("tar", &line)?)
}

fn compose(
    name: &str,
    tree: &Path,
    stage: &Path,
    root: &Fakeroot<'_>,
) -> Result<String, CreateError> {
    let converted = format!("{name}.cfs");
    let dir = stage.join(&converted);
    std::fs::create_dir(&dir).map_err(|source| work_failed(&dir, source))?;
    let store = stage.join(OBJECT_STORE);
    std::fs::create_dir_all(&store).map_err(|source| work_failed(&store, source))?;
    let mut option = OsString::from("--digest-store=");
    option.push(&store);
    let line = [option, "--skip-xattrs".into(), tree.into(), dir.join("image.cfs").into()];
    root.run("mkcomposefs", &line)?;
    Ok(converted)
}
