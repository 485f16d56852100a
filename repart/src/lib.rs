// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should this disk look like?
//!
//! Definitions (files) and the table found on the disk go into [`plan()`], which is pure; [`apply()`]
//! does the plan in an order that a power cut at any write cannot turn into an unreadable table.
//! The crate never writes below the protected end that its caller names (the bootloader's gap),
//! never discards, never moves or shrinks a partition, and knows no board.

mod apply;
mod block_cache;
mod create;
mod data_place;
mod definition;
mod encode;
mod fat;
mod fat_time;
mod filesystem;
mod first_boot;
mod kernel;
mod map;
mod mkfs;
mod move_partition;
mod plan;
mod report;
mod share;
#[cfg(target_os = "linux")]
mod sysfs;
mod table;
mod type_guid;
mod window;
mod write;

pub use apply::{Applied, ApplyError, ApplyEvent, BoxedError, Effects, FormatOutcome, apply};
pub use create::{CreateTableError, create_table};
pub use data_place::{NotOnData, find_mount, judge_data_place};
pub use definition::{
    Definition, DefinitionError, Format, ReadDefinitionsError, parse_definition, read_definitions,
};
pub use encode::{NewPartition, TableCopyName};
pub use fat::{FatEntry, FatEntryKind, FatError, FatImage, FatLabel, FatOptions};
pub use fat_time::FatTime;
pub use filesystem::{FilesystemRequest, FormatError, Formatted, HostFilesystems, MakeFilesystem};
pub use first_boot::{BootKind, FirstBoot, FirstBootStep, KnownDisk, Marker};
pub use kernel::{KernelChange, KernelDisk, KernelError, KnownPartition, tell_kernel};
pub use mkfs::MkfsError;
pub use move_partition::{MovePartitionError, move_partition};
pub use plan::{Change, Content, Plan, PlanError, PlanOptions, Planned, plan};
#[cfg(target_os = "linux")]
pub use sysfs::SysfsDisk;
pub use table::{
    Damage, MbrKind, Partition, PartitionHead, Table, TableError, TableHealth, check_primary_reads,
    read_table,
};
pub use type_guid::{ParseTypeGuidError, TypeGuid};
pub use write::WriteTableError;
