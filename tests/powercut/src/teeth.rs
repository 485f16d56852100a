// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are mistakes found, and by which invariant?

use crate::explore::{Depth, Plan, Tally, explore};
use crate::mutations::{Harm, Mutation, mutations, without};
use crate::recorded::{Recorded, record};
use crate::scenario::Scenario;
use crate::violation::Invariant;
use anyhow::Result;
use std::collections::BTreeMap;
use std::io::Write;
use storage::{Effort, OpKind};

/// What became of a mistake.
pub struct Bite {
    /// The mistake.
    pub what: String,
    /// The operation.
    pub scenario: String,
    /// Images judged.
    pub images: u64,
    /// Bricks by invariant.
    pub bricks: BTreeMap<Invariant, u64>,
    /// What was expected.
    pub harm: Harm,
}

impl Bite {
    /// Whether what was expected came.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.bricks.is_empty() == (self.harm == Harm::None)
    }
}

/// A flush that is left out, and whether that was found.
pub struct FlushLeftOut {
    /// The operation.
    pub scenario: String,
    /// The act.
    pub act: usize,
    /// Its device.
    pub device: String,
    /// Bricks.
    pub bricks: u64,
}

fn plan(mutation: Option<&Mutation>, seed: u64, threads: usize) -> Plan {
    // Mistakes show in the first images; what they are hidden by is not worth a second cut.
    let effort = Effort { subsets_of: 8, samples: 24, tears: 40 };
    Plan {
        depth: Depth { first: effort, second: effort, recoveries: 0, images: 0 },
        seed,
        only: None,
        selector: mutation.map(|mutation| mutation.selector).unwrap_or_default(),
        threads,
    }
}

/// Makes every mistake.
///
/// # Errors
/// When the harness fails.
pub fn bite(seed: u64, threads: usize) -> Result<Vec<Bite>> {
    let mut bites = Vec::new();
    for mutation in mutations()? {
        let scenario = &*mutation.scenario;
        let recorded = record(scenario)?;
        let wrong = recorded.reordered(&(mutation.order)(&recorded.journal.ops()));
        let tally = explore(scenario, &wrong, &plan(Some(&mutation), seed, threads))?;
        bites.push(Bite {
            what: mutation.what.to_owned(),
            scenario: scenario.name().to_owned(),
            images: tally.images,
            bricks: tally.by_invariant,
            harm: mutation.harm,
        });
    }
    Ok(bites)
}

/// Leaves out each flush of an operation, one at a time.
///
/// # Errors
/// When the harness fails.
pub fn without_each_flush(
    scenario: &dyn Scenario,
    seed: u64,
    threads: usize,
) -> Result<Vec<FlushLeftOut>> {
    let recorded: Recorded = record(scenario)?;
    let ops = recorded.journal.ops();
    let flushes = ops.iter().enumerate().filter(|(_, op)| op.kind == OpKind::Flush);
    let mut outcomes = Vec::new();
    for (act, op) in flushes {
        let wrong = recorded.reordered(&without(&ops, |at, _| at == act));
        let tally: Tally = explore(scenario, &wrong, &plan(None, seed, threads))?;
        outcomes.push(FlushLeftOut {
            scenario: scenario.name().to_owned(),
            act,
            device: op.device.to_string(),
            bricks: tally.bricks,
        });
    }
    Ok(outcomes)
}

/// Prints the table; `false` when a mistake was not found, or one was that does no harm.
///
/// # Errors
/// The writer's, or when the harness fails.
pub fn table(out: &mut dyn Write, seed: u64, threads: usize) -> Result<bool> {
    let bites = bite(seed, threads)?;
    writeln!(out, "{:62} {:16} {:>6} {:>7}  found by", "mistake", "operation", "images", "bricks")?;
    for bite in &bites {
        let bricks: u64 = bite.bricks.values().sum();
        let by: Vec<String> =
            bite.bricks.iter().map(|(invariant, count)| format!("{invariant} ({count})")).collect();
        let by = match (by.is_empty(), bite.harm) {
            (true, Harm::None) => "nobody: it does no harm".to_owned(),
            (true, Harm::Bricks) => "NOBODY".to_owned(),
            (false, _) => by.join(", "),
        };
        let Bite { what, scenario, images, .. } = bite;
        writeln!(out, "{what:62} {scenario:16} {images:>6} {bricks:>7}  {by}")?;
    }
    let wrong = bites.iter().filter(|bite| !bite.is_as_expected()).count();
    let harmful = bites.iter().filter(|bite| bite.harm == Harm::Bricks).count();
    writeln!(
        out,
        "teeth: {} mistakes, {} of them harmful, {wrong} not as expected",
        bites.len(),
        harmful
    )?;
    Ok(wrong == 0)
}
