// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's install, step by step.
//!
//! 1. event "started"; 2. lock; 3. open and verify the bundle; 4. the manifest hash that was asked
//!    for; 5. choose the target group; 6. unpack files for programs, if there are any;
//! 7. pre-install handler; 8. the bundle's own check, or the compatible; 9. versions;
//! 10. the bundle's own handler, or: plan, checks, target bad, each slot, artifacts, target
//!     active; 11. post-install handler; 12. event "succeeded", "failed" or "rejected".
//!
//! Until the target is marked bad nothing was written. From then on a failure, a cut or a stop
//! leaves it bad, with the status `pending` or `failed`, and the next install takes it first. A
//! slot is marked active only after every slot was read back, as far as its type can be.

use super::bundle_files::{self, ContentError, UnpackedBundle};
use super::content_need::{
    ContentNeed, ContentPlaces, ImageNeed, hook_need, may_be_told_of_images,
};
use super::environment::{ProgramFacts, Variables};
use super::hooks::run_install_handler;
use super::plan::{SystemPlan, check_plan, choose_images, make_plan};
use super::program::words;
use super::progress::{StepEnd, Steps};
use super::target::{TargetGroup, target_group};
use super::{
    InstallOutcome, InstallRequest, InstallationError, Loader, OpenBundle, OpeningFacts,
    ProgramFailure, System, SystemError, SystemEvent, Updated,
};
use crate::event_log::{Event, InstallEnd};
use crate::install::describe_pre_check;
use crate::{InstallLock, LockError, SlotName, StopQuestion};
use bootctl::{Activation, BundleId};
use bundle::{Image, VerifiedBundle};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Digest};

/// The whole, and of it the installation itself, in RAUC's parts.
const PARTS: u64 = 10;
pub(super) const INSTALL_WEIGHT: u64 = 6;
/// Parts of each slot or artifact.
const PARTS_EACH: u64 = 10;
/// A handler that is larger is taken for one that may read images.
const HANDLER_LIMIT: ByteLen = ByteLen::mib(1);
/// Below the mount prefix and in memory, where the bundle's files may be unpacked: RAUC's name.
const CONTENT_DIR: &str = "bundle";
/// In the data directory, which is shared with others: a name that nobody else uses.
const LASTING_CONTENT_DIR: &str = ".atomix-unpacked";

/// One install under way.
pub(super) struct Install<'a> {
    pub request: &'a InstallRequest,
    pub bundle: &'a VerifiedBundle,
    pub transaction: &'a str,
    pub stop: StopQuestion<'a>,
    pub content: Option<UnpackedBundle>,
    pub lock: &'a InstallLock,
}

impl Install<'_> {
    /// The hook program of the bundle, where it was unpacked.
    pub fn hook_program(&self) -> Option<PathBuf> {
        let name = self.bundle.manifest().hooks.filename.as_ref()?;
        Some(self.content.as_ref()?.path().join(name))
    }

    fn go_on(&self) -> Result<(), SystemError> {
        (self.stop)().map_or(Ok(()), |by| Err(SystemError::Stopped { by }))
    }
}

/// What the event at the end tells of the bundle.
type Known = Option<(Digest, bundle::Update)>;

impl System {
    /// Installs a bundle.
    ///
    /// # Errors
    /// [`SystemError`]; its text is RAUC's `LastError`. After a refusal nothing was written.
    pub fn install(
        &mut self,
        request: &InstallRequest,
        opener: &mut dyn OpenBundle,
        sink: &mut dyn FnMut(SystemEvent),
        stop: StopQuestion<'_>,
    ) -> Result<InstallOutcome, SystemError> {
        let transaction = match &request.transaction {
            Some(transaction) => transaction.clone(),
            None => (self.parts.ids)().map_err(|source| SystemError::Transaction { source })?,
        };
        let mut steps = Steps::new(sink);
        steps.message("started");
        steps.begin("Installing", PARTS);
        self.log(&Event::install_started(&transaction), &mut steps);
        let mut known = None;
        let done =
            self.install_steps((request, opener), &transaction, &mut known, &mut steps, stop);
        let text = done.as_ref().err().map(SystemError::text);
        let end = match (&done, text.as_deref()) {
            (Err(error), Some(text)) if error.is_rejection() => InstallEnd::Rejected(text),
            (Err(_), Some(text)) => InstallEnd::Failed(text),
            (Ok(_), _) | (Err(_), None) => InstallEnd::Succeeded,
        };
        let facts = known.as_ref().map(|(digest, update)| (*digest, update));
        self.log(&Event::install_ended(&transaction, end, facts), &mut steps);
        steps.end(StepEnd::from(&done));
        if let Some(text) = text {
            steps.message(text);
        }
        steps.message("finished");
        done
    }

