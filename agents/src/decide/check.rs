// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was looked at before something was decided? Each rule has its verdict and its words, also
//! those that did not decide anything: a technician who asks why must not have to guess.

use bundle::UnixTime;
use storage::is_unseen;
use time::OffsetDateTime;

/// Longest foreign word that is shown.
const MAX_SHOWN_CHARS: usize = 48;

/// What is looked at. The words are those of JSON: part of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Whether the device has it already.
    Same,
    /// Which slot would be written, and whether it may be.
    Slot,
    /// Whether it is for this product.
    Product,
    /// Whether the bundle is the one that was named.
    Manifest,
    /// Whether it is as long as was said.
    Size,
    /// Whether its version is the one that was said.
    Version,
    /// Whether it failed here before.
    Failed,
    /// Whether it is older than what runs.
    Downgrade,
    /// Whether what runs is new enough for it.
    MinVersion,
    /// Whether the offer still counts.
    Expiry,
    /// Whether one update may fetch so much.
    UpdateBytes,
    /// Whether the clock can be believed.
    Clock,
    /// Whether it is this device's turn.
    Rollout,
    /// Whether what runs has its verdict.
    Trial,
    /// Whether slots were begun too often for what never proved itself.
    Begun,
    /// Whether a window is open.
    Window,
    /// Whether bytes are paid for.
    Metered,
    /// Whether so much may be fetched today.
    DayBytes,
    /// Whether the agent may restart the device.
    Reboot,
    /// Whether somebody asked that it be not restarted now.
    Inhibitors,
}

impl Rule {
    /// Every one, in the order in which they count.
    pub const ALL: [Self; 20] = [
        Self::Same,
        Self::Slot,
        Self::Product,
        Self::Manifest,
        Self::Size,
        Self::Version,
        Self::Failed,
        Self::Downgrade,
        Self::MinVersion,
        Self::Expiry,
        Self::UpdateBytes,
        Self::Clock,
        Self::Rollout,
        Self::Trial,
        Self::Begun,
        Self::Window,
        Self::Metered,
        Self::DayBytes,
        Self::Reboot,
        Self::Inhibitors,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Slot => "slot",
            Self::Product => "product",
            Self::Manifest => "manifest",
            Self::Size => "size",
            Self::Version => "version",
            Self::Failed => "failed",
            Self::Downgrade => "downgrade",
            Self::MinVersion => "min-version",
            Self::Expiry => "expiry",
            Self::UpdateBytes => "update-bytes",
            Self::Clock => "clock",
            Self::Rollout => "rollout",
            Self::Trial => "trial",
            Self::Begun => "begun",
            Self::Window => "window",
            Self::Metered => "metered",
            Self::DayBytes => "day-bytes",
            Self::Reboot => "reboot",
            Self::Inhibitors => "inhibitors",
        }
    }
}

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing against it.
    Passed,
    /// Something, and it does not count this time.
    Waived,
    /// It cannot be known before the bundle was looked at.
    Open,
    /// Not before then.
    Waits {
        /// By the device's clock.
        until: UnixTime,
    },
    /// No.
    Refused,
}

impl Verdict {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Waived => "waived",
            Self::Open => "open",
            Self::Waits { .. } => "waits",
            Self::Refused => "refused",
        }
    }
}

/// One rule and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The rule.
    pub rule: Rule,
    /// Its verdict.
    pub verdict: Verdict,
    /// The same for people.
    pub words: String,
}

impl Check {
    pub(super) fn passed(rule: Rule, words: impl Into<String>) -> Self {
        Self { rule, verdict: Verdict::Passed, words: words.into() }
    }

    pub(super) fn refused(rule: Rule, words: impl Into<String>) -> Self {
        Self { rule, verdict: Verdict::Refused, words: words.into() }
    }

    pub(super) fn waits(rule: Rule, until: UnixTime, words: impl Into<String>) -> Self {
        Self { rule, verdict: Verdict::Waits { until }, words: words.into() }
    }

    pub(super) fn open(rule: Rule) -> Self {
        let words = "known once the bundle is looked at".to_owned();
        Self { rule, verdict: Verdict::Open, words }
    }

    /// The check when somebody may overrule it.
    pub(super) fn waived_by(self, who: Option<&str>) -> Self {
        match (self.verdict, who) {
            (Verdict::Waits { .. } | Verdict::Refused, Some(who)) => Self {
                rule: self.rule,
                verdict: Verdict::Waived,
                words: format!("{}; {who}", self.words),
            },
            _ => self,
        }
    }
}

/// A foreign word in one line, in letters that do nothing to it.
pub(super) fn shown(text: &str) -> String {
    let safe = |letter: char| if is_unseen(letter) { '?' } else { letter };
    let mut letters = text.chars();
    let mut shown: String = letters.by_ref().take(MAX_SHOWN_CHARS).map(safe).collect();
    if letters.next().is_some() {
        shown.push('…');
    }
    shown
}

/// A time as people read it.
pub(super) fn when(time: UnixTime) -> String {
    match OffsetDateTime::from_unix_timestamp(time.0) {
        Ok(at) => format!(
            "{}-{:02}-{:02} {:02}:{:02} UTC",
            at.year(),
            u8::from(at.month()),
            at.day(),
            at.hour(),
            at.minute()
        ),
        Err(_) => format!("{} s since 1970", time.0),
    }
}
