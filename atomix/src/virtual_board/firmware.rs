// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the firmware of a virtual board do at power-on? It reads the environment, looks at
//! the disk, lets `bootctl::select` choose as the selector script does, saves, and hands the
//! kernel its command line. It knows the board's facts only, nothing of `/etc`.

use super::slot_content::{self, SlotLoad};
use crate::context::Context;
use crate::failure::Failure;
use board_rock64::{Board, Role};
use bootctl::{BootState, FirmwareFacts, PerSlot, Reason, SelectStep, Selection, SlotId, select};
use std::path::Path;
use storage::{Access, Devices, Files, PartUuid, Storage};
use uboot::{Env, EnvError, EnvStore, SELECTOR_VERSION};

/// Runs of the selector before the firmware gives up: no rule lets it reset more often.
const MAX_RESETS: usize = 16;

/// Where the kernel shows its command line.
pub(crate) const CMDLINE_PATH: &str = "/proc/cmdline";

/// What came of a power-on.
#[derive(Clone, Debug)]
pub struct FirmwareRun {
    /// The last selection; the ones before it ended in a reset.
    pub selection: Selection,
    /// How often a slot did not load and the board reset itself.
    pub resets: usize,
    /// Simulated seconds spent waiting.
    pub waited_secs: u64,
    /// What the boot partitions hold.
    pub loads: PerSlot<SlotLoad>,
}

/// Powers the board on, up to the start of a kernel. `None` in the selection means recovery.
///
/// # Errors
/// [`Failure`] when disk or flash cannot be read, which on a board would end in recovery too.
pub fn power_on(context: &mut Context, board: &Board) -> Result<FirmwareRun, Failure> {
    let mut waited_secs = 0;
    for resets in 0..MAX_RESETS {
        let loads = PerSlot {
            a: slot_content::load(&*context.devices, board, SlotId::A)?,
            b: slot_content::load(&*context.devices, board, SlotId::B)?,
        };
        let selection = run_selector(context, board, &loads)?;
        waited_secs += paused(&selection);
        let reset = selection.boots.is_none() && selection.reason == Reason::LoadFailed;
        if !reset {
            if let Some(slot) = selection.boots {
                let line = command_line(board, slot, selection.reason);
                context.files.replace(Path::new(CMDLINE_PATH), line.as_bytes())?;
            }
            return Ok(FirmwareRun { selection, resets, waited_secs, loads });
        }
    }
    Err(Failure::Claim { claim: "the firmware comes to an end".to_owned() })
}

fn run_selector(
    context: &Context,
    board: &Board,
    loads: &PerSlot<SlotLoad>,
) -> Result<Selection, Failure> {
    let mut store = env_store(&*context.devices, board)?;
    let (stored, mut env) = match store.load() {
        Ok(loaded) => (BootState::from_env(&loaded.env).ok(), loaded.env),
        // What U-Boot does: the built-in defaults take the place of what is lost.
        Err(EnvError::Lost { .. } | EnvError::BothCorrupt { .. }) => (None, default_env(board)?),
        Err(other) => return Err(other.into()),
    };
    let facts = FirmwareFacts {
        disk: disk_identity(&*context.devices, board)?,
        save_works: true,
        loads: PerSlot { a: loads.a.starts(), b: loads.b.starts() },
    };
    let selection = select(stored.as_ref(), &facts);
    if !selection.save {
        return Ok(selection);
    }
    selection.write_to(&mut env)?;
    match store.store_as_firmware(&env) {
        Ok(()) => Ok(selection),
        // The selector chooses again, knowing that it cannot count.
        Err(_) => Ok(select(stored.as_ref(), &FirmwareFacts { save_works: false, ..facts })),
    }
}

/// The environment in flash, at the place built into U-Boot.
fn env_store(devices: &dyn Devices, board: &Board) -> Result<EnvStore<Box<dyn Storage>>, Failure> {
    let mut copies = Vec::new();
    for place in board.fw_env_config().copies {
        copies.push((devices.open(&place.device, Access::ReadWrite)?, place));
    }
    Ok(EnvStore::open(copies)?)
}

/// The environment built into U-Boot.
fn default_env(board: &Board) -> Result<Env, Failure> {
    let mut env = Env::new();
    for line in board.selector().lines() {
        if let Some((name, value)) = line.split_once('=') {
            env.set(name, value)?;
        }
    }
    Ok(env)
}

/// The partition identity that binds environment and disk; none before the first boot.
fn disk_identity(devices: &dyn Devices, board: &Board) -> Result<Option<PartUuid>, Failure> {
    let disk = Path::new(board.disk.device);
    let device = devices.open(disk, Access::ReadOnly)?;
    let table = repart::read_table(&device)
        .map_err(|source| atomix_repart::Failure::Table { disk: disk.to_owned(), source })?;
    let label = board.partition(Role::Boot(SlotId::B)).map(|partition| partition.label);
    let found = table.partitions.iter().find(|partition| Some(partition.label.as_str()) == label);
    Ok(found.map(|partition| partition.part_uuid))
}

fn command_line(board: &Board, slot: SlotId, reason: Reason) -> String {
    format!(
        "{} gpt panic=10 rauc.slot={} atomix.reason={reason} atomix.selector={SELECTOR_VERSION}\n",
        board.kernel_args,
        slot.boot_name(),
    )
}

fn paused(selection: &Selection) -> u64 {
    let secs = |step: &SelectStep| {
        if let SelectStep::Paused { secs } = step { u64::from(*secs) } else { 0 }
    };
    selection.steps.iter().map(secs).sum()
}
