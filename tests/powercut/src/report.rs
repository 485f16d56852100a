// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines that a person can quote.

use crate::explore::{Failure, Place, Tally};
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

/// How to see a failing image alone.
///
/// # Errors
/// The writer's.
pub fn failure(
    to: &mut dyn Write,
    name: &str,
    seed: u64,
    failure: &Failure,
    more: &str,
) -> io::Result<()> {
    let Place { cut, image, then } = failure.place;
    let then = then
        .map_or_else(String::new, |(cut, image)| format!(" --then-cut {cut} --then-image {image}"));
    writeln!(to, "  {}", failure.violation)?;
    writeln!(
        to,
        "  cargo xtask powercut --scenario {name} --cut {cut} --image {image}{then} --seed {seed:#x}{more}"
    )
}

/// The sentence.
///
/// # Errors
/// The writer's.
pub fn total(to: &mut dyn Write, scenarios: usize, all: &Tally, seed: u64) -> io::Result<()> {
    writeln!(
        to,
        "powercut: {scenarios} operations of {} acts, {} cut points, {} images ({} after a second cut), \
         {} distinct and judged, {} bricks, {:.1} s, seed {seed:#x}",
        all.operations, all.cuts, all.images, all.second, all.distinct, all.bricks, all.secs
    )
}
