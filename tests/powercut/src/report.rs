// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that a person can quote.

use crate::cli::Cli;
use crate::plan::Place;
use crate::tally::{Covered, Failure, Tally};
use std::io::{self, Write};

/// The head of the table.
///
/// # Errors
/// The writer's.
pub fn head(to: &mut dyn Write) -> io::Result<()> {
    let name = "operation";
    writeln!(
        to,
        "{name:20} {:>5} {:>8} {:>9} {:>9} {:>7} {:>7}",
        "acts", "cuts", "images", "distinct", "bricks", "seconds"
    )
}

/// One operation's line.
///
/// # Errors
/// The writer's.
pub fn row(to: &mut dyn Write, name: &str, tally: &Tally) -> io::Result<()> {
    let Tally { operations, cuts, images, distinct, bricks, secs, .. } = tally;
    writeln!(
        to,
        "{name:20} {operations:>5} {cuts:>8} {images:>9} {distinct:>9} {bricks:>7} {secs:>7.1}"
    )
}

/// What is broken, and how to see it alone.
///
/// # Errors
/// The writer's.
pub fn failure(to: &mut dyn Write, name: &str, cli: &Cli, failure: &Failure) -> io::Result<()> {
    let Place { cut, image, then } = failure.place;
    let then = then
        .map_or_else(String::new, |(cut, image)| format!(" --then-cut {cut} --then-image {image}"));
    let more = if cli.exhaustive { " --exhaustive" } else { "" };
    let seed = cli.seed;
    writeln!(to, "  {}", failure.violation)?;
    writeln!(
        to,
        "  cargo xtask powercut --scenario {name} --cut {cut} --image {image}{then} --seed {seed:#x}{more}"
    )
}

/// The sentence, and what it covers.
///
/// # Errors
/// The writer's.
pub fn total(to: &mut dyn Write, scenarios: usize, all: &Tally, seed: u64) -> io::Result<()> {
    let Tally {
        operations, cuts, images, second, distinct, recoveries, late, bricks, secs, ..
    } = all;
    let Covered { every, all_but_mixtures, sampled } = all.covered;
    writeln!(
        to,
        "powercut: {scenarios} operations of {operations} acts, {cuts} cut points, {images} images, \
         {distinct} of them distinct and each judged, {bricks} bricks, {secs:.1} s"
    )?;
    writeln!(
        to,
        "  of the cuts of the operations {every} with every legal image, {all_but_mixtures} with all \
         but mixtures of bits in a flash, {sampled} sampled; {recoveries} recoveries were cut again, \
         {second} images of them, in {late} of which a commit that the first cut had stopped is whole \
         after all; seed {seed:#x}"
    )
}
