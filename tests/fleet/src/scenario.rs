// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is played? Each scenario is a plan on virtual time, with the spans in which its servers are
//! measured.

use crate::catalog::Version;
use crate::device::Make;
use crate::fleet::{Act, Fleet};
use crate::outcome::Outcome;
use crate::server::Which;
use crate::time::{HOUR, MINUTE, unix};
use crate::turn::{Mistake, Rules};
use crate::vendor::Publication;
use agents::{Rollout, Urgency};
use anyhow::Result;
use std::ops::Range;
use std::time::Duration;

/// When what is published is published.
const PUBLISHED: Duration = Duration::from_secs(2 * 3600);
/// How long a rollout lasts.
const ROLLOUT: Duration = Duration::from_secs(24 * 3600);
/// Its percentage.
const PERCENT: u8 = 5;
/// After so many fall backs the operator takes a release back.
const MOST_HURT: usize = 3;

const BOTH: &[Which] = &Which::ALL;

/// In which span a server is measured.
#[derive(Clone, Copy, Debug)]
pub enum Span {
    /// From here to there.
    Whole(Duration, Duration),
    /// From here to there, against the mean of the hour before.
    Against(Duration, Duration),
    /// From here until 95 of a hundred of the server's devices are updated.
    UntilUpdated(Duration),
}

/// A scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens.
    pub words: &'static str,
    /// How long it lasts.
    pub lasts: Duration,
    /// What is done, in order.
    pub plan: Vec<(Duration, Act)>,
    /// When the servers are away.
    pub away: Option<Range<Duration>>,
    /// What everybody ends with, and since when it is there to be had.
    pub target: Option<(Version, Duration)>,
    /// Where the servers are measured: both, or one of them.
    pub spans: Vec<(&'static str, &'static [Which], Span)>,
    /// When the share of a rollout is counted.
    pub counted: Option<(Duration, u8)>,
    /// Of a thousand requests, how many are lost, from and up to.
    pub loss: (u64, u64),
    /// Of a thousand devices, how many have a window in the night.
    pub windows: u64,
    /// Of a thousand installs, how many see the power go.
    pub cuts: u64,
}

/// Their names, in the order in which they are played.
pub const SCENARIOS: [&str; 9] =
    ["quiet", "release", "rollout", "power", "outage", "bad", "unwatched", "lossy", "forced"];

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// How many devices.
    pub devices: u32,
    /// See there.
    pub seed: u64,
    /// What is done wrong on purpose.
    pub mistake: Mistake,
}

impl Scenario {
    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "quiet" => quiet(),
            "release" => Self::of("release", "a release for everybody at once"),
            "rollout" => rollout(),
            "power" => power(),
            "outage" => outage(),
            "bad" => bad(),
            "unwatched" => unwatched(),
            "lossy" => Self {
                loss: (10, 201),
                lasts: HOUR * 16,
                ..Self::of(
                    "lossy",
                    "the same, over links that lose 1 to 20 % of requests and pieces",
                )
            },
            "forced" => forced(),
            _ => return None,
        })
    }

    fn of(name: &'static str, words: &'static str) -> Self {
        let publication = Act::Publish(Publication::whole(Version::Sound));
        Self {
            name,
            words,
            lasts: HOUR * 10,
            plan: vec![(PUBLISHED, publication)],
            away: None,
            target: Some((Version::Sound, PUBLISHED)),
            spans: vec![("until updated", BOTH, Span::UntilUpdated(PUBLISHED))],
            counted: None,
            loss: (0, 10),
            windows: 0,
            cuts: 20,
        }
    }
}

fn quiet() -> Scenario {
    Scenario {
        lasts: HOUR * 6,
        plan: Vec::new(),
        target: None,
        spans: vec![("five hours", BOTH, Span::Whole(HOUR, HOUR * 6))],
        ..Scenario::of("quiet", "nothing is published: everybody asks")
    }
}

fn held(version: Version) -> Publication {
    let (begins, ends) = (unix(PUBLISHED), unix(PUBLISHED + ROLLOUT));
    let rollout = Some(Rollout { begins, ends, percent: PERCENT });
    Publication { version, rollout, urgency: Urgency::Ordinary }
}

