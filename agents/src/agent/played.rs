// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device on virtual time for tests: `bootctl` boots it and judges what is done to its slots, and
//! the power may go, or the agent be killed, before and after each act of a hand.

use super::hands::*;
use crate::test_facts::{NOON, facts, manifest};
use crate::{
    AgentFacts, Clock, Facts, InstallOrder, Looked, Memory, Offer, Policy, RecorderFacts, Report,
    ReportAnswer, ReportFacts, ReportRequest,
};
use bootctl::{
    Activation, AttemptsLeft, BootState, BundleId, Command, FirmwareFacts, Force, PerSlot, SlotId,
    SlotState, select, transition,
};
use bundle::UnixTime;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use storage::{ByteLen, Digest, PartUuid};

/// An install fetches so many pieces; what is not yet a whole piece is lost by a cut.
pub const PIECES: u64 = 8;
pub const PIECE: ByteLen = ByteLen::mib(5);
const MINUTE: Duration = Duration::from_secs(60);
const DISK: &str = "6f1c7d62-93a9-4ad2-8d9d-3c31b2f7a001";

/// What a bundle does once it is booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// The verifier marks it good after five minutes.
    Sound,
    /// The board resets before anything of it runs.
    Dies,
    /// It runs, and the verifier leaves it after a quarter of an hour.
    Sick,
    /// It runs, and nobody ever says anything of it.
    Silent,
    /// The installer refuses it after it has fetched all of it.
    Broken,
}

/// A bundle that servers have.
#[derive(Clone, Debug)]
pub struct Served {
    pub version: &'static str,
    pub nature: Nature,
}

/// Who ends the agent in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    Power,
    Kill,
    /// The power, and with it the record.
    Forget,
}

/// The device and everything around it.
pub struct World {
    pub boot: BootState,
    pub booted: Option<SlotId>,
    pub now: UnixTime,
    pub started: UnixTime,
    pub clock_is_set: bool,
    /// What is durable of the record.
    pub disk: Memory,
    pub served: BTreeMap<u8, Served>,
    partial: Option<(SlotId, Digest, u64)>,
    /// How many acts of hands there were, and which of them are the last of their agent.
    pub acts: usize,
    pub cuts: BTreeMap<usize, Cut>,
    /// Acts that fail.
    pub faults: Vec<usize>,
    /// No record can be kept.
    pub is_forgetful: bool,
    pub policy: Policy,
    pub change: fn(&mut Facts),
    pub hook_forbids_until: Option<UnixTime>,
    /// So many restarts are asked for and never come.
    pub lost_restarts: usize,
    /// What a look fetches.
    pub look_cost: ByteLen,
    /// Nobody takes reports.
    pub receiver_is_away: bool,
    restarts: bool,
    end: UnixTime,
    // What is counted.
    pub fetched: u64,
    pub begun: Vec<BundleId>,
    pub finished: Vec<BundleId>,
    pub boots: Vec<SlotId>,
    pub arrived: Vec<Digest>,
    /// When a report was to be sent, arrived or not.
    pub posted: Vec<UnixTime>,
    pub told: Vec<String>,
    pub remembered: usize,
    /// What the device must never do.
    pub wrongs: Vec<String>,
}

impl World {
    /// Slot A runs bundle 1 and is good, slot B is empty; a server has bundle 3.
    pub fn new() -> Self {
        let mut boot = BootState::factory(DISK.parse::<PartUuid>().unwrap());
        boot.a.bundle = Some(manifest(1).into());
        let served = |version, nature| Served { version, nature };
        Self {
            boot,
            booted: None,
            now: NOON,
            started: NOON,
            clock_is_set: true,
            disk: Memory::default(),
            served: BTreeMap::from([
                (1, served("1.0", Nature::Sound)),
                (2, served("1.5", Nature::Silent)),
                (3, served("2.0", Nature::Sound)),
                (4, served("3.0", Nature::Sound)),
            ]),
            partial: None,
            acts: 0,
            cuts: BTreeMap::new(),
            faults: Vec::new(),
            is_forgetful: false,
            policy: Policy::default(),
            change: |_| (),
            hook_forbids_until: None,
            lost_restarts: 0,
            look_cost: ByteLen::ZERO,
            receiver_is_away: false,
            restarts: false,
            end: NOON,
            fetched: 0,
            begun: Vec::new(),
            finished: Vec::new(),
            boots: Vec::new(),
            arrived: Vec::new(),
            posted: Vec::new(),
            told: Vec::new(),
            remembered: 0,
            wrongs: Vec::new(),
        }
    }

