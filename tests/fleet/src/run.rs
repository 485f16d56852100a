// SPDX-License-Identifier: MIT OR Apache-2.0
//! Plays what was asked for, prints it and judges it.

use crate::cli::Cli;
use crate::judge::judge;
use crate::outcome::Outcome;
use crate::picture::show;
use crate::scenario::{SCENARIOS, Scenario, Wanted, play};
use crate::turn::Mistake;
use anyhow::{Context as _, Result, bail};
use serde_json::json;
use std::io::Write;

/// Mistakes, the scenario in which each is seen, and a word of what is said of it.
const TEETH: [(Mistake, &str, &str); 13] = [
    (Mistake::OneLot, "quiet", "a herd"),
    (Mistake::OneLot, "power", "a herd"),
    (Mistake::OneLot, "outage", "a herd"),
    (Mistake::ForgetsFailures, "unwatched", "installed there again"),
    (Mistake::ForgetsSequence, "release", "an older document"),
    (Mistake::OneRollout, "rollout", "in a rollout"),
    (Mistake::NoRollout, "bad", "the bad release hurt"),
    (Mistake::NoRollout, "unwatched", "the bad release hurt"),
    (Mistake::SoundFails, "release", "fell back from a sound release"),
    (Mistake::SoundFails, "release", "never updated"),
    (Mistake::SoundFails, "release", "without a good reason"),
    (Mistake::SoundFails, "release", "95 % are updated after no minutes"),
    (Mistake::FetchesAnew, "lossy", "MiB for"),
];
/// Enough for the bounds, few enough for a moment.
const TEETH_DEVICES: u32 = 2_000;

/// Does what the arguments say.
///
/// # Errors
/// When a bound is broken, or nothing can be played.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    if cli.list {
        for name in SCENARIOS {
            let words = Scenario::named(name).map_or("", |scenario| scenario.words);
            writeln!(out, "{name:<8} {words}")?;
        }
        return Ok(());
    }
    if cli.teeth {
        return teeth(cli, out);
    }
    let all = SCENARIOS.map(str::to_owned).to_vec();
    let names = if cli.scenario.is_empty() { &all } else { &cli.scenario };
    let wanted = Wanted { devices: cli.devices, seed: cli.seed, mistake: Mistake::None };
    let (mut outcomes, mut broken) = (Vec::new(), Vec::new());
    for name in names {
        let scenario = Scenario::named(name)
            .with_context(|| format!("there is no scenario {name:?}: {}", SCENARIOS.join(", ")))?;
        let outcome = play(&scenario, wanted)?;
        let wrong = judge(&outcome);
        if !cli.json {
            show(out, &scenario, &outcome)?;
            for line in &wrong {
                writeln!(out, "  BROKEN: {line}")?;
            }
            writeln!(out)?;
        }
        broken.extend(wrong.into_iter().map(|line| format!("{name}: {line}")));
        outcomes.push(outcome);
    }
    finish(cli, out, &outcomes, &broken)
}

fn finish(cli: &Cli, out: &mut dyn Write, outcomes: &[Outcome], broken: &[String]) -> Result<()> {
    let (played, devices, seed) = (outcomes.len(), cli.devices, cli.seed);
    if cli.json {
        let document = json!({ "version": 1, "scenarios": outcomes, "broken": broken });
        writeln!(out, "{document:#}")?;
    } else {
        let bounds = broken.len();
        writeln!(
            out,
            "fleet: {played} scenarios, {devices} devices, seed {seed}: {bounds} bounds broken"
        )?;
    }
    match broken.first() {
        None => Ok(()),
        Some(first) => bail!("{} bounds are broken, among them {first}", broken.len()),
    }
}

/// Makes each mistake and expects it to be found.
fn teeth(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    for (mistake, name, word) in TEETH {
        let scenario = Scenario::named(name).context("a scenario is gone")?;
        let wanted = Wanted { devices: TEETH_DEVICES, seed: cli.seed, mistake };
        let wrong = judge(&play(&scenario, wanted)?);
        let found = wrong.iter().find(|line| line.contains(word));
        let found = found.with_context(|| format!("{name}: nobody notices {mistake:?}"))?;
        writeln!(out, "{mistake:?} in {name}: {found}")?;
    }
    writeln!(out, "fleet: {} mistakes, each found", TEETH.len())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(name: &str, seed: u64, mistake: Mistake) -> Outcome {
        let scenario = Scenario::named(name).unwrap();
        play(&scenario, Wanted { devices: 300, seed, mistake }).unwrap()
    }

    fn numbers(outcome: &Outcome) -> String {
        serde_json::to_string(outcome).unwrap()
    }

    #[test]
    fn a_seed_is_a_run_and_another_seed_another() {
        let first = played("power", 7, Mistake::None);
        assert_eq!(numbers(&first), numbers(&played("power", 7, Mistake::None)));
        assert_ne!(numbers(&first), numbers(&played("power", 8, Mistake::None)));
        assert!(first.updated > 280, "{first:?}");
    }

    #[test]
    fn what_is_not_remembered_is_installed_again_and_that_is_seen() {
        let sound = played("unwatched", 1, Mistake::None);
        assert_eq!((sound.installed_known_failed, sound.hurt_again), (0, 0));
        assert!(sound.hurt > 0, "{sound:?}");
        let broken = played("unwatched", 1, Mistake::ForgetsFailures);
        assert!(broken.installed_known_failed > 0, "{broken:?}");
        assert!(judge(&broken).iter().any(|line| line.contains("installed there again")));
    }

    #[test]
    fn every_scenario_is_known_by_its_name() {
        for name in SCENARIOS {
            assert_eq!(Scenario::named(name).unwrap().name, name);
        }
        assert!(Scenario::named("nothing").is_none());
    }
}
