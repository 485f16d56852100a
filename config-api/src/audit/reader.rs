// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading the log, and telling whether it is as it was written.

use super::event::Family;
use super::line::{AuditLine, Chain};
use super::log::{read_segment, segment, segments};
use serde::Serialize;
use storage::FilesError;
use storage::tree::Trees;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// A line that a cut left half; what it was to say was not acted upon yet.
    Torn {
        /// The segment.
        segment: String,
        /// Its line, counted from 1.
        line: usize,
    },
    /// Lines are missing, or were changed or put in.
    Broken {
        /// The segment.
        segment: String,
        /// The first line that does not follow from the one before, counted from 1.
        line: usize,
    },
}

/// The log as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Its records, those of each family in their order, all by time.
    pub lines: Vec<AuditLine>,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
}

impl AuditReport {
    /// Whether lines are missing, changed or put in. A torn one is none of that.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.faults.iter().any(|fault| matches!(fault, Fault::Broken { .. }))
    }
}

/// Reads the log below `trees` (`/data`).
///
/// # Errors
/// [`FilesError`].
pub fn read_audit(trees: &dyn Trees) -> Result<AuditReport, FilesError> {
    let mut report = AuditReport::default();
    for family in Family::ALL {
        read_family(trees, family, &mut report)?;
    }
    // Stable: within a family the order stays, whatever the clock did.
    report.lines.sort_by_key(|line| line.time);
    Ok(report)
}

fn read_family(
    trees: &dyn Trees,
    family: Family,
    report: &mut AuditReport,
) -> Result<(), FilesError> {
    let mut before: Option<(u64, Chain)> = None;
    for number in segments(trees, family)? {
        let path = segment(family, number);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = read_segment(trees, &path)?;
        let lines = bytes.split(|byte| *byte == b'\n').enumerate();
        for (at, bytes) in lines.filter(|(_, bytes)| !bytes.is_empty()) {
            let (segment, at) = (name.clone(), at + 1);
            let Some(line) = AuditLine::parse(bytes) else {
                report.faults.push(Fault::Torn { segment, line: at });
                continue;
            };
            let follows = before.as_ref().is_none_or(|(seq, chain)| {
                line.prev == *chain && line.seq == seq.saturating_add(1)
            });
            if !follows {
                report.faults.push(Fault::Broken { segment, line: at });
            }
            before = Some((line.seq, line.chain.clone()));
            report.lines.push(line);
        }
    }
    Ok(())
}
