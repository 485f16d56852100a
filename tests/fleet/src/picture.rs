// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does it look? Tables and bars of at most eighty columns.

use crate::outcome::{Outcome, percent};
use crate::scenario::Scenario;
use std::io::{self, Write};

/// Letters of a full bar of requests.
const WIDE: u64 = 40;
/// Letters of a full bar of devices.
const NARROW: u64 = 20;

/// The whole outcome.
///
/// # Errors
/// The writer's.
pub fn show(to: &mut dyn Write, scenario: &Scenario, outcome: &Outcome) -> io::Result<()> {
    let Outcome { devices, seed, .. } = outcome;
    writeln!(to, "{}: {}", scenario.name, scenario.words)?;
    let hours = outcome.minutes / 60;
    writeln!(to, "  {devices} devices, seed {seed}, {hours} h, {} events", outcome.events)?;
    servers(to, outcome)?;
    devices_of(to, outcome)?;
    bars(to, outcome)
}

fn servers(to: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    writeln!(
        to,
        "  {:<8} {:<14} {:>9} {:>9} {:>9} {:>6} {:>7} {:>7}",
        "server", "span", "minutes", "mean/min", "peak/min", "ratio", "mean/s", "peak/s"
    )?;
    for one in &outcome.measured {
        let length = one.to.map_or_else(|| "-".to_owned(), |to| (to - one.from).to_string());
        writeln!(
            to,
            "  {:<8} {:<14} {:>9} {:>9.0} {:>9} {:>6.2} {:>7.1} {:>7}",
            one.server,
            one.span,
            length,
            one.mean_minute,
            one.peak_minute,
            one.ratio,
            one.mean_second,
            one.peak_second
        )?;
    }
    for total in &outcome.totals {
        let kinds: Vec<String> =
            total.requests.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(to, "  {:<8} {}", total.server, kinds.join(", "))?;
        writeln!(to, "  {:<8} {} MiB sent", "", total.bytes >> 20)?;
    }
    Ok(())
}

fn devices_of(to: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    if let (Some(half), Some(most)) = (outcome.minutes_to_half, outcome.minutes_to_95) {
        writeln!(to, "  updated: 50 % after {half} min, 95 % after {most} min")?;
    }
    if outcome.updated > 0 {
        let Outcome { updated, devices, .. } = *outcome;
        writeln!(to, "  updated in the end: {updated} ({:.2} %)", percent(updated, devices))?;
    }
    for (why, count) in &outcome.not_updated {
        writeln!(to, "    {count:>6} {why}")?;
    }
    let Outcome { installs, resumed, cuts, .. } = outcome;
    writeln!(to, "  installs: {installs} begun, {resumed} resumed; {cuts} power cuts")?;
    let Outcome { hurt, installed_known_failed, .. } = outcome;
    if *hurt > 0 {
        let stopped = outcome.stopped_after;
        let end = stopped.map_or_else(
            || "not taken back".to_owned(),
            |after| format!("taken back after {after} min"),
        );
        writeln!(to, "  hurt: {hurt} devices; {end}; installed again: {installed_known_failed}")?;
    }
    if outcome.replays_refused > 0 {
        writeln!(to, "  old documents refused: {}", outcome.replays_refused)?;
    }
    if let Some(share) = outcome.share {
        writeln!(
            to,
            "  drawn for the rollout of {} %: {} of {} ({:.2} %)",
            share.percent,
            share.taken,
            share.of,
            percent(share.taken, share.of)
        )?;
    }
    writeln!(to, "  device reports arrived: {}", outcome.reports)
}

fn bars(to: &mut dyn Write, outcome: &Outcome) -> io::Result<()> {
    let most = outcome.rows.iter().map(|row| row.requests_per_minute).max().unwrap_or(0);
    writeln!(to, "   h:min  requests in the mean minute{:>22} updated", "")?;
    for row in &outcome.rows {
        let requests = bar(row.requests_per_minute, most, WIDE);
        let updated = bar(u64::from(row.updated), u64::from(outcome.devices), NARROW);
        let share = percent(row.updated, outcome.devices);
        let (hour, minute) = (row.minute / 60, row.minute % 60);
        let line = format!(
            "  {hour:>2}:{minute:02} {:>6} {requests:<40} {share:>4.0}% {updated}",
            row.requests_per_minute
        );
        writeln!(to, "{}", line.trim_end())?;
    }
    Ok(())
}

/// A bar of at most `letters`; what is there at all has one.
fn bar(part: u64, whole: u64, letters: u64) -> String {
    let length = part.saturating_mul(letters).checked_div(whole).unwrap_or(0);
    let length = if part > 0 { length.max(1) } else { 0 };
    "#".repeat(usize::try_from(length).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_part_and_what_is_there_is_seen() {
        assert_eq!(bar(5, 10, 40).len(), 20);
        assert_eq!(bar(10, 10, 40).len(), 40);
        assert_eq!(
            (bar(1, 10_000, 40).len(), bar(0, 10, 40).len(), bar(0, 0, 40).len()),
            (1, 0, 0)
        );
    }
}
