// SPDX-License-Identifier: MIT OR Apache-2.0
//! From arguments to a table and a verdict.

use crate::cli::Cli;
use crate::config_explore::explore_config;
use crate::config_scenario::ConfigScenario;
use crate::explore::explore;
use crate::firmware::Selector;
use crate::plan::{Depth, Place, Plan, Thoroughness};
use crate::recorded::record;
use crate::scenario::{Cost, Scenario};
use crate::story::story;
use crate::systems::SlotSizes;
use crate::tally::Tally;
use crate::tree_disk::Forgotten;
use crate::{artifacts, catalogue, report, teeth};
use anyhow::{Result, bail};
use std::io::Write;
use std::thread::available_parallelism;

/// Runs what the arguments say.
///
/// # Errors
/// When an image is a brick, when too few were judged, or when the harness itself fails.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    if cli.teeth {
        let sharp = teeth::table(out, cli.seed, threads(cli))?;
        teeth::flushes(out, cli.seed, threads(cli))?;
        teeth::syncs(out, cli.seed)?;
        anyhow::ensure!(sharp, "the harness has lost a tooth");
        return Ok(());
    }
    let all = catalogue(sizes(cli))?;
    let configs = ConfigScenario::all()?;
    let apart = configs.iter().map(|one| one.name).chain([artifacts::NAME]);
    let known: Vec<&str> = all.iter().map(|one| one.name()).chain(apart).collect();
    if cli.list {
        known.iter().try_for_each(|name| writeln!(out, "{name}"))?;
        return Ok(());
    }
    if let Some(unknown) = cli.scenario.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("{unknown} is no operation; --list has them all");
    }
    let is_chosen =
        |one: &str| cli.scenario.is_empty() || cli.scenario.iter().any(|name| name == one);
    let chosen: Vec<&dyn Scenario> =
        all.iter().map(|scenario| &**scenario).filter(|one| is_chosen(one.name())).collect();
    let mut total = Tally::default();
    report::head(out)?;
    for scenario in &chosen {
        let recorded = record(*scenario)?;
        let plan = plan(cli, scenario.cost());
        let tally = explore(*scenario, &recorded, &plan)?;
        report::row(out, scenario.name(), &tally)?;
        for failure in &tally.failures {
            report::failure(out, scenario.name(), cli, failure)?;
        }
        // One is enough to read; the others can be had by their commands.
        if let Some(failure) = tally.failures.first() {
            for line in story(*scenario, &recorded, &plan, failure.place)? {
                writeln!(out, "    {line}")?;
            }
        }
        out.flush()?;
        total = total.and(&tally);
    }
    let mut operations = chosen.len();
    if is_chosen(artifacts::NAME) {
        let tally = artifacts::explore(thoroughness(cli), cli.seed, only(cli), Forgotten::Nothing)?;
        report::row(out, artifacts::NAME, &tally)?;
        for failure in &tally.failures {
            report::failure(out, artifacts::NAME, cli, failure)?;
        }
        total = total.and(&tally);
        operations += 1;
    }
    for config in configs.iter().filter(|one| is_chosen(one.name)) {
        let tally = explore_config(config, &config.record()?, &plan(cli, Cost::High))?;
        report::row(out, config.name, &tally)?;
        for failure in &tally.failures {
            report::failure(out, config.name, cli, failure)?;
        }
        out.flush()?;
        total = total.and(&tally);
        operations += 1;
    }
    report::total(out, operations, &total, cli.seed)?;
    if total.bricks > 0 {
        bail!("{} images are bricks", total.bricks);
    }
    if total.distinct < cli.at_least {
        bail!("{} distinct images are fewer than {}", total.distinct, cli.at_least);
    }
    Ok(())
}

/// How large the slots are: of few sectors, where every set of them is to be tried.
fn sizes(cli: &Cli) -> SlotSizes {
    if cli.exhaustive { SlotSizes::EXHAUSTIVE } else { SlotSizes::BOUNDED }
}

fn plan(cli: &Cli, cost: Cost) -> Plan {
    Plan {
        depth: Depth::of(cost, thoroughness(cli)),
        seed: cli.seed,
        only: only(cli),
        selector: Selector::Ours,
        threads: threads(cli),
    }
}

fn only(cli: &Cli) -> Option<Place> {
    let then = cli.then_cut.zip(cli.then_image);
    cli.cut.zip(cli.image).map(|(cut, image)| Place { cut, image, then })
}

const fn thoroughness(cli: &Cli) -> Thoroughness {
    if cli.exhaustive { Thoroughness::Exhaustive } else { Thoroughness::Bounded }
}

fn threads(cli: &Cli) -> usize {
    cli.threads.unwrap_or_else(|| available_parallelism().map_or(2, std::num::NonZero::get))
}
