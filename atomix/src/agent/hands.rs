// SPDX-License-Identifier: MIT OR Apache-2.0
//! The hands of the agent on this device.

use super::fetch::{Fetch, Show, budget_of};
use super::hooks::run_before_reboot;
use super::link::{LinkKnown, inhibitors};
use super::stopping::Stopping;
use super::stored::Bundles;
use super::work::Work;
use super::{Access, DeviceClock};
use crate::audit_trail::AuditTrail;
use crate::boot_control::BootControl;
use crate::commands::report::ReportSigner;
use crate::context::{Context, Machine};
use crate::device_facts::DeviceFacts;
use crate::failure::Failure;
use crate::output::Output;
use crate::programs;
use crate::signals::StopRequest;
use agents::agent::{
    HandError, Hands, InstallDone, InstallEnding, LookDone, Stop, StoreDone, Watch,
};
use agents::{
    AgentFacts, Facts, Heard, InstallOrder, Memory, MemoryStore, Offer, Policy, Report,
    ReportAnswer, ReportRequest, ReportWay, Settings, Source, Stored, sign_report,
};
use bootctl::{Command, Force, SlotId};
use bundle::UnixTime;
use bundle::http::{ByteBudget, HttpUrl};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Access as DeviceAccess, ByteLen, chain};

/// How often a sleeper looks whether it shall end.
const LOOK_UP: Duration = Duration::from_millis(500);

/// The hands.
pub struct DeviceHands<'a, 'o> {
    context: &'a Context,
    settings: &'a Settings,
    stop: Arc<StopRequest>,
    out: &'a mut Output<'o>,
    clock: DeviceClock,
    store: MemoryStore,
    floor: Option<UnixTime>,
    signer: Option<ReportSigner>,
    /// Told once in a run of the program: most of it is so for as long as the device runs.
    told: BTreeSet<String>,
}

impl<'a, 'o> DeviceHands<'a, 'o> {
    /// The hands of this device, and what its agent remembers.
    pub fn new(
        context: &'a Context,
        settings: &'a Settings,
        stop: &Arc<StopRequest>,
        out: &'a mut Output<'o>,
    ) -> (Self, Memory) {
        let (store, memory, told) = MemoryStore::load(&context.files);
        let mut hands = Self {
            context,
            settings,
            stop: Arc::clone(stop),
            out,
            clock: DeviceClock::new(context.now),
            store,
            floor: memory.floor(),
            signer: None,
            told: BTreeSet::new(),
        };
        told.iter().for_each(|text| hands.tell_once(text));
        (hands, memory)
    }

    /// Where answers go.
    pub fn out(&mut self) -> &mut Output<'o> {
        self.out
    }

    fn tell_once(&mut self, words: &str) {
        if self.told.insert(words.to_owned()) {
            self.tell(words);
        }
    }

    /// The device's name, where its owner gave it one.
    fn name(&self) -> Option<&'a str> {
        match &self.settings.source {
            Source::Poll(_) => None,
            Source::Hawkbit(hawkbit) => hawkbit.target_id.as_deref(),
        }
    }

    fn inhibitors(&mut self, context: &Context) -> Vec<String> {
        match inhibitors(context) {
            Ok(found) => found,
            Err(error) => {
                let text = format!("cannot ask logind who inhibits a restart: {}", chain(&error));
                self.tell_once(&text);
                Vec::new()
            }
        }
    }

    fn mark(&mut self, slot: SlotId, mark: &str, command: &Command) -> Result<(), Failure> {
        let context = self.clock.device(self.context);
        let mut control = BootControl::open(&context, DeviceAccess::ReadWrite)?;
        control.apply(command)?;
        let trail = AuditTrail::below(&context.root);
        let unwritten = trail.marked(context.now.0, (&slot.to_string(), mark), "the update agent");
        let warnings: Vec<String> = control.warnings().iter().cloned().chain(unwritten).collect();
        warnings.iter().for_each(|text| self.tell_once(text));
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Failure> {
        let context = self.context;
        if context.machine == Machine::Real && context.root == Path::new("/") {
            return programs::reboot();
        }
        // Whoever works on another root restarts no machine; who plays its power supply does.
        self.tell("the restart is left to whoever plays this board's power supply");
        Ok(())
    }

    fn watched<T: Send>(
        &mut self,
        budget: &Arc<ByteBudget>,
        watch: &mut dyn Watch,
        act: impl FnOnce(&Fetch<'_>, Show<'_>) -> Result<T, Failure> + Send,
    ) -> Result<T, InstallEnding> {
        let work = Work {
            root: &self.context.root,
            now: self.clock.above(self.floor),
            settings: self.settings,
            stop: &Stopping::new(&self.stop),
            budget,
        };
        work.watched(self.clock, watch, self.out, act)
    }

    fn answer(&self, request: &ReportRequest) -> Result<ReportAnswer, Failure> {
        let Source::Poll(poll) = &self.settings.source else {
            return Ok(ReportAnswer::None { why: "hawkBit has the report".to_owned() });
        };
        let Some(url) = &poll.report_url else {
            return Ok(ReportAnswer::None { why: "no report_url".to_owned() });
        };
        let url = HttpUrl::parse(url)
            .map_err(|source| Failure::Fetch(bundle::http::HttpError::Url(source)))?;
        let tls = Access::new(self.context, self.settings).tls()?;
        let stop = Arc::clone(&self.stop);
        Ok(request.send(&ReportWay {
            url: &url,
            tls: Some(&tls),
            proxy: self.settings.proxy.as_deref(),
            stop: Some(Arc::new(move || stop.by())),
        }))
    }
}

