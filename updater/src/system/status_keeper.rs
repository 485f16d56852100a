// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is the status of slots kept, and what is known of it now?
//!
//! Central: one file, read before each change and each look, because other programs write it too;
//! a broken one is put aside, one that cannot be read is never overwritten. Per slot: `slot.raucs` in the
//! slot's file system, read by mounting it, and written while it is mounted for that; slots
//! without a file system have none. What was learned is kept in memory, so that a status query
//! during an install mounts nothing.

use super::BoxedError;
use super::program::judge_program;
use super::progress::Steps;
use crate::slot_handlers::{Machine, ProgramCall, is_mountable};
use crate::status_store::{CentralStatus, load_central, status_path, store_central};
use crate::{Slot, SlotName, SlotStatus, SlotStatusFile, StatusPlace, SystemConfig};
use std::collections::BTreeMap;
use std::path::Path;
use storage::{ByteLen, Files, FilesError, chain};

/// The file inside a slot.
pub(super) const LOCAL_FILE: &str = "slot.raucs";
/// Larger than any status of a slot.
const MAX_LOCAL: ByteLen = ByteLen::kib(64);

/// Whether the board's slots are sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sealed {
    Yes,
    No,
}

pub(super) struct StatusKeeper {
    place: StatusPlace,
    sealed: Sealed,
    known: BTreeMap<SlotName, SlotStatus>,
    boot_id: Option<String>,
    /// Central: the file could not be read, and so is not written.
    unreadable: bool,
}

impl StatusKeeper {
    /// Reads the central file; with a file per slot nothing is read yet.
    pub fn load(
        config: &SystemConfig,
        sealed: Sealed,
        files: &mut dyn Files,
        steps: &mut Steps<'_>,
    ) -> Self {
        let place = match sealed {
            // Its engine keeps one status for all, and nothing is written into a sealed slot.
            Sealed::Yes => StatusPlace::Central(status_path(config)),
            Sealed::No => config.system.status.clone(),
        };
        let mut keeper =
            Self { place, sealed, known: BTreeMap::new(), boot_id: None, unreadable: false };
        keeper.reload(files, steps);
        keeper
    }

    /// Reads the central file again: the engine for sealed slots and programs beside this one
    /// write it too. What was known stays when it cannot be read.
    pub fn reload(&mut self, files: &mut dyn Files, steps: &mut Steps<'_>) {
        let StatusPlace::Central(path) = self.place.clone() else { return };
        match self.read_central(&path, files, steps) {
            Ok(status) => {
                self.take(&status.file);
                self.unreadable = false;
            }
            Err(error) => {
                if !self.unreadable {
                    steps.warn(format!("Failed to load system status: {}", chain(&error)));
                }
                self.unreadable = true;
            }
        }
    }

    pub const fn is_central(&self) -> bool {
        matches!(self.place, StatusPlace::Central(_))
    }

    pub fn boot_id(&self) -> Option<&String> {
        self.boot_id.as_ref()
    }

    /// What is known without asking anybody.
    pub fn known(&self, slot: &SlotName) -> SlotStatus {
        self.known.get(slot).cloned().unwrap_or_default()
    }

    /// What is known of a slot; with a file per slot it is read once, from where the slot is
    /// mounted already or by mounting it.
    pub fn slot(
        &mut self,
        config: &SystemConfig,
        slot: &Slot,
        mounted: Option<&Path>,
        (files, machine): (&dyn Files, &mut dyn Machine),
        steps: &mut Steps<'_>,
    ) -> SlotStatus {
        let is_known = self.is_central() || self.known.contains_key(&slot.name);
        if !is_known && is_mountable(slot.slot_type) {
            let status =
                read_local(config, slot, mounted, (files, machine)).unwrap_or_else(|why| {
                    steps.note(format!("Failed to load status of slot {}: {why}", slot.name));
                    SlotStatus::default()
                });
            self.known.insert(slot.name.clone(), status);
        }
        self.known(&slot.name)
    }

    /// A status inside the slot is read anew when it is asked for next.
    pub fn forget_local(&mut self, slot: &SlotName) {
        if !self.is_central() {
            self.known.remove(slot);
        }
    }

