// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a virtual device? Its slots, its record, its link and its owner's policy: the values that
//! the agents' decisions are functions of.

use crate::board::Board;
use crate::catalog::{PRODUCT, Version};
use crate::random::Random;
use crate::server::{HAWKBIT, Link, Which};
use crate::time::{HOUR, MINUTE, unix};
use agents::ddi::{ActionId, DdiState, Server};
use agents::{
    Clock, Days, Facts, InstallOrder, Link as Cost, Memory, MeteredRule, Pace, Policy, RebootRule,
    ReportTries, Rule, Transport, Window,
};
use anyhow::Result;
use bootctl::SlotId;
use bundle::UnixTime;
use std::time::Duration;
use storage::{ByteLen, Digest, PartUuid};

/// How a device is told of updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// By signed documents.
    Release,
    /// By the original contract.
    Original,
    /// By hawkBit.
    Hawkbit,
}

/// Why a device is another one than most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Odd {
    /// It is not.
    No,
    /// It runs from a technician's stick.
    Stick,
    /// It pays for bytes, and fetches what is forced only.
    Metered,
    /// Its owner allows fewer bytes than any update has.
    Tight,
    /// It runs a version that is too old for the release.
    Old,
}

/// Why a device is not updated, as it would say itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was not told of anything yet.
    NotAsked,
    /// There is nothing newer for it.
    Nothing,
    /// A rule refuses it.
    Refused(Rule),
    /// A rule wants it later.
    Waits(Rule),
    /// No server answers.
    NoAnswer,
    /// What it was told is not believed.
    NotBelieved,
    /// It is being fetched, or waits for its restart or its verdict.
    UnderWay,
}

/// A transfer under way; gone with the power.
#[derive(Clone, Debug)]
pub struct Job {
    /// What is done.
    pub order: InstallOrder,
    /// Which.
    pub version: Version,
    /// Bytes to go.
    pub left: u64,
    /// How often it broke off without a piece between.
    pub breaks: u32,
    /// Of hawkBit's.
    pub action: Option<ActionId>,
}

/// hawkBit's side of a device.
pub struct Hawkbit {
    /// Its place.
    pub server: Server,
    /// The course.
    pub state: DdiState,
}

/// What the judge wants to know afterwards.
#[derive(Clone, Debug, Default)]
pub struct Story {
    /// What it fell back from.
    pub hurt: Vec<Version>,
    /// Installs that were begun of a bundle it fell back from, though nobody forced it.
    pub again: u32,
    /// Installs begun, without those that went on.
    pub begun: u32,
    /// Documents that would have led back, and were not followed.
    pub replays_refused: u32,
    /// How often the highest sequence sank.
    pub sank: u32,
    /// Transfers that went on where they had broken off.
    pub resumed: u32,
    /// Power cuts.
    pub cuts: u32,
    /// What it runs from a good slot, and since when.
    pub good: Option<(Version, Duration)>,
    /// The last release that it has taken, and when.
    pub took: Option<(Version, Duration)>,
}

/// The device.
pub struct Device {
    /// Its number in the fleet.
    pub number: u32,
    /// Its name to servers.
    pub name: String,
    /// See there.
    pub told: Told,
    /// See there.
    pub odd: Odd,
    /// Whether the bad release does not run on it.
    pub is_weak: bool,
    /// Whether somebody sets its clock after a start.
    pub has_clock: bool,
    /// See there.
    pub link: Link,
    /// Its owner's.
    pub policy: Policy,
    /// How often it asks.
    pub pace: Pace,
    /// Its slots.
    pub board: Board,
    /// The agent's record.
    pub memory: Memory,
    /// Number of questions since the start.
    pub round: u64,
    /// Counts its starts: what was planned for an earlier life does not happen.
    pub life: u32,
    /// Whether it has power.
    pub is_on: bool,
    /// When it was started.
    pub started: Duration,
    /// How long it had been running when the run began.
    pub before: Duration,
    /// What its other slot holds of a bundle that is not whole.
    pub have: Option<(Digest, ByteLen)>,
    /// What it fetches.
    pub job: Option<Job>,
    /// hawkBit's side.
    pub hawkbit: Option<Hawkbit>,
    /// Until when an action of hawkBit's waits, by the device's clock.
    pub waits_until: Option<UnixTime>,
    /// Tries to deliver a report.
    pub tries: ReportTries,
    /// Why it is not updated.
    pub why: Why,
    /// Its chance.
    pub random: Random,
    /// See there.
    pub story: Story,
}

/// How the fleet is made.
#[derive(Clone, Copy, Debug)]
pub struct Make {
    /// What all of it follows from.
    pub seed: u64,
    /// Of a thousand requests, at least and below how many are lost.
    pub loss: (u64, u64),
    /// Of a thousand devices, how many have a window in the night for install and restart; those of
    /// the original contract never had one.
    pub windows: u64,
}

