// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware agrees: real U-Boot starts, says and saves what the model says, in every
//! environment on an edge and in as many between the edges as there is time for.

use super::bench::{Bench, Disks, hush_differences, selector};
use e2e::agreement::{
    Case, MUTATIONS, Saving, boundary_cases, differences, is_modelled, runnable, seeded_case,
};
use e2e::progress::say;
use e2e::sandbox::SANDBOX;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Where the numbers of the set for CI begin.
const SEED: u64 = 21;

/// Boots after which a chain ends that has not come to rest.
const CHAIN_BOOTS: usize = 10;

/// Names a case to be played alone: all that a report of a difference says of it.
const ONE_CASE: &str = "ATOMIX_CASE";

/// What is played, and what came of it.
#[derive(Default)]
struct Tally {
    environments: usize,
    boots: usize,
    started: usize,
    wrong: Vec<String>,
}

/// Plays `count` starts of `play` on as many benches as there are processors.
fn on_benches(count: usize, play: impl Fn(&mut Bench<'_>, usize) -> Tally + Sync) -> Tally {
    let disks = Disks::new();
    let next = AtomicUsize::new(0);
    let total = Mutex::new(Tally::default());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut bench = Bench::new(&disks);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        break;
                    }
                    let played = play(&mut bench, number);
                    let mut total = total.lock().unwrap();
                    total.environments += played.environments;
                    total.boots += played.boots;
                    total.started += played.started;
                    total.wrong.extend(played.wrong);
                }
                bench.check_beyond();
            });
        }
    });
    total.into_inner().unwrap()
}

/// Boots a case, and then what it left, until nothing changes any more, the model has no word for
/// what comes, or `most` boots are over.
fn boot(bench: &mut Bench<'_>, case: &Case, most: usize) -> Tally {
    let selector = selector();
    let mut tally = Tally::default();
    let mut case = case.clone();
    bench.prepare(&case, &selector);
    for boot in 1..=most {
        let seen = bench.run(&case, None);
        tally.boots += 1;
        tally.environments += 1;
        tally.started += usize::from(seen.start.is_some());
        let mut wrong = differences(&case, &SANDBOX, &seen);
        wrong.extend(hush_differences(&case, &selector));
        if !wrong.is_empty() {
            let first = case.name.split('#').next().unwrap_or_default();
            wrong.push(format!(
                "alone: {ONE_CASE}='{first}' cargo test -p e2e --test sandbox -- --ignored one_case"
            ));
            tally.wrong.push(wrong.join("\n  "));
            break;
        }
        let name = case.name.split('#').next().unwrap_or_default();
        // The scripts are there again, from where U-Boot takes them anyway.
        let env = seen.stored.map(|mut env| {
            selector.iter().for_each(|(name, _)| env.unset(name));
            env
        });
        let next = Case { name: format!("{name}#{boot}"), env, around: case.around };
        if next.env == case.env || !is_modelled(&next) {
            break;
        }
        case = next;
    }
    tally
}

fn report(what: &str, tally: &Tally, begin: Instant) {
    let Tally { environments, boots, started, wrong } = tally;
    let secs = begin.elapsed().as_secs_f64();
    say(&format!(
        "the firmware agrees, {what}: {environments} environments, {boots} boots of real U-Boot, \
         {started} slots started, {} disagreements, {secs:.1} s",
        wrong.len()
    ));
    let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n\n");
    assert!(wrong.is_empty(), "{} of {boots}:\n{shown}", wrong.len());
    assert!(*started > 0);
}

/// Every edge, and so many environments of a seed.
fn check_single(what: &str, seed: u64, seeded: u32) -> usize {
    let begin = Instant::now();
    let mut cases = boundary_cases();
    cases.extend((0..seeded).map(|number| seeded_case(seed, number)));
    let tally = on_benches(cases.len(), |bench, number| boot(bench, &cases[number], 1));
    report(what, &tally, begin);
    assert_eq!(tally.environments, cases.len());
    tally.environments
}

