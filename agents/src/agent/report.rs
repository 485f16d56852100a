// SPDX-License-Identifier: MIT OR Apache-2.0
//! When does the device report? After each boot that changed something, and when something changed
//! since: the verifier has spoken, an update was written, somebody chose another slot.
//!
//! That a report is due is durable before it is sent, and that it arrived as soon as the server said
//! so. A cut between the two sends the same news once more; none is ever lost.

use super::course::Course;
use super::hands::HandError;
use crate::{AgentFacts, Delivery, Facts, Report, ReportRequest, SlotFacts};
use bootctl::{BundleId, SlotId};
use std::time::Duration;
use storage::chain;

/// How soon a report is tried again that could not be made here.
const MAKE_AGAIN: Duration = Duration::from_secs(5 * 60);

/// What of a device makes a look at its report worth while.
#[derive(PartialEq)]
struct Shape {
    slots: [SlotFacts; 2],
    booted: Option<SlotId>,
    next: Option<SlotId>,
    failed: Vec<BundleId>,
    refused: Option<String>,
}

impl Shape {
    fn of(facts: &Facts, agent: &AgentFacts) -> Self {
        Self {
            slots: [facts.a.clone(), facts.b.clone()],
            booted: facts.booted,
            next: facts.next,
            failed: facts.failed.clone(),
            refused: agent.refusal.as_ref().map(|refusal| refusal.kind.clone()),
        }
    }
}

/// Reports of one start of the agent.
pub struct Reporter {
    url: String,
    noted: Option<Shape>,
}

impl Reporter {
    /// To the owner's `report_url`.
    #[must_use]
    pub const fn to(url: String) -> Self {
        Self { url, noted: None }
    }

    /// Looks whether there is something to tell, and tells it. Comes back with how long it is until
    /// there is more to do, where there is.
    pub fn report(
        &mut self,
        course: &mut Course<'_>,
        facts: &Facts,
        agent: &AgentFacts,
    ) -> Option<Duration> {
        match self.try_report(course, facts, agent) {
            Ok(wait) => wait,
            Err(failed) => {
                course.hands().tell(&chain(&failed));
                Some(MAKE_AGAIN)
            }
        }
    }

    fn try_report(
        &mut self,
        course: &mut Course<'_>,
        facts: &Facts,
        agent: &AgentFacts,
    ) -> Result<Option<Duration>, HandError> {
        let shape = Shape::of(facts, agent);
        if self.noted.as_ref() != Some(&shape) {
            self.note(course, agent)?;
            self.noted = Some(shape);
        }
        if course.memory().report.pending.is_none() {
            return Ok(None);
        }
        let now = course.hands().now();
        let mut tries = course.memory().report.tries;
        if !tries.may_send(now) {
            return Ok(tries.wait(now));
        }
        // It is made anew: what is sent is what the device is now.
        let report = self.note(course, agent)?;
        if course.memory().report.pending.is_none() {
            return Ok(None);
        }
        let signed = course.hands().sign(&report)?;
        let request = ReportRequest::new(&report, signed);
        let answer = course.hands().deliver(&request);
        let now = course.hands().now();
        let delivery = tries.judge(&answer, &facts.device_id, now);
        course.note(|memory| {
            memory.report.tries = tries;
            if delivery == Delivery::Delivered {
                memory.report.arrived(request.news);
            }
        });
        match delivery {
            Delivery::Delivered => {
                course.hands().tell("the device report has arrived");
                Ok(None)
            }
            Delivery::Later { why, .. } => {
                course.hands().tell(&format!("the device report has not arrived: {why}"));
                Ok(tries.wait(now))
            }
        }
    }

    /// Makes the report and remembers whether it is still to be told.
    fn note(&self, course: &mut Course<'_>, agent: &AgentFacts) -> Result<Report, HandError> {
        let report = course.hands().report(agent.clone())?;
        course.keep(|memory| {
            memory.report.address(&self.url);
            memory.report.note(&report);
        })?;
        Ok(report)
    }
}
