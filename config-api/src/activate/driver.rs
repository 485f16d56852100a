// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a state of the record to a rest: apply, watch, wait for the operator, go back.

use super::policy::ActivationPlan;
use super::services::{ApplyStep, Services};
use super::watch::{Event, Failure, Judgement, Watch, state_of};
use crate::promote::{Command, Generation, Moment, Next, PromoteError, Rollback, Store};
use std::collections::BTreeMap;

/// Between two questions to the operator's side.
const CONFIRM_POLL_SECS: u64 = 1;

/// What happens meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A part of a generation is applied.
    Applying(ApplyStep),
    /// Services are asked to start anew.
    Restarting,
    /// A service is in another state.
    Unit(Event),
    /// The services are up; the operator must confirm.
    Confirming {
        /// Until then.
        until: Moment,
    },
    /// The configuration failed.
    Failing(Vec<Failure>),
    /// The one before is applied again.
    GoingBack(Generation),
}

/// How it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Why the configuration failed; nothing when it did not.
    pub failures: Vec<Failure>,
    /// What became of the one before, when it came back.
    pub rollback: Option<Rollback>,
    /// Services that are down and that the configuration does not require (fault B15).
    pub degraded: Vec<Failure>,
}

/// Brings a store to rest.
pub struct Driver<'a> {
    /// The configurations.
    pub store: &'a mut Store,
    /// The system.
    pub services: &'a mut dyn Services,
    /// How long the operator has to confirm where the promotion itself does not say; none when that
    /// is not asked for.
    pub confirm_secs: Option<u64>,
    /// Whoever watches.
    pub progress: &'a mut dyn FnMut(Progress),
}

impl Driver<'_> {
    /// Does what the record says is next, until nothing is.
    ///
    /// # Errors
    /// [`PromoteError`] when the medium fails; what counts is then what [`Store::recover`] says.
    pub fn run(&mut self) -> Result<Report, PromoteError> {
        let mut report = Report::default();
        loop {
            match self.store.state().next() {
                Next::Rest => return Ok(report),
                Next::Activate { generation, until } => {
                    let command = match self.activate(generation, Some(until)) {
                        Ok(degraded) => {
                            report.degraded = degraded;
                            Command::Healthy { confirm_until: self.confirm_until() }
                        }
                        Err(failures) => self.fail(&mut report, failures),
                    };
                    self.take(&command, &mut report)?;
                }
                Next::AwaitConfirmation { until } => {
                    (self.progress)(Progress::Confirming { until });
                    let command = match self.await_confirmation(until) {
                        Some(now) => Command::Confirm { now },
                        None => {
                            let why = "nobody confirmed it in time".to_owned();
                            let failure = Failure { unit: "confirmation".to_owned(), why };
                            self.fail(&mut report, vec![failure])
                        }
                    };
                    self.take(&command, &mut report)?;
                }
                Next::Reapply { generation } => {
                    (self.progress)(Progress::GoingBack(generation));
                    let rollback = match self.activate(generation, None) {
                        Ok(degraded) => {
                            report.degraded = degraded;
                            Rollback::Completed
                        }
                        Err(failures) => {
                            report.failures.extend(failures);
                            Rollback::Failed
                        }
                    };
                    report.rollback = Some(rollback);
                    self.take(&Command::Reapplied { rollback }, &mut report)?;
                }
            }
        }
    }

    /// Applies parts of the generation that counts, as each boot has to; one that fails keeps no
    /// other from being applied, and nothing is taken back: it was proved once.
    ///
    /// At boot accounts come before sshd, the network before what needs it; so each part may be
    /// asked for alone, after [`Store::recover`].
    pub fn apply_at_boot(&mut self, steps: &[ApplyStep], limit_secs: u64) -> Vec<Failure> {
        let Some(generation) = self.store.state().shown() else { return Vec::new() };
        let mut failures = Vec::new();
        for step in steps {
            (self.progress)(Progress::Applying(*step));
            let until = self.services.now().plus_secs(limit_secs);
            if let Err(error) = self.services.apply(*step, generation, until) {
                failures.push(Failure { unit: step.name().to_owned(), why: error.chain() });
            }
        }
        failures
    }

    fn confirm_until(&mut self) -> Option<Moment> {
        let secs = self.store.state().confirm_secs().or(self.confirm_secs);
        secs.map(|secs| self.services.now().plus_secs(secs))
    }

    fn fail(&mut self, report: &mut Report, failures: Vec<Failure>) -> Command {
        (self.progress)(Progress::Failing(failures.clone()));
        report.failures = failures;
        Command::Fail
    }

    fn take(&mut self, command: &Command, report: &mut Report) -> Result<(), PromoteError> {
        self.store.apply(command)?;
        if *command == Command::Fail && !self.store.state().is_provisioned() {
            report.rollback = Some(Rollback::Discarded);
            if let Err(error) = self.services.discard() {
                let why = error.chain();
                report.failures.push(Failure { unit: "discard".to_owned(), why });
            }
        }
        Ok(())
    }

    /// Applies a generation and watches it, until the deadline or as long as it allows itself; gives
    /// those of its other services that are down.
    fn activate(
        &mut self,
        generation: Generation,
        until: Option<Moment>,
    ) -> Result<Vec<Failure>, Vec<Failure>> {
        let one = |unit: &str, why: String| vec![Failure { unit: unit.to_owned(), why }];
        let plan = ActivationPlan::read(self.store.trees(), generation)
            .map_err(|error| one("activation-policy", chain(&error)))?;
        let until = until.unwrap_or_else(|| self.services.now().plus_secs(plan.timeout_secs));
        for step in ApplyStep::ALL {
            (self.progress)(Progress::Applying(step));
            self.services
                .apply(step, generation, until)
                .map_err(|error| one(step.name(), error.chain()))?;
        }
        if !plan.restart.is_empty() {
            (self.progress)(Progress::Restarting);
        }
        for unit in &plan.restart {
            self.services.restart(unit).map_err(|error| one(&unit.name, error.chain()))?;
        }
        let now = self.services.now();
        let mut watch = Watch::new(&plan, now, until);
        loop {
            let mut samples = BTreeMap::new();
            for unit in &plan.watched {
                let sample = self.services.status(unit).map_err(|error| error.chain());
                samples.insert(unit.clone(), sample);
            }
            let now = self.services.now();
            let progress = &mut *self.progress;
            match watch.look(now, &samples, &mut |event| progress(Progress::Unit(event))) {
                Judgement::Healthy => return Ok(self.degraded(&plan)),
                Judgement::Failed(failures) => return Err(failures),
                Judgement::Wait(until) => self.services.wait_until(until),
            }
        }
    }

    fn degraded(&mut self, plan: &ActivationPlan) -> Vec<Failure> {
        let mut down = Vec::new();
        for unit in &plan.others {
            let sample = self.services.status(unit).map_err(|error| error.chain());
            let state = state_of(&sample);
            if !state.is_up {
                down.push(Failure { unit: unit.name.clone(), why: state.words.clone() });
            }
            (self.progress)(Progress::Unit(Event { unit: unit.clone(), state }));
        }
        down
    }

    /// When the operator confirmed; `None` when the time is over.
    fn await_confirmation(&mut self, until: Moment) -> Option<Moment> {
        loop {
            let now = self.services.now();
            if now >= until {
                return None;
            }
            if self.services.is_confirmed() {
                return Some(now);
            }
            self.services.wait_until(now.plus_secs(CONFIRM_POLL_SECS).min(until));
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
