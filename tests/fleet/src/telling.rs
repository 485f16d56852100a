// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does a device report? The real report of its slots and its flight recorder, when it is news,
//! until it has arrived. Not signed here: signatures of reports are proven by `agents` itself.

use crate::device::Told;
use crate::meter::Request;
use crate::queue::Happening;
use crate::server::{Fate, Which};
use crate::time::{unix, until};
use crate::turn::Turn;
use agents::{AgentFacts, BootFacts, Delivery, RecorderFacts, Report, ReportAnswer, ReportFacts};
use bootctl::PerSlot;

impl Turn<'_> {
    /// What the device says of itself.
    pub fn told(&self) -> Report {
        let facts = self.device.facts(self.now);
        Report::new(&ReportFacts {
            device: &facts,
            key: None,
            atomix: "fleet",
            boot: BootFacts::default(),
            contents: PerSlot::default(),
            environment: None,
            history: &self.device.board.history,
            words: Vec::new(),
            recorder: RecorderFacts { readable: true, unreadable_blocks: 0 },
            agent: AgentFacts::default(),
            missing: Vec::new(),
        })
    }

    /// Reports, if there is news and it may be told; hawkBit's devices tell by their feedback.
    pub fn report(&mut self) {
        if self.device.told == Told::Hawkbit {
            return;
        }
        let report = self.told();
        self.device.memory.report.note(&report);
        let now = unix(self.now);
        if self.device.memory.report.pending.is_none() || !self.device.tries.may_send(now) {
            return;
        }
        let fate = self.request(Which::Web, Request::Word);
        let bytes = report.encode().unwrap_or_default();
        if fate != Fate::Lost {
            self.servers.report(&bytes);
        }
        let answer = if fate == Fate::Answered {
            ReportAnswer::Status { code: 204, retry_after_secs: None }
        } else {
            ReportAnswer::None { why: "no answer".to_owned() }
        };
        match self.device.tries.judge(&answer, &self.device.name, now) {
            Delivery::Delivered => self.device.memory.report.arrived(report.news()),
            Delivery::Later { not_before, .. } => {
                self.plan(until(now, not_before), Happening::Report);
            }
        }
    }
}
