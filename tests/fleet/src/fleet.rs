// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens to ten thousand devices? One queue of events, one thread, no clock: the same seed
//! is the same run.

use crate::catalog::Version;
use crate::device::{Device, Make, Told};
use crate::queue::{Happening, Queue};
use crate::random::Random;
use crate::server::{Servers, Which};
use crate::time::{MINUTE, unix};
use crate::turn::{Rules, Turn};
use crate::vendor::{Publication, Vendor};
use agents::{Sequence, Urgency};
use anyhow::{Context as _, Result};
use ddi::book::{Action, Open};
use std::rc::Rc;
use std::time::Duration;

/// How long copies of the web server still give the document before.
const STALE: Duration = Duration::from_secs(30 * 60);
/// How often the operator looks at what the fleet reports.
const LOOKS: Duration = MINUTE;

/// What somebody does to the whole fleet.
#[derive(Clone, Debug)]
pub enum Act {
    /// Publishes.
    Publish(Publication),
    /// The power of all fails within ten seconds, and returns at this moment.
    Blackout(Duration),
    /// The operator looks from now on, and takes this back when so many have fallen back.
    Watch(Version, usize),
}

/// The share of the fleet that was updated, every so often.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// By the minute and the server: devices that run each version from a good slot.
    pub good: Vec<[[u32; 5]; 2]>,
}

impl Course {
    /// The first whole minute since `from` at which of `all` devices of these servers so many of a
    /// hundred run `version`.
    #[must_use]
    pub fn reaches(
        &self,
        (whose, all): (&[Which], u32),
        version: Version,
        percent: u32,
        from: Duration,
    ) -> Option<Duration> {
        let first = usize::try_from(from.as_secs() / 60).ok()?;
        let is_there = |good: &[[u32; 5]; 2]| {
            u64::from(count(good, whose, version)) * 100 >= u64::from(all) * u64::from(percent)
        };
        let at = self.good.iter().skip(first).position(is_there)?;
        // The count of minute n is taken at its end.
        u32::try_from(first + at + 1).ok().map(|minutes| MINUTE * minutes)
    }

    /// How many run `version` at this moment.
    #[must_use]
    pub fn at(&self, when: Duration, version: Version) -> u32 {
        let minute = usize::try_from(when.as_secs() / 60).unwrap_or(usize::MAX);
        let good = minute.checked_sub(1).and_then(|minute| self.good.get(minute));
        good.map_or(0, |good| count(good, &Which::ALL, version))
    }
}

fn count(good: &[[u32; 5]; 2], whose: &[Which], version: Version) -> u32 {
    let servers = Which::ALL.iter().zip(good).filter(|(which, _)| whose.contains(which));
    let of = |counts: &[u32; 5]| {
        let mut all = Version::ALL.iter().zip(counts);
        all.find(|(known, _)| **known == version).map_or(0, |(_, count)| *count)
    };
    servers.map(|(_, counts)| of(counts)).sum()
}

/// The fleet and its servers.
pub struct Fleet {
    /// Now.
    pub now: Duration,
    /// All of them, by number.
    pub devices: Vec<Device>,
    /// Whom they ask.
    pub servers: Servers,
    /// How it went.
    pub course: Course,
    /// When the operator took a release back.
    pub stopped: Option<Duration>,
    /// Events so far.
    pub events: u64,
    queue: Queue,
    rules: Rules,
    random: Random,
    watched: Option<(Version, usize)>,
    actions: i64,
}

impl Fleet {
    /// A fleet that has been running for a while.
    ///
    /// # Errors
    /// OpenSSL's, or a device that cannot be named.
    pub fn new(count: u32, make: &Make, rules: Rules) -> Result<Self> {
        let vendor = Vendor::new()?;
        let first = Publication::whole(Version::Former);
        let document = vendor.sign(first, Sequence::FIRST, unix(Duration::ZERO))?;
        let mut fleet = Self {
            now: Duration::ZERO,
            devices: Vec::new(),
            servers: Servers::new(vendor, document),
            course: Course::default(),
            stopped: None,
            events: 0,
            queue: Queue::default(),
            rules,
            random: Random::new(make.seed),
            watched: None,
            actions: 0,
        };
        for number in 0..count {
            fleet.devices.push(Device::new(number, make)?);
        }
        for number in 0..count {
            let Some(mut turn) = fleet.turn(number) else { continue };
            // What it has told before the run begins is no news.
            let news = turn.told().news();
            turn.device.memory.report.arrived(news);
            let first = turn.device.pace.first(turn.lot_name());
            turn.plan(first, Happening::Wake);
        }
        Ok(fleet)
    }

