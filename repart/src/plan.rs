// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has to change so that the disk has the wanted partitions? Pure: table and definitions in,
//! plan out.
//!
//! Definitions and partitions are matched by type in order, as systemd-repart does; the number
//! and the label must agree too, because the boot script addresses partitions by number. New
//! partitions go behind the last one, starts and sizes in whole MiB. Nothing that exists moves or
//! shrinks; only the last partition may grow. Free space between partitions is left alone.

use crate::share::{Claim, share};
use crate::{Definition, Format, Partition, PartitionHead, Table, TableHealth, TypeGuid};
use std::collections::BTreeSet;
use storage::{ByteLen, Lba, PartUuid};
use uuid::Uuid;

/// Starts and sizes of new partitions are multiples of this: erase blocks of any eMMC divide it.
pub(crate) const ALIGN_BYTES: u64 = 1024 * 1024;

/// What a plan needs to know beside table and definitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanOptions {
    /// New identities are derived from this (UUID version 5): random bytes on a device, fixed
    /// ones for a reproducible image.
    pub seed: [u8; 16],
    /// Everything below belongs to the bootloader and is never written.
    pub protected_end: ByteLen,
}

/// What happens to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    Keep,
    /// It gets longer; its start stays.
    Grow {
        /// Its last sector until now.
        from: Lba,
    },
    /// It is new.
    Create,
}

/// One partition of the planned table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The partition as it will be.
    pub partition: Partition,
    /// The definition's file; `None` for a partition that no definition names.
    pub file: Option<String>,
    /// What happens to it.
    pub change: Change,
    /// File system to make in it.
    pub format: Option<Format>,
    /// What happens to what it holds.
    pub content: Content,
}

/// What happens to what a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It stays; a file system is made only where there is none.
    Keep,
    /// Its head is zeroed before the file system is made: somebody asked for an empty one.
    Reset,
}

/// What has to be done. Made by [`plan()`] only, so it fits the table it was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    table: Table,
    partitions: Vec<Planned>,
    protected_end: ByteLen,
}

/// Why no plan can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Two partitions share sectors.
    #[error("partitions {first} and {second} overlap")]
    Overlap {
        /// Number of one.
        first: u32,
        /// Number of the other.
        second: u32,
    },
    /// A partition reaches into the bootloader's area.
    #[error(
        "partition {number} starts at {start}, inside the first {protected}, which belong to the bootloader"
    )]
    InProtectedArea {
        /// Its number.
        number: u32,
        /// Its start.
        start: ByteLen,
        /// Size of the area.
        protected: ByteLen,
    },
    /// A partition that no definition names has the number of a wanted one.
    #[error("partition {number} ({label}) is foreign: {file} wants that number")]
    Foreign {
        /// Its number.
        number: u32,
        /// Its label.
        label: String,
        /// The definition's file.
        file: String,
    },
    /// A partition matches by type and has another number than its definition's place.
    #[error("partition {found} matches {file}, which describes partition {wanted}")]
    NumberMismatch {
        /// Its number.
        found: u32,
        /// The number wanted.
        wanted: u32,
        /// The definition's file.
        file: String,
    },
    /// A partition matches by type and has another label.
    #[error("partition {number} is labelled {found}, {file} wants {wanted}")]
    LabelMismatch {
        /// Its number.
        number: u32,
        /// Its label.
        found: String,
        /// The label wanted.
        wanted: String,
        /// The definition's file.
        file: String,
    },
    /// A wanted partition is missing while a later one exists.
    #[error("partition {missing} ({file}) is missing while partition {present} exists")]
    Hole {
        /// The missing number.
        missing: u32,
        /// The definition's file.
        file: String,
        /// A later number that exists.
        present: u32,
    },
    /// The free space does not suffice.
    #[error("not enough space behind the last partition: {need} needed, {have} free")]
    NoSpace {
        /// Sum of the smallest sizes and paddings.
        need: ByteLen,
        /// Free space.
        have: ByteLen,
    },
    /// More partitions than the table has entries.
    #[error("the table has {entries} entries, {wanted} are wanted")]
    TooMany {
        /// Entries of the table.
        entries: usize,
        /// Partitions wanted.
        wanted: usize,
    },
    /// Two partitions would have one identity.
    #[error("identity {part_uuid} would be used twice")]
    DuplicateIdentity {
        /// The identity.
        part_uuid: PartUuid,
    },
    /// The partition to reset has no definition that says which file system it gets.
    #[error("partition {label} cannot be reset: no definition says which file system it gets")]
    NoReset {
        /// Its label.
        label: String,
    },
    /// A size exceeds what can be computed with.
    #[error("size in {file} exceeds any disk")]
    Absurd {
        /// The definition's file.
        file: String,
    },
}