    fn install_steps(
        &mut self,
        (request, opener): (&InstallRequest, &mut dyn OpenBundle),
        transaction: &str,
        known: &mut Known,
        steps: &mut Steps<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<InstallOutcome, SystemError> {
        let lock = self.lock()?;
        self.remove_left(steps);
        steps.leaf("Determining slot states", |_| self.determine_slot_states().map(drop))?;
        steps.message("Checking and mounting bundle...");
        let facts = OpeningFacts {
            transaction: transaction.to_owned(),
            info_headers: self.info_headers(Some(transaction)),
        };
        let bundle = open_bundle(opener, &facts, steps, stop)?;
        *known = Some((bundle.manifest_digest(), bundle.manifest().update.clone()));
        steps.leaf("Checking manifest contents", |_| self.check_bundle(request, &bundle))?;
        steps.begin("Determining target install group", 0);
        self.reload_status(steps);
        let targets = self.choose_targets();
        steps.end(StepEnd::Done);
        let images = choose_images(bundle.manifest(), &self.facts);
        let images: Vec<(SlotName, &Image)> = images
            .iter()
            .flatten()
            .filter_map(|image| Some((targets.get(&image.class)?.clone(), *image)))
            .collect();
        let mut install =
            Install { request, bundle: &bundle, transaction, stop, content: None, lock: &lock };
        self.refuse_unsealing(&install)?;
        install.content = self.unpack(&install, steps)?;
        let variables = self.program_facts(&install).for_handler(&targets, &images);
        if let Some(handler) = self.config.handlers.pre_install.clone() {
            steps.note(format!("Starting pre install handler: {}", handler.display()));
            self.run_handler(&handler, &variables, install.stop, steps)
                .map_err(|source| SystemError::PreInstall { source })?;
        }
        install.go_on()?;
        self.check_fit(&install, steps)?;
        let outcome = self.install_content(&install, (&targets, &variables), steps)?;
        if let Some(handler) = self.config.handlers.post_install.clone() {
            steps.note(format!("Starting post install handler: {}", handler.display()));
            // What was installed boots next: nobody ends what belongs to it any more.
            self.run_handler(&handler, &variables, &|| None, steps)
                .map_err(|source| SystemError::PostInstall { source })?;
        }
        Ok(outcome)
    }

    fn choose_targets(&mut self) -> TargetGroup {
        // Without an answer the names alone decide.
        let primary = self.primary().ok();
        let states = self.states.clone().unwrap_or_default();
        let status = |name: &SlotName| self.status.known(name);
        target_group(&self.config, &states, &status, primary.as_ref())
    }

    pub(super) fn program_facts<'f>(&'f self, install: &'f Install<'_>) -> ProgramFacts<'f> {
        ProgramFacts {
            config: &self.config,
            facts: &self.facts,
            config_path: &self.parts.surroundings.config_path,
            inherited: &self.parts.surroundings.inherited,
            manifest: install.bundle.manifest(),
            transaction: install.transaction,
            content: install.content.as_ref().map(UnpackedBundle::path),
        }
    }

    fn run_handler(
        &mut self,
        handler: &Path,
        variables: &Variables,
        stop: StopQuestion<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), ProgramFailure> {
        let machine = &mut *self.parts.machine;
        run_install_handler(machine, handler, &[], variables.clone(), steps, stop)
    }

    /// Unpacks the files of the bundle where a program may want them.
    fn unpack(
        &self,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<Option<UnpackedBundle>, SystemError> {
        let Some(need) = self.content_need(install).map_err(content_failed)? else {
            return Ok(None);
        };
        let places = self.content_places();
        let unpacked = bundle_files::unpack(install.bundle, need, &places, steps, install.stop);
        unpacked.map(Some).map_err(content_failed)
    }

    fn content_places(&self) -> ContentPlaces {
        let system = &self.config.system;
        ContentPlaces {
            mounts: system.mountprefix.join(CONTENT_DIR),
            lasting: system.data_directory.as_ref().map(|dir| dir.join(LASTING_CONTENT_DIR)),
            runtime: self.parts.surroundings.runtime_dir.join(CONTENT_DIR),
        }
    }

    /// Removes what a cut left of the files of bundles, once at the start of a service, unless
    /// somebody installs just now.
    ///
    /// # Errors
    /// [`SystemError::Lock`] when something is left and the lock cannot be used.
    pub fn remove_left_content(
        &mut self,
        sink: &mut dyn FnMut(SystemEvent),
    ) -> Result<(), SystemError> {
        // Whoever begins to install in this moment would find the lock taken.
        if bundle_files::find_left(&self.content_places()).is_empty() {
            return Ok(());
        }
        let _lock = match self.lock() {
            Ok(lock) => lock,
            // That install did it.
            Err(SystemError::Lock(LockError::Busy { .. })) => return Ok(()),
            Err(error) => return Err(error),
        };
        self.remove_left(&mut Steps::new(sink));
        Ok(())
    }

    fn remove_left(&self, steps: &mut Steps<'_>) {
        bundle_files::remove_left(&self.content_places())
            .into_iter()
            .for_each(|why| steps.warn(why));
    }

    /// Which images are unpacked; `None` when there is no program at all.
    fn content_need(&self, install: &Install<'_>) -> Result<Option<ContentNeed>, ContentError> {
        let manifest = install.bundle.manifest();
        if manifest.handler.is_some() {
            let none = ContentNeed::default();
            return Ok(Some(none.and(ImageNeed::All, ImageNeed::All)));
        }
        let mut need = None;
        let mut add = |least, best| {
            need = Some(need.unwrap_or(ContentNeed::default()).and(least, best));
        };
        let handlers = &self.config.handlers;
        for handler in [&handlers.pre_install, &handlers.post_install].into_iter().flatten() {
            let program = self.parts.files.read(handler, HANDLER_LIMIT).ok().flatten();
            // One that cannot be looked at will say why when it is run.
            let told = |program: Vec<u8>| may_be_told_of_images(&program);
            let least = program.map_or(ImageNeed::All, told);
            // What it starts may look for them, and nobody reads that.
            add(least, ImageNeed::All);
        }
        if let Some(hook) = &manifest.hooks.filename {
            let has_hooks = manifest.images.iter().any(|image| !image.hooks.is_empty());
            if has_hooks || !manifest.hooks.hooks.is_empty() {
                add(hook_need(install.bundle, hook)?, ImageNeed::All);
            }
        }
        Ok(need)
    }

    /// Step 10.
    fn install_content(
        &mut self,
        install: &Install<'_>,
        (targets, variables): (&TargetGroup, &Variables),
        steps: &mut Steps<'_>,
    ) -> Result<InstallOutcome, SystemError> {
        let mut outcome = InstallOutcome {
            transaction: install.transaction.to_owned(),
            ..InstallOutcome::default()
        };
        let manifest = install.bundle.manifest();
        if let (Some(handler), Some(content)) = (&manifest.handler, &install.content) {
            steps.note(format!("Using custom handler: {}", handler.filename));
            steps.begin_weighted("Launching update handler", 0, INSTALL_WEIGHT);
            let program = content.path().join(&handler.filename);
            let ran = handler_words(handler.args.as_deref(), install).and_then(|arguments| {
                let machine = &mut *self.parts.machine;
                let variables = variables.clone();
                run_install_handler(machine, &program, &arguments, variables, steps, install.stop)
            });
            steps.end(StepEnd::from(&ran));
            ran.map_err(|cause| {
                if let ProgramFailure::Stopped { by } = cause {
                    return SystemError::Stopped { by };
                }
                InstallationError::Handler { cause }.into()
            })?;
            return Ok(outcome);
        }
        let has_slots = manifest.images.iter().any(|image| image.artifact.is_none());
        if self.parts.sealed.is_some() && has_slots {
            self.install_sealed(install, steps)?;
            outcome.slots = Updated::Yes;
            return Ok(outcome);
        }
        self.install_default(install, targets, &mut outcome, steps)?;
        Ok(outcome)
    }

    fn install_default(
        &mut self,
        install: &Install<'_>,
        targets: &TargetGroup,
        outcome: &mut InstallOutcome,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        let plan = make_plan(&self.config, install.bundle.manifest(), targets, &self.facts)?;
        check_plan(&plan, &self.config, install.bundle, &*self.parts.machine)?;
        if self.config.system.perform_pre_check {
            pre_check(install, steps)?;
        }
        (install.stop)().map_or(Ok(()), |by| Err(InstallationError::Stopped { by }))?;
        self.begin_boot_slot(&plan, steps)?;
        let parts = plan.len().saturating_mul(PARTS_EACH);
        steps.begin_weighted("Updating slots", parts, INSTALL_WEIGHT);
        steps.message("Updating slots...");
        let updated = self.update_all(&plan, install, outcome, steps);
        steps.end(StepEnd::from(&updated));
        updated?;
        steps.message("All slots updated");
        (install.stop)().map_or(Ok(()), |by| Err(InstallationError::Stopped { by }))?;
        self.finish_boot_slot(&plan, install, steps)?;
        // Last: what is left of old artifacts harms nobody.
        self.prune_artifacts(steps);
        Ok(())
    }

    fn update_all(
        &mut self,
        plan: &SystemPlan,
        install: &Install<'_>,
        outcome: &mut InstallOutcome,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        for planned in &plan.slots {
            self.install_slot(planned, install, steps)?;
            outcome.slots = Updated::Yes;
        }
        for planned in &plan.artifacts {
            self.install_artifact(planned, install, steps)?;
            outcome.artifacts = Updated::Yes;
        }
        Ok(())
    }

    /// From here on the target is not booted, until everything in it is proven.
    fn begin_boot_slot(
        &mut self,
        plan: &SystemPlan,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        let Some(slot) = &plan.boot_slot else { return Ok(()) };
        steps.note(format!("Marking target slot {} as non-bootable (bad)...", slot.name));
        let bootname = slot.bootname.as_deref().unwrap_or_default();
        let begun = self.parts.boot.begin_install(bootname);
        self.boot_warnings(steps);
        self.view_boot(Loader::after(&begun), steps);
        begun.map_err(|cause| InstallationError::MarkBad {
            slot: slot.name.clone(),
            source: super::MarkError::State { slot: slot.name.clone(), state: "bad", cause },
        })?;
        self.log(&Event::marked_bad(slot), steps);
        Ok(())
    }

    fn finish_boot_slot(
        &mut self,
        plan: &SystemPlan,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        let Some(slot) = &plan.boot_slot else { return Ok(()) };
        let activation = plan.slots.iter().find_map(|planned| planned.activation);
        let activation = activation.unwrap_or(Activation::Stage);
        steps.note(match activation {
            Activation::Activate => {
                format!("Marking target slot {} as bootable (active/primary)...", slot.name)
            }
            Activation::Stage => {
                "Leaving target slot non-bootable as requested by activate_installed == false."
                    .to_owned()
            }
        });
        let bootname = slot.bootname.as_deref().unwrap_or_default();
        let id = BundleId::from(install.bundle.manifest_digest());
        let finished = self.parts.boot.finish_install(bootname, id, activation);
        self.boot_warnings(steps);
        self.view_boot(Loader::after(&finished), steps);
        finished.map_err(|cause| InstallationError::MarkActive {
            slot: slot.name.clone(),
            source: super::MarkError::Activate { slot: slot.name.clone(), cause },
        })?;
        if activation == Activation::Activate {
            self.note_activated(slot, steps);
        }
        Ok(())
    }
}

