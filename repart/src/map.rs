// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the disk look like to a person? A bar and a list, for any width.
//!
//! Fill characters: `#` the bootloader's area, `=` as it is, `+` new or grown, `.` free.
//! Widths follow sizes only roughly: on a 16 GB disk a boot partition would otherwise vanish.

use crate::{Change, Plan, Table};
use storage::ByteLen;

/// Narrowest useful map.
const MIN_WIDTH: usize = 40;
/// Narrowest cell of the bar: a number and a bit of fill.
const MIN_CELL: usize = 4;

/// One stretch of the disk.
struct Stretch {
    start: u64,
    end: u64,
    name: String,
    fill: char,
    line: Option<String>,
}

impl Table {
    /// The table as text, at most `width` columns wide.
    #[must_use]
    pub fn render_map(&self, protected_end: ByteLen, width: usize) -> String {
        let parts =
            self.partitions.iter().map(|partition| stretch(self, partition, '=', String::new()));
        render(self, protected_end, parts.collect(), width)
    }
}

impl Plan {
    /// The planned table as text, at most `width` columns wide.
    #[must_use]
    pub fn render_map(&self, width: usize) -> String {
        let parts = self.partitions().iter().map(|planned| {
            let (fill, change) = match planned.change {
                Change::Keep => ('=', ""),
                Change::Grow { .. } => ('+', "grow"),
                Change::Create => ('+', "new"),
            };
            let format = planned.format.map(|format| format!("format {}", format.name()));
            let words = [change.to_owned(), format.unwrap_or_default()];
            let words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
            stretch(self.table(), &planned.partition, fill, words.join(", "))
        });
        render(self.table(), self.protected_end(), parts.collect(), width)
    }
}

fn stretch(table: &Table, partition: &crate::Partition, fill: char, note: String) -> Stretch {
    let sector = u64::from(table.sector_bytes);
    let start = partition.first_lba.0.saturating_mul(sector);
    let size = partition.sectors().saturating_mul(sector);
    // Labels come from the disk: no control character reaches a terminal.
    let label: String = partition.label.chars().filter(|c| !c.is_control()).collect();
    let line = format!(
        "{:>3} {:<12} {:<14} {:>10} at {:>10}  {note}",
        partition.number,
        label,
        partition.type_guid.to_string().chars().take(14).collect::<String>(),
        ByteLen::new(size).to_string(),
        ByteLen::new(start).to_string(),
    );
    let name = format!("{} {label}", partition.number);
    Stretch { start, end: start.saturating_add(size), name, fill, line: Some(line) }
}

fn render(table: &Table, protected: ByteLen, mut parts: Vec<Stretch>, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let size = table.sectors.saturating_mul(u64::from(table.sector_bytes));
    parts.sort_by_key(|part| part.start);
    let whole = fill_gaps(parts, protected.get(), size);
    let mut text = String::new();
    let mut add = |line: &str| {
        text.extend(line.trim_end().chars().take(width));
        text.push('\n');
    };
    add(&format!("GPT on {}, {}", ByteLen::new(size), table.health));
    add(&bar(&whole, width));
    for line in whole.iter().filter_map(|part| part.line.as_deref()) {
        add(line);
    }
    text
}

/// Adds the bootloader's area and the free stretches of a MiB or more.
fn fill_gaps(parts: Vec<Stretch>, protected: u64, size: u64) -> Vec<Stretch> {
    let mut whole = Vec::new();
    let free = |start, end| Stretch { start, end, name: "free".to_owned(), fill: '.', line: None };
    let mut at = 0;
    if protected > 0 {
        let name = "bootloader".to_owned();
        whole.push(Stretch { start: 0, end: protected, name, fill: '#', line: None });
        at = protected;
    }
    for part in parts {
        if part.start.saturating_sub(at) > crate::plan::ALIGN_BYTES {
            whole.push(free(at, part.start));
        }
        at = part.end;
        whole.push(part);
    }
    if size.saturating_sub(at) > 2 * crate::plan::ALIGN_BYTES {
        whole.push(free(at, size));
    }
    whole
}

/// `|##|1 boot-a==|…|`; every cell gets its name if all fit, the rest goes by the root of the size.
fn bar(parts: &[Stretch], width: usize) -> String {
    let borders = parts.len().saturating_add(1);
    let room = width.saturating_sub(borders);
    let named = |part: &Stretch| part.name.chars().count().saturating_add(1).max(MIN_CELL);
    let fits = parts.iter().map(named).sum::<usize>() <= room;
    let least = |part: &Stretch| if fits { named(part) } else { MIN_CELL };
    let spare = room.saturating_sub(parts.iter().map(least).sum()) as u64;
    let weight = |part: &Stretch| part.end.saturating_sub(part.start).isqrt().max(1);
    let total: u64 = parts.iter().map(weight).sum::<u64>().max(1);
    let mut text = String::from("|");
    let mut given = 0;
    let mut seen = 0;
    for part in parts {
        // By running sums, so that rounding never accumulates and the bar ends at the width.
        seen += u128::from(weight(part));
        let until = u64::try_from(u128::from(spare) * seen / u128::from(total)).unwrap_or(spare);
        let cell = least(part) + usize::try_from(until - given).unwrap_or(0);
        given = until;
        let shown: String = part.name.chars().take(cell).collect();
        let fill = cell.saturating_sub(shown.chars().count());
        text.push_str(&shown);
        text.extend(std::iter::repeat_n(part.fill, fill));
        text.push('|');
    }
    text
}