/// What was tried, and why not.
fn cannot(doing: impl Into<String>) -> impl FnOnce(Failure) -> HandError {
    let doing = doing.into();
    move |failure| HandError { doing, source: failure.into() }
}

impl Hands for DeviceHands<'_, '_> {
    fn facts(&mut self, memory: &Memory) -> Result<Facts, HandError> {
        let context = self.clock.device(self.context);
        let read = DeviceFacts::read(&context, self.name());
        let read = read.map_err(cannot("read the state of the device"))?;
        self.floor = memory.floor();
        let mut facts = read.device;
        facts.clock.floor = memory.floor();
        let known = LinkKnown::of(&context);
        facts.link = known.link;
        self.tell_once(&format!("name: {}", read.name.words()));
        self.tell_once(&format!("link: {}", known.how));
        facts.inhibitors = self.inhibitors(&context);
        Ok(facts)
    }

    fn remember(&mut self, memory: &Memory) -> Result<(), HandError> {
        let stored = self.store.store(&mut self.context.files.clone(), memory);
        let doing = "keep what the agent has to remember".to_owned();
        let stored = stored.map_err(|source| HandError { doing, source: source.into() })?;
        if let Stored::UntilReboot { why } = stored {
            self.tell_once(&format!("the agent remembers until the next boot only: {why}"));
        }
        if memory.install.is_none() && memory.action.is_none() {
            // Else a bundle that was refused or taken back would fill `/data` until the next one.
            if let Err(failure) = Bundles::new(self.context).clear_orders() {
                self.tell_once(&failure.as_warning());
            }
        }
        Ok(())
    }

    fn heard(&mut self, heard: &Heard) {
        // Only what people are shown is lost; that `/run` is full is told by what matters.
        if let Err(odd) = heard.store(&mut self.context.files.clone()) {
            self.tell_once(&format!("what was heard is not kept: {}", chain(&odd)));
        }
    }

    fn look(&mut self, offer: &Offer, policy: &Policy, most: Option<ByteLen>) -> LookDone {
        let context = self.clock.device_above(self.context, self.floor);
        let (settings, stop) = (self.settings, Stopping::new(&self.stop));
        let budget = budget_of(most);
        let fetch = Fetch { context: &context, settings, stop: &stop, budget: &budget };
        let looked = fetch.look(offer, policy, &mut |text| self.tell(text));
        LookDone { looked, fetched: budget.spent() }
    }

    fn look_whole(&mut self, offer: &Offer, policy: &Policy, most: Option<ByteLen>) -> LookDone {
        let context = self.clock.device_above(self.context, self.floor);
        let (settings, stop) = (self.settings, Stopping::new(&self.stop));
        let budget = budget_of(most);
        let fetch = Fetch { context: &context, settings, stop: &stop, budget: &budget };
        let looked = fetch.look_whole(offer, policy, &mut |text| self.tell(text));
        LookDone { looked, fetched: budget.spent() }
    }