/// Chains of boots that begin at each so manieth edge and at so many environments of a seed.
fn check_chains(what: &str, each: usize, seed: u64, seeded: u32) {
    let begin = Instant::now();
    let lasting = |case: &Case| case.around.saving == Saving::Works;
    let mut cases: Vec<Case> = boundary_cases().into_iter().filter(lasting).step_by(each).collect();
    cases.extend((0..seeded).map(|number| seeded_case(seed, number)).filter(lasting));
    let tally = on_benches(cases.len(), |bench, number| boot(bench, &cases[number], CHAIN_BOOTS));
    report(what, &tally, begin);
    assert!(tally.boots > 3 * cases.len(), "{} chains of {} boots", cases.len(), tally.boots);
}

#[test]
fn the_sandbox_does_as_the_model_says_on_every_edge() {
    let environments = check_single("edges and between", SEED, 400);
    assert!(environments >= 2000, "{environments}");
}

#[test]
fn the_sandbox_does_as_the_model_says_boot_after_boot() {
    check_chains("chains", 40, SEED + 1, 20);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn the_sandbox_does_as_the_model_says_in_twenty_thousand_environments() {
    check_single("long", SEED + 2, 18_000);
}

#[test]
#[ignore = "long: cargo xtask e2e --all"]
fn the_sandbox_does_as_the_model_says_in_many_chains() {
    check_chains("long chains", 3, SEED + 3, 300);
}

/// Plays what a report of a difference names, and the boots after it.
#[test]
#[ignore = "long: plays the case in ATOMIX_CASE, or one that nobody named"]
fn one_case_is_played_alone() {
    let name = std::env::var(ONE_CASE).unwrap_or_else(|_| format!("seeded/{SEED}/0"));
    let found = boundary_cases().into_iter().find(|case| case.name == name);
    let seeded = || {
        let mut words = name.strip_prefix("seeded/")?.split('/');
        Some(seeded_case(words.next()?.parse().ok()?, words.next()?.parse().ok()?))
    };
    let case = found.or_else(seeded).unwrap_or_else(|| panic!("no case is called {name}"));
    say(&case.to_string());
    let begin = Instant::now();
    let tally = on_benches(1, |bench, _| boot(bench, &case, CHAIN_BOOTS));
    report(&name, &tally, begin);
}

/// The comparison has teeth: each way to break the selector is seen in real U-Boot and in the model
/// of hush, on the edge that is named for it, where the same selector unbroken agrees.
#[test]
fn every_broken_selector_is_seen_to_disagree() {
    let right = runnable(&SANDBOX, None).unwrap();
    let cases = boundary_cases();
    let tally = on_benches(MUTATIONS.len(), |bench, number| {
        let mutation = &MUTATIONS[number];
        let mut tally = Tally { environments: 1, ..Tally::default() };
        let broken = runnable(&SANDBOX, Some(mutation)).unwrap();
        let Some(case) = cases.iter().find(|case| case.name == mutation.shown_by) else {
            tally.wrong.push(format!("{}: no edge is {}", mutation.name, mutation.shown_by));
            return tally;
        };
        let mut play = |selector| {
            bench.prepare(case, selector);
            let seen = bench.run(case, Some("run atomix_select"));
            tally.boots += 1;
            [differences(case, &SANDBOX, &seen), hush_differences(case, &booting(selector))]
        };
        let [agreed, disagreed] = [play(&right), play(&broken)];
        if let Some(wrong) = agreed.iter().find(|wrong| !wrong.is_empty()) {
            tally.wrong.push(format!("unbroken: {}", wrong.join("\n  ")));
        }
        if disagreed.iter().any(Vec::is_empty) {
            let unseen = format!("{disagreed:?} on {}", mutation.shown_by);
            tally.wrong.push(format!("it is not seen that {}: {unseen}", mutation.name));
        }
        say(&format!("{}: {}: {:?}", mutation.name, mutation.shown_by, disagreed[0].get(1)));
        tally
    });
    let Tally { wrong, environments, boots, .. } = &tally;
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(*environments, MUTATIONS.len());
    say(&format!("{environments} broken selectors, all seen to disagree, {boots} boots"));
}

/// The same variables for a firmware that has them built in.
fn booting(selector: &uboot::Env) -> uboot::Env {
    let mut env = selector.clone();
    env.set("bootcmd", "run atomix_select").unwrap();
    env
}