    /// Changes what is known of a slot, and the central file; a file in the slot is written by
    /// who has it mounted, from what [`StatusKeeper::known`] gives.
    ///
    /// # Errors
    /// [`FilesError`]; what is known has changed all the same.
    pub fn change(
        &mut self,
        slot: &SlotName,
        files: &mut dyn Files,
        steps: &mut Steps<'_>,
        change: &dyn Fn(&mut SlotStatus),
    ) -> Result<(), FilesError> {
        let mut next = self.known(slot);
        change(&mut next);
        let stored =
            self.store(files, steps, &|file| change(file.slots.entry(slot.clone()).or_default()));
        if stored.is_err() || !self.is_central() {
            self.known.insert(slot.clone(), next);
        }
        stored
    }

    /// Notes which boot this is.
    pub fn set_boot_id(
        &mut self,
        boot_id: &str,
        files: &mut dyn Files,
        steps: &mut Steps<'_>,
    ) -> Result<(), FilesError> {
        self.boot_id = Some(boot_id.to_owned());
        self.store(files, steps, &|file| file.set_system("boot-id", boot_id))
    }

    /// Changes the central file and takes over what it says.
    fn store(
        &mut self,
        files: &mut dyn Files,
        steps: &mut Steps<'_>,
        change: &dyn Fn(&mut SlotStatusFile),
    ) -> Result<(), FilesError> {
        let StatusPlace::Central(path) = self.place.clone() else { return Ok(()) };
        // One that cannot be read is left alone.
        let mut status = self.read_central(&path, files, steps)?;
        self.unreadable = false;
        change(&mut status.file);
        self.take(&status.file);
        match self.sealed {
            Sealed::Yes => store_central(files, &path, &status, &mut |text| steps.warn(text)),
            Sealed::No => status.file.store(files, &path),
        }
    }

    /// On a board with sealed slots an install goes on without its place for the status, and what
    /// it kept elsewhere counts.
    fn read_central(
        &self,
        path: &Path,
        files: &mut dyn Files,
        steps: &mut Steps<'_>,
    ) -> Result<CentralStatus, FilesError> {
        let mut status = match self.sealed {
            Sealed::Yes => load_central(files, path)?,
            Sealed::No => CentralStatus::load(files, path)?,
        };
        status.troubles.drain(..).for_each(|trouble| steps.warn(trouble));
        Ok(status)
    }

    fn take(&mut self, file: &SlotStatusFile) {
        self.known.clone_from(&file.slots);
        self.boot_id = file.system("boot-id").map(str::to_owned);
    }
}

fn read_local(
    config: &SystemConfig,
    slot: &Slot,
    mounted: Option<&Path>,
    (files, machine): (&dyn Files, &mut dyn Machine),
) -> Result<SlotStatus, BoxedError> {
    let read = |dir: &Path| -> Result<SlotStatus, BoxedError> {
        match files.read(&dir.join(LOCAL_FILE), MAX_LOCAL)? {
            Some(bytes) => Ok(SlotStatus::parse_local(&bytes)?),
            None => Err(format!("{LOCAL_FILE} does not exist").into()),
        }
    };
    match mounted {
        Some(dir) => read(dir),
        None => mounted_for_status(config, slot, Purpose::Read, machine, &mut |dir| read(dir)),
    }
}

/// What becomes of a slot whose status says what is about to be untrue, and cannot be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unwritable {
    /// It is not written.
    Fails,
    /// It is overwritten anyhow, and until it is whole again nobody can mount it, and so nobody
    /// reads its status.
    LosesItsHead,
}

/// How it comes that a slot does not claim any more to hold what it held.
pub(super) enum Forgotten {
    /// Its status says so.
    Noted,
    /// It has no status any more, and why not.
    Removed(String),
    /// It still does: its head must go before its first byte is written, and why.
    Not(String),
}

/// Writes the status of a slot whose content is about to change.
pub(super) fn forget_in_slot(
    config: &SystemConfig,
    (slot, mounted): (&Slot, Option<&Path>),
    status: &SlotStatus,
    unwritable: Unwritable,
    (files, machine): (&mut dyn Files, &mut dyn Machine),
) -> Result<Forgotten, BoxedError> {
    if let Some(dir) = mounted {
        return replace_or_remove(&dir.join(LOCAL_FILE), status, files);
    }
    let forgotten = mounted_for_status(config, slot, Purpose::Write, machine, &mut |dir| {
        replace_or_remove(&dir.join(LOCAL_FILE), status, files)
    });
    match (forgotten, unwritable) {
        (Err(failed), Unwritable::LosesItsHead) => Ok(Forgotten::Not(chain(&*failed))),
        (forgotten, Unwritable::Fails | Unwritable::LosesItsHead) => forgotten,
    }
}

