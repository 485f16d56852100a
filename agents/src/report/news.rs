// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is there anything to tell? What differs at every look (times, counts, the newest records) is no
//! news; what the owner of a fleet would act on is.

use super::{
    Report, ReportedBoot, ReportedRecorder, ReportedRefusal, ReportedSlot, ReportedTime,
    ReportedVerdict,
};
use bootctl::SlotState;
use storage::Digest;

/// Whether `report` tells something that the last one that arrived did not. `sent` is that one's
/// [`Report::news`]; nothing where none arrived yet.
#[must_use]
pub fn is_news(report: &Report, sent: Option<Digest>) -> bool {
    sent != Some(report.news())
}

impl Report {
    /// What tells one state of the device from another: SHA-256 of what lasts in the report.
    #[must_use]
    pub fn news(&self) -> Digest {
        // A report is strings and numbers, which JSON can always hold.
        let bytes = serde_json::to_vec(&self.lasting()).unwrap_or_default();
        Digest::from_bytes(openssl::sha::sha256(&bytes))
    }

    /// The report without what changes by itself.
    fn lasting(&self) -> Self {
        let good = SlotState::Good.as_str();
        let slot = |slot: &ReportedSlot| {
            // Each boot of a good slot takes an attempt and gives it back some minutes later.
            let attempts_left = if slot.state == good { 0 } else { slot.attempts_left };
            ReportedSlot { attempts_left, ..slot.clone() }
        };
        let mut verdicts: Vec<ReportedVerdict> = Vec::new();
        for verdict in &self.verdicts {
            // A good slot is judged at every boot; that it is still healthy is nothing new.
            if verdicts.iter().all(|known| known.slot != verdict.slot) {
                verdicts.push(ReportedVerdict { sequence: 0, at: None, ..verdict.clone() });
            }
        }
        verdicts.sort_by(|one, other| one.slot.cmp(&other.slot));
        Self {
            boot: ReportedBoot {
                slot: self.boot.slot.clone(),
                next: self.boot.next.clone(),
                ..ReportedBoot::default()
            },
            slots: self.slots.iter().map(slot).collect(),
            verdicts,
            time: ReportedTime::default(),
            agent: super::ReportedAgent {
                mode: self.agent.mode.clone(),
                refusal: self.agent.refusal.as_ref().map(|refusal| ReportedRefusal {
                    kind: refusal.kind.clone(),
                    ..ReportedRefusal::default()
                }),
                ..super::ReportedAgent::default()
            },
            recorder: ReportedRecorder {
                readable: self.recorder.readable,
                unreadable_blocks: self.recorder.unreadable_blocks,
                ..ReportedRecorder::default()
            },
            ..self.clone()
        }
    }
}
