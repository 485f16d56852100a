// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board for the real agent: two slots, a boot order and a medium, on virtual time, whose power
//! may fail at any hand.
//!
//! What its bundles are is told by their versions: [`Board::bad`] ones never prove themselves.

use agents::agent::{
    HandError, Hands, InstallDone, InstallEnding, LookDone, LookError, Stop, StoreDone, Watch,
};
use agents::ddi::{FileHasher, FileHashes};
use agents::{
    AgentFacts, Clock, Facts, InstallOrder, LastUpdate, Link, Looked, Memory, Offer, Policy,
    Report, ReportAnswer, ReportRequest, ReportedSlot, SlotFacts, UpdateResult,
};
use bootctl::{AttemptsLeft, SlotId, SlotState};
use bundle::UnixTime;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::Duration;
use storage::{ByteLen, Digest};

/// The power failed: what unwinds the agent.
pub struct Cut;

/// Hands and requests that are still done before the power fails.
#[derive(Clone, Default)]
pub struct Fuse(Rc<Cell<Option<u32>>>);

impl Fuse {
    /// It fails at this one of them, or never.
    pub fn set(&self, after: Option<u32>) {
        self.0.set(after);
    }

    /// One more of them, before or behind which the power may fail.
    pub fn burn(&self) {
        match self.0.get() {
            Some(0) => {
                self.0.set(None);
                resume_unwind(Box::new(Cut));
            }
            Some(left) => self.0.set(Some(left - 1)),
            None => {}
        }
    }
}

type OnPercent = Box<dyn FnMut(u8)>;

/// The board.
pub struct Board {
    slots: [SlotFacts; 2],
    booted: SlotId,
    next: SlotId,
    failed: Vec<bootctl::BundleId>,
    now: i64,
    up: Duration,
    /// What survives a power cut of what the agent remembers.
    pub memory: Memory,
    /// Versions that never prove themselves.
    pub bad: BTreeSet<String>,
    /// Versions whose bundle is not the one of that number.
    pub rebuilt: BTreeMap<String, u8>,
    /// Who asks that it be left running.
    pub inhibitors: Vec<String>,
    /// Why the owner's program forbids a restart.
    pub forbids: Option<String>,
    /// Why the other slot cannot be made to boot no more.
    pub stuck: Option<String>,
    /// How often the bundle cannot be looked at, and how often not be fetched to its end.
    pub unreachable: (u32, u32),
    /// How long its place then wants to be left alone.
    pub put_off: Option<Duration>,
    /// The same for want of room on this medium.
    pub full: (u32, u32),
    /// Content of the file that is fetched whole.
    pub file: &'static [u8],
    /// The power fails as soon as a slot is written, before anybody is told.
    pub cuts_written: bool,
    /// Told how far an install is.
    pub on_percent: Option<OnPercent>,
    /// How often it is slept until the program is ended.
    pub naps: u32,
    /// By how many seconds somebody sets the clock during the next sleep.
    pub clock_step: i64,
    /// When the power fails.
    pub fuse: Fuse,
    /// Versions of which an install began, came to its end; which were stored.
    pub began: Vec<String>,
    /// See there.
    pub written: Vec<String>,
    /// See there.
    pub stored: u32,
    /// The restart was asked for.
    pub wants_restart: bool,
    /// Seconds of each sleep.
    pub slept: Vec<u64>,
    /// The log.
    pub log: Vec<String>,
}

