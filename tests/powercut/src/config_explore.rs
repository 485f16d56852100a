// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cuts of a promotion: after each one a complete old or new configuration is seen, nobody can
//! claim a device that was somebody's, the operator's files are as they were, recovering twice is
//! recovering once, and the promotion done again ends where the undisturbed one ends.

use crate::config_scenario::{ConfigRecord, ConfigScenario, OWNERS, Origin, SEED, Seen, boot};
use crate::config_view::{harmed, outline, seen};
use crate::plan::{Place, Plan};
use crate::tally::{MAX_FAILURES, Tally};
use crate::violation::Invariant::{Durable, I1, I6, I7};
use crate::violation::{OrBreaks, Violation};
use anyhow::Result;
use config_api::promote::{Moment, Next, SeedOutcome, State, Store};
use std::collections::HashSet;
use std::hash::Hash;
use std::path::Path;
use std::time::Instant;
use storage::Coverage;
use storage::tree::{MemoryTrees, TreeImage, TreeStep, crash_trees, scan};
use xxhash_rust::xxh3::Xxh3;

/// Most images of one cut, of the operation and of a recovery; and where a mistake is to be found,
/// which shows in the first ones.
const MOST: u64 = 256;
const MOST_SECOND: u64 = 16;
const MOST_OF_A_MISTAKE: u64 = 24;

/// Explores one promotion.
///
/// # Errors
/// When the harness fails.
pub fn explore_config(
    scenario: &ConfigScenario,
    recorded: &ConfigRecord,
    plan: &Plan,
) -> Result<Tally> {
    let begun = Instant::now();
    let cuts = recorded.steps.len();
    let most = if plan.depth.recoveries == 0 { MOST_OF_A_MISTAKE } else { MOST };
    let mut tally = Tally { operations: cuts as u64, ..Tally::default() };
    let mut explorer = Explorer {
        scenario,
        recorded,
        end: outline(&recorded.end),
        distinct: HashSet::new(),
        judged: HashSet::new(),
        chosen: 0,
    };
    for cut in 0..=cuts {
        let trees = crash_trees(&scenario.before, &recorded.steps, cut, most, plan.seed);
        tally.cuts += 1;
        let coverage = if trees.is_every() { Coverage::Every } else { Coverage::Sampled };
        tally.covered.count(coverage);
        for image in 0..trees.count() {
            let place = Place { cut, image, then: None };
            if plan.only.is_some_and(|only| (only.cut, only.image) != (cut, image)) {
                continue;
            }
            tally.images += 1;
            explorer.judge(&trees.tree(image), place, plan, &mut tally);
        }
    }
    tally.distinct = explorer.distinct.len() as u64;
    tally.failures.sort_by_key(|failure| (failure.place.cut, failure.place.image));
    tally.failures.truncate(MAX_FAILURES);
    tally.secs = begun.elapsed().as_secs_f64();
    Ok(tally)
}

struct Explorer<'a> {
    scenario: &'a ConfigScenario,
    recorded: &'a ConfigRecord,
    end: std::collections::BTreeSet<(String, String)>,
    distinct: HashSet<u128>,
    judged: HashSet<(u128, usize)>,
    /// Images whose recovery was asked about, for choosing those that are cut again.
    chosen: u64,
}

fn sum(image: &TreeImage) -> u128 {
    let mut hasher = Xxh3::new();
    image.hash(&mut hasher);
    hasher.digest128()
}

/// What the service finds when it starts.
fn recovered(image: &TreeImage, number: u8) -> Result<(TreeImage, Vec<TreeStep>, Store)> {
    let (trees, log) = MemoryTrees::recorded(image.clone());
    let store = Store::recover(Box::new(trees), OWNERS, &boot(number), Moment(10))?.store;
    Ok((scan(store.trees())?, log.steps(), store))
}