    pub fn with(change: impl FnOnce(&mut Self)) -> Self {
        let mut world = Self::new();
        change(&mut world);
        world
    }

    pub fn number_of(&self, bundle: BundleId) -> Option<u8> {
        self.served.keys().copied().find(|number| bundle == manifest(*number).into())
    }

    fn served(&self, bundle: Option<BundleId>) -> Option<&Served> {
        self.served.get(&self.number_of(bundle?)?)
    }

    /// The firmware starts a slot; what dies at once is started again until it is left.
    pub fn power_on(&mut self) {
        self.restarts = false;
        let firmware = FirmwareFacts {
            disk: self.boot.disk,
            save_works: true,
            loads: PerSlot { a: true, b: true },
        };
        for _ in 0..16 {
            let selection = select(Some(&self.boot), &firmware);
            self.boot = selection.state;
            let slot = selection.boots.unwrap();
            self.boots.push(slot);
            self.started = self.now;
            let dies = self.served(self.boot.slot(slot).bundle);
            if dies.is_none_or(|served| served.nature != Nature::Dies) {
                self.booted = Some(slot);
                return;
            }
        }
        panic!("nothing boots");
    }

    pub fn command(&mut self, command: &Command) -> bool {
        match transition(&self.boot, self.booted, command) {
            Ok(next) => {
                self.boot = next;
                true
            }
            Err(refused) => {
                self.wrongs.push(format!("{command:?}: {refused}"));
                false
            }
        }
    }

    /// Time goes on; the verifier speaks in it.
    fn pass(&mut self, wait: Duration) {
        let before = self.up();
        self.now = UnixTime(self.now.0 + i64::try_from(wait.as_secs()).unwrap());
        let passed = |at: Duration| before < at && self.up() >= at;
        let Some(slot) = self.booted else { return };
        let Some(served) = self.served(self.boot.slot(slot).bundle) else { return };
        let is_open = self.boot.slot(slot).state == SlotState::Trying;
        match served.nature {
            Nature::Sound if passed(MINUTE * 5) && is_open => {
                self.command(&Command::MarkGood { slot });
            }
            Nature::Sound if passed(MINUTE * 5) => {
                self.boot.slot_mut(slot).attempts = AttemptsLeft::DEFAULT;
            }
            Nature::Sick if passed(MINUTE * 15) && is_open => {
                self.command(&Command::MarkBad { slot, force: Force::No });
                self.restarts = true;
            }
            Nature::Sound | Nature::Dies | Nature::Sick | Nature::Silent | Nature::Broken => {}
        }
    }

    fn up(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.now.0 - self.started.0).unwrap())
    }

    pub fn facts(&self, memory: &Memory) -> Facts {
        let slot = |slot: SlotId| {
            let record = self.boot.slot(slot);
            crate::SlotFacts {
                state: record.state,
                attempts: record.attempts,
                bundle: record.bundle,
                version: self.served(record.bundle).map(|served| served.version.to_owned()),
            }
        };
        let mut facts = Facts {
            booted: self.booted,
            a: slot(SlotId::A),
            b: slot(SlotId::B),
            next: self.boot.primary(),
            failed: self.boot.failed.clone(),
            clock: Clock { now: self.now, floor: memory.floor(), is_set: self.clock_is_set },
            up: self.up(),
            ..facts()
        };
        (self.change)(&mut facts);
        facts
    }

    /// Lets `agent` run, and run again after each end of it, for this long.
    pub fn live(&mut self, time: Duration, agent: &mut dyn FnMut(&mut dyn Hands, &mut Memory)) {
        self.end = UnixTime(self.now.0 + i64::try_from(time.as_secs()).unwrap());
        if self.booted.is_none() {
            self.power_on();
        }
        for _ in 0..2000 {
            let mut memory = self.disk.clone();
            let mut hands = Played { world: self };
            let lived = catch_unwind(AssertUnwindSafe(|| agent(&mut hands, &mut memory)));
            match lived {
                Ok(()) if self.restarts => {
                    self.pass(MINUTE);
                    self.power_on();
                }
                Ok(()) => {}
                Err(why) => match why.downcast::<Cut>() {
                    Ok(cut) if *cut == Cut::Kill => {}
                    Ok(cut) => {
                        if *cut == Cut::Forget {
                            self.disk = Memory::default();
                        }
                        self.power_on();
                    }
                    Err(why) => resume_unwind(why),
                },
            }
            if self.now >= self.end {
                return;
            }
        }
        panic!("the agent never lets time pass");
    }
}

