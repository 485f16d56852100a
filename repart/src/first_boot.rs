// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this the first boot, and what is still to do before it is over?
//!
//! That is a recorded fact: the marker on the data partition, written as the very last step.
//! A missing partition does not mean a first boot, and an existing one does not end it: a cut
//! between any two steps repeats what is left, and the provisioning seed is never skipped.

use crate::Plan;
use storage::PartUuid;

/// Whether the marker that ends the first boot exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// It exists: the first boot is over.
    Present,
    /// It does not, or the data partition cannot be read yet.
    Absent,
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
    /// disk, and the disk that the environment names.
    ///
    /// On a later boot an environment bound to another disk is not touched here: that is a lost
    /// environment, which `bootctl` restores from its recorder.
    #[must_use]
    pub fn decide(
        marker: Marker,
        plan: &Plan,
        binding_label: &str,
        env_disk: Option<PartUuid>,
    ) -> Self {
        let disk = plan.find(binding_label).map(|planned| planned.partition.part_uuid);
        let mut steps = Vec::new();
        if plan.created().next().is_some() {
            steps.push(FirstBootStep::WipeHeads);
        }
        if let (Marker::Absent, Some(disk)) = (marker, disk)
            && env_disk != Some(disk)
        {
            // Bound already means committed already: doing it again would undo an attempt that
            // the selector counted.
            steps.push(FirstBootStep::CommitEnvironment { disk });
        }
        if plan.writes_table() {
            steps.push(FirstBootStep::WriteTable);
        }
        if plan.partitions().iter().any(|planned| planned.format.is_some()) {
            steps.push(FirstBootStep::Format);
        }
        let kind = match marker {
            Marker::Present => BootKind::Later,
            Marker::Absent => {
                steps.extend([FirstBootStep::Provision, FirstBootStep::WriteMarker]);
                BootKind::First
            }
        };
        Self { kind, steps }
    }
}