/// What is wrong with what the device remembers of its seed: it must have been taken if and only if
/// it was promoted, and what became of it must be what became of the configuration.
fn seed_fault(store: &Store, found: Seen, returned: bool) -> Option<String> {
    let seed = store.seeds().find(&SEED).map(|seed| seed.outcome);
    let is_unproven = store.state().next() != Next::Rest;
    let wanted = match (found, store.state()) {
        (Some(_), _) if is_unproven => Some(SeedOutcome::Pending),
        (Some(_), _) => Some(SeedOutcome::Succeeded),
        (None, State::Unprovisioned { rollback: Some(_) }) => Some(SeedOutcome::Failed),
        (None, _) if returned => Some(SeedOutcome::Failed),
        (None, _) => None,
    };
    (seed != wanted).then(|| format!("{found:?} is seen and the seed is remembered as {seed:?}"))
}

impl Explorer<'_> {
    /// What was promised last before a cut.
    fn promised(&self, cut: usize) -> (usize, &[Seen]) {
        let mut promises = self.recorded.promises.iter().enumerate();
        let last = promises.rfind(|(_, (steps, _))| *steps <= cut);
        last.map_or((0, &[]), |(number, (_, allowed))| (number, allowed))
    }

    fn judge(&mut self, image: &TreeImage, place: Place, plan: &Plan, tally: &mut Tally) {
        let (number, allowed) = self.promised(place.cut);
        let allowed = allowed.to_vec();
        let sum = sum(image);
        self.distinct.insert(sum);
        if !self.judged.insert((sum, number)) {
            return;
        }
        let steps = match self.look(image, &allowed) {
            Ok(steps) => steps,
            Err(violation) => return tally.brick(place, violation),
        };
        self.chosen += 1;
        let wanted = plan.only.is_some() || plan.depth.recoveries > 0;
        // Every so many, so that all kinds of cuts are among them.
        if wanted && self.chosen.is_multiple_of(7) {
            self.cut_again(image, &steps, &allowed, place, plan, tally);
        }
    }

    /// Judges an image, and gives the acts of its recovery.
    fn look(&self, image: &TreeImage, allowed: &[Seen]) -> Result<Vec<TreeStep>, Violation> {
        let scenario = self.scenario;
        if let Some(harm) = harmed(scenario, image) {
            return Err(Violation::new(I7, harm));
        }
        let mut acts = Vec::new();
        // The service alone is started again; then the whole machine.
        for number in [1, 2] {
            let (after, steps, store) = recovered(image, number).or_breaks(I6, "recover")?;
            let is_provisioned = store.state().is_provisioned();
            let found = seen(scenario, &after).map_err(|what| Violation::new(I1, what))?;
            // The service goes on with what it had begun; a reboot keeps what was promised.
            let open = [scenario.old, scenario.new, scenario.tags.last().copied()];
            let is_allowed = match number {
                1 if allowed.len() > 1 => open.contains(&found),
                _ => allowed.contains(&found) || self.is_tried_again(found, allowed),
            };
            if !is_allowed {
                let what = format!("{found:?} is seen and {allowed:?} was promised");
                return Err(Violation::new(Durable, what));
            }
            if is_provisioned != found.is_some() || (scenario.old.is_some() && !is_provisioned) {
                return Err(Violation::new(I1, "the device can be claimed by anybody"));
            }
            if scenario.origin == Origin::Seed
                && let Some(fault) = seed_fault(&store, found, allowed.len() == 1)
            {
                return Err(Violation::new(I7, fault));
            }
            if let Some(harm) = harmed(scenario, &after) {
                return Err(Violation::new(I7, harm));
            }
            let (again, more, _) = recovered(&after, number).or_breaks(I6, "recover twice")?;
            if !more.is_empty() || again != after {
                return Err(Violation::new(I6, format!("recovering twice does {more:?}")));
            }
            if number == 2 {
                let end = scenario.again(&after).or_breaks(I6, "do it again")?;
                self.converged(&end)?;
                acts = steps;
            }
        }
        Ok(acts)
    }

    /// A first configuration that has not proved itself yet.
    fn is_tried_again(&self, found: Seen, allowed: &[Seen]) -> bool {
        self.scenario.old.is_none()
            && allowed.len() > 1
            && found == self.scenario.tags.last().copied()
    }

    fn converged(&self, end: &TreeImage) -> Result<(), Violation> {
        let found = seen(self.scenario, end).map_err(|what| Violation::new(I6, what))?;
        if found != self.scenario.new {
            return Err(Violation::new(I6, format!("done again it ends in {found:?}")));
        }
        let outline = outline(end);
        match outline.symmetric_difference(&self.end).next() {
            Some((name, _)) => Err(Violation::new(I6, format!("done again it differs at {name}"))),
            None => Ok(()),
        }
    }

    /// Cuts the recovery.
    fn cut_again(
        &mut self,
        image: &TreeImage,
        steps: &[TreeStep],
        allowed: &[Seen],
        place: Place,
        plan: &Plan,
        tally: &mut Tally,
    ) {
        tally.recoveries += 1;
        for cut in 0..=steps.len() {
            tally.cuts += 1;
            let trees = crash_trees(image, steps, cut, MOST_SECOND, plan.seed);
            for second in 0..trees.count() {
                let then = Some((cut, second));
                if plan.only.is_some_and(|only| only.then.is_some() && only.then != then) {
                    continue;
                }
                let torn = trees.tree(second);
                tally.images += 1;
                tally.second += 1;
                let sum = sum(&torn);
                self.distinct.insert(sum);
                if self.judged.insert((sum, self.promised(place.cut).0))
                    && let Err(violation) = self.look(&torn, allowed)
                {
                    tally.brick(Place { then, ..place }, violation);
                }
            }
        }
    }
}

