// SPDX-License-Identifier: MIT OR Apache-2.0
//! Are mistakes found, and by which invariant?

use crate::catalogue::catalogue;
use crate::config_explore::{SyncsLeftOut, without_each_sync};
use crate::config_scenario::ConfigScenario;
use crate::explore::explore;
use crate::mutations::{Harm, Mutation, mutations, without};
use crate::plan::{Depth, Plan};
use crate::recorded::record;
use crate::scenario::Scenario;
use crate::systems::SlotSizes;
use crate::violation::Invariant;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use storage::{Effort, OpKind};

/// The operations of which each flush is left out.
const FLUSHES_OF: [&str; 3] = ["env-disk-pair", "install-verity", "first-boot"];

/// Promotions of which each sync is left out.
const SYNCS_OF: [&str; 3] = ["config-promote", "config-rollback", "config-migrate"];

/// So much of what was found is shown.
const WORDS: usize = 90;

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
    /// The first of them, in words.
    pub first: Option<String>,
    /// What was expected.
    pub harm: Harm,
}

impl Bite {
    /// Whether what was expected came.
    #[must_use]
    pub fn is_as_expected(&self) -> bool {
        self.bricks.is_empty() == matches!(self.harm, Harm::None(_))
    }
}

/// The flushes of an operation, each left out alone.
pub struct FlushesLeftOut {
    /// The operation.
    pub scenario: String,
    /// Those that were found: act and device.
    pub found: Vec<(usize, String)>,
    /// Those that do no harm.
    pub harmless: Vec<(usize, String)>,
}

/// Each sync of a promotion whose path `is_wanted` left out alone.
///
/// # Errors
/// When the harness fails, or there is no promotion of that name.
pub fn without_each_sync_of(
    name: &str,
    seed: u64,
    is_wanted: &dyn Fn(&Path) -> bool,
) -> Result<SyncsLeftOut> {
    let all = ConfigScenario::all()?;
    let scenario = all.iter().find(|one| one.name == name).context("no such promotion")?;
    without_each_sync(scenario, &plan(None, seed, 1), is_wanted)
}

fn plan(mutation: Option<&Mutation>, seed: u64, threads: usize) -> Plan {
    // Mistakes show in the first images; what they are hidden by is not worth a second cut.
    let effort = Effort { all: 128, subsets_of: 8, samples: 16, tears: 24 };
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
            first: tally.failures.first().map(|one| {
                let what: String = one.violation.what.chars().take(WORDS).collect();
                format!("{} in the cut at act {}", what, one.place.cut)
            }),
            bricks: tally.by_invariant,
            harm: mutation.harm,
        });
    }
    Ok(bites)
}

/// Leaves out each flush of an operation, one at a time; those of flash apart, which has no cache.
///
/// # Errors
/// When the harness fails.
pub fn without_each_flush(
    scenario: &dyn Scenario,
    seed: u64,
    threads: usize,
) -> Result<FlushesLeftOut> {
    let recorded = record(scenario)?;
    let board = scenario.board()?;
    let ops = recorded.journal.ops();
    let (mut found, mut harmless) = (Vec::new(), Vec::new());
    for (act, op) in ops.iter().enumerate().filter(|(_, op)| op.kind == OpKind::Flush) {
        if board.open_device(&op.device)?.geometry().erase_bytes.is_some() {
            continue;
        }
        let wrong = recorded.reordered(&without(&ops, |at, _| at == act));
        let tally = explore(scenario, &wrong, &plan(None, seed, threads))?;
        let side = if tally.bricks > 0 { &mut found } else { &mut harmless };
        side.push((act, op.device.to_string()));
    }
    Ok(FlushesLeftOut { scenario: scenario.name().to_owned(), found, harmless })
}

/// Prints what became of each flush.
///
/// # Errors
/// The writer's, or when the harness fails.
pub fn flushes(out: &mut dyn Write, seed: u64, threads: usize) -> Result<()> {
    for scenario in
        catalogue(SlotSizes::BOUNDED)?.iter().filter(|one| FLUSHES_OF.contains(&one.name()))
    {
        let FlushesLeftOut { scenario, found, harmless } =
            without_each_flush(&**scenario, seed, threads)?;
        let named = |side: &[(usize, String)]| -> String {
            let named: Vec<String> =
                side.iter().map(|(act, device)| format!("{act} of {device}")).collect();
            if named.is_empty() { "-".to_owned() } else { named.join(", ") }
        };
        let all = found.len() + harmless.len();
        writeln!(out, "{scenario}: {all} flushes, each left out alone, {} found", found.len())?;
        writeln!(out, "  found:   {}\n  no harm: {}", named(&found), named(&harmless))?;
    }
    Ok(())
}

/// Prints what became of each sync of a promotion and of a migration.
///
/// # Errors
/// The writer's, or when the harness fails.
pub fn syncs(out: &mut dyn Write, seed: u64) -> Result<()> {
    for name in SYNCS_OF {
        let SyncsLeftOut { found, harmless } = without_each_sync_of(name, seed, &|_| true)?;
        let all = found.len() + harmless.len();
        writeln!(out, "{name}: {all} syncs, each left out alone, {} found", found.len())?;
        writeln!(out, "  found:   {}\n  no harm: {}", found.join(", "), harmless.join(", "))?;
    }
    Ok(())
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
            (true, Harm::None(_)) => "nobody: it does no harm".to_owned(),
            (true, Harm::Bricks) => "NOBODY".to_owned(),
            (false, _) => by.join(", "),
        };
        let Bite { what, scenario, images, .. } = bite;
        writeln!(out, "{what:62} {scenario:16} {images:>6} {bricks:>7}  {by}")?;
        match (&bite.first, bite.harm) {
            (Some(first), _) => writeln!(out, "    {first}")?,
            (None, Harm::None(why)) => writeln!(out, "    {why}")?,
            (None, Harm::Bricks) => {}
        }
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
