// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is what runs still what was installed?
//!
//! A slot that behaves well may still have rotten blocks that nobody has read yet, so its content
//! is compared with the recorded digest before it is confirmed. How that is done is the business
//! of `updater`, which lies above this crate; here is only the question.

use crate::round::Trouble;
use crate::verdict::{Finding, Verdict};

/// The answer of a content check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentFinding {
    /// Every byte is as installed.
    Matches,
    /// There is no record to compare with, as on a freshly flashed slot.
    NoRecord,
    /// Something differs; the text says where.
    Differs(String),
    /// It could not be compared; the text says why.
    Unreadable(String),
}

/// Compares the booted slot with its recorded digest.
pub trait ContentCheck {
    /// Does it.
    fn check(&mut self) -> ContentFinding;
}

/// Lets a healthy verdict stand only when the content holds. An unhealthy one is returned as it
/// is, and nothing is read.
pub fn confirm_content(verdict: Verdict, content: &mut dyn ContentCheck) -> Verdict {
    let warnings = match verdict {
        Verdict::Healthy { warnings } => warnings,
        Verdict::Unhealthy { .. } => return verdict,
    };
    match content.check() {
        ContentFinding::Matches => Verdict::Healthy { warnings },
        ContentFinding::NoRecord => {
            let mut warnings = warnings;
            let trouble = Trouble::Content("no digest was recorded for this slot".to_owned());
            warnings.push(Finding::new("content", &trouble));
            Verdict::Healthy { warnings }
        }
        ContentFinding::Differs(text) | ContentFinding::Unreadable(text) => {
            let reasons = vec![Finding::new("content", &Trouble::Content(text))];
            Verdict::Unhealthy { reasons, warnings }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(ContentFinding, u32);

    impl ContentCheck for Fixed {
        fn check(&mut self) -> ContentFinding {
            self.1 += 1;
            self.0.clone()
        }
    }

    fn healthy() -> Verdict {
        Verdict::Healthy { warnings: Vec::new() }
    }

    #[test]
    fn rotten_or_unreadable_content_is_never_confirmed() {
        for finding in [ContentFinding::Differs("x".into()), ContentFinding::Unreadable("y".into())]
        {
            assert!(!confirm_content(healthy(), &mut Fixed(finding, 0)).is_healthy());
        }
        assert_eq!(confirm_content(healthy(), &mut Fixed(ContentFinding::Matches, 0)), healthy());
        let unrecorded = confirm_content(healthy(), &mut Fixed(ContentFinding::NoRecord, 0));
        assert!(matches!(unrecorded, Verdict::Healthy { warnings } if warnings.len() == 1));
    }

    #[test]
    fn an_unhealthy_slot_is_not_read() {
        let unhealthy = Verdict::Unhealthy { reasons: Vec::new(), warnings: Vec::new() };
        let mut content = Fixed(ContentFinding::Matches, 0);
        assert_eq!(confirm_content(unhealthy.clone(), &mut content), unhealthy);
        assert_eq!(content.1, 0);
    }
}