fn rollout() -> Scenario {
    let ends = PUBLISHED + ROLLOUT;
    // The original contract and hawkBit have no ramp: their operator tells all when it is over.
    let (others, everybody) = (ends + HOUR, Act::Publish(Publication::whole(Version::Sound)));
    Scenario {
        lasts: ends + HOUR * 8,
        plan: vec![(PUBLISHED, Act::Publish(held(Version::Sound))), (others, everybody)],
        target: Some((Version::Sound, ends)),
        spans: vec![
            ("its end", &[Which::Web], Span::Whole(ends, ends + HOUR)),
            ("until updated", &[Which::Hawkbit], Span::UntilUpdated(others)),
        ],
        counted: Some((ends - MINUTE, PERCENT)),
        ..Scenario::of("rollout", "5 % within 24 h, then everybody at the end of the rollout")
    }
}

fn power() -> Scenario {
    let returns = HOUR * 3;
    let mut plan = vec![(HOUR, Act::Blackout(returns))];
    plan.extend(Scenario::of("", "").plan);
    Scenario {
        plan,
        target: Some((Version::Sound, returns)),
        spans: vec![("until updated", BOTH, Span::UntilUpdated(returns))],
        ..Scenario::of("power", "no power for 2 h, a release meanwhile, all return at one second")
    }
}

fn outage() -> Scenario {
    let (from, to) = (HOUR * 2, HOUR * 4);
    Scenario {
        plan: vec![(HOUR * 3, Act::Publish(Publication::whole(Version::Sound)))],
        away: Some(from..to),
        target: Some((Version::Sound, to)),
        spans: vec![
            ("while away", BOTH, Span::Against(from, to)),
            ("until updated", BOTH, Span::UntilUpdated(to)),
        ],
        ..Scenario::of(
            "outage",
            "the servers are away for 2 h, and have a release when they return",
        )
    }
}

fn bad() -> Scenario {
    let mended = HOUR * 9;
    Scenario {
        lasts: HOUR * 18,
        plan: vec![
            (PUBLISHED, Act::Publish(held(Version::Bad))),
            (PUBLISHED, Act::Watch(Version::Bad, MOST_HURT)),
            (mended, Act::Publish(Publication::whole(Version::Mended))),
        ],
        target: Some((Version::Mended, mended)),
        spans: vec![("until updated", BOTH, Span::UntilUpdated(mended))],
        ..Scenario::of("bad", "a release that fails on 3 of 4 boards, at 5 %, and the one after it")
    }
}

fn unwatched() -> Scenario {
    let mut scenario = bad();
    scenario.plan.retain(|(_, act)| !matches!(act, Act::Watch(..)));
    (scenario.name, scenario.words) = ("unwatched", "the same, and nobody takes it back for 7 h");
    scenario
}

fn forced() -> Scenario {
    let forced = Publication { urgency: Urgency::Forced, ..Publication::whole(Version::Sound) };
    Scenario {
        plan: vec![(PUBLISHED, Act::Publish(forced))],
        windows: 500,
        ..Scenario::of("forced", "forced on everybody; half of them have a window in the night")
    }
}

/// Plays a scenario.
///
/// # Errors
/// OpenSSL's, or a device that cannot be named.
pub fn play(scenario: &Scenario, wanted: Wanted) -> Result<Outcome> {
    let make = Make { seed: wanted.seed, loss: scenario.loss, windows: scenario.windows };
    let rules = Rules { mistake: wanted.mistake, cuts: scenario.cuts };
    let mut fleet = Fleet::new(wanted.devices, &make, rules)?;
    fleet.servers.away.clone_from(&scenario.away);
    for (when, act) in &scenario.plan {
        fleet.run_to(*when)?;
        match (act, wanted.mistake) {
            (Act::Publish(part), Mistake::NoRollout) => {
                fleet.act(&Act::Publish(Publication { rollout: None, ..*part }))?;
            }
            _ => fleet.act(act)?,
        }
    }
    fleet.run_to(scenario.lasts)?;
    Ok(Outcome::of(scenario, &fleet, wanted))
}
