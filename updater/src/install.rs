// SPDX-License-Identifier: MIT OR Apache-2.0
//! The install itself: the durable steps in their order, and what is told about them.
//!
//! 1. environment: target `writing`, out of the order (one commit, made twice, so that both copies
//!    say so: a lost copy must not bring back what the target was, once it is something else);
//! 2. seal zeroed, flushed, read back;
//! 3. every other slot written, flushed, read back;
//! 4. the boot slot without its seal written, flushed, read back;
//! 5. seal written, flushed, read back; 6. status and history;
//! 7. environment: target `trying`, first in the order (one commit).
//!
//! A failure or a cut between 1 and 7 leaves the target `writing`, which no selector boots; a
//! failure between 2 and 5 leaves it without a seal, which no firmware loads. Repeating the
//! install converges from each of these places (I6).

use crate::event::SlotReport;
use crate::group_writer::{OpenGroup, UnsealedGroup};
use crate::image_opener::{FromBundle, ImageOpener, Incoming, WriteEnd};
use crate::meter::{Meter, go_on};
use crate::planned_writer::{Watch, write_planned};
use crate::resume::{ResumeKeeper, clear_note};
use crate::status::timestamp_text;
use crate::status_store::update_status;
use crate::{
    BootedGroup, BundleVersion, DurableGroup, DurableSlot, InstallError, InstallEvent,
    InstallFacts, InstallLock, InstallPlan, InstallPolicy, InstallReport, InstallStep,
    PlanInstallError, ResumeRule, SlotName, SlotStatus, SlotStatusState, SystemConfig,
    choose_target, plan_install,
};
use bootctl::{
    Activation, BackendError, BootBackend, BootState, BundleId, Command, Entry, Reason, Recorder,
    SlotState, Snapshot, Timestamp, recall,
};
use bundle::VerifiedBundle;
use programs::StopQuestion;
use std::ops::ControlFlow;
use storage::{ByteLen, Devices, Files, Storage, chain};

/// How often the begin is told to the older copy again because another program committed between.
const BEGIN_REPEATS: usize = 5;

/// What the caller knows and allows.
#[derive(Clone, Debug)]
pub struct InstallOptions {
    /// Where the running system came from.
    pub booted: BootedGroup,
    /// Why the firmware booted it, as the kernel command line says.
    pub reason: Option<Reason>,
    /// This system's variant; see [`crate::read_variant`].
    pub variant: Option<String>,
    /// The oldest version this system accepts; it rises at mark-good.
    pub version_floor: Option<BundleVersion>,
    /// What is allowed.
    pub policy: InstallPolicy,
}

/// Everything an install acts upon.
pub struct Installer<'a> {
    /// The system's configuration.
    pub config: &'a SystemConfig,
    /// Opens the slots.
    pub devices: &'a dyn Devices,
    /// Small files: the status.
    pub files: &'a mut dyn Files,
    /// The boot state.
    pub backend: &'a mut dyn BootBackend,
    /// The flight recorder, where the board has one.
    pub recorder: Option<&'a mut Recorder<Box<dyn Storage>>>,
    /// Now.
    pub at: Timestamp,
    /// Told what happens.
    pub progress: &'a mut dyn FnMut(InstallEvent),
}