/// The syncs of a promotion, each left out alone: those that were found, and those that do no harm.
pub struct SyncsLeftOut {
    /// Found to do harm.
    pub found: Vec<String>,
    /// Not.
    pub harmless: Vec<String>,
}

/// Leaves out each sync of a promotion that `is_wanted`, one at a time.
///
/// # Errors
/// When the harness fails.
pub fn without_each_sync(
    scenario: &ConfigScenario,
    plan: &Plan,
    is_wanted: &dyn Fn(&Path) -> bool,
) -> Result<SyncsLeftOut> {
    let recorded = scenario.record()?;
    let mut left_out = SyncsLeftOut { found: Vec::new(), harmless: Vec::new() };
    for (number, step) in recorded.steps.iter().enumerate() {
        let path = match step {
            TreeStep::SyncFile(path) | TreeStep::SyncDir(path) => path,
            TreeStep::MakeDir(..)
            | TreeStep::Write(..)
            | TreeStep::Append(..)
            | TreeStep::Link(..)
            | TreeStep::Rename(..)
            | TreeStep::Give(..)
            | TreeStep::Remove(_) => continue,
        };
        if !is_wanted(path) {
            continue;
        }
        let left = same_sync(&recorded.steps, number, path);
        let kept = |at: &usize| !left.contains(at);
        let steps = (0..recorded.steps.len()).filter(kept);
        let steps = steps.map(|at| recorded.steps[at].clone()).collect();
        let earlier = |at: usize| (0..at).filter(kept).count();
        let promises =
            recorded.promises.iter().map(|(at, seen)| (earlier(*at), seen.clone())).collect();
        let wrong = ConfigRecord { steps, promises, end: recorded.end.clone() };
        let tally = explore_config(scenario, &wrong, plan)?;
        let side = if tally.bricks > 0 { &mut left_out.found } else { &mut left_out.harmless };
        side.push(format!("{number} of {}", path.display()));
    }
    Ok(left_out)
}

/// The sync at `number`, and the one right behind it of the same directory with nothing but its
/// mode between: each of the two makes up for the other, so one mistake leaves out both.
fn same_sync(steps: &[TreeStep], number: usize, path: &Path) -> Vec<usize> {
    let modes = steps.iter().skip(number + 1).take_while(|step| matches!(step, TreeStep::Give(..)));
    let next = number + 1 + modes.count();
    match steps.get(next) {
        Some(TreeStep::SyncDir(again)) if again == path => vec![number, next],
        _ => vec![number],
    }
}