impl PlanError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoSpace { .. } => {
                Some("use a larger disk, or lower SizeMinBytes in the definitions")
            }
            Self::Foreign { .. }
            | Self::NumberMismatch { .. }
            | Self::LabelMismatch { .. }
            | Self::Hole { .. }
            | Self::Overlap { .. }
            | Self::InProtectedArea { .. } => {
                Some("this disk was not made from this board's image; nothing was changed")
            }
            Self::TooMany { .. } | Self::DuplicateIdentity { .. } | Self::Absurd { .. } => {
                Some("correct the partition definitions")
            }
            Self::NoReset { .. } => {
                Some("give its definition a Format=, or take the request back with --keep-data")
            }
        }
    }
}

impl Plan {
    /// Every partition of the planned table, by number.
    #[must_use]
    pub fn partitions(&self) -> &[Planned] {
        &self.partitions
    }

    /// The table the plan starts from.
    #[must_use]
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The area that belongs to the bootloader.
    #[must_use]
    pub fn protected_end(&self) -> ByteLen {
        self.protected_end
    }

    /// Whether the table on the disk has to be written: it changes, or a copy needs repair.
    #[must_use]
    pub fn writes_table(&self) -> bool {
        self.table.health != TableHealth::Good
            || self.partitions.iter().any(|planned| planned.change != Change::Keep)
    }

    /// Whether nothing has to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.writes_table() && self.partitions.iter().all(|planned| planned.format.is_none())
    }

    /// The partitions to create.
    pub fn created(&self) -> impl Iterator<Item = &Planned> {
        self.partitions.iter().filter(|planned| planned.change == Change::Create)
    }

    /// The same plan, and the partition called `label` gets a new file system, whatever it holds.
    /// Its place in the table and every other partition stay as planned.
    ///
    /// # Errors
    /// [`PlanError::NoReset`].
    pub fn with_reset(
        mut self,
        label: &str,
        definitions: &[Definition],
    ) -> Result<Self, PlanError> {
        let refused = || PlanError::NoReset { label: label.to_owned() };
        let named = |planned: &&mut Planned| planned.partition.label == label;
        let planned = self.partitions.iter_mut().find(named).ok_or_else(refused)?;
        let file = planned.file.as_deref();
        let definition = definitions.iter().find(|one| Some(one.file.as_str()) == file);
        let format = definition.and_then(|definition| definition.format).ok_or_else(refused)?;
        planned.format = Some(format);
        planned.content = Content::Reset;
        Ok(self)
    }

    /// The partition that will carry `label`.
    #[must_use]
    pub fn find(&self, label: &str) -> Option<&Planned> {
        self.partitions.iter().find(|planned| planned.partition.label == label)
    }
}

/// Plans the changes that make `table` satisfy `definitions`.
///
/// # Errors
/// [`PlanError`]; a disk that does not look like the board's is refused, never adapted to.
pub fn plan(
    table: &Table,
    definitions: &[Definition],
    options: &PlanOptions,
) -> Result<Plan, PlanError> {
    check_layout(table, options.protected_end)?;
    let matched = match_definitions(table, definitions)?;
    let mut partitions: Vec<Planned> = table
        .partitions
        .iter()
        .map(|partition| {
            let definition = definitions.get(partition.number.saturating_sub(1) as usize);
            keep(partition, definition.filter(|_| partition.number <= matched))
        })
        .collect();
    let missing = definitions.get(matched as usize..).unwrap_or_default();
    let entries = table.array.0.len() / crate::table::ENTRY_BYTES as usize;
    if definitions.len() > entries {
        return Err(PlanError::TooMany { entries, wanted: definitions.len() });
    }
    let last_defined = (matched as usize).checked_sub(1).and_then(|index| definitions.get(index));
    place(table, &mut partitions, last_defined, missing, options)?;
    let mut seen = BTreeSet::new();
    for planned in &partitions {
        let part_uuid = planned.partition.part_uuid;
        if !seen.insert(part_uuid) && planned.change == Change::Create {
            return Err(PlanError::DuplicateIdentity { part_uuid });
        }
    }
    Ok(Plan { table: table.clone(), partitions, protected_end: options.protected_end })
}

