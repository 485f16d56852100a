// SPDX-License-Identifier: MIT OR Apache-2.0
//! What should this disk look like?
//!
//! Definitions (files) and the table found on the disk go into [`plan()`], which is pure; [`apply()`]
//! does the plan in an order that a power cut at any write cannot turn into an unreadable table.
//! The crate never writes below the protected end that its caller names (the bootloader's gap),
//! never discards, never moves or shrinks a partition, and knows no board.

mod definition;
mod plan;
mod share;
mod table;
mod type_guid;
mod window;

pub use definition::{
    Definition, DefinitionError, Format, ReadDefinitionsError, parse_definition, read_definitions,
};
pub use plan::{Change, Plan, PlanError, PlanOptions, Planned, plan};
pub use table::{
    Damage, MbrKind, Partition, PartitionHead, Table, TableError, TableHealth, read_table,
};
pub use type_guid::{ParseTypeGuidError, TypeGuid};