    fn install(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> InstallDone {
        let budget = budget_of(order.most_bytes);
        let done = self.watched(&budget, watch, |fetch, show| fetch.install(order, show));
        let ending = done.err().unwrap_or(InstallEnding::Written);
        InstallDone { ending, fetched: budget.spent() }
    }

    fn store(&mut self, order: &InstallOrder, watch: &mut dyn Watch) -> StoreDone {
        let budget = budget_of(order.most_bytes);
        let ending = self.watched(&budget, watch, |fetch, show| fetch.store(order, show));
        StoreDone { ending, fetched: budget.spent() }
    }

    fn give_up(&mut self, trial: SlotId) -> Result<(), HandError> {
        let doing = format!("mark slot {trial} as failed");
        let booted = self.context.booted().map_err(cannot(doing.clone()))?;
        if booted != Some(trial) {
            let what = format!("slot {trial} does not run");
            let hint = "the agent judges anew what runs now";
            return Err(cannot(doing)(Failure::Refused { what, hint }));
        }
        let command = Command::MarkBad { slot: trial, force: Force::No };
        self.mark(trial, "bad", &command).map_err(cannot(doing))
    }

    fn withdraw(&mut self, slot: SlotId) -> Result<(), HandError> {
        let doing = format!("have the running slot boot next instead of slot {slot}");
        let running = match self.context.booted() {
            Ok(Some(booted)) if booted != slot => booted,
            Ok(_) => return Err(cannot(doing)(Failure::NotBootedFromSlot)),
            Err(failure) => return Err(cannot(doing)(failure)),
        };
        let command = Command::MarkActive { slot: running };
        self.mark(running, "active", &command).map_err(cannot(doing))
    }

    fn reboot(&mut self, _policy: &Policy) -> Result<(), HandError> {
        let names = &self.settings.before_reboot;
        if let Err(no) = run_before_reboot(self.context, names, &self.stop) {
            self.tell(&no.hint());
            return Err(HandError {
                doing: "restart the device now".to_owned(),
                source: no.into(),
            });
        }
        self.restart().map_err(cannot("restart the device"))
    }

    fn report(&mut self, agent: AgentFacts) -> Result<Report, HandError> {
        let context = self.clock.device(self.context);
        let made = DeviceFacts::read(&context, self.name()).and_then(|mut facts| {
            let signer = ReportSigner::configured(&context, Some(self.settings))?;
            facts.missed(signer.trouble.clone());
            let report = Report::new(&facts.for_report(Some(signer.fingerprint), agent));
            Ok((report, signer))
        });
        let (report, signer) = made.map_err(cannot("make the report of this device"))?;
        self.signer = Some(signer);
        Ok(report)
    }

    fn sign(&mut self, report: &Report) -> Result<Vec<u8>, HandError> {
        let now = self.clock.now().0;
        // The report names the key that was there when it was made.
        let signer = match self.signer.take() {
            Some(signer) => Ok(signer),
            None => ReportSigner::configured(self.context, Some(self.settings)),
        };
        let signed = signer.and_then(|signer| {
            let signed = sign_report(report, &signer.identity, now)?;
            self.signer = Some(signer);
            Ok(signed)
        });
        signed.map_err(cannot("sign the report of this device"))
    }

    fn deliver(&mut self, request: &ReportRequest) -> ReportAnswer {
        self.answer(request)
            .unwrap_or_else(|failure| ReportAnswer::None { why: failure.as_warning() })
    }

    fn sleep(&mut self, wait: Duration) -> Option<Stop> {
        let began = Instant::now();
        loop {
            if self.stop.by().is_some() {
                return Some(Stop::Program);
            }
            let left = wait.checked_sub(began.elapsed()).filter(|left| !left.is_zero())?;
            std::thread::sleep(left.min(LOOK_UP));
        }
    }

    fn now(&self) -> UnixTime {
        self.clock.now().0
    }

    fn tell(&mut self, words: &str) {
        // Nobody has to listen.
        let event = serde_json::json!({ "version": 1, "event": "note", "text": words });
        let _ = self.out.event(&event);
        let _ = writeln!(self.out.people, "{}", crate::terminal::one_line(words));
    }
}