/// Refuses tables that contradict themselves or the bootloader's area.
fn check_layout(table: &Table, protected: ByteLen) -> Result<(), PlanError> {
    let mut by_start: Vec<&Partition> = table.partitions.iter().collect();
    by_start.sort_by_key(|partition| partition.first_lba);
    for (left, right) in by_start.iter().zip(by_start.iter().skip(1)) {
        if right.first_lba <= left.last_lba {
            return Err(PlanError::Overlap { first: left.number, second: right.number });
        }
    }
    match by_start.first() {
        Some(first) if start_bytes(table, first) < protected => Err(PlanError::InProtectedArea {
            number: first.number,
            start: start_bytes(table, first),
            protected,
        }),
        Some(_) | None => Ok(()),
    }
}

fn start_bytes(table: &Table, partition: &Partition) -> ByteLen {
    // Below the disk's size in bytes, so it fits.
    ByteLen::new(partition.first_lba.0.saturating_mul(u64::from(table.sector_bytes)))
}

/// How many leading definitions have their partition. Every other constellation is an error.
fn match_definitions(table: &Table, definitions: &[Definition]) -> Result<u32, PlanError> {
    let mut taken = BTreeSet::new();
    let mut matched = 0;
    let mut hole: Option<(u32, &Definition)> = None;
    for (wanted, definition) in (1_u32..).zip(definitions) {
        let same_type = |partition: &&Partition| {
            partition.type_guid == definition.type_guid && !taken.contains(&partition.number)
        };
        let file = definition.file.clone();
        let Some(found) = table.partitions.iter().find(same_type) else {
            if let Some(foreign) = table.partitions.iter().find(|other| other.number == wanted) {
                let (number, label) = (foreign.number, foreign.label.clone());
                return Err(PlanError::Foreign { number, label, file });
            }
            hole = hole.or(Some((wanted, definition)));
            continue;
        };
        taken.insert(found.number);
        if let Some((missing, definition)) = hole {
            let file = definition.file.clone();
            return Err(PlanError::Hole { missing, file, present: found.number });
        }
        if found.number != wanted {
            return Err(PlanError::NumberMismatch { found: found.number, wanted, file });
        }
        if found.label != definition.label {
            let (found_label, wanted_label) = (found.label.clone(), definition.label.clone());
            let number = found.number;
            return Err(PlanError::LabelMismatch {
                number,
                found: found_label,
                wanted: wanted_label,
                file,
            });
        }
        matched = wanted;
    }
    Ok(matched)
}

fn keep(partition: &Partition, definition: Option<&Definition>) -> Planned {
    // A wiped head means that a cut came between the table and the formatting.
    let blank = partition.head == PartitionHead::Blank;
    Planned {
        partition: partition.clone(),
        file: definition.map(|definition| definition.file.clone()),
        change: Change::Keep,
        format: definition.and_then(|definition| definition.format).filter(|_| blank),
        content: Content::Keep,
    }
}