/// Its hands.
pub struct Played<'w> {
    world: &'w mut World,
}

fn refused(doing: &str) -> HandError {
    HandError { doing: doing.to_owned(), source: "the test wants it".into() }
}

impl Played<'_> {
    /// An act of a hand, where it may end, or fail.
    fn act(&mut self, doing: &str) -> Result<(), HandError> {
        self.world.acts += 1;
        if let Some(cut) = self.world.cuts.get(&self.world.acts) {
            resume_unwind(Box::new(*cut));
        }
        if self.world.faults.contains(&self.world.acts) {
            return Err(refused(doing));
        }
        Ok(())
    }

    fn fetch(&mut self, order: &InstallOrder, fetched: &mut u64) -> Result<(), InstallEnding> {
        let begun = self.world.partial.filter(|partial| {
            order.resumes && (partial.0, partial.1) == (order.slot, order.manifest)
        });
        for piece in begun.map_or(0, |partial| partial.2)..PIECES {
            self.world.fetched += PIECE.get();
            *fetched += PIECE.get();
            if let Err(failed) = self.act("fetch") {
                let source = Box::new(failed);
                return Err(InstallEnding::Interrupted { retry_after: None, source });
            }
            self.world.partial = Some((order.slot, order.manifest, piece + 1));
            self.world.pass(Duration::from_secs(5));
        }
        Ok(())
    }

    fn looked(&mut self, offer: &Offer) -> Result<Looked, LookError> {
        if let Err(failed) = self.act("look") {
            return Err(LookError::Unreachable { retry_after: None, source: Box::new(failed) });
        }
        self.world.pass(Duration::from_secs(2));
        let found = self.world.served.iter().find(|(_, served)| served.version == offer.version);
        let Some((number, served)) = found else {
            return Err(LookError::Refused("nobody signed it".into()));
        };
        Ok(Looked {
            manifest: manifest(*number),
            version: Some(served.version.to_owned()),
            compatible: "gateway".to_owned(),
            size: ByteLen::mib(100),
            transfer: ByteLen::new(PIECE.get() * PIECES),
        })
    }

    fn write(&mut self, order: &InstallOrder, fetched: &mut u64) -> InstallEnding {
        let bundle: BundleId = order.manifest.into();
        let refuse = |why: &str| InstallEnding::Refused(why.into());
        let own = |failed: HandError| InstallEnding::Failed(Box::new(failed));
        if self.world.boot.is_known_failed(&bundle) && order.force == Force::No {
            self.world.wrongs.push("a bundle that failed is installed again".to_owned());
        }
        let recorded = self.world.disk.install.as_ref();
        if recorded.is_none_or(|record| record.manifest != order.manifest) {
            self.world.wrongs.push("an install begins that is not on record".to_owned());
        }
        self.world.begun.push(bundle);
        if !self.world.command(&Command::BeginInstall { target: order.slot }) {
            return refuse("bootctl refuses");
        }
        if let Err(failed) = self.act("begin an install") {
            return own(failed);
        }
        if let Err(ending) = self.fetch(order, fetched) {
            return ending;
        }
        if self.world.served(Some(bundle)).is_some_and(|served| served.nature == Nature::Broken) {
            self.world.command(&Command::FailInstall { target: order.slot });
            return refuse("it is broken");
        }
        let activation = Activation::Activate;
        self.world.command(&Command::FinishInstall { target: order.slot, bundle, activation });
        self.world.partial = None;
        self.world.finished.push(bundle);
        match self.act("finish an install") {
            Ok(()) => InstallEnding::Written,
            Err(failed) => own(failed),
        }
    }
}

