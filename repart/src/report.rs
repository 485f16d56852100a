// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tables and plans as JSON: plain numbers and strings, in bytes and sectors, stable names.

use crate::{Change, Content, Format, Partition, PartitionHead, Plan, Table};
use serde::{Serialize, Serializer};

#[derive(Serialize)]
struct TableReport<'a> {
    disk_guid: String,
    sector_bytes: u32,
    size_bytes: u64,
    health: String,
    partitions: Vec<PartitionReport<'a>>,
}

#[derive(Serialize)]
struct PartitionReport<'a> {
    number: u32,
    label: &'a str,
    r#type: String,
    part_uuid: String,
    start_bytes: u64,
    size_bytes: u64,
    blank: bool,
}

#[derive(Serialize)]
struct PlanReport<'a> {
    version: u32,
    table: TableReport<'a>,
    empty: bool,
    writes_table: bool,
    partitions: Vec<PlannedReport<'a>>,
}

#[derive(Serialize)]
struct PlannedReport<'a> {
    change: &'static str,
    definition: Option<&'a str>,
    format: Option<Format>,
    /// Said only of a partition whose content goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'static str>,
    #[serde(flatten)]
    partition: PartitionReport<'a>,
}

fn partition_report(partition: &Partition, sector_bytes: u32) -> PartitionReport<'_> {
    let sector = u64::from(sector_bytes);
    PartitionReport {
        number: partition.number,
        label: &partition.label,
        r#type: partition.type_guid.to_string(),
        part_uuid: partition.part_uuid.to_string(),
        start_bytes: partition.first_lba.0.saturating_mul(sector),
        size_bytes: partition.sectors().saturating_mul(sector),
        blank: partition.head == PartitionHead::Blank,
    }
}

fn table_report(table: &Table) -> TableReport<'_> {
    let each = |partition| partition_report(partition, table.sector_bytes);
    TableReport {
        disk_guid: table.disk_guid.to_string(),
        sector_bytes: table.sector_bytes,
        size_bytes: table.sectors.saturating_mul(u64::from(table.sector_bytes)),
        health: table.health.to_string(),
        partitions: table.partitions.iter().map(each).collect(),
    }
}

impl Serialize for Table {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        table_report(self).serialize(serializer)
    }
}

impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let partitions = self.partitions().iter().map(|planned| PlannedReport {
            change: match planned.change {
                Change::Keep => "keep",
                Change::Grow { .. } => "grow",
                Change::Create => "create",
            },
            definition: planned.file.as_deref(),
            format: planned.format,
            content: match planned.content {
                Content::Keep => None,
                Content::Reset => Some("reset"),
            },
            partition: partition_report(&planned.partition, self.table().sector_bytes),
        });
        PlanReport {
            version: 1,
            table: table_report(self.table()),
            empty: self.is_empty(),
            writes_table: self.writes_table(),
            partitions: partitions.collect(),
        }
        .serialize(serializer)
    }
}