/// The manifest of the bundle of this version.
fn number(version: &str) -> u8 {
    version.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

fn manifest(number: u8) -> Digest {
    Digest::from_bytes([number; 32])
}

impl Default for Board {
    /// Slot A runs version 1.0.0 and is good; slot B is empty.
    fn default() -> Self {
        let attempts = AttemptsLeft::DEFAULT;
        let version = "1.0.0".to_owned();
        let bundle = Some(manifest(1).into());
        let a = SlotFacts { state: SlotState::Good, attempts, bundle, version: Some(version) };
        let b = SlotFacts { state: SlotState::Empty, attempts, bundle: None, version: None };
        Self {
            slots: [a, b],
            booted: SlotId::A,
            next: SlotId::A,
            failed: Vec::new(),
            now: 1_795_348_800,
            up: Duration::from_secs(86_400),
            memory: Memory::default(),
            bad: BTreeSet::new(),
            rebuilt: BTreeMap::new(),
            inhibitors: Vec::new(),
            forbids: None,
            stuck: None,
            unreachable: (0, 0),
            put_off: None,
            full: (0, 0),
            file: b"abc",
            cuts_written: false,
            on_percent: None,
            naps: 4,
            clock_step: 0,
            fuse: Fuse::default(),
            began: Vec::new(),
            written: Vec::new(),
            stored: 0,
            wants_restart: false,
            slept: Vec::new(),
            log: Vec::new(),
        }
    }
}

impl Board {
    fn slot_mut(&mut self, slot: SlotId) -> &mut SlotFacts {
        let [a, b] = &mut self.slots;
        match slot {
            SlotId::A => a,
            SlotId::B => b,
        }
    }

    fn slot(&self, slot: SlotId) -> &SlotFacts {
        let [a, b] = &self.slots;
        match slot {
            SlotId::A => a,
            SlotId::B => b,
        }
    }

    /// The version that runs, if its slot is good.
    #[must_use]
    pub fn good(&self) -> Option<&str> {
        let slot = self.slot(self.booted);
        slot.version.as_deref().filter(|_| slot.state == SlotState::Good)
    }

    /// The version that boots next.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.slot(self.next).version.as_deref()
    }

    /// Whether the running slot waits for its verdict.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.slot(self.booted).state == SlotState::Trying
    }

    /// The power comes back, or the restart comes: as the selector would.
    pub fn boot(&mut self) {
        (self.wants_restart, self.up) = (false, Duration::from_secs(86_400));
        self.booted = self.next;
        let slot = self.slot_mut(self.booted);
        if slot.state != SlotState::Trying {
            return;
        }
        match AttemptsLeft::new(slot.attempts.get().saturating_sub(1)) {
            Ok(left) if slot.attempts > AttemptsLeft::ZERO => slot.attempts = left,
            _ => self.leave(self.booted),
        }
    }

    fn leave(&mut self, slot: SlotId) {
        let left = self.slot_mut(slot);
        left.state = SlotState::Bad;
        let bundle = left.bundle;
        self.failed.extend(bundle.filter(|bundle| !self.failed.contains(bundle)));
        self.next = slot.other();
        self.booted = slot.other();
    }

    /// The verifier speaks; where it says no, the device falls back at once.
    pub fn verify(&mut self) {
        if !self.is_on_trial() {
            return;
        }
        let slot = self.slot_mut(self.booted);
        let version = slot.version.clone().unwrap_or_default();
        if self.bad.contains(&version) {
            self.leave(self.booted);
        } else {
            self.slot_mut(self.booted).state = SlotState::Good;
        }
    }

    /// Somebody sets the clock.
    pub fn set_clock_by(&mut self, secs: i64) {
        self.now += secs;
    }

    fn time(&self) -> UnixTime {
        UnixTime(self.now)
    }

    fn pass(&mut self, secs: u64) {
        self.now += i64::try_from(secs).unwrap_or(i64::MAX / 2);
        self.up += Duration::from_secs(secs);
    }

    fn bundle_of(&self, version: &str) -> Digest {
        manifest(self.rebuilt.get(version).copied().unwrap_or_else(|| number(version)))
    }

    fn write(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> InstallEnding {
        let version = format!("{}.0.0", order.manifest.as_bytes()[0]);
        self.fuse.burn();
        self.began.push(version.clone());
        self.next = self.booted;
        let slot = self.slot_mut(order.slot);
        (slot.state, slot.bundle, slot.version) = (SlotState::Writing, None, None);
        for percent in [0, 20, 40, 60, 80, 100] {
            self.fuse.burn();
            self.pass(20);
            if let Some(told) = &mut self.on_percent {
                told(percent);
            }
            if let Some(by) = watch.written(percent, self.time()) {
                return InstallEnding::Stopped(by);
            }
            if percent == 40 && self.full.1 > 0 {
                self.full.1 -= 1;
                return InstallEnding::Failed("no room".into());
            }
            if percent == 40 && self.unreachable.1 > 0 {
                self.unreachable.1 -= 1;
                let source = "the connection was lost".into();
                return InstallEnding::Interrupted { retry_after: None, source };
            }
        }
        let slot = self.slot_mut(order.slot);
        (slot.state, slot.attempts) = (SlotState::Trying, AttemptsLeft::DEFAULT);
        (slot.bundle, slot.version) = (Some(order.manifest.into()), Some(version.clone()));
        self.next = order.slot;
        self.written.push(version);
        if std::mem::take(&mut self.cuts_written) {
            self.fuse.set(Some(0));
        }
        self.fuse.burn();
        InstallEnding::Written
    }
}

fn no(doing: &str, why: &str) -> HandError {
    HandError { doing: doing.to_owned(), source: why.into() }
}

fn hashes(file: &[u8]) -> Result<FileHashes, InstallEnding> {
    let made = FileHasher::new().and_then(|mut hasher| {
        hasher.update(file)?;
        hasher.finish()
    });
    made.map_err(|odd| InstallEnding::Refused(odd.into()))
}

