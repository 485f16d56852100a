// SPDX-License-Identifier: MIT OR Apache-2.0
//! An activation's progress in the words of a job's events, and faults in those of a job.

use crate::activate::{Failure, Progress};
use crate::jobs::{JobEvent, ReportedFault};
use crate::model::Faults;

/// What is told of a step.
pub(super) fn event_of(progress: Progress) -> JobEvent {
    match progress {
        Progress::Applying(step) => {
            JobEvent { message: Some(step.name().to_owned()), ..JobEvent::step("activate") }
        }
        Progress::Restarting => JobEvent::step("service-restart"),
        Progress::Unit(event) => {
            let status = if event.state.is_up { "running" } else { "unknown" };
            JobEvent {
                message: Some(event.state.words),
                service: Some(event.unit.name),
                mode: Some(event.unit.mode.to_string()),
                status: Some(status.to_owned()),
                ..JobEvent::step("service-status")
            }
        }
        Progress::Confirming { .. } => {
            let message = "the services are up; the operator has to confirm".to_owned();
            JobEvent { message: Some(message), ..JobEvent::step("confirm") }
        }
        Progress::Failing(failures) => {
            JobEvent { message: Some(failures_text(&failures)), ..JobEvent::step("health-check") }
        }
        Progress::GoingBack(generation) => {
            let message = format!("{generation} is applied again");
            JobEvent { message: Some(message), ..JobEvent::step("rollback") }
        }
    }
}

/// All failures in one text.
pub(super) fn failures_text(failures: &[Failure]) -> String {
    let each = failures.iter().map(|failure| format!("{}: {}", failure.unit, failure.why));
    each.collect::<Vec<_>>().join("; ")
}

/// The model's faults as a job tells them.
pub(super) fn report(faults: &Faults) -> Vec<ReportedFault> {
    let place = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let each = faults.list().iter().map(|fault| ReportedFault {
        line: place(fault.line),
        column: place(fault.column),
        path: fault.path.clone(),
        problem: fault.problem.clone(),
        hint: fault.hint.clone(),
    });
    each.collect()
}
