// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came of a scenario? Numbers, which people read as a table and programs as JSON.

use crate::catalog::Version;
use crate::device::{Device, Odd, Told, Why};
use crate::fleet::Fleet;
use crate::meter::{Request, as_f64};
use crate::scenario::{Scenario, Span, Wanted};
use crate::server::Which;
use crate::time::HOUR;
use agents::{Rule, Urgency};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Rows of a picture.
const ROWS: u32 = 24;

/// A server in a span.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Which server.
    pub server: &'static str,
    /// Which span.
    pub span: &'static str,
    /// From which minute.
    pub from: u64,
    /// To which; nothing where it did not end in time.
    pub to: Option<u64>,
    /// Requests.
    pub requests: u64,
    /// Requests in the mean minute.
    pub mean_minute: f64,
    /// Requests in the fullest minute.
    pub peak_minute: u64,
    /// The second divided by the first.
    pub ratio: f64,
    /// Requests in the mean second.
    pub mean_second: f64,
    /// Requests in the fullest second.
    pub peak_second: u64,
}

/// The whole run, of one server.
#[derive(Clone, Debug, Serialize)]
pub struct Total {
    /// Which server.
    pub server: &'static str,
    /// Requests by kind.
    pub requests: BTreeMap<&'static str, u64>,
    /// Bytes that went out.
    pub bytes: u64,
}

/// A row of the picture.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its first minute.
    pub minute: u64,
    /// Requests in its mean minute, at all servers.
    pub requests_per_minute: u64,
    /// Devices that run what they are to run in the end, at its end.
    pub updated: u32,
}

/// The devices of a rollout.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Share {
    /// Those that the rollout is drawn for.
    pub of: u32,
    /// Those that have taken it.
    pub taken: u32,
    /// Those that should.
    pub percent: u8,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// Of this JSON.
    pub version: u32,
    /// Its name.
    pub scenario: &'static str,
    /// How many.
    pub devices: u32,
    /// Of its chance.
    pub seed: u64,
    /// How long it was, in minutes of the devices.
    pub minutes: u64,
    /// Events.
    pub events: u64,
    /// The servers in the spans that count.
    pub measured: Vec<Measured>,
    /// The servers over the whole run.
    pub totals: Vec<Total>,
    /// Minutes until half of the devices were updated.
    pub minutes_to_half: Option<u64>,
    /// Minutes until 95 of a hundred were.
    pub minutes_to_95: Option<u64>,
    /// Devices that are.
    pub updated: u32,
    /// The others, by what they say.
    pub not_updated: BTreeMap<String, u32>,
    /// Of those, devices that have no right to say so.
    pub unexplained: Vec<String>,
    /// Installs begun.
    pub installs: u32,
    /// Transfers that went on where they had broken off.
    pub resumed: u32,
    /// Installs that saw the power go.
    pub cuts: u32,
    /// Devices that fell back: before a bad release was stopped, and those that had it by then.
    pub hurt: u32,
    /// Of those, devices that fell back more than once.
    pub hurt_again: u32,
    /// Installs of what had failed on the device.
    pub installed_known_failed: u32,
    /// Minutes from the release to its end.
    pub stopped_after: Option<u64>,
    /// Highest sequences that sank.
    pub sequences_sunk: u32,
    /// Old documents that were refused.
    pub replays_refused: u32,
    /// Device reports that arrived.
    pub reports: u64,
    /// What hawkBit's server refused of what devices said.
    pub words_refused: usize,
    /// The share of the rollout.
    pub share: Option<Share>,
    /// The picture.
    pub rows: Vec<Row>,
}

