// SPDX-License-Identifier: MIT OR Apache-2.0
//! `atomix image build`: the flashable image from a boot tree, a root file system and U-Boot.

use crate::cli::{ImageBuildArgs, ImageCommand};
use crate::failure::Failure;
use crate::output::Output;
use board_rock64::{
    BootFiles, BootTree, ImageRequest, InitPath, ROCK64, ROCK64_WATCHDOG, build_image,
};
use bundle::{FileSource, Source};
use std::path::Path;
use std::sync::Arc;
use storage::{FileStorage, Storage};

/// Names inside the boot directory that the slot script loads.
const KERNEL: &str = "Image";
const INITRD: &str = "initrd";

/// Runs a verb of `atomix image`.
///
/// # Errors
/// [`Failure::Image`]; the output is then not there.
pub fn run(command: &ImageCommand, out: &mut Output) -> Result<(), Failure> {
    let ImageCommand::Build(args) = command;
    build(args, out)
}

fn build(args: &ImageBuildArgs, out: &mut Output) -> Result<(), Failure> {
    let board = if args.watchdog { &ROCK64_WATCHDOG } else { &ROCK64 };
    let files = BootFiles {
        kernel: open(&args.boot.join(KERNEL))?,
        initrd: open(&args.boot.join(INITRD))?,
        device_tree: open(&args.boot.join(board.device_tree))?,
        init: init(args)?,
    };
    let failed = |source| Failure::Image { image: args.out.clone(), source };
    let boot = BootTree::for_slot(board, &files, args.source_date_epoch).map_err(failed)?;
    let request = ImageRequest {
        board,
        idbloader: args.idbloader.as_deref().map(open).transpose()?,
        u_boot: args.u_boot.as_deref().map(open).transpose()?,
        boot,
        rootfs: open(&args.rootfs)?,
        version: &args.image_version,
        source_date_epoch: i64::from(args.source_date_epoch),
    };
    let mut image = FileStorage::create_sparse(&args.out, board.image_len())?;
    let built = match build_image(&request, &mut image, &mut |_| {}) {
        Ok(built) => built,
        Err(source) => {
            remove(&args.out)?;
            return Err(failed(source));
        }
    };
    image.flush()?;
    out.done(&format!("built {} of {}", args.out.display(), built.len))
}

fn init(args: &ImageBuildArgs) -> Result<InitPath, Failure> {
    match &args.init {
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

/// Half an image is worse than none: it could be flashed.
#[expect(clippy::disallowed_methods, reason = "an output of this command, not a file of a board")]
fn remove(path: &Path) -> Result<(), Failure> {
    std::fs::remove_file(path).map_err(|source| Failure::Io {
        act: "remove",
        path: path.to_owned(),
        source,
    })
}
