// SPDX-License-Identifier: MIT OR Apache-2.0
//! Was what came taken or refused, and in which kind of way? A fleet has to hear of a server that is
//! frozen or offers what no device takes, and is told once for each kind.
//!
//! That a server is away is no refusal: its owner knows, and all of a fleet would report its return.

use super::course::{Acting, Course};
use super::poll::AskError;
use super::round::Ending;
use crate::memory::BUNDLE;
use crate::{Decision, Judgement, Offer, OriginalError, Refusal, ReleaseError};
use bundle::UnixTime;
use storage::{Digest, chain};

/// What became of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It was followed, or had nothing to follow.
    Followed,
    /// It was not.
    Refused { kind: String, words: String },
    /// It came not so far: what was known before is known still.
    Unknown,
}

impl Taken {
    fn refused(kind: &str, words: String) -> Self {
        Self::Refused { kind: kind.to_owned(), words }
    }

    /// Of an answer that cannot be used.
    pub fn of_answer(why: &AskError) -> Self {
        let kind = match why {
            AskError::NoAnswer(_) | AskError::Place(_) => return Self::Unknown,
            AskError::Status { code: 408 | 425 | 429 | 500..=599, .. } => return Self::Unknown,
            AskError::Status { .. } => "answer-status",
            AskError::Redirect(_) | AskError::Redirects => "answer-redirect",
            AskError::Original(OriginalError::WebPage)
            | AskError::Release(ReleaseError::WebPage) => "answer-web-page",
            AskError::Original(_) => "answer-unreadable",
            AskError::Release(why) => match why {
                ReleaseError::WebPage => "answer-web-page",
                ReleaseError::TooLong { .. } | ReleaseError::Content(_) => "release-unreadable",
                ReleaseError::Signature(_) => "release-signature",
                ReleaseError::CertificateEnded { .. } => "release-certificate",
                ReleaseError::OtherProduct { .. } => "release-product",
                ReleaseError::Replayed { .. } => "release-replayed",
                ReleaseError::Forked { .. } => "release-forked",
                ReleaseError::Expired { .. } => "release-expired",
                ReleaseError::Place { .. } => "release-place",
            },
        };
        Self::refused(kind, chain(why))
    }

    /// Of an offer.
    pub fn of_offer(judgements: &[Judgement], ending: &Ending) -> Self {
        match ending {
            Ending::Refused(source) => Self::refused(BUNDLE, chain(&**source)),
            Ending::Unreachable { .. } | Ending::Stopped(_) | Ending::Failed(_) => Self::Unknown,
            Ending::Installed(_) | Ending::Restarting { .. } => Self::Followed,
            Ending::Judged => match judgements.last() {
                Some(judged) => match &judged.decision {
                    Decision::Refuse { why } => {
                        Self::refused(&format!("offer-{}", why.word()), judged.words())
                    }
                    Decision::UpToDate
                    | Decision::Wait { .. }
                    | Decision::Look
                    | Decision::Install { .. }
                    | Decision::LeaveTrial { .. }
                    | Decision::Reboot { .. }
                    | Decision::Nothing => Self::Followed,
                },
                None => Self::Unknown,
            },
        }
    }
}

/// What was offered, as claimed.
#[derive(Clone, Debug, Default)]
pub(super) struct Claimed {
    pub bundle: Option<Digest>,
    pub version: Option<String>,
}

impl From<&Offer> for Claimed {
    fn from(offer: &Offer) -> Self {
        Self { bundle: offer.manifest, version: Some(offer.version.clone()) }
    }
}

impl Course<'_> {
    /// Remembers what became of an answer; a dry run changes nothing. `now` is nothing where nobody
    /// set the clock.
    pub(super) fn note_taken(&mut self, taken: Taken, claimed: Claimed, now: Option<UnixTime>) {
        if self.acting() == Acting::DryRun {
            return;
        }
        match taken {
            Taken::Unknown => {}
            Taken::Followed => self.note(|memory| memory.refusal = None),
            Taken::Refused { kind, words } => {
                let Claimed { bundle, version } = claimed;
                self.note(|memory| {
                    memory.refuse(Refusal { kind, words, since: now, bundle, version });
                });
            }
        }
    }
}
