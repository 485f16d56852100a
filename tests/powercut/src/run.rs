// SPDX-License-Identifier: MIT OR Apache-2.0
//! From arguments to a table and a verdict.

use crate::cli::Cli;
use crate::explore::{Depth, Place, Plan, Tally, explore};
use crate::firmware::Selector;
use crate::recorded::record;
use crate::scenario::{Cost, Scenario};
use crate::{catalogue, report, teeth};
use anyhow::{Result, bail};
use std::io::Write;
use std::thread::available_parallelism;
use storage::Effort;

/// What is tried of an operation, by what judging an image of it costs.
#[must_use]
pub fn depth(cost: Cost, exhaustive: bool) -> Depth {
    let effort = |tears, samples| Effort { subsets_of: 10, samples, tears };
    match (cost, exhaustive) {
        (Cost::Low, false) => Depth {
            first: effort(200, 64),
            second: effort(40, 16),
            recoveries: 400,
            images: 40_000,
        },
        (Cost::High, false) => Depth {
            first: effort(300, 64),
            second: effort(40, 16),
            recoveries: 200,
            images: 25_000,
        },
        (Cost::Low, true) => Depth {
            first: effort(1000, 1000),
            second: effort(160, 64),
            recoveries: 4000,
            images: 1_000_000,
        },
        (Cost::High, true) => Depth {
            first: effort(1000, 1000),
            second: effort(160, 64),
            recoveries: 2000,
            images: 400_000,
        },
    }
}

/// Runs what the arguments say.
///
/// # Errors
/// When an image is a brick, when too few were judged, or when the harness itself fails.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    if cli.teeth {
        let sharp = teeth::table(out, cli.seed, threads())?;
        teeth::flushes(out, cli.seed, threads())?;
        anyhow::ensure!(sharp, "the harness has lost a tooth");
        return Ok(());
    }
    let all = catalogue()?;
    if cli.list {
        for scenario in &all {
            writeln!(out, "{}", scenario.name())?;
        }
        return Ok(());
    }
    if let Some(unknown) =
        cli.scenario.iter().find(|name| !all.iter().any(|one| one.name() == **name))
    {
        bail!("{unknown} is no operation; --list has them all");
    }
    let chosen: Vec<&dyn Scenario> = all
        .iter()
        .map(|scenario| &**scenario)
        .filter(|one| cli.scenario.is_empty() || cli.scenario.iter().any(|name| name == one.name()))
        .collect();
    let mut total = Tally::default();
    report::head(out)?;
    for scenario in &chosen {
        let recorded = record(*scenario)?;
        let tally = explore(*scenario, &recorded, &plan(cli, scenario.cost()))?;
        report::row(out, scenario.name(), &tally)?;
        let more = if cli.exhaustive { " --exhaustive" } else { "" };
        for failure in &tally.failures {
            report::failure(out, scenario.name(), cli.seed, failure, more)?;
        }
        out.flush()?;
        total = total.and(&tally);
    }
    report::total(out, chosen.len(), &total, cli.seed)?;
    if total.bricks > 0 {
        bail!("{} images are bricks", total.bricks);
    }
    if total.images < cli.at_least {
        bail!("{} images are fewer than {}", total.images, cli.at_least);
    }
    Ok(())
}

fn plan(cli: &Cli, cost: Cost) -> Plan {
    let then = cli.then_cut.zip(cli.then_image);
    let only = cli.cut.zip(cli.image).map(|(cut, image)| Place { cut, image, then });
    Plan {
        depth: depth(cost, cli.exhaustive),
        seed: cli.seed,
        only,
        selector: Selector::Ours,
        threads: threads(),
    }
}

fn threads() -> usize {
    available_parallelism().map_or(2, std::num::NonZero::get)
}