/// Shares the free tail of the disk among the last partition and the missing ones.
fn place(
    table: &Table,
    partitions: &mut Vec<Planned>,
    last_defined: Option<&Definition>,
    missing: &[Definition],
    options: &PlanOptions,
) -> Result<(), PlanError> {
    let unit = ALIGN_BYTES / u64::from(table.sector_bytes);
    let protected = options.protected_end.get().div_ceil(u64::from(table.sector_bytes));
    let behind = |planned: &Planned| planned.partition.last_lba.0.saturating_add(1);
    let tail_start = partitions.iter().map(behind).max().unwrap_or(0);
    let tail_start = tail_start.max(protected).max(table.first_usable.0).div_ceil(unit);
    let tail_end = table.last_usable.0.saturating_add(1) / unit;
    let free = tail_end.saturating_sub(tail_start);
    // The last partition on the disk grows only when it is the last defined one as well.
    let growing = partitions.iter_mut().max_by_key(|planned| planned.partition.last_lba);
    let growing = growing.filter(|planned| {
        planned.file.is_some() && planned.file == last_defined.map(|wanted| wanted.file.clone())
    });
    let mut claims = Vec::new();
    let mut base = 0;
    if let (Some(planned), Some(definition)) = (&growing, last_defined) {
        base = tail_start.saturating_sub(planned.partition.first_lba.0 / unit);
        claims.push(claim(definition)?.at_least(base));
    }
    let has_growing = claims.len();
    for definition in missing {
        claims.push(claim(definition)?);
    }
    let space = base.saturating_add(free);
    let sizes = share(space, &claims).map_err(|need| {
        // Nothing new and no room to grow is no failure: what exists stays as it is.
        PlanError::NoSpace { need: mib(need.saturating_sub(base)), have: mib(free) }
    });
    let sizes = match sizes {
        Ok(sizes) => sizes,
        Err(_) if missing.is_empty() => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut cursor = tail_start;
    if let (Some(planned), Some(size), Some(claim)) = (growing, sizes.first(), claims.first()) {
        let more = size.saturating_sub(base);
        if more > 0 {
            let from = planned.partition.last_lba;
            cursor = cursor.saturating_add(more);
            planned.partition.last_lba = Lba((cursor * unit).saturating_sub(1));
            planned.change = Change::Grow { from };
        }
        cursor = cursor.saturating_add(claim.padding);
    }
    let new_sizes = sizes.iter().zip(&claims).skip(has_growing);
    for (definition, (size, claim)) in missing.iter().zip(new_sizes) {
        let number = partitions.iter().map(|planned| planned.partition.number).max();
        let number = number.unwrap_or(0).saturating_add(1);
        let end = cursor.saturating_add(*size);
        partitions.push(create(definition, number, (cursor * unit, end * unit), options));
        cursor = end.saturating_add(claim.padding);
    }
    Ok(())
}

fn mib(units: u64) -> ByteLen {
    ByteLen::mib(units)
}

/// A definition's wishes in MiB.
fn claim(definition: &Definition) -> Result<Claim, PlanError> {
    let up = |size: ByteLen| size.get().div_ceil(ALIGN_BYTES);
    let min = up(definition.size_min).max(1);
    let max = definition.size_max.map_or(u64::MAX, |max| max.get() / ALIGN_BYTES).max(min);
    let padding = up(definition.padding_min);
    // So that no sum below can overflow: a disk of 2^44 MiB is beyond any byte offset.
    if min > 1 << 44 || padding > 1 << 44 {
        return Err(PlanError::Absurd { file: definition.file.clone() });
    }
    Ok(Claim { min, max, padding, weight: u64::from(definition.weight) })
}

/// A new partition on the sectors `start .. end`.
fn create(
    definition: &Definition,
    number: u32,
    (start, end): (u64, u64),
    options: &PlanOptions,
) -> Planned {
    let name = format!("partition {number} {}", definition.label);
    let derived = PartUuid(Uuid::new_v5(&Uuid::from_bytes(options.seed), name.as_bytes()));
    Planned {
        partition: Partition {
            number,
            type_guid: TypeGuid(definition.type_guid.0),
            part_uuid: definition.part_uuid.unwrap_or(derived),
            label: definition.label.clone(),
            first_lba: Lba(start),
            last_lba: Lba(end.saturating_sub(1)),
            attributes: 0,
            head: PartitionHead::Blank,
        },
        file: Some(definition.file.clone()),
        change: Change::Create,
        format: definition.format,
        content: Content::Keep,
    }
}