impl Installer<'_> {
    /// Installs a verified bundle into the group that is not booted.
    ///
    /// # Errors
    /// [`InstallError`]. After a refusal by the plan nothing was written; after any other failure
    /// the target is not bootable and the install can be repeated.
    pub fn install(
        &mut self,
        lock: &InstallLock,
        bundle: &VerifiedBundle,
        options: &InstallOptions,
    ) -> Result<InstallReport, InstallError> {
        self.install_until(lock, bundle, options, &|| None)
    }

    /// As [`Installer::install`], for as long as nobody wants it to end.
    ///
    /// # Errors
    /// As [`Installer::install`], and [`InstallError::Stopped`]: a failure like every other.
    pub fn install_until(
        &mut self,
        lock: &InstallLock,
        bundle: &VerifiedBundle,
        options: &InstallOptions,
        stop: StopQuestion<'_>,
    ) -> Result<InstallReport, InstallError> {
        self.install_from(lock, (bundle, &FromBundle), options, stop)
    }

    /// As [`Installer::install_until`], with images that somebody else opens.
    ///
    /// # Errors
    /// As [`Installer::install_until`].
    pub fn install_from(
        &mut self,
        _lock: &InstallLock,
        (bundle, opener): (&VerifiedBundle, &dyn ImageOpener),
        options: &InstallOptions,
        stop: StopQuestion<'_>,
    ) -> Result<InstallReport, InstallError> {
        self.tell(InstallEvent::Step(InstallStep::Plan));
        let (mut plan, group, stored) = self.plan(bundle, options)?;
        // What comes from a file costs nothing to read again.
        let resume = if bundle.is_streamed() { options.policy.resume } else { ResumeRule::Never };
        let mut incoming = Incoming { bundle, opener, stop, checked: ByteLen::default(), resume };
        // A bundle that lacks what its manifest promises must not cost the target its content.
        let rooms = group.sizes();
        for planned in &mut plan.images {
            let room = rooms.get(&planned.slot.name).copied().unwrap_or_default();
            planned.size = incoming.measure(planned, room)?;
        }
        if self.config.system.perform_pre_check {
            incoming.checked = self.pre_check(&plan, bundle, stop)?;
        }
        incoming.go_on()?;
        // A failure of this first commit is no failed install: the target counts as it did.
        self.tell(InstallEvent::Step(InstallStep::Begin));
        self.store(&stored, &plan.writing)?;
        self.carry_out(&plan, group, &incoming).inspect_err(|error| {
            let slot = plan.group.slot_id;
            self.record(&Entry::InstallFailed { slot, cause: chain(error) });
            self.update_status(&plan, bundle, &Outcome::Failed);
        })
    }

    fn plan(
        &mut self,
        bundle: &VerifiedBundle,
        options: &InstallOptions,
    ) -> Result<(InstallPlan, OpenGroup, BootState), InstallError> {
        let stored = self.load()?;
        let state = self.recalled(&stored, options.booted);
        let target = choose_target(options.booted, &state);
        let groups = self.config.install_groups();
        let group = groups
            .map_err(|source| PlanInstallError::Groups { source })?
            .into_iter()
            .find(|group| group.slot_id == target)
            .ok_or(PlanInstallError::NoGroup { target })?;
        let open = OpenGroup::open(&group, self.devices)?;
        let facts = InstallFacts {
            booted: options.booted,
            reason: options.reason,
            state,
            bundle: BundleId::from(bundle.manifest_digest()),
            slot_sizes: open.sizes(),
            seal: open.seal_health(),
            variant: options.variant.clone(),
            version_floor: options.version_floor.clone(),
        };
        let plan = plan_install(self.config, bundle.manifest(), &facts, &options.policy)?;
        Ok((plan, open, stored))
    }

    fn load(&mut self) -> Result<BootState, InstallError> {
        self.backend.load().map_err(|source| InstallError::LoadState { source })
    }

    /// What was lost since this boot began is taken from the recorder: of unknown slots nobody can
    /// tell which is the last good one (I8) and what failed before (I3).
    fn recalled(&self, stored: &BootState, booted: BootedGroup) -> BootState {
        match self.recorder.as_deref() {
            Some(recorder) if self.backend.copies() > 0 => {
                recall(stored, booted.slot(), recorder.facts())
            }
            Some(_) | None => stored.clone(),
        }
    }

    /// The first commit once more, so that both copies of the environment have it before the seal is
    /// touched: the older copy would otherwise speak of what the target holds now, and once the new
    /// seal is written the loss of the newest one would call the new content what the old one was.
    fn begin_in_both_copies(&mut self, plan: &InstallPlan) -> Result<(), InstallError> {
        if self.backend.copies() < 2 {
            return Ok(());
        }
        for _ in 0..BEGIN_REPEATS {
            let current = self.load()?;
            if current.slot(plan.group.slot_id).state != SlotState::Writing {
                break;
            }
            match self.backend.store(&current, &current) {
                // Only what both copies hold was made from what says `writing`.
                Err(BackendError::Changed) => {}
                stored => return stored.map_err(|source| InstallError::StoreState { source }),
            }
        }
        Err(InstallError::StoreState { source: BackendError::Changed })
    }

    /// Reads all of the bundle, so that one that does not verify stops before any write. Returns
    /// how much that was.
    fn pre_check(
        &mut self,
        plan: &InstallPlan,
        bundle: &VerifiedBundle,
        stop: StopQuestion<'_>,
    ) -> Result<ByteLen, InstallError> {
        let len = bundle.check_len();
        let mut meter = Meter::new(plan, len, &mut *self.progress, stop);
        meter.step(InstallStep::PreCheck);
        meter.note(describe_pre_check(bundle));
        let mut pass = |bytes| {
            meter.add(bytes);
            if stop().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let checked = bundle.check_payload_until(&mut pass);
        // A source that was stopped can only fail.
        go_on(stop)?;
        let checked = checked.map(|_| len);
        checked.map_err(|source| InstallError::PreCheck { source: Box::new(source) })
    }

    fn carry_out(
        &mut self,
        plan: &InstallPlan,
        group: OpenGroup,
        incoming: &Incoming<'_>,
    ) -> Result<InstallReport, InstallError> {
        let (slot, bundle) = (plan.group.slot_id, incoming.bundle);
        let version = plan.version.clone().unwrap_or_default();
        self.begin_in_both_copies(plan)?;
        self.record(&Entry::InstallBegan { slot, version, bundle: plan.bundle });
        self.update_status(plan, bundle, &Outcome::Pending);
        self.tell(InstallEvent::Step(InstallStep::BreakSeal));
        let unsealed = group.break_seal()?;
        let durable = self.write_images(plan, unsealed, incoming)?;
        self.finish(plan, &durable, bundle, incoming.resume)
    }

    fn write_images(
        &mut self,
        plan: &InstallPlan,
        mut group: UnsealedGroup,
        incoming: &Incoming<'_>,
    ) -> Result<DurableGroup, InstallError> {
        let mut meter = Meter::new(plan, incoming.checked, &mut *self.progress, incoming.stop);
        meter.add(incoming.checked.get());
        let manifest = incoming.bundle.manifest_digest();
        let mut keeper = ResumeKeeper::new(&mut *self.files, manifest, incoming.resume);
        for planned in &plan.images {
            meter.step(InstallStep::Write(planned.slot.name.clone()));
            let mut watch = Watch { meter: &mut meter, keeper: &mut keeper, planned };
            let mut written = write_planned(&mut group, incoming, &mut watch);
            if watch.doubts(&written) {
                group.open_again(planned, self.devices)?;
                written = write_planned(&mut group, incoming, &mut watch);
            }
            let end = if written.is_ok() { WriteEnd::Proven } else { WriteEnd::Failed };
            let mut note = |text| meter.note(text);
            incoming.opener.close(incoming.bundle, planned, end, &mut note);
            group.put(written.map_err(|error| incoming.or_stopped(error))?);
        }
        meter.step(InstallStep::Seal(group.seal_slot().clone()));
        group.seal(&plan.images)
    }

    /// The last steps. The durable group is asked for so that nothing else can come here.
    fn finish(
        &mut self,
        plan: &InstallPlan,
        durable: &DurableGroup,
        bundle: &VerifiedBundle,
        resume: ResumeRule,
    ) -> Result<InstallReport, InstallError> {
        self.tell(InstallEvent::Step(InstallStep::Record));
        self.update_status(plan, bundle, &Outcome::Durable(durable));
        let slot = durable.slot_id();
        let version = plan.version.clone().unwrap_or_default();
        self.record(&Entry::InstallFinished { slot, version, bundle: plan.bundle });
        self.tell(InstallEvent::Step(InstallStep::Finish));
        self.make_bootable(plan)?;
        if resume != ResumeRule::Never {
            let progress = &mut *self.progress;
            clear_note(self.files, &mut |text| progress(InstallEvent::Warning(text)));
        }
        let slots = durable
            .slots()
            .iter()
            .map(|slot| SlotReport { slot: slot.open.name.clone(), count: slot.count })
            .collect();
        Ok(InstallReport {
            target: slot,
            bundle: plan.bundle,
            version: plan.version.clone(),
            slots,
        })
    }

    /// The last commit. An install takes minutes; what others changed meanwhile, such as the
    /// health service that confirmed the running slot, stays: the end is decided on their state.
    fn make_bootable(&mut self, plan: &InstallPlan) -> Result<(), InstallError> {
        match self.store(&plan.writing, &plan.after) {
            Err(InstallError::StoreState { source: BackendError::Changed }) => {}
            stored => return stored,
        }
        let current = self.load()?;
        let target = plan.group.slot_id;
        let finish =
            Command::FinishInstall { target, bundle: plan.bundle, activation: plan.activation };
        // The end of an install does not depend on what is booted; its beginning did.
        let after = bootctl::transition(&current, None, &finish)
            .map_err(|source| PlanInstallError::BootState { target, source })?;
        self.store(&current, &after)
    }

    fn store(&mut self, old: &BootState, new: &BootState) -> Result<(), InstallError> {
        let told = self.backend.warnings();
        self.backend.store(old, new).map_err(|source| InstallError::StoreState { source })?;
        for warning in self.backend.warnings().into_iter().filter(|said| !told.contains(said)) {
            self.tell(InstallEvent::Warning(warning));
        }
        self.record(&Entry::States(Snapshot::from(new)));
        Ok(())
    }

    fn tell(&mut self, event: InstallEvent) {
        (self.progress)(event);
    }

    /// Writes history; without it the install goes on, because an update must not depend on it.
    fn record(&mut self, entry: &Entry) {
        let Some(recorder) = self.recorder.as_deref_mut() else { return };
        if let Err(error) = recorder.append(self.at, entry) {
            self.tell(InstallEvent::Warning(chain(&error)));
        }
    }

    /// Notes the outcome for the slots the plan writes. A digest is recorded for durable slots
    /// only; RAUC's counters survive, the rest of the record is the new install's.
    fn update_status(
        &mut self,
        plan: &InstallPlan,
        bundle: &VerifiedBundle,
        outcome: &Outcome<'_>,
    ) {
        let update = &bundle.manifest().update;
        let at = timestamp_text(self.at);
        let change = |name: &SlotName, status: &mut SlotStatus| {
            let durable = outcome.durable(name);
            let activated = plan.activation == Activation::Activate && *name == plan.group.root;
            let activated = durable.filter(|_| activated);
            *status = SlotStatus {
                compatible: Some(update.compatible.clone()),
                version: update.version.clone(),
                description: update.description.clone(),
                build: update.build.clone(),
                bundle_hash: Some(bundle.manifest_digest()),
                state: Some(outcome.state()),
                sha256: durable.map(|slot| slot.digest),
                size: durable.map(|slot| slot.len),
                transaction: None,
                installed_at: durable.and_then(|_| at.clone()),
                installed_count: status.installed_count + u64::from(durable.is_some()),
                activated_at: activated.and_then(|_| at.clone()),
                activated_count: status.activated_count + u64::from(activated.is_some()),
            };
        };
        let progress = &mut *self.progress;
        update_status(
            self.files,
            self.config,
            &mut plan.images.iter().map(|planned| &planned.slot.name),
            &change,
            &mut |text| progress(InstallEvent::Warning(text)),
        );
    }
}

/// What `perform-pre-check` does, and what it costs: of a streamed bundle, which is compared with
/// its signature block by block while it is written, everything is fetched once more.
pub(crate) fn describe_pre_check(bundle: &VerifiedBundle) -> String {
    let (what, len) = ("Reading the whole bundle before anything is written", bundle.check_len());
    if bundle.is_streamed() {
        format!("{what}: perform-pre-check fetches {len} from its server, which are fetched again")
    } else {
        format!("{what}: {len}, as perform-pre-check asks for")
    }
}

/// How far the slots of a plan are.
enum Outcome<'a> {
    Pending,
    Failed,
    Durable(&'a DurableGroup),
}

impl Outcome<'_> {
    fn durable(&self, name: &SlotName) -> Option<&DurableSlot> {
        match self {
            Self::Durable(group) => group.slots().iter().find(|slot| slot.open.name == *name),
            Self::Pending | Self::Failed => None,
        }
    }

    const fn state(&self) -> SlotStatusState {
        match self {
            Self::Pending => SlotStatusState::Pending,
            Self::Failed => SlotStatusState::Failed,
            Self::Durable(_) => SlotStatusState::Ok,
        }
    }
}