fn minutes(span: Duration) -> u64 {
    span.as_secs() / 60
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Outcome {
    /// Of a fleet that has come to its end.
    #[must_use]
    pub fn of(scenario: &Scenario, fleet: &Fleet, wanted: Wanted) -> Self {
        let stories = || fleet.devices.iter().map(|device| &device.story);
        let published = scenario.plan.first().map(|(when, _)| *when).unwrap_or_default();
        let reaches = |percent| {
            let (version, from) = scenario.target?;
            let all = (&Which::ALL[..], wanted.devices);
            let when = fleet.course.reaches(all, version, percent, from)?;
            Some(minutes(when.saturating_sub(from)))
        };
        let (not_updated, unexplained) = not_updated(scenario, fleet);
        let not: u32 = not_updated.values().sum();
        let books = fleet.servers.books.values();
        Self {
            version: 1,
            scenario: scenario.name,
            devices: wanted.devices,
            seed: wanted.seed,
            minutes: minutes(scenario.lasts),
            events: fleet.events,
            measured: measured(scenario, fleet),
            totals: Which::ALL.map(|which| total(fleet, which)).to_vec(),
            minutes_to_half: reaches(50),
            minutes_to_95: reaches(95),
            updated: if scenario.target.is_some() { wanted.devices - not } else { 0 },
            not_updated,
            unexplained,
            installs: stories().map(|one| one.begun).sum(),
            resumed: stories().map(|one| one.resumed).sum(),
            cuts: stories().map(|one| one.cuts).sum(),
            hurt: count(stories().filter(|one| !one.hurt.is_empty()).count()),
            hurt_again: count(stories().filter(|one| one.hurt.len() > 1).count()),
            installed_known_failed: stories().map(|one| one.again).sum(),
            stopped_after: fleet.stopped.map(|when| minutes(when.saturating_sub(published))),
            sequences_sunk: stories().map(|one| one.sank).sum(),
            replays_refused: stories().map(|one| one.replays_refused).sum(),
            reports: fleet.servers.inbox.reports,
            words_refused: books.map(|book| book.refused.len()).sum(),
            share: scenario.counted.map(|(when, percent)| share(fleet, when, percent)),
            rows: rows(scenario, fleet),
        }
    }
}

fn measured(scenario: &Scenario, fleet: &Fleet) -> Vec<Measured> {
    let mut all = Vec::new();
    for (name, whose, span) in &scenario.spans {
        for which in whose.iter().copied() {
            let devices = fleet.devices.iter().filter(|device| device.server() == which).count();
            let (from, to) = match (*span, scenario.target) {
                (Span::Whole(from, to) | Span::Against(from, to), _) => (from, Some(to)),
                (Span::UntilUpdated(from), Some((version, _))) => {
                    let whose = (&[which][..], count(devices));
                    (from, fleet.course.reaches(whose, version, 95, from))
                }
                (Span::UntilUpdated(from), None) => (from, None),
            };
            let meter = fleet.servers.meter(which);
            let mut load = meter.load(&(from..to.unwrap_or(scenario.lasts)));
            if let Span::Against(..) = span {
                // Who is away is asked ever more seldom, so its own mean would be no measure.
                let before = meter.load(&(from.saturating_sub(HOUR)..from));
                (load.mean_minute, load.mean_second) = (before.mean_minute, before.mean_second);
            }
            all.push(Measured {
                server: which.words(),
                span: name,
                from: minutes(from),
                to: to.map(minutes),
                requests: load.requests,
                mean_minute: load.mean_minute,
                peak_minute: load.peak_minute,
                ratio: load.ratio(),
                mean_second: load.mean_second,
                peak_second: load.peak_second,
            });
        }
    }
    all
}

fn total(fleet: &Fleet, which: Which) -> Total {
    let meter = fleet.servers.meter(which);
    let requests = Request::ALL.into_iter().map(|kind| (kind.words(), meter.of(kind))).collect();
    Total { server: which.words(), requests, bytes: meter.bytes }
}

/// Those that do not run the target, by their own words, and those of whom that is not enough.
fn not_updated(scenario: &Scenario, fleet: &Fleet) -> (BTreeMap<String, u32>, Vec<String>) {
    let (mut reasons, mut unexplained) = (BTreeMap::new(), Vec::new());
    let Some((version, _)) = scenario.target else { return (reasons, unexplained) };
    let late = |device: &&Device| device.story.good.is_none_or(|(good, _)| good != version);
    for device in fleet.devices.iter().filter(late) {
        let words = words(device.why);
        if !is_explained(device, fleet.servers.document.what.urgency) {
            let Device { number, told, odd, .. } = device;
            unexplained.push(format!("device {number} ({told:?}, {odd:?}) says: {words}"));
        }
        *reasons.entry(words).or_insert(0) += 1;
    }
    (reasons, unexplained)
}

fn words(why: Why) -> String {
    match why {
        Why::NotAsked => "was not told of anything".to_owned(),
        Why::Nothing => "knows of nothing newer".to_owned(),
        Why::Refused(rule) => format!("refused by {}", rule.word()),
        Why::Waits(rule) => format!("waits for {}", rule.word()),
        Why::NoAnswer => "got no answer".to_owned(),
        Why::NotBelieved => "was told nothing that it believes".to_owned(),
        Why::UnderWay => "is under way".to_owned(),
    }
}

/// Whether the device is one of those that cannot, and says the right reason.
fn is_explained(device: &Device, urgency: Urgency) -> bool {
    match (device.odd, device.why) {
        (Odd::Stick, Why::Refused(Rule::Slot)) | (Odd::Tight, Why::Refused(Rule::UpdateBytes)) => {
            true
        }
        (Odd::Old, Why::Refused(Rule::MinVersion)) => device.told == Told::Release,
        // The original contract cannot force anything.
        (Odd::Metered, Why::Waits(Rule::Metered)) => {
            urgency == Urgency::Ordinary || device.told == Told::Original
        }
        _ => false,
    }
}

/// A rollout is drawn for those that read documents, and taken by those of them that can.
fn share(fleet: &Fleet, when: Duration, percent: u8) -> Share {
    let of =
        fleet.devices.iter().filter(|device| device.told == Told::Release && device.odd == Odd::No);
    let has_taken = |device: &&Device| {
        device.story.took.is_some_and(|(version, at)| version == Version::Sound && at <= when)
    };
    Share { of: count(of.clone().count()), taken: count(of.filter(has_taken).count()), percent }
}

fn rows(scenario: &Scenario, fleet: &Fleet) -> Vec<Row> {
    let width = Duration::from_secs(minutes(scenario.lasts / ROWS).max(1) * 60);
    let span = Duration::ZERO..scenario.lasts;
    let buckets = Which::ALL.map(|which| fleet.servers.meter(which).buckets(&span, width));
    let [web, hawkbit] = buckets;
    let sums = web.iter().zip(&hawkbit).map(|(one, other)| one + other);
    let mut begins = Duration::ZERO;
    let mut rows = Vec::new();
    for sum in sums {
        let ends = begins + width;
        let updated = scenario.target.map_or(0, |(version, _)| fleet.course.at(ends, version));
        let requests_per_minute = sum / minutes(width).max(1);
        rows.push(Row { minute: minutes(begins), requests_per_minute, updated });
        begins = ends;
    }
    rows
}

/// A part of a whole in percent.
#[must_use]
pub fn percent(part: u32, whole: u32) -> f64 {
    100.0 * as_f64(u64::from(part)) / as_f64(u64::from(whole.max(1)))
}