impl Board {
    fn looked(&mut self, offer: &Offer) -> Result<Looked, LookError> {
        self.fuse.burn();
        if self.unreachable.0 > 0 {
            self.unreachable.0 -= 1;
            let source = "no route".into();
            return Err(LookError::Unreachable { retry_after: self.put_off, source });
        }
        if self.full.0 > 0 {
            self.full.0 -= 1;
            return Err(LookError::Own("no room".into()));
        }
        Ok(Looked {
            manifest: self.bundle_of(&offer.version),
            version: Some(offer.version.clone()),
            compatible: "gateway".to_owned(),
            size: ByteLen::new(3),
            transfer: ByteLen::new(3),
        })
    }
}

impl Hands for Board {
    fn facts(&mut self, _memory: &Memory) -> Result<Facts, HandError> {
        self.fuse.burn();
        let [a, b] = self.slots.clone();
        Ok(Facts {
            compatible: "gateway".to_owned(),
            device_id: "dev1".to_owned(),
            contract_id: None,
            booted: Some(self.booted),
            a,
            b,
            next: Some(self.next),
            version_floor: None,
            failed: self.failed.clone(),
            clock: Clock { now: self.time(), floor: None, is_set: true },
            up: self.up,
            link: Link::Flat,
            inhibitors: self.inhibitors.clone(),
        })
    }

    fn remember(&mut self, memory: &Memory) -> Result<(), HandError> {
        self.fuse.burn();
        self.memory = memory.clone();
        self.fuse.burn();
        Ok(())
    }

    fn look(&mut self, offer: &Offer, _policy: &Policy, _most: Option<ByteLen>) -> LookDone {
        LookDone { looked: self.looked(offer), fetched: ByteLen::ZERO }
    }

    fn look_whole(&mut self, offer: &Offer, policy: &Policy, _most: Option<ByteLen>) -> LookDone {
        LookDone { fetched: ByteLen::new(3), ..self.look(offer, policy, None) }
    }

    fn install(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> InstallDone {
        InstallDone { ending: self.write(order, watch), fetched: ByteLen::new(3) }
    }

    fn store(&mut self, _order: &InstallOrder, watch: &mut dyn Watch) -> StoreDone {
        self.fuse.burn();
        self.stored += 1;
        let fetched = ByteLen::new(3);
        let ending = match watch.written(100, self.time()) {
            Some(by) => Err(InstallEnding::Stopped(by)),
            None => hashes(self.file),
        };
        StoreDone { ending, fetched }
    }

    fn give_up(&mut self, trial: SlotId) -> Result<(), HandError> {
        self.fuse.burn();
        let slot = self.slot_mut(trial);
        slot.state = SlotState::Bad;
        self.next = trial.other();
        self.fuse.burn();
        Ok(())
    }

    fn withdraw(&mut self, slot: SlotId) -> Result<(), HandError> {
        self.fuse.burn();
        if let Some(why) = &self.stuck {
            return Err(no("change the boot order", why));
        }
        if self.next == slot {
            self.next = slot.other();
        }
        self.fuse.burn();
        Ok(())
    }

    fn reboot(&mut self, _policy: &Policy) -> Result<(), HandError> {
        self.fuse.burn();
        if let Some(why) = &self.forbids {
            return Err(no("restart", why));
        }
        self.wants_restart = true;
        self.fuse.burn();
        Ok(())
    }

    fn report(&mut self, _agent: AgentFacts) -> Result<Report, HandError> {
        self.fuse.burn();
        let told = |slot: SlotId| ReportedSlot {
            name: slot.to_string(),
            state: self.slot(slot).state.to_string(),
            version: self.slot(slot).version.clone(),
            ..ReportedSlot::default()
        };
        let left = self.failed.last().map(|bundle| LastUpdate {
            slot: SlotId::B.to_string(),
            from: None,
            to: None,
            bundle: Some(bundle.to_string()),
            result: UpdateResult::FellBack,
            why: Some("health: the probe network failed".to_owned()),
        });
        let slots = SlotId::ALL.map(told).to_vec();
        Ok(Report { slots, last_update: left, ..Report::default() })
    }

    fn sign(&mut self, _report: &Report) -> Result<Vec<u8>, HandError> {
        Err(no("sign a report", "hawkBit takes none that is signed"))
    }

    fn deliver(&mut self, _request: &ReportRequest) -> ReportAnswer {
        ReportAnswer::None { why: "hawkBit has the report".to_owned() }
    }

    fn sleep(&mut self, wait: Duration) -> Option<Stop> {
        self.fuse.burn();
        self.slept.push(wait.as_secs());
        self.pass(wait.as_secs());
        let step = std::mem::take(&mut self.clock_step);
        self.set_clock_by(step);
        if self.wants_restart || self.naps == 0 {
            return Some(Stop::Program);
        }
        self.naps -= 1;
        None
    }

    fn now(&self) -> UnixTime {
        self.time()
    }

    fn tell(&mut self, words: &str) {
        self.log.push(words.to_owned());
    }
}
