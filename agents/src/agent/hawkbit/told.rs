// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does hawkBit hear of the device? Its report, as attributes and as lines beside an end.

use super::super::course::Course;
use crate::ddi::MAX_END_LINES;
use crate::{AgentFacts, Facts, Report, UpdateResult};
use std::collections::BTreeMap;
use storage::{Digest, chain};

/// The names under which SWUpdate tells of board and version: gooseBit matches hardware by the one
/// and shows the other.
const BOARD: &str = "hw_boardname";
const VERSION: &str = "sw_version";

/// The report as hawkBit has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub attributes: BTreeMap<String, String>,
    pub details: Vec<String>,
    why: Option<String>,
    news: Option<Digest>,
}

impl Told {
    /// Makes it anew, and remembers whether it is news to the server.
    pub fn refresh(&mut self, course: &mut Course<'_>, facts: &Facts) {
        let agent = AgentFacts::of("hawkbit", course.memory());
        match course.hands().report(agent) {
            Ok(report) => {
                self.attributes = report.attributes();
                self.details = report.details(MAX_END_LINES);
                self.why = why_left(&report);
                self.news = Some(report.news());
                course.note(|memory| memory.report.note(&report));
            }
            // The last one is older, and better than none.
            Err(failed) => course.hands().tell(&chain(&failed)),
        }
        let version = facts.running().and_then(|slot| slot.version.clone());
        self.attributes.insert(BOARD.to_owned(), facts.compatible.clone());
        self.attributes.insert(VERSION.to_owned(), version.unwrap_or_else(|| "-".to_owned()));
    }

    /// Why the last update was left, as the flight recorder has it.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// The server has it.
    pub fn arrived(&self, course: &mut Course<'_>) {
        if let Some(news) = self.news {
            course.note(|memory| memory.report.arrived(news));
        }
    }
}

fn why_left(report: &Report) -> Option<String> {
    let update = report.last_update.as_ref();
    let left = update.filter(|update| match update.result {
        UpdateResult::FellBack | UpdateResult::Failed => true,
        UpdateResult::Good | UpdateResult::Pending => false,
    });
    let trouble = || report.last_trouble.as_ref().map(|trouble| trouble.text.clone());
    left.and_then(|update| update.why.clone()).or_else(trouble)
}
