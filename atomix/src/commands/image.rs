// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix image`: the flashable image and a bundle's content, from a boot tree and a root file
//! system. Same parts, same bytes, whoever assembles them: Nix, a recipe of Debian's packages, a
//! test.

use crate::cli::{BootScriptArgs, BundleContentArgs, ImageBuildArgs, ImageCommand};
use crate::commands::seed::Seed;
use crate::failure::Failure;
use crate::image_cli::{BoardName, ImageParts, SlotStart};
use crate::output::Output;
use crate::recipe::{self, Components, Flashable, Series};
use board_rock64::{
    Board, BootFiles, BootTree, ImageRequest, InitPath, ROCK64, ROCK64_QEMU, ROCK64_WATCHDOG, Role,
    boot_script, build_boot_vfat, build_image,
};
use bootctl::SlotId;
use bundle::{FileSource, Source};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use storage::{ByteLen, FileStorage, Files as _, HostFiles, Storage};

/// Names inside the boot directory that the slot script loads.
const KERNEL: &str = "Image";
const INITRD: &str = "initrd";

/// Names inside a bundle.
const BOOT_IMAGE: &str = "boot.vfat";
const ROOTFS_IMAGE: &str = "rootfs.img";

/// Runs a verb of `atomix image`.
///
/// # Errors
/// [`Failure::Image`]; the output is then not there.
pub fn run(command: &ImageCommand, out: &mut Output) -> Result<(), Failure> {
    match command {
        ImageCommand::Build(args) => build(args, out),
        ImageCommand::Content(args) => content(args, out),
        ImageCommand::Script(args) => script(args, out),
    }
}

fn build(args: &ImageBuildArgs, out: &mut Output) -> Result<(), Failure> {
    let seed = args.seed.as_deref().map(|file| Seed::read(file, out)).transpose()?;
    let seed = seed.as_ref();
    if let Some(path) = &args.recipe {
        let firmware = [("idbloader.img", &args.idbloader), ("u-boot.itb", &args.u_boot)];
        let firmware: Vec<(&str, &Path)> =
            firmware.iter().filter_map(|(name, file)| Some((*name, file.as_deref()?))).collect();
        let mut make = |board: &'static Board, parts: &ImageParts, image: &Path| {
            assemble(args, board, parts, seed, image).map(drop)
        };
        recipe::build(path, &args.start, &firmware, &args.out, &mut make)?;
        return out.done(&format!("built {} by {}", args.out.display(), path.display()));
    }
    let (Some(boot), Some(rootfs), Some(version)) =
        (args.boot.clone(), args.rootfs.clone(), args.image_version.clone())
    else {
        let what = "nothing to build an image of".to_owned();
        let hint = "give --boot, --rootfs and --image-version, or --recipe";
        return Err(Failure::Usage { what, hint });
    };
    let parts = ImageParts { boot, rootfs, image_version: version, start: args.start.clone() };
    let board = board(&parts.start)?;
    if let (Some(series), Some(components)) = (&args.series, &args.components) {
        let series = Series::try_from(series.clone())
            .map_err(|what| Failure::Usage { what, hint: "it becomes part of the files' names" })?;
        let components = Components::read(components)?;
        let make = |image: &Path| assemble(args, board, &parts, seed, image).map(drop);
        Flashable::begin(&args.out)?.finish(&series, &parts.image_version, components, make)?;
        return out.done(&format!("built {}", args.out.display()));
    }
    let len = assemble(args, board, &parts, seed, &args.out)?;
    out.done(&format!("built {} of {len}", args.out.display()))
}

/// Every image is assembled here.
fn assemble(
    args: &ImageBuildArgs,
    board: &'static Board,
    parts: &ImageParts,
    seed: Option<&Seed>,
    path: &Path,
) -> Result<ByteLen, Failure> {
    let failed = |source| Failure::Image { image: path.to_owned(), source };
    let mut boot = boot_tree(board, parts, path)?;
    seed.map_or(Ok(()), |seed| seed.put_into(&mut boot)).map_err(failed)?;
    let request = ImageRequest {
        board,
        idbloader: args.idbloader.as_deref().map(open).transpose()?,
        u_boot: args.u_boot.as_deref().map(open).transpose()?,
        boot,
        rootfs: open(&parts.rootfs)?,
        version: &parts.image_version,
        source_date_epoch: i64::from(parts.start.source_date_epoch),
    };
    let mut image = FileStorage::create_sparse(path, board.image_len())?;
    let built = match build_image(&request, &mut image, &mut |_| {}) {
        Ok(built) => built,
        Err(source) => {
            remove(path)?;
            return Err(failed(source));
        }
    };
    image.flush()?;
    Ok(built.len)
}

