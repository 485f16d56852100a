// SPDX-License-Identifier: MIT OR Apache-2.0
//! What may happen to a job next? Every pair of state and change, decided without doing anything.

use super::job::{JobState, MAX_EVENTS, bounded_text};
use super::{Job, JobEvent, JobResult, ReportedFault, RollbackStatus};

/// Something that happens to a job.
#[derive(Clone, Debug, PartialEq)]
pub enum JobChange {
    /// It begins.
    Start,
    /// It comes to a step.
    Step(JobEvent),
    /// It is done.
    Succeed {
        /// What it came to.
        result: JobResult,
        /// How long it took.
        duration_seconds: f64,
    },
    /// It is not done and will not be.
    Fail {
        /// Why.
        error: String,
        /// What is wrong with the configuration, when that is why.
        faults: Vec<ReportedFault>,
        /// What is in force now.
        rollback: RollbackStatus,
        /// How long it took.
        duration_seconds: f64,
    },
    /// The service ended and started anew while it was under way; recovery says what is in force.
    Interrupt {
        /// What recovery found.
        rollback: RollbackStatus,
    },
}

/// A change that a job in this state cannot take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state:?} cannot take this change")]
pub struct OutOfTurn {
    /// The job's state.
    pub state: JobState,
}

impl Job {
    /// Takes a change.
    ///
    /// # Errors
    /// [`OutOfTurn`]; the job stays as it was.
    pub fn change(&mut self, change: JobChange) -> Result<(), OutOfTurn> {
        use JobState::{Failed, Running, Submitted, Succeeded};
        match (self.state, change) {
            (Submitted, JobChange::Start) => {
                self.state = Running;
                "running".clone_into(&mut self.current_step);
            }
            (Running, JobChange::Step(event)) => self.step(event.bounded()),
            (Running, JobChange::Succeed { result, duration_seconds }) => {
                self.state = Succeeded;
                "completed".clone_into(&mut self.current_step);
                self.result = Some(result);
                self.duration_seconds = Some(duration_seconds);
            }
            (
                Submitted | Running,
                JobChange::Fail { error, faults, rollback, duration_seconds },
            ) => {
                self.fail(&error, faults, rollback);
                self.duration_seconds = Some(duration_seconds);
            }
            (Submitted | Running, JobChange::Interrupt { rollback }) => {
                let error = "the service was started anew while the change was under way";
                self.fail(error, Vec::new(), rollback);
            }
            (Submitted, JobChange::Step(_) | JobChange::Succeed { .. })
            | (Running, JobChange::Start)
            | (
                Succeeded | Failed,
                JobChange::Start
                | JobChange::Step(_)
                | JobChange::Succeed { .. }
                | JobChange::Fail { .. }
                | JobChange::Interrupt { .. },
            ) => return Err(OutOfTurn { state: self.state }),
        }
        Ok(())
    }

    fn step(&mut self, event: JobEvent) {
        self.current_step.clone_from(&event.step);
        if self.events.len() >= MAX_EVENTS {
            self.events.pop();
        }
        self.events.push(event);
    }

    fn fail(&mut self, error: &str, faults: Vec<ReportedFault>, rollback: RollbackStatus) {
        self.state = JobState::Failed;
        self.error = Some(bounded_text(error));
        self.faults = faults;
        self.rollback_status = Some(rollback);
    }
}
