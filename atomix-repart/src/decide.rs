// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to be done? Reads disk, definitions, marker, environment and mount table; the rules
//! are `repart`'s. Writes nothing.

use crate::data::{DataPlace, PROVISIONED_PATH};
use crate::report::describe_step;
use crate::reset::{DiskInFront, Reset, judge_reset};
use crate::{Board, DataHome, Failure, OpenBoot, Request, Settings};
use bootctl::{BootControl, BootState, Reason};
use repart::{
    BootKind, Content, Damage, FirstBoot, FirstBootStep, KnownDisk, Marker, Plan, PlanOptions,
    TableHealth,
};
use std::path::PathBuf;
use storage::{Access, ByteLen, PartUuid, chain};

/// What was found and decided, before anything is done.
pub struct Decision {
    pub(crate) disk: PathBuf,
    pub(crate) settings: Settings,
    pub(crate) plan: Plan,
    pub(crate) first_boot: FirstBoot,
    pub(crate) marker: Marker,
    pub(crate) reset: Reset,
    pub(crate) warnings: Vec<String>,
}

impl Decision {
    /// The plan for the disk.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Which boot this is, and what is left to do in it.
    #[must_use]
    pub const fn first_boot(&self) -> &FirstBoot {
        &self.first_boot
    }

    /// The steps in words.
    pub(crate) fn describe_steps(&self) -> Vec<String> {
        let asked = match &self.reset {
            Reset::Planned => Some(format!("wipe {}: it was asked for", self.data_label())),
            Reset::Refused(why) => Some(format!("take a request back: {why}")),
            Reset::NotRequested | Reset::Waits(_) => None,
        };
        let steps = self.first_boot.steps.iter();
        asked.into_iter().chain(steps.map(|step| describe_step(step, PROVISIONED_PATH))).collect()
    }

    pub(crate) fn data_label(&self) -> &str {
        &self.settings.disk.data_label
    }

    /// What is wrong with a copy of the table, and what happens to it; a repair that is not told
    /// of hides a failing medium. `verb` is "is" or "would be".
    pub(crate) fn table_warning(&self, verb: &str) -> Option<String> {
        let health = &self.plan.table().health;
        let source = match health {
            TableHealth::Good => return None,
            // Every image that was just written to a larger disk looks like this.
            TableHealth::BackupMisplaced { .. } if self.first_boot.kind == BootKind::First => {
                return None;
            }
            TableHealth::PrimaryDamaged(_) => "backup",
            TableHealth::BackupDamaged(_)
            | TableHealth::BackupMisplaced { .. }
            | TableHealth::BackupDiffers => "primary",
        };
        let disk = self.disk.display();
        Some(format!(
            "partition table of {disk}: {health}; it {verb} written again from the {source} copy"
        ))
    }
}

/// Decides what has to be done; new identities are derived from `seed`.
///
/// # Errors
/// [`Failure::Table`], [`Failure::Definitions`], [`Failure::Plan`] and those of the configuration.
pub fn decide<B: OpenBoot>(
    board: &Board<'_>,
    boot: &B,
    request: &Request,
    seed: [u8; 16],
) -> Result<Decision, B::Error> {
    let settings = board.settings()?;
    let own = &settings.disk.device;
    let disk = request.disk.clone().unwrap_or_else(|| own.clone());
    let definitions = repart::read_definitions(board.files, &request.definitions)
        .map_err(Failure::Definitions)?;
    let table = board.table(&disk)?;
    let protected_end = ByteLen::new(settings.disk.protected_bytes);
    let refused = |source| Failure::Plan { disk: disk.clone(), source };
    let mut plan = repart::plan(&table, &definitions, &PlanOptions { seed, protected_end })
        .map_err(refused)?;
    let mut warnings = Vec::new();
    let mut reset = Reset::NotRequested;
    let mut known = KnownDisk::default();
    // Another disk than the board's has neither a first boot nor data to reset.
    let mut marker = Marker::Present;
    let mut is_vouched = false;
    if disk == *own {
        let place = DataPlace::look(board, &settings, &table)?;
        marker = place.marker(board)?;
        let front = DiskInFront::new(&settings.disk, &table);
        let begins = FirstBoot::decide(marker, &plan, &settings.disk.identity_label, known);
        match boot.open(Access::ReadOnly) {
            Ok(mut control) => {
                known = known_disk(&control);
                let vouched = vouched(&control, known.recorder);
                is_vouched = vouched.is_some() && vouched == front.identity;
                // The directory of a virtual board is nothing that could be made anew.
                if board.data == DataHome::Partition {
                    let request = control.data_reset().map_err(Failure::Backend)?;
                    let mounted = place.mounted.as_deref();
                    reset = judge_reset(request, &front, known.environment, mounted);
                }
            }
            // A first boot must know whether the environment is bound already. Later a board with
            // a broken environment still gets its partition table repaired.
            Err(failure) if begins.kind == BootKind::First => return Err(failure),
            Err(failure) => warnings.push(chain(&failure)),
        }
    }
    if let TableHealth::PrimaryDamaged(Damage::Unreadable) = table.health
        && !is_vouched
    {
        let device = board.devices.open(&disk, Access::ReadOnly).map_err(Failure::from)?;
        repart::check_primary_reads(&device)
            .map_err(|source| Failure::Table { disk: disk.clone(), source })?;
        let what =
            format!("the primary partition table of {} reads only sometimes", disk.display());
        return Err(Failure::Refused { what, hint: "try again" }.into());
    }
    if reset == Reset::Planned {
        plan = plan.with_reset(&settings.disk.data_label, &definitions).map_err(refused)?;
    }
    let first_boot = FirstBoot::decide(marker, &plan, &settings.disk.identity_label, known);
    Ok(Decision { disk, settings, plan, first_boot, marker, reset, warnings })
}

/// The disk whose backup table may speak where the primary does not read. The primary may be whole,
/// and read again in a minute; the backup may be of the disk's earlier life, left there by whoever
/// wrote an image over its start. So it is believed, and the primary made anew from it, only where
/// the environment is bound to the disk that it tells of. The recorder, which outlives that as well,
/// is asked only where the environment was lost.
fn vouched(control: &BootControl, recorder: Option<PartUuid>) -> Option<PartUuid> {
    let stored = control.stored();
    let was_lost = *stored == BootState::lost()
        || matches!(stored.reason, Some(Reason::EnvLost | Reason::EnvUnwritable));
    stored.disk.or(recorder.filter(|_| was_lost))
}

fn known_disk(control: &BootControl) -> KnownDisk {
    KnownDisk {
        environment: control.stored().disk,
        recorder: control.recorder_facts().snapshot().and_then(|snapshot| snapshot.disk),
    }
}

impl Decision {
    /// The disk that environment and recorder get bound to, when that is due.
    pub(crate) fn binds(&self) -> Option<PartUuid> {
        self.first_boot.steps.iter().find_map(|step| match step {
            FirstBootStep::CommitEnvironment { disk } => Some(*disk),
            FirstBootStep::WipeHeads
            | FirstBootStep::WriteTable
            | FirstBootStep::Format
            | FirstBootStep::Provision
            | FirstBootStep::WriteMarker => None,
        })
    }

    /// Whether the plan makes data anew because somebody asked for it.
    pub(crate) fn resets_data(&self) -> bool {
        self.plan.partitions().iter().any(|planned| planned.content == Content::Reset)
    }
}