    fn turn(&mut self, number: u32) -> Option<Turn<'_>> {
        let Self { now, devices, servers, queue, rules, .. } = self;
        let device = devices.get_mut(usize::try_from(number).ok()?)?;
        Some(Turn { now: *now, device, servers, queue, rules: *rules })
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// When the operator cannot publish.
    pub fn run_to(&mut self, end: Duration) -> Result<()> {
        while self.now < end {
            let stop = (self.now + LOOKS).min(end);
            while let Some(event) = self.queue.next(stop) {
                self.now = self.now.max(event.at);
                self.events += 1;
                if let Some(mut turn) = self.turn(event.device)
                    && turn.device.life == event.life
                {
                    turn.now = event.at;
                    turn.take(event.what);
                }
            }
            self.now = stop;
            self.note_course();
            self.look()?;
        }
        Ok(())
    }

    fn note_course(&mut self) {
        let mut good = [[0; 5]; 2];
        for device in &self.devices {
            let Some((version, _)) = device.story.good else { continue };
            let counts = good.get_mut(device.server() as usize);
            if let Some(count) = counts.and_then(|counts| counts.get_mut(version as usize)) {
                *count += 1;
            }
        }
        self.course.good.push(good);
    }

    /// The operator's rule: where enough have told that it did not prove itself, what ran before is
    /// published with the next number, and hawkBit's actions are cancelled.
    fn look(&mut self) -> Result<()> {
        let Some((version, most)) = self.watched else { return Ok(()) };
        if self.servers.told_failed(version) < most {
            return Ok(());
        }
        self.watched = None;
        self.stopped = Some(self.now);
        for action in self.servers.books.values_mut().flat_map(|book| &mut book.actions) {
            if action.open == Open::Running {
                action.change(|action| action.open = Open::Canceling);
            }
        }
        self.publish(Publication::whole(Version::Former))
    }

    /// Somebody does something.
    ///
    /// # Errors
    /// When it cannot be published.
    pub fn act(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Publish(what) => {
                self.publish(*what)?;
                self.assign(what);
            }
            Act::Watch(version, most) => self.watched = Some((*version, *most)),
            Act::Blackout(returns) => {
                for number in 0..self.devices.len() {
                    let when = self.random.between(Duration::ZERO, Duration::from_secs(10));
                    let Some(mut turn) = u32::try_from(number).ok().and_then(|one| self.turn(one))
                    else {
                        continue;
                    };
                    turn.now += when;
                    let dark = returns.saturating_sub(turn.now);
                    turn.black_out(dark);
                }
            }
        }
        Ok(())
    }

    fn publish(&mut self, what: Publication) -> Result<()> {
        let before = &self.servers.document;
        let sequence = before.sequence.next().context("no number is left")?;
        let document = self.servers.vendor.sign(what, sequence, unix(self.now))?;
        self.servers.stale = Some((Rc::clone(before), self.now + STALE));
        // The original contract knows no rollout: its devices come when everybody does.
        if what.rollout.is_none() {
            self.servers.original = what.version;
        }
        self.servers.document = Rc::new(document);
        Ok(())
    }

    /// hawkBit rolls out by groups of its own: the first has as many devices as the percentage says.
    fn assign(&mut self, what: &Publication) {
        let percent = what.rollout.map_or(100, |rollout| u64::from(rollout.percent));
        let handling = match what.urgency {
            Urgency::Forced => ("forced", "forced"),
            Urgency::Ordinary => ("attempt", "attempt"),
        };
        for device in self.devices.iter().filter(|device| device.told == Told::Hawkbit) {
            let book = self.servers.books.entry(device.number).or_default();
            if self.random.below(100) >= percent {
                continue;
            }
            self.actions += 1;
            let mut action = Action::new(self.actions, Open::Running, what.version.artifact());
            action.handling = handling;
            book.actions.push(action);
        }
    }
}
