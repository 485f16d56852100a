// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of a bundle: its own check, its hooks for each slot, and its handler.

use super::environment::{ProgramFacts, Variables};
use super::handler_output::{HandlerLine, parse_handler_line};
use super::plan::{PlannedSlot, has_hook};
use super::program::{run_handler, run_lines};
use super::progress::{Steps, SystemEvent};
use super::status_keeper::LOCAL_FILE;
use super::{BoxedError, ProgramFailure, SlotState, SystemError};
use crate::slot_handlers::{
    HookStep, Machine, OldHead, OutputStream, ProgramCall, SlotHooks, SlotPlace,
};
use crate::{SlotStatus, StopQuestion};
use bundle::{SlotHook, VerifiedBundle};
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use storage::Files;

/// Exit codes of the bundle's check from here on mean *no*; below, that it failed.
const REJECT_CODE: i32 = 10;

fn call<'a>(program: &Path, arguments: &[String], variables: Variables) -> ProgramCall<'a> {
    let mut call = ProgramCall::new(program).args(arguments);
    call.environment = variables.into_iter().map(|(name, value)| (name.into(), value)).collect();
    call
}

/// Runs a handler of the configuration or of the manifest; what it says becomes messages.
pub(super) fn run_install_handler(
    machine: &mut dyn Machine,
    program: &Path,
    arguments: &[String],
    variables: Variables,
    steps: &mut Steps<'_>,
    stop: StopQuestion<'_>,
) -> Result<(), ProgramFailure> {
    run_handler(machine, call(program, arguments, variables), stop, &mut |line| {
        match parse_handler_line(line) {
            HandlerLine::Message(text) => steps.message(text),
            HandlerLine::Print(text) => steps.event(SystemEvent::HandlerLine(text)),
            HandlerLine::Nothing => {}
        }
    })
}

/// Asks the bundle whether it may be installed.
pub(super) fn run_install_check(
    machine: &mut dyn Machine,
    program: &Path,
    variables: Variables,
    steps: &mut Steps<'_>,
    stop: StopQuestion<'_>,
) -> Result<(), SystemError> {
    steps.note("Running bundle hook 'install-check'");
    let mut last = None;
    let arguments = ["install-check".to_owned()];
    let asked = run_lines(
        machine,
        call(program, &arguments, variables),
        stop,
        &mut |from, line| match from {
            OutputStream::Stderr => last = Some(line.to_owned()),
            OutputStream::Stdout => steps.note(line),
        },
    );
    match (asked, last) {
        (Ok(()), _) => Ok(()),
        (Err(ProgramFailure::Stopped { by }), _) => Err(SystemError::Stopped { by }),
        (Err(ProgramFailure::Exit { code }), Some(reason)) if code >= REJECT_CODE => {
            Err(SystemError::Rejected { reason })
        }
        (Err(failure @ ProgramFailure::Exit { code }), None) if code >= REJECT_CODE => {
            let source = failure.during(format!("Hook returned with exit code {code}"));
            Err(SystemError::InstallCheck { source })
        }
        (Err(failure @ ProgramFailure::Start { .. }), _) => {
            Err(SystemError::InstallCheck { source: failure.during("failed to start bundle hook") })
        }
        (Err(failure), _) => {
            Err(SystemError::InstallCheck { source: failure.during("failed to run bundle hook") })
        }
    }
}

/// The engine's side of writing one slot: hooks of its image, and its own status file.
pub(super) struct EngineHooks<'a, 's> {
    pub program: Option<PathBuf>,
    pub facts: ProgramFacts<'a>,
    pub planned: &'a PlannedSlot,
    pub state: SlotState,
    pub bundle: &'a VerifiedBundle,
    /// What goes into the slot; nothing where the status is central.
    pub local_status: Option<SlotStatus>,
    pub old_head: OldHead,
    pub files: &'a mut dyn Files,
    pub steps: &'a RefCell<&'a mut Steps<'s>>,
    pub stop: StopQuestion<'a>,
}

const fn hook_of(step: HookStep) -> Option<(SlotHook, &'static str)> {
    match step {
        HookStep::PreInstall => Some((SlotHook::PreInstall, "slot-pre-install")),
        HookStep::Install => Some((SlotHook::Install, "slot-install")),
        HookStep::PostInstall => Some((SlotHook::PostInstall, "slot-post-install")),
        HookStep::Status => None,
    }
}

impl SlotHooks for EngineHooks<'_, '_> {
    fn wants(&self, step: HookStep) -> bool {
        match hook_of(step) {
            Some((hook, _)) => self.program.is_some() && has_hook(&self.planned.image, hook),
            None => self.local_status.is_some(),
        }
    }

    fn old_head(&self) -> OldHead {
        self.old_head
    }

    fn run(
        &mut self,
        step: HookStep,
        place: &SlotPlace<'_>,
        machine: &mut dyn Machine,
    ) -> Result<(), BoxedError> {
        let Some((_, name)) = hook_of(step) else { return self.write_status(place) };
        let Some(program) = &self.program else { return Ok(()) };
        let slot = &self.planned.slot;
        // With allow-mounted somebody else may have mounted it.
        let elsewhere = match place.mount_point {
            Some(_) => None,
            None => machine.devices().mounted_at(&slot.device).ok().flatten(),
        };
        let place = &SlotPlace {
            mount_point: place.mount_point.or(elsewhere.as_deref()),
            device: place.device,
            variables: place.variables.clone(),
        };
        self.steps.borrow_mut().note(format!("Running slot hook '{name}' for {}", slot.name));
        let variables =
            self.facts.for_slot((slot, self.state), &self.planned.image, place, self.bundle);
        let ran = run_handler(
            machine,
            call(program, &[name.to_owned()], variables),
            self.stop,
            &mut |line| self.steps.borrow_mut().note(line),
        );
        Ok(ran?)
    }
}

impl EngineHooks<'_, '_> {
    fn write_status(&mut self, place: &SlotPlace<'_>) -> Result<(), BoxedError> {
        let (Some(status), Some(dir)) = (&self.local_status, place.mount_point) else {
            return Ok(());
        };
        let path = dir.join(LOCAL_FILE);
        self.steps.borrow_mut().note(format!("Updating slot file {}", path.display()));
        Ok(self.files.replace(&path, status.encode_local().as_bytes())?)
    }
}