/// Reads all of the bundle, so that one that does not verify stops before any write.
fn pre_check(install: &Install<'_>, steps: &mut Steps<'_>) -> Result<(), InstallationError> {
    steps.note(describe_pre_check(install.bundle));
    let mut go_on = |_| match (install.stop)() {
        Some(_) => ControlFlow::Break(()),
        None => ControlFlow::Continue(()),
    };
    // Whoever ended it is asked for by the caller.
    let checked = install.bundle.check_payload_until(&mut go_on).map(drop);
    checked.map_err(|cause| match (install.stop)() {
        Some(by) => InstallationError::Stopped { by },
        None => InstallationError::Bundle { cause: Box::new(cause) },
    })
}

fn open_bundle(
    opener: &mut dyn OpenBundle,
    facts: &OpeningFacts,
    steps: &mut Steps<'_>,
    stop: StopQuestion<'_>,
) -> Result<VerifiedBundle, SystemError> {
    steps.begin("Checking bundle", 1);
    steps.begin("Verifying signature", 0);
    let opened = opener.open(facts, steps, stop);
    let end = StepEnd::from(&opened);
    steps.end(end);
    steps.end(end);
    opened.map_err(|cause| match stop() {
        Some(by) => SystemError::Stopped { by },
        None => SystemError::Bundle { cause },
    })
}

fn content_failed(source: ContentError) -> SystemError {
    if let ContentError::Stopped { by } = source {
        return SystemError::Stopped { by };
    }
    SystemError::Content { source }
}

fn handler_words(args: Option<&str>, install: &Install<'_>) -> Result<Vec<String>, ProgramFailure> {
    let mut all = words(args)?;
    all.extend(words(install.request.handler_args.as_deref())?);
    Ok(all)
}
