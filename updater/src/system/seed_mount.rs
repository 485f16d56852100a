// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where is the tree of the running slot, as a seed for another tree? Where somebody mounted it, or
//! mounted here, read-only, for as long as it is read. Nothing is written into it, also not its
//! journal: what is read is hashed, and what is torn is fetched.

use super::program::judge_program;
use super::{BoxedError, ImageRequest};
use crate::slot_handlers::{Machine, ProgramCall, is_mountable};
use crate::{Slot, SlotType};
use std::path::{Path, PathBuf};
use storage::chain;

/// A tree that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SeedPlace {
    /// Somebody else mounted it.
    Found(PathBuf),
    /// It was mounted here, and is unmounted by [`unmount_seed`].
    Mounted(PathBuf),
}

impl SeedPlace {
    pub fn path(&self) -> &Path {
        match self {
            Self::Found(place) | Self::Mounted(place) => place,
        }
    }
}

/// Makes the tree of the running slot readable; the failure is a line for the log.
pub(super) fn mount_seed(
    request: &ImageRequest<'_>,
    machine: &mut dyn Machine,
) -> Result<SeedPlace, String> {
    let class = &request.image.class;
    let slot = request.running.ok_or(format!("No casync seed slot available for {class}"))?;
    let unusable = |why: &str| format!("Cannot use {} as seed: {why}", slot.name);
    let own = request.config.system.mountprefix.join(format!("seed-{}", slot.name));
    let found = machine.devices().mounted_at(&slot.device);
    match found.map_err(|error| unusable(&chain(&error)))? {
        // What an install left that was killed.
        Some(place) if place == own => Ok(SeedPlace::Mounted(place)),
        Some(place) => Ok(SeedPlace::Found(place)),
        None if !is_mountable(slot.slot_type) => {
            let slot_type = slot.slot_type;
            Err(unusable(&format!("it is not mounted, and slots of type {slot_type} cannot be")))
        }
        None => match mount(slot, &own, machine) {
            Ok(()) => Ok(SeedPlace::Mounted(own)),
            Err(error) => Err(unusable(&chain(&*error))),
        },
    }
}

fn mount(slot: &Slot, place: &Path, machine: &mut dyn Machine) -> Result<(), BoxedError> {
    machine.make_dir(place)?;
    // An ext4 that was not unmounted would be repaired by mounting it, also read-only.
    let mut options = if slot.slot_type == SlotType::Ext4 { vec!["ro,noload"] } else { vec!["ro"] };
    options.extend(slot.extra_mount_opts.as_deref());
    let call = ProgramCall::new("mount").arg("-t").arg(slot.slot_type.name());
    let call = call.arg("-o").arg(options.join(",")).arg(&slot.device).arg(place);
    let mounted = judge_program("mount", machine.run(call, &|| None));
    if mounted.is_err() {
        machine.remove_dir(place);
    }
    Ok(mounted?)
}

/// Takes back what [`mount_seed`] mounted.
pub(super) fn unmount_seed(place: &Path, machine: &mut dyn Machine) -> Result<(), BoxedError> {
    let call = ProgramCall::new("umount").arg(place);
    judge_program("umount", machine.run(call, &|| None))?;
    machine.remove_dir(place);
    Ok(())
}
