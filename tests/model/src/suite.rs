// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is explored in a run, and what does it come to? The scenarios of both sizes, shared among
//! threads, and the one line that a person can quote.

use crate::explore::{Explored, Until, explore};
use crate::model::{Defaults, Scenario};
use crate::protocol::ModelError;
use crate::world::{Faults, Nature, Natures};
use bootctl::LateFallback;
use std::fmt;
use std::sync::Mutex;

/// How much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Within a minute on two busy cores.
    Ci,
    /// As much as fits into memory.
    Exhaustive,
}

impl Size {
    /// Fewer states than this are no whole search.
    #[must_use]
    pub const fn least_states(self) -> usize {
        match self {
            Self::Ci => 1_000_000,
            Self::Exhaustive => 15_000_000,
        }
    }
}

const NATURES: [Nature; 3] = [Nature::Sound, Nature::Broken, Nature::Unloadable];

/// The scenarios of a size.
#[must_use]
pub fn scenarios(size: Size) -> Vec<Scenario> {
    let mut all = Vec::new();
    for (index, first) in NATURES.into_iter().enumerate() {
        // The two bundles differ in nothing but their number: either order is the same board.
        for second in NATURES.into_iter().skip(index) {
            let natures = [first, second];
            all.extend(budgets(size, natures).into_iter().map(|faults| scenario(natures, faults)));
            all.extend(variants(size, natures));
        }
    }
    all
}

/// A scenario with nothing else special.
#[must_use]
pub const fn scenario(natures: Natures, faults: Faults) -> Scenario {
    Scenario {
        natures,
        faults,
        late_fallback: LateFallback::Allowed,
        defaults: Defaults::Carried,
        mutation: None,
    }
}

fn budgets(size: Size, natures: Natures) -> Vec<Faults> {
    let faults =
        |cuts, environment, media, technician| Faults { cuts, environment, media, technician };
    match size {
        // The largest without a cut where most can go wrong: a way that the other size found is there.
        Size::Ci if natures == [Nature::Sound, Nature::Broken] => {
            vec![faults(1, 1, 0, 0), faults(1, 0, 1, 0), faults(0, 1, 0, 1)]
        }
        Size::Ci => vec![faults(1, 1, 0, 0), faults(1, 0, 1, 0), faults(0, 0, 0, 1)],
        Size::Exhaustive => vec![
            faults(1, 1, 1, 0),
            faults(2, 1, 0, 0),
            faults(2, 0, 3, 0),
            faults(1, 1, 0, 1),
            faults(0, 0, 2, 1),
            faults(1, 2, 0, 0),
        ],
    }
}

/// The configurations that are not the usual ones.
fn variants(size: Size, natures: Natures) -> [Scenario; 2] {
    let cuts = match size {
        Size::Ci => 0,
        Size::Exhaustive => 1,
    };
    let faults = Faults { cuts, environment: 1, media: 0, technician: 0 };
    let base = scenario(natures, faults);
    [
        Scenario { late_fallback: LateFallback::Prevented, ..base },
        Scenario { defaults: Defaults::Absent, ..base },
    ]
}

/// All scenarios together.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Scenarios.
    pub scenarios: usize,
    /// Their sum; depth and boots are the largest.
    pub total: Explored,
}

impl Report {
    fn add(&mut self, one: Explored) {
        let total = &mut self.total;
        self.scenarios += 1;
        total.states += one.states;
        total.transitions += one.transitions;
        total.updated_back += one.updated_back;
        total.tally.add(&one.tally);
        total.depth = total.depth.max(one.depth);
        total.boot_states = total.boot_states.max(one.boot_states);
        total.boots_to_rest = total.boots_to_rest.max(one.boots_to_rest);
        total.violations.extend(one.violations);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        write!(
            f,
            "model: {} states, {} transitions, depth {}, {} violations",
            grouped(total.states.to_string()),
            grouped(total.transitions.to_string()),
            total.depth,
            total.violations.len()
        )
    }
}

/// `1234567` as `1,234,567`.
fn grouped(digits: String) -> String {
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Explores all of `scenarios` on `threads` threads; `told` hears of each when it is done.
///
/// # Errors
/// [`ModelError`].
pub fn run(
    scenarios: &[Scenario],
    threads: usize,
    told: &(dyn Fn(&Scenario, &Explored) + Sync),
) -> Result<Report, ModelError> {
    let open = Mutex::new(scenarios.iter());
    let done: Mutex<Vec<Result<Explored, ModelError>>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                loop {
                    let next = open.lock().ok().and_then(|mut open| open.next());
                    let Some(scenario) = next else { return };
                    let explored = explore(scenario, Until::Everything);
                    if let Ok(explored) = &explored {
                        told(scenario, explored);
                    }
                    if let Ok(mut done) = done.lock() {
                        done.push(explored);
                    }
                }
            });
        }
    });
    let mut report = Report::default();
    for explored in done.into_inner().unwrap_or_default() {
        report.add(explored?);
    }
    Ok(report)
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.natures;
        let Faults { cuts, environment, media, technician } = self.faults;
        write!(
            f,
            "bundle 1 {first}, bundle 2 {second}; at most {cuts} cuts, {environment} environment, \
             {media} media, {technician} technician"
        )?;
        if self.late_fallback == LateFallback::Prevented {
            f.write_str("; late fallback prevented")?;
        }
        if self.defaults == Defaults::Absent {
            f.write_str("; no defaults in Linux")?;
        }
        Ok(())
    }
}

impl fmt::Display for Nature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sound => "sound",
            Self::Broken => "broken",
            Self::Unloadable => "unloadable",
        })
    }
}
