// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was done, for programs; and every step in words, for people.

use repart::{ApplyEvent, FirstBootStep, Formatted, TableCopyName};
use serde::Serialize;

/// What was done.
#[derive(Clone, Debug, Serialize)]
pub struct RepartReport {
    pub(crate) version: u32,
    /// The state of the two copies of the partition table, as they were found.
    pub table_health: String,
    /// Whether there was nothing to do.
    pub nothing_to_do: bool,
    /// Whether this run ended the first boot.
    pub ended_first_boot: bool,
    /// Why the end of the first boot is left to a later run; nothing when it is over.
    pub waits_for: Option<String>,
    /// What became of a request for an empty data partition; nothing when there was none.
    pub data_reset: Option<ResetResult>,
    /// Numbers of the partitions that are new.
    pub created: Vec<u32>,
    /// Labels of the partitions that got a file system.
    pub formatted: Vec<String>,
    /// Numbers of the partitions that the kernel was told of.
    pub told_kernel: Vec<u32>,
    /// Programs that would have made a file system and are not installed.
    pub missing_programs: Vec<String>,
}

/// What became of a request for an empty data partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResetResult {
    /// Data has a new file system, and the request is gone.
    Done,
    /// It is mounted, or nothing can make its file system: the request stays.
    Waits,
    /// It was meant for another disk: data is kept, and the request goes where that can be.
    Refused,
}

pub(crate) fn describe_step(step: &FirstBootStep, marker: &str) -> String {
    match step {
        FirstBootStep::WipeHeads => "wipe the heads of the new partitions".to_owned(),
        FirstBootStep::CommitEnvironment { disk } => {
            format!("commit a fresh boot state for disk {disk}")
        }
        FirstBootStep::WriteTable => "write the partition table, backup first".to_owned(),
        FirstBootStep::Format => "make the file systems that are due".to_owned(),
        FirstBootStep::Provision => "take over the provisioning seed".to_owned(),
        FirstBootStep::WriteMarker => format!("write {marker}"),
    }
}

pub(crate) fn describe_event(event: &ApplyEvent) -> String {
    match event {
        ApplyEvent::HeadWiped { number, label } => {
            format!("partition {number} ({label}): head wiped")
        }
        ApplyEvent::TableWritten { copy: TableCopyName::Backup } => {
            "backup table written and read back".to_owned()
        }
        ApplyEvent::TableWritten { copy: TableCopyName::Primary } => {
            "primary table written and read back".to_owned()
        }
        ApplyEvent::Formatted(made) => match made.result {
            Formatted::Done => {
                format!("partition {} ({}): {} made", made.number, made.label, made.format.name())
            }
            Formatted::ToolMissing(program) => {
                format!("partition {} ({}): {program} is missing", made.number, made.label)
            }
        },
    }
}
