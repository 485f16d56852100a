// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this the first boot, and what is still to do before it is over?
//!
//! That is a recorded fact: the marker on the data partition, written as the very last step.
//! A missing partition does not mean a first boot, and an existing one does not end it: a cut
//! between any two steps repeats what is left, and the provisioning seed is never skipped.

use crate::{Change, Plan};
use storage::PartUuid;

/// Whether the marker that ends the first boot exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// It exists: the first boot is over.
    Present,
    /// It does not.
    Absent,
    /// Nobody can tell yet: the data partition is not mounted, as always in the initrd's first run.
    OutOfReach,
}

/// To which disk the board's memories outside of it belong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownDisk {
    /// The one that the environment names.
    pub environment: Option<PartUuid>,
    /// The one that the flight recorder remembers.
    pub recorder: Option<PartUuid>,
}

/// One thing to do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstBootStep {
    /// Zero the heads of new partitions.
    WipeHeads,
    /// Commit the environment for a factory-fresh device bound to this disk.
    CommitEnvironment {
        /// Identity of the partition that binds environment and disk.
        disk: PartUuid,
    },
    /// Write the partition table.
    WriteTable,
    /// Make the file systems that are due.
    Format,
    /// Take over the provisioning seed.
    Provision,
    /// Record that the first boot is over and write the marker.
    WriteMarker,
}

/// Which boot this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootKind {
    /// The first, or one that continues it.
    First,
    /// Nobody can tell before the data partition is mounted.
    Untold,
    /// Any later one.
    Later,
}

/// The decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstBoot {
    /// Which boot this is.
    pub kind: BootKind,
    /// What is left to do, in order.
    pub steps: Vec<FirstBootStep>,
}

impl FirstBoot {
    /// Decides from the marker, the plan, the label of the partition that binds environment and
    /// disk, and the disks that are known.
    ///
    /// With the marker out of reach, only a plan that makes the binding partition proves a first
    /// boot: its identity is new, so no environment can know it, and none is lost by a new one.
    /// Where the partition exists, an environment that names another disk may be a lost one of a
    /// later boot, whose second slot is good; it is judged when the marker can be read.
    ///
    /// On a later boot an environment bound to another disk is not touched here: that is a lost
    /// environment, which `bootctl` restores from its recorder. So is one that is lost after data
    /// was made anew, when there is no marker: the recorder remembers this disk then.
    #[must_use]
    pub fn decide(marker: Marker, plan: &Plan, binding_label: &str, known: KnownDisk) -> Self {
        let binding = plan.find(binding_label);
        let disk = binding.map(|planned| planned.partition.part_uuid);
        let is_new = binding.is_some_and(|planned| planned.change == Change::Create);
        let kind = match marker {
            Marker::Present => BootKind::Later,
            Marker::Absent => BootKind::First,
            Marker::OutOfReach if is_new => BootKind::First,
            Marker::OutOfReach => BootKind::Untold,
        };
        // Bound already means committed already: doing it again would undo an attempt that the
        // selector counted. A new identity is known to nobody.
        let bound = known.environment == disk || (!is_new && known.recorder == disk);
        let mut steps = Vec::new();
        if plan.created().next().is_some() {
            steps.push(FirstBootStep::WipeHeads);
        }
        if let (BootKind::First, Some(disk)) = (kind, disk)
            && !bound
        {
            steps.push(FirstBootStep::CommitEnvironment { disk });
        }
        if plan.writes_table() {
            steps.push(FirstBootStep::WriteTable);
        }
        if plan.partitions().iter().any(|planned| planned.format.is_some()) {
            steps.push(FirstBootStep::Format);
        }
        if marker == Marker::Absent {
            steps.extend([FirstBootStep::Provision, FirstBootStep::WriteMarker]);
        }
        Self { kind, steps }
    }
}