impl Device {
    /// Device number `number`.
    ///
    /// # Errors
    /// When its place at a server cannot be named.
    pub fn new(number: u32, make: &Make) -> Result<Self> {
        let mut random = Random::new(make.seed ^ (u64::from(number) << 20));
        random.number();
        // A production run: names that differ in their last digits only, as lots must bear.
        let name = format!("{:06x}{number:06x}", Random::new(make.seed).below(1 << 24));
        let told = match number % 10 {
            8 => Told::Original,
            9 => Told::Hawkbit,
            _ => Told::Release,
        };
        let odd = match random.below(1000) {
            0..5 => Odd::Stick,
            5..10 => Odd::Metered,
            10..15 => Odd::Tight,
            // The original contract and hawkBit know no oldest version.
            15..20 if told == Told::Release => Odd::Old,
            _ => Odd::No,
        };
        let has_window = random.happens(make.windows) && told != Told::Original;
        let policy = policy(odd, has_window)?;
        let interval = if told == Told::Hawkbit { MINUTE * 5 } else { HOUR };
        let hawkbit = match told {
            Told::Hawkbit => Some(Hawkbit {
                server: Server::new(HAWKBIT, Transport::HttpsOnly, ("DEFAULT", &name))?,
                state: DdiState::default(),
            }),
            Told::Release | Told::Original => None,
        };
        let version = if odd == Odd::Old { Version::Old } else { Version::Former };
        let disk: PartUuid = format!("00000000-0000-4000-8000-{number:012x}").parse()?;
        let board = Board::new(disk, version);
        Ok(Self {
            number,
            told,
            odd,
            is_weak: random.happens(750),
            has_clock: !random.happens(50),
            link: link(&mut random, make.loss),
            pace: Pace::new(interval, &policy),
            policy,
            board: if odd == Odd::Stick { board.on_stick() } else { board },
            memory: Memory::default(),
            round: 0,
            life: 0,
            is_on: true,
            started: Duration::ZERO,
            before: random.between(HOUR, HOUR * 24 * 30),
            have: None,
            job: None,
            hawkbit,
            waits_until: None,
            tries: ReportTries::default(),
            why: Why::NotAsked,
            random,
            story: Story { good: Some((version, Duration::ZERO)), ..Story::default() },
            name,
        })
    }

    /// Which server it asks.
    #[must_use]
    pub const fn server(&self) -> Which {
        match self.told {
            Told::Release | Told::Original => Which::Web,
            Told::Hawkbit => Which::Hawkbit,
        }
    }

    /// How long it has been running.
    #[must_use]
    pub fn up(&self, now: Duration) -> Duration {
        now.saturating_sub(self.started) + self.before
    }

    /// Its clock: one that nobody sets begins with 1970 at each start.
    #[must_use]
    pub fn clock(&self, now: Duration) -> Clock {
        let up = i64::try_from(self.up(now).as_secs()).unwrap_or(i64::MAX);
        let shows = if self.has_clock { unix(now) } else { UnixTime(up) };
        Clock { now: shows, floor: self.memory.floor(), is_set: self.has_clock }
    }

    /// What its decisions are made from.
    #[must_use]
    pub fn facts(&self, now: Duration) -> Facts {
        Facts {
            compatible: PRODUCT.to_owned(),
            device_id: self.name.clone(),
            contract_id: Some(self.name.clone()),
            booted: self.board.booted,
            a: self.board.facts(SlotId::A),
            b: self.board.facts(SlotId::B),
            next: self.board.next(),
            version_floor: None,
            failed: self.board.state.failed.clone(),
            clock: self.clock(now),
            up: self.up(now),
            link: if self.odd == Odd::Metered { Cost::Metered } else { Cost::Flat },
            inhibitors: Vec::new(),
        }
    }

    /// No server has answered. A reason that it was given before is still the better one.
    pub const fn is_unanswered(&mut self) {
        match self.why {
            Why::Refused(_) | Why::Waits(_) => {}
            Why::NotAsked | Why::Nothing | Why::NoAnswer | Why::NotBelieved | Why::UnderWay => {
                self.why = Why::NoAnswer;
            }
        }
    }

    /// How much of a bundle lies in the other slot.
    #[must_use]
    pub fn has_of(&self, version: Version) -> ByteLen {
        match self.have {
            Some((manifest, bytes)) if manifest == version.manifest() => bytes,
            Some(_) | None => ByteLen::ZERO,
        }
    }
}

fn policy(odd: Odd, has_window: bool) -> Result<Policy> {
    let mut policy = Policy::default();
    match odd {
        Odd::Metered => policy.metered = MeteredRule::ForcedOnly,
        Odd::Tight => policy.most_update = Some(ByteLen::mib(1)),
        Odd::No | Odd::Stick | Odd::Old => {}
    }
    if has_window {
        policy.windows = vec![Window::new(Days::EVERY, 120, 240, 0)?];
        policy.reboot = RebootRule::Window;
    }
    Ok(policy)
}

/// One to sixteen Mbit/s, as many slow ones as fast ones.
fn link(random: &mut Random, (least, most): (u64, u64)) -> Link {
    let rate = 125_000 << random.below(4);
    Link { rate: rate + random.below(rate), loss: least + random.below(most.saturating_sub(least)) }
}