/// The manifest comes last: what an interrupted run leaves is no content of a bundle.
fn content(args: &BundleContentArgs, out: &mut Output) -> Result<(), Failure> {
    let (parts, dir) = (&args.parts, &args.out);
    let version = &parts.image_version;
    if version.is_empty() || version.contains(char::is_control) {
        return Err(Failure::Usage {
            what: format!("{version:?} is no version"),
            hint: "it is one line of the bundle's manifest",
        });
    }
    let board = board(&parts.start)?;
    let tree = boot_tree(board, parts, &dir.join(BOOT_IMAGE))?;
    let rootfs = dir.join(ROOTFS_IMAGE);
    let io = |act, path: &Path| {
        let path = path.to_owned();
        move |source| Failure::Io { act, path, source }
    };
    let mut from = File::open(&parts.rootfs).map_err(io("open", &parts.rootfs))?;
    std::fs::create_dir(dir).map_err(io("make", dir))?;

    let image = dir.join(BOOT_IMAGE);
    let failed = |source| Failure::Image { image: image.clone(), source };
    let partition = board
        .partition(Role::Boot(SlotId::A))
        .ok_or_else(|| failed(board_rock64::ImageError::NoPartition { what: "boot" }))?;
    let mut boot = FileStorage::create_sparse(&image, board.room(partition))?;
    let time = i64::from(parts.start.source_date_epoch);
    build_boot_vfat(board, &tree, version, time, &mut boot).map_err(failed)?;

    let mut to = new_file(&rootfs)?;
    io::copy(&mut from, &mut to).map_err(io("copy the root file system to", &rootfs))?;
    to.sync_all().map_err(io("flush", &rootfs))?;
    let manifest = manifest(board.compatible, version);
    HostFiles::new(dir).replace(Path::new("/manifest.raucm"), manifest.as_bytes())?;
    out.done(&format!("made {} for a bundle of {version}", dir.display()))
}

/// The manifest of a whole update.
fn manifest(compatible: &str, version: &str) -> String {
    format!(
        "[update]\ncompatible={compatible}\nversion={version}\n\n[bundle]\nformat=verity\n\n\
         [image.boot]\nfilename={BOOT_IMAGE}\n\n[image.rootfs]\nfilename={ROOTFS_IMAGE}\n"
    )
}

fn script(args: &BootScriptArgs, out: &mut Output) -> Result<(), Failure> {
    let start = &args.start;
    let bytes = boot_script(board(start)?, &init(start)?, start.source_date_epoch)
        .map_err(|source| Failure::Image { image: args.out.clone(), source })?;
    let written = |source| Failure::Io { act: "write", path: args.out.clone(), source };
    let mut file = new_file(&args.out)?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(written)?;
    out.done(&format!("made {}", args.out.display()))
}

impl BoardName {
    /// Its numbers, with a watchdog or without; none where it has no such watchdog.
    #[must_use]
    pub fn numbers(self, watchdog: bool) -> Option<&'static Board> {
        match (self, watchdog) {
            (Self::Rock64, false) => Some(&ROCK64),
            (Self::Rock64, true) => Some(&ROCK64_WATCHDOG),
            (Self::Rock64Qemu, false) => Some(&ROCK64_QEMU),
            (Self::Rock64Qemu, true) => None,
        }
    }
}

fn board(start: &SlotStart) -> Result<&'static Board, Failure> {
    start.board_name.unwrap_or(BoardName::Rock64).numbers(start.watchdog).ok_or_else(|| {
        Failure::Usage {
            what: "U-Boot does not start a watchdog on rock64-qemu".to_owned(),
            hint: "leave out --watchdog",
        }
    })
}

/// What lies in the boot partition of `out`.
fn boot_tree(board: &Board, parts: &ImageParts, out: &Path) -> Result<BootTree, Failure> {
    let files = BootFiles {
        kernel: open(&parts.boot.join(KERNEL))?,
        initrd: open(&parts.boot.join(INITRD))?,
        device_tree: open(&parts.boot.join(board.device_tree))?,
        init: init(&parts.start)?,
    };
    let failed = |source| Failure::Image { image: out.to_owned(), source };
    board.check_kernel(files.kernel.as_ref()).map_err(failed)?;
    BootTree::for_slot(board, &files, parts.start.source_date_epoch).map_err(failed)
}

fn init(start: &SlotStart) -> Result<InitPath, Failure> {
    match &start.init {
        None => Ok(InitPath::default()),
        Some(path) => InitPath::new(path).map_err(|refused| Failure::Usage {
            what: refused.to_string(),
            hint: "it becomes part of the kernel's command line",
        }),
    }
}

fn open(path: &Path) -> Result<Arc<dyn Source>, Failure> {
    Ok(Arc::new(FileSource::open(path)?))
}

fn new_file(path: &Path) -> Result<File, Failure> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|source| Failure::Io {
        act: "make",
        path: path.to_owned(),
        source,
    })
}

/// Half an image is worse than none: it could be flashed.
#[expect(clippy::disallowed_methods, reason = "an output of this command, not a file of a board")]
fn remove(path: &Path) -> Result<(), Failure> {
    std::fs::remove_file(path).map_err(|source| Failure::Io {
        act: "remove",
        path: path.to_owned(),
        source,
    })
}
