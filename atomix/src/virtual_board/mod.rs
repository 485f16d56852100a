// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board in a directory: what stands in for the hardware on a laptop.
//!
//! ```text
//! DIR/emmc.img   the eMMC, sparse, as large as the real one
//! DIR/spi.img    the NOR flash: environment copies and flight recorder
//! DIR/root/      what the running system sees: /etc, /data, /proc/cmdline
//! ```
//!
//! Nothing of the chain is imitated but the parts below it: the devices ([`devices`]), the
//! firmware's run of the selector ([`firmware`]) and the services of the running system
//! ([`system`]). Everything else is the code that a board runs.

mod boot;
pub mod devices;
pub mod firmware;
mod slot_content;
pub mod system;

pub use boot::{BootOutcome, Ending, PowerOn, Stage};
pub use slot_content::{SlotLoad, boot_partition_starts};

use crate::context::{Context, Machine, Now};
use crate::failure::Failure;
use board_rock64::Board;
use devices::{BoardDevices, Medium};
use std::io;
use std::path::{Path, PathBuf};
use storage::{
    Access, ByteLen, CutPlan, FileStorage, Journal, NorFlash, PowerCut, Recording, Shared, Storage,
    StorageError,
};

/// The eMMC module that the Rock64 is sold with.
pub const DISK_BYTES: ByteLen = ByteLen::mib(16 * 1000);

/// Bytes of one write while new flash is filled.
const FILL_BYTES: u64 = 1024 * 1024;

const DISK_FILE: &str = "emmc.img";
const FLASH_FILE: &str = "spi.img";
const ROOT_DIR: &str = "root";

/// A board in a directory.
#[derive(Clone, Debug)]
pub struct VirtualBoard {
    dir: PathBuf,
    board: &'static Board,
}

impl VirtualBoard {
    /// Makes a board as it leaves the factory: a blank disk, blank flash, no system.
    ///
    /// # Errors
    /// [`Failure::Io`] or [`Failure::Storage`], also when the directory holds a board already.
    pub fn create(dir: &Path, board: &'static Board) -> Result<Self, Failure> {
        let root = dir.join(ROOT_DIR);
        std::fs::create_dir_all(&root).map_err(|source| Failure::Io {
            act: "make",
            path: root.clone(),
            source,
        })?;
        FileStorage::create_sparse(&dir.join(DISK_FILE), DISK_BYTES)?;
        let mut flash = FileStorage::create_sparse(&dir.join(FLASH_FILE), board.flash.size)?;
        let mut at = 0;
        while at < board.flash.size.get() {
            let len = FILL_BYTES.min(board.flash.size.get() - at);
            flash.erase(at, len)?;
            at += len;
        }
        flash.flush()?;
        Self::open(dir)
    }

    /// Opens the board kept in `dir`.
    ///
    /// # Errors
    /// [`Failure::Usage`] when there is none.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        let dir = std::path::absolute(dir).map_err(|source| Failure::Io {
            act: "find",
            path: dir.to_owned(),
            source,
        })?;
        for part in [DISK_FILE, FLASH_FILE, ROOT_DIR] {
            let path = dir.join(part);
            let is_there = path.try_exists().map_err(|source| Failure::Io {
                act: "look at",
                path: path.clone(),
                source,
            })?;
            if !is_there {
                return Err(Failure::Usage {
                    what: format!("{} is no virtual board: {part} is missing", dir.display()),
                    hint: "make one with `atomix demo --keep DIR`",
                });
            }
        }
        Ok(Self { dir, board: &board_rock64::ROCK64 })
    }

    /// Which board it stands for.
    #[must_use]
    pub const fn board(&self) -> &'static Board {
        self.board
    }

    /// What the running system sees as `/`.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join(ROOT_DIR)
    }

    /// The files that are its disk and its flash.
    #[must_use]
    pub fn media(&self) -> [PathBuf; 2] {
        [DISK_FILE, FLASH_FILE].map(|name| self.dir.join(name))
    }

    /// The running system.
    ///
    /// # Errors
    /// [`Failure::Storage`].
    pub fn context(&self, now: Now) -> Result<Context, Failure> {
        self.context_through(now, |device| device)
    }

    /// The running system on a power supply that may fail, for disk and flash at once.
    ///
    /// # Errors
    /// [`Failure::Storage`].
    pub fn context_on(&self, now: Now, power: &CutPlan) -> Result<Context, Failure> {
        self.context_through(now, |device| Box::new(PowerCut::new(device, power)))
    }

    /// The running system with every write to disk and flash noted in `journal`.
    ///
    /// # Errors
    /// [`Failure::Storage`].
    pub fn context_noting(&self, now: Now, journal: &Journal) -> Result<Context, Failure> {
        self.context_through(now, |device| Box::new(Recording::new(device, journal.clone())))
    }

    fn context_through(
        &self,
        now: Now,
        wrap: impl Fn(Box<dyn Storage>) -> Box<dyn Storage>,
    ) -> Result<Context, Failure> {
        let [disk, flash] = self.media();
        let (disk_path, flash_path) = (self.board.disk.device, self.board.flash.device);
        let erase_bytes = self.board.flash.erase_bytes;
        let root = self.root();
        let disk = medium(disk, disk_path, |file| wrap(Box::new(file)))?;
        let flash =
            medium(flash, flash_path, |file| wrap(Box::new(NorFlash::new(file, erase_bytes))))?;
        let devices = BoardDevices::new(
            (PathBuf::from(disk_path), disk),
            (PathBuf::from(flash_path), flash),
            &root,
        );
        let mut context = Context::with_devices(&root, Box::new(devices), now);
        context.machine = Machine::Virtual;
        Ok(context)
    }
}

/// Opens what stands in for `device`, for as much as this user may do.
fn medium(
    file: PathBuf,
    device: &str,
    wrap: impl Fn(FileStorage) -> Box<dyn Storage>,
) -> Result<Medium, StorageError> {
    let open = |access| match FileStorage::open_as(&file, device, access) {
        Ok(opened) => Ok(Some(Shared::new(wrap(opened)))),
        Err(StorageError::Open { source, .. })
            if source.kind() == io::ErrorKind::PermissionDenied =>
        {
            Ok(None)
        }
        Err(other) => Err(other),
    };
    if let Some(opened) = open(Access::ReadWrite)? {
        return Ok(Medium::Writable(opened));
    }
    Ok(match open(Access::ReadOnly)? {
        Some(opened) => Medium::Readable(opened, file),
        None => Medium::Closed(file),
    })
}