impl Hands for Played<'_> {
    fn facts(&mut self, memory: &Memory) -> Result<Facts, HandError> {
        self.act("read the boot state")?;
        Ok(self.world.facts(memory))
    }

    fn remember(&mut self, memory: &Memory) -> Result<(), HandError> {
        self.act("remember")?;
        if self.world.is_forgetful {
            return Err(refused("remember"));
        }
        self.world.remembered += 1;
        self.world.disk = memory.clone();
        self.act("be sure that it is remembered")
    }

    fn look(&mut self, offer: &Offer, _policy: &Policy, most: Option<ByteLen>) -> LookDone {
        if most.is_some_and(|most| most < self.world.look_cost) {
            let source = "more bytes than may be fetched".into();
            let looked = Err(LookError::Unreachable { retry_after: None, source });
            return LookDone { looked, fetched: ByteLen::ZERO };
        }
        self.world.fetched += self.world.look_cost.get();
        LookDone { looked: self.looked(offer), fetched: self.world.look_cost }
    }

    fn look_whole(&mut self, offer: &Offer, policy: &Policy, _most: Option<ByteLen>) -> LookDone {
        LookDone { fetched: PIECE, ..self.look(offer, policy, None) }
    }

    fn install(&mut self, order: &InstallOrder, _watch: &mut dyn Watch) -> InstallDone {
        let mut fetched = 0;
        let ending = self.write(order, &mut fetched);
        InstallDone { ending, fetched: ByteLen::new(fetched) }
    }

    fn store(&mut self, _order: &InstallOrder, _watch: &mut dyn Watch) -> StoreDone {
        let source = "there is no room".into();
        let ending = InstallEnding::Interrupted { retry_after: None, source };
        StoreDone { ending: Err(ending), fetched: PIECE }
    }

    fn give_up(&mut self, trial: SlotId) -> Result<(), HandError> {
        self.act("mark the slot")?;
        self.world.command(&Command::MarkBad { slot: trial, force: Force::No });
        self.act("be sure of the mark")
    }

    fn withdraw(&mut self, slot: SlotId) -> Result<(), HandError> {
        self.act("withdraw")?;
        self.world.command(&Command::MarkActive { slot: slot.other() });
        Ok(())
    }

    fn reboot(&mut self, _policy: &Policy) -> Result<(), HandError> {
        self.act("restart")?;
        if self.world.hook_forbids_until.is_some_and(|until| self.world.now < until) {
            return Err(refused("restart: drain-tills forbids it"));
        }
        match self.world.lost_restarts.checked_sub(1) {
            Some(left) => self.world.lost_restarts = left,
            None => self.world.restarts = true,
        }
        self.act("restart after all")
    }

    fn report(&mut self, agent: AgentFacts) -> Result<Report, HandError> {
        self.act("make a report")?;
        let device = self.world.facts(&self.world.disk);
        Ok(Report::new(&ReportFacts {
            device: &device,
            key: None,
            atomix: "0.1.0",
            boot: crate::BootFacts::default(),
            contents: PerSlot::default(),
            environment: None,
            history: &[],
            words: Vec::new(),
            recorder: RecorderFacts::default(),
            agent,
            missing: Vec::new(),
        }))
    }

    fn sign(&mut self, report: &Report) -> Result<Vec<u8>, HandError> {
        self.act("sign")?;
        Ok(report.news().as_bytes().to_vec())
    }

    fn deliver(&mut self, request: &ReportRequest) -> ReportAnswer {
        if let Err(failed) = self.act("send the report") {
            return ReportAnswer::None { why: failed.doing };
        }
        self.world.posted.push(self.world.now);
        if self.world.receiver_is_away {
            return ReportAnswer::None { why: "nobody is there".to_owned() };
        }
        self.world.arrived.push(request.news);
        match self.act("hear that the report arrived") {
            Ok(()) => ReportAnswer::Status { code: 204, retry_after_secs: None },
            Err(failed) => ReportAnswer::None { why: failed.doing },
        }
    }

    fn sleep(&mut self, wait: Duration) -> Option<Stop> {
        let _ = self.act("sleep");
        if self.world.restarts || self.world.now >= self.world.end {
            return Some(Stop::Program);
        }
        assert!(wait > Duration::ZERO, "an agent that does not sleep");
        let left = u64::try_from(self.world.end.0 - self.world.now.0).unwrap();
        let left = Duration::from_secs(left);
        self.world.pass(wait.min(left));
        (self.world.restarts || wait >= left).then_some(Stop::Program)
    }

    fn now(&self) -> UnixTime {
        self.world.now
    }

    fn tell(&mut self, words: &str) {
        self.world.told.push(words.to_owned());
    }
}
