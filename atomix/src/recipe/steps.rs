// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which order does a recipe become an image?

use crate::image_cli::{ImageParts, SlotStart};
use crate::recipe::components::{Brought, Components, Lock, Unpacked};
use crate::recipe::flashable::Flashable;
use crate::recipe::model::Recipe;
use crate::recipe::packages::{Apt, output_of, sha256, unpack};
use crate::recipe::{RecipeError, tree};
use board_rock64::Board;
use programs::ProgramCall;
use std::path::{Path, PathBuf};

/// Longest recipe, and longest lock file.
const RECIPE_MAX_BYTES: u64 = 1 << 20;
const LOCK_MAX_BYTES: u64 = 16 << 20;
/// Where the root file system is put together.
const ROOT: &str = "root";
const STATUS_PATH: &str = "var/lib/dpkg/status";
/// What the scripts of `base-passwd` would have made.
const MASTERS: [(&str, &str); 2] = [("passwd.master", "etc/passwd"), ("group.master", "etc/group")];
/// Nobody reads these on a device.
const LEFT_OUT: [&str; 4] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info"];

/// The one implementation of image assembly: parts into a new file, for a board.
pub type Assemble<'a, E> = &'a mut dyn FnMut(&'static Board, &ImageParts, &Path) -> Result<(), E>;

/// Builds the directory `out` with image, list of components and checksums; `firmware` is what the
/// assembly puts before the partitions.
///
/// # Errors
/// [`RecipeError`], and those of `assemble`; `out` is then not there.
pub fn build<E: From<RecipeError>>(
    path: &Path,
    start: &SlotStart,
    firmware: &[(&str, &Path)],
    out: &Path,
    assemble: Assemble<'_, E>,
) -> Result<(), E> {
    let recipe = read(path)?;
    let board = board_of(&recipe, path, start)?;
    let beside = path.parent().unwrap_or(Path::new(""));
    let crates = crates_of(&recipe, beside)?;
    check_files(&recipe, beside)?;
    let flashable = Flashable::begin(out)?;
    let cooking = tempfile::tempdir().map_err(tree::failed("make", Path::new("a directory")))?;
    let (parts, packages) = cook(&recipe, board, (beside, cooking.path()), start)?;
    let files = brought(&recipe, board, &cooking.path().join(ROOT), &parts.boot)?;
    let hashed = |(name, path): &(&str, &Path)| of_file(name, path);
    let firmware: Vec<Brought> = firmware.iter().map(hashed).collect::<Result<_, _>>()?;
    let components = crates.with_packages(&packages).with_files(&files).with_firmware(&firmware);
    let version = recipe.version.as_ref();
    flashable.finish(&recipe.series, version, components, |image| assemble(board, &parts, image))
}

fn read(path: &Path) -> Result<Recipe, RecipeError> {
    let text = tree::read_text(path, RECIPE_MAX_BYTES)?;
    let recipe: Recipe = toml::from_str(&text).map_err(|source| RecipeError::Recipe {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    if recipe.debian.packages.is_empty() {
        let what = "names no package".to_owned();
        let hint = "`packages` is what the root file system is made of";
        return Err(RecipeError::File { path: path.to_owned(), what, hint });
    }
    Ok(recipe)
}

/// The numbers of the recipe's board.
fn board_of(
    recipe: &Recipe,
    path: &Path,
    start: &SlotStart,
) -> Result<&'static Board, RecipeError> {
    let refused = |what: &str, hint| {
        let (path, what) = (path.to_owned(), what.to_owned());
        RecipeError::File { path, what, hint }
    };
    if start.board_name.is_some_and(|board| board != recipe.board) {
        return Err(refused("is for another board than --board-name", "leave out --board-name"));
    }
    recipe.board.numbers(start.watchdog).ok_or_else(|| {
        let what = "is for rock64-qemu, whose watchdog U-Boot does not start";
        refused(what, "leave out --watchdog")
    })
}

/// The crates of the program that is put in. It has to be built from the source of this one, which
/// knows its own: the lock file alone has what no program needs.
fn crates_of(recipe: &Recipe, beside: &Path) -> Result<Components, RecipeError> {
    let Some(lock) = &recipe.cargo_lock else { return Ok(Components::default()) };
    let path = tree::beside(beside, lock.relative())?;
    let text = tree::read_text(&path, LOCK_MAX_BYTES)?;
    let lock: Lock = toml::from_str(&text)
        .map_err(|source| RecipeError::Lock { path: path.clone(), source: Box::new(source) })?;
    let crates = Components::own().map_err(|source| RecipeError::Answer {
        what: format!("the crates that this program knows of itself are no list: {source}"),
        hint: "build the program anew",
    })?;
    match crates.strange_to(&lock) {
        None => Ok(crates),
        Some(name) => Err(RecipeError::File {
            path,
            what: format!("does not have {name}, which this program was built from"),
            hint: "give the Cargo.lock of the source that this `atomix` comes from",
        }),
    }
}

/// What is brought along is there before anything is fetched.
fn check_files(recipe: &Recipe, beside: &Path) -> Result<(), RecipeError> {
    let brought = [&recipe.initrd].into_iter().chain(&recipe.device_tree);
    let mut brought = brought.chain(recipe.file.iter().map(|file| &file.source));
    brought.try_for_each(|name| tree::beside(beside, name.relative()).map(drop))
}

/// What no package has, as it lies in the image.
fn brought(
    recipe: &Recipe,
    board: &Board,
    root: &Path,
    boot: &Path,
) -> Result<Vec<Brought>, RecipeError> {
    let own_tree = recipe.device_tree.as_ref().map(|_| board.device_tree);
    let of_boot = std::iter::once("initrd").chain(own_tree);
    let of_boot = of_boot.map(|name| of_file(&format!("/boot/{name}"), &boot.join(name)));
    let of_root = recipe
        .file
        .iter()
        .map(|file| of_file(file.path.as_ref(), &root.join(file.path.relative())));
    of_boot.chain(of_root).collect()
}

fn of_file(name: &str, path: &Path) -> Result<Brought, RecipeError> {
    Ok(Brought { name: name.to_owned(), sha256: sha256(path)? })
}

/// The parts of the image, of what is `beside` the recipe, made in `dir`.
fn cook(
    recipe: &Recipe,
    board: &Board,
    (beside, dir): (&Path, &Path),
    start: &SlotStart,
) -> Result<(ImageParts, Vec<Unpacked>), RecipeError> {
    let (root, boot, apt_dir) = (dir.join(ROOT), dir.join("boot"), dir.join("apt"));
    for dir in [&root, &boot, &apt_dir] {
        tree::make_dir(dir)?;
    }
    let apt = Apt::of(&recipe.debian, beside, &apt_dir)?;
    let mut archives = apt.fetch(&recipe.debian.packages)?;
    archives.push(apt.fetch_kernel(&recipe.debian.kernel)?);
    let (mut status, mut packages) = (Vec::new(), Vec::new());
    for archive in &archives {
        let (entry, unpacked) = unpack(archive, &root, &dir.join("unpacked"))?;
        status.push(entry);
        packages.push(unpacked);
    }
    status.sort();
    packages.sort();
    tree::put_text(&root, STATUS_PATH, &status.join("\n"))?;
    let own_tree = recipe.device_tree.as_ref().map(|own| tree::beside(beside, own.relative()));
    move_kernel(board, own_tree.transpose()?, &root, &boot)?;
    list_modules(&root, &dir.join("depmod.d"))?;
    let initrd = tree::beside(beside, recipe.initrd.relative())?;
    tree::put_file(&boot, Path::new("initrd"), &initrd, 0o644)?;
    furnish(recipe, beside, &root)?;
    let rootfs = dir.join("rootfs.squashfs");
    pack(&root, &rootfs, start.source_date_epoch)?;
    let image_version = recipe.version.as_ref().to_owned();
    Ok((ImageParts { boot, rootfs, image_version, start: start.clone() }, packages))
}

/// The boot partition has the kernel and its device tree; the root file system keeps its modules.
fn move_kernel(
    board: &Board,
    own_tree: Option<PathBuf>,
    root: &Path,
    boot: &Path,
) -> Result<(), RecipeError> {
    let absent = |what: &str| RecipeError::Answer {
        what: format!("the kernel's package has no {what}"),
        hint: "name a package that has it, as linux-image-arm64; `device_tree` brings one along",
    };
    let kernels = tree::listed(root, Path::new("boot"), "vmlinuz-")?;
    let kernel = kernels.first().ok_or_else(|| absent("/boot/vmlinuz-*"))?;
    tree::put_file(boot, Path::new("Image"), &root.join(kernel), 0o644)?;
    let inner = Path::new(board.device_tree);
    let trees = tree::listed(root, Path::new("usr/lib"), "linux-image-")?;
    let mut found = own_tree;
    for dir in &trees {
        let of_package =
            || tree::file(root, &dir.join(inner.strip_prefix("dtbs").unwrap_or(inner)));
        found = found.map_or_else(of_package, |path| Ok(Some(path)))?;
    }
    tree::put_file(boot, inner, &found.ok_or_else(|| absent(board.device_tree))?, 0o644)?;
    trees.iter().try_for_each(|dir| tree::remove(root, dir))?;
    tree::remove(root, Path::new("boot"))
}

/// What depmod says of the modules. Its settings are those of no machine: `none`, which is made.
fn list_modules(root: &Path, none: &Path) -> Result<(), RecipeError> {
    tree::make_dir(none)?;
    for modules in tree::listed(root, Path::new("usr/lib/modules"), "")? {
        let version = modules.file_name().unwrap_or_default();
        let call = ProgramCall::new("depmod").arg("-C").arg(none);
        let call = call.arg("-b").arg(root.join("usr")).arg(version);
        output_of("list the kernel's modules", call)?;
        for list in tree::listed(root, &modules, "modules.")? {
            tree::allow_in(root, &list, 0o644)?;
        }
    }
    Ok(())
}

/// What the packages' scripts would have done and a boot needs, then what the recipe adds.
fn furnish(recipe: &Recipe, beside: &Path, root: &Path) -> Result<(), RecipeError> {
    for (master, place) in MASTERS {
        let master = Path::new("usr/share/base-passwd").join(master);
        if let Some(master) = tree::file(root, &master)? {
            tree::put_file(root, Path::new(place), &master, 0o644)?;
        }
    }
    for inner in LEFT_OUT.into_iter().chain(["var/run", "var/lock"]) {
        tree::remove(root, Path::new(inner))?;
    }
    // Services look for the bus and for locks below /var; the slot's script starts /init.
    for (link, to) in [("var/run", "/run"), ("var/lock", "/run/lock"), ("init", "/sbin/init")] {
        tree::put_link(root, Path::new(link), to)?;
    }
    for place in ["data", "boot", "dev", "proc", "sys", "run"] {
        tree::put_dir(root, Path::new(place), 0o755)?;
    }
    tree::put_dir(root, Path::new("tmp"), 0o1777)?;
    name_version(recipe, root)?;
    tree::put_text(root, "etc/hostname", &format!("{}\n", recipe.hostname.as_ref()))?;
    for file in &recipe.file {
        let source = tree::beside(beside, file.source.relative())?;
        tree::put_file(root, file.path.relative(), &source, file.mode.0)?;
    }
    for link in &recipe.link {
        tree::put_link(root, link.path.relative(), link.target.as_ref())?;
    }
    Ok(())
}

/// A flashed slot has no record of what it holds: the agent goes by the image's own word.
fn name_version(recipe: &Recipe, root: &Path) -> Result<(), RecipeError> {
    let of_distribution = tree::file(root, Path::new("usr/lib/os-release"))?;
    let text = of_distribution.map(|path| tree::read_text(&path, RECIPE_MAX_BYTES));
    let mut text = text.transpose()?.unwrap_or_default();
    text.push_str(&format!("IMAGE_VERSION={}\n", recipe.version.as_ref()));
    tree::put_text(root, "etc/os-release", &text)
}

fn pack(root: &Path, image: &Path, epoch: u32) -> Result<(), RecipeError> {
    let epoch = epoch.to_string();
    // The variable and the options together are an error of mksquashfs.
    let call = ProgramCall::new("env").args(["-u", "SOURCE_DATE_EPOCH", "mksquashfs"]);
    let call =
        call.arg(root).arg(image).args(["-noappend", "-quiet", "-no-progress", "-no-xattrs"]);
    let call = call.args(["-comp", "zstd", "-all-root", "-root-mode", "0755"]);
    let call = call.args(["-mkfs-time", &epoch, "-all-time", &epoch]);
    output_of("pack the root file system", call).map(drop)
}
