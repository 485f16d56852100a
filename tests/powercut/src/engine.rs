// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's engine ([`updater::system::System`]) on a board: its parts, as the program under the name
//! `rauc` puts them together.

use crate::board::{Board, now};
use crate::linux::control;
use crate::shared_files::SharedFiles;
use crate::systems::{SignedBundle, has_seal};
use anyhow::Result;
use bootctl::named::{AtomixBoard, AtomixNamed, BoardCause, NamedBoot};
use bootctl::{BootControl, SlotId};
use std::collections::BTreeSet;
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen, Devices, StorageError};
use updater::event_log::EventLog;
use updater::system::{
    BundleSources, InstallRequest, OpeningFacts, OwnedInstaller, SealedInstall, Steps,
    Surroundings, System, SystemParts,
};
use updater::{
    BootHalf, BootedGroup, Machine, MachineError, ProgramCall, ProgramEnd, ProgramError,
    Protection, Spooled, StopQuestion, SystemConfig,
};

/// Who writes the slots of a board with our own boot protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seals {
    /// The engine that keeps their seals.
    Kept,
    /// RAUC's own sequence; only a mistake does that.
    Bypassed,
}

/// The engine as a process has it that was just started in slot `booted`.
pub fn start(
    (board, files): (&Board, &SharedFiles),
    conf: &str,
    booted: SlotId,
    boot: Box<dyn NamedBoot>,
    sealed: Option<Box<dyn SealedInstall>>,
) -> Result<System> {
    let config_path = PathBuf::from("/etc/rauc/system.conf");
    let parts = SystemParts {
        files: Box::new(files.clone()),
        machine: Box::new(DevicesAlone(board.twin())),
        boot,
        surroundings: Surroundings {
            config_path,
            cmdline: Some(format!("rauc.slot={}", booted.boot_name())),
            override_boot_slot: None,
            runtime_dir: board.root().join("run"),
            // The board's own lock is held all the time.
            lock_root: board.root().join("engine"),
            pid: std::process::id(),
            boot_id: None,
            inherited: BTreeSet::new(),
        },
        clock: Box::new(now),
        ids: Box::new(|| Ok("9a3c".to_owned())),
        sealed,
        sources: Box::new(BundleSources),
        log: EventLog::nowhere(),
    };
    let config = SystemConfig::parse(conf, Path::new("/etc/rauc"))?;
    Ok(System::start(config, parts, &mut |_| {}, &|| None)?)
}

/// The engine on a board with our own boot protocol.
pub fn start_ours(
    (board, files): (&Board, &SharedFiles),
    conf: &str,
    booted: SlotId,
    seals: Seals,
) -> Result<System> {
    let boot = AtomixNamed::new(Box::new(Ours { board: board.twin(), booted }));
    let sealed: Option<Box<dyn SealedInstall>> = match seals {
        Seals::Bypassed => None,
        Seals::Kept => Some(Box::new(OwnedInstaller {
            devices: Box::new(board.twin()),
            files: Box::new(files.clone()),
            backend: board.backend()?,
            recorder: Some(board.recorder()?),
            booted: BootedGroup::Slot(booted),
            reason: None,
            version_floor: None,
        })),
    };
    start((board, files), conf, booted, Box::new(boot), sealed)
}

/// Installs a bundle.
pub fn install(system: &mut System, bundle: &SignedBundle) -> Result<()> {
    let request = InstallRequest::default();
    let mut open = |_: &OpeningFacts, _: &mut Steps<'_>, _: StopQuestion<'_>| Ok(bundle.verify()?);
    system.install(&request, &mut open, &mut |_| {}, &|| None)?;
    Ok(())
}

/// The boot state of a board with our own protocol.
struct Ours {
    board: Board,
    booted: SlotId,
}

impl AtomixBoard for Ours {
    fn open(&mut self, _: Access) -> Result<BootControl, BoardCause> {
        Ok(control(&self.board, self.booted)?)
    }

    fn require_seal(&mut self, slot: SlotId) -> Result<(), BoardCause> {
        let device = format!("/dev/boot-{}", slot.boot_name().to_lowercase());
        if has_seal(self.board.medium(&device)) { Ok(()) } else { Err("no seal".into()) }
    }
}

/// A machine with devices and without programs: raw slots need none.
struct DevicesAlone(Board);

fn none(act: &'static str, path: &Path) -> MachineError {
    MachineError { act, path: path.to_owned(), source: ErrorKind::Unsupported.into() }
}

fn absent(device: &Path) -> StorageError {
    StorageError::Absent { label: device.display().to_string() }
}

impl Machine for DevicesAlone {
    fn run(
        &mut self,
        call: ProgramCall<'_>,
        _: StopQuestion<'_>,
    ) -> Result<ProgramEnd, ProgramError> {
        let source = Error::from(ErrorKind::NotFound);
        Err(ProgramError::Start { program: call.name(), source })
    }

    fn devices(&self) -> &dyn Devices {
        &self.0
    }

    fn make_dir(&mut self, _: &Path) -> Result<(), MachineError> {
        Ok(())
    }

    fn remove_dir(&mut self, _: &Path) {}

    fn real_path(&self, device: &Path) -> Result<PathBuf, MachineError> {
        Ok(device.to_owned())
    }

    fn grow_file(&mut self, _: &Path, _: ByteLen) -> Result<(), MachineError> {
        Ok(())
    }

    fn spool(&mut self, _: &mut dyn Read) -> Result<Box<dyn Spooled>, MachineError> {
        Err(none("spool", Path::new("an image")))
    }

    fn replace_volume(
        &mut self,
        device: &Path,
        _: ByteLen,
    ) -> Result<Box<dyn Write>, StorageError> {
        Err(absent(device))
    }

    fn read_volume(&self, device: &Path) -> Result<Box<dyn Read>, StorageError> {
        Err(absent(device))
    }

    fn boot_partition(&self, device: &Path) -> Result<Option<BootHalf>, StorageError> {
        Err(absent(device))
    }

    fn set_boot_partition(&mut self, device: &Path, _: BootHalf) -> Result<(), StorageError> {
        Err(absent(device))
    }

    fn set_force_ro(&mut self, device: &Path, _: Protection) -> Result<(), MachineError> {
        Err(none("protect", device))
    }
}