/// A slot without a status claims nothing, and nothing needs to be free to remove a file.
fn replace_or_remove(
    path: &Path,
    status: &SlotStatus,
    files: &mut dyn Files,
) -> Result<Forgotten, BoxedError> {
    let Err(failed) = files.replace(path, status.encode_local().as_bytes()) else {
        return Ok(Forgotten::Noted);
    };
    match files.remove(path) {
        Ok(()) => Ok(Forgotten::Removed(chain(&failed))),
        // What follows from the first is not told.
        Err(_) => Err(failed.into()),
    }
}

/// Writes the file of a slot whose content stays, by mounting it.
pub(super) fn write_local(
    config: &SystemConfig,
    slot: &Slot,
    status: &SlotStatus,
    (files, machine): (&mut dyn Files, &mut dyn Machine),
) -> Result<(), BoxedError> {
    mounted_for_status(config, slot, Purpose::Write, machine, &mut |dir| {
        Ok(files.replace(&dir.join(LOCAL_FILE), status.encode_local().as_bytes())?)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Read,
    Write,
}

/// Mounts a slot at a place that is used for nothing else, for as long as `act` takes.
fn mounted_for_status<T>(
    config: &SystemConfig,
    slot: &Slot,
    purpose: Purpose,
    machine: &mut dyn Machine,
    act: &mut dyn FnMut(&Path) -> Result<T, BoxedError>,
) -> Result<T, BoxedError> {
    let place = config.system.mountprefix.join(format!("status-{}", slot.name));
    machine.make_dir(&place)?;
    let mut options: Vec<&str> = Vec::new();
    if purpose == Purpose::Read {
        options.push("ro");
    }
    options.extend(slot.extra_mount_opts.as_deref());
    let mut call = ProgramCall::new("mount").arg("-t").arg(slot.slot_type.name());
    if !options.is_empty() {
        call = call.arg("-o").arg(options.join(","));
    }
    let call = call.arg(&slot.device).arg(&place);
    let mounted = judge_program("mount", machine.run(call, &|| None));
    let outcome = match mounted {
        Ok(()) => {
            let outcome = act(&place);
            let umount = ProgramCall::new("umount").arg(&place);
            let unmounted = judge_program("umount", machine.run(umount, &|| None));
            outcome.and_then(|value| unmounted.map(|()| value).map_err(Into::into))
        }
        Err(error) => Err(error.into()),
    };
    machine.remove_dir(&place);
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::STATUS_FALLBACK_PATH;
    use storage::MemoryFiles;

    /// Fails when the service shows what a board with sealed slots held before its last install,
    /// because `/data` could not be written then.
    #[test]
    fn the_service_of_a_sealed_board_reads_what_an_install_kept_elsewhere() {
        let text = "[system]\ncompatible=x\nbootloader=noop\nstatusfile=/data/s\n\
                    [slot.rootfs.0]\ndevice=/dev/a\nbootname=A\n";
        let config = SystemConfig::parse(text, Path::new("/")).unwrap();
        let slot = config.slots.keys().next().unwrap();
        let mut files = MemoryFiles::new();
        for (path, version) in [("/data/s", "1"), (STATUS_FALLBACK_PATH, "2")] {
            let content = format!("[slot.rootfs.0]\nbundle.version={version}\n");
            files.replace(Path::new(path), content.as_bytes()).unwrap();
        }
        let mut version = |sealed| {
            let mut sink = |_| {};
            let keeper =
                StatusKeeper::load(&config, sealed, &mut files, &mut Steps::new(&mut sink));
            keeper.known(slot).version
        };
        assert_eq!(version(Sealed::Yes).as_deref(), Some("2"));
        assert_eq!(version(Sealed::No).as_deref(), Some("1"), "nobody keeps one elsewhere there");
    }
}
