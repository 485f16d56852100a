// SPDX-License-Identifier: MIT OR Apache-2.0
//! What has the operator said about hawkBit's action that waits for a yes or no? One line in one file,
//! which outlives a restart: the action's number and the word. The agent reads it at its next question
//! and sends it; the number keeps an old word from counting for another action.

use crate::context::Context;
use crate::failure::Failure;
use agents::agent::OperatorsWord;
use agents::ddi::{ActionId, Consent};
use std::path::Path;
use storage::{ByteLen, Files, HostFiles};

/// Where it is.
pub const CONSENT_PATH: &str = "/data/atomix/agent/consent";
/// Longest reason for a no.
const WHY_CHARS: usize = 200;
const LINE_MAX: ByteLen = ByteLen::kib(2);
const YES: &str = "yes";
const NO: &str = "no";
const NO_REASON: &str = "the operator of the device says no";

/// The operator's word.
#[derive(Clone, Debug)]
pub struct Operator {
    files: HostFiles,
}

impl Operator {
    /// Of this device.
    #[must_use]
    pub fn of(context: &Context) -> Self {
        Self { files: context.files.clone() }
    }

    /// Keeps a yes, or a no with its reason, durably.
    ///
    /// # Errors
    /// [`Failure::Files`].
    pub fn say(&self, action: ActionId, no: Option<&str>) -> Result<(), Failure> {
        let why = |why: &str| why.chars().take(WHY_CHARS).collect::<String>();
        let word = no.map_or(YES.to_owned(), |no| format!("{NO} {}", why(no.trim())));
        let line = format!("{action} {}\n", crate::terminal::one_line(&word));
        Ok(self.files.clone().replace(Path::new(CONSENT_PATH), line.as_bytes())?)
    }
}

impl OperatorsWord for Operator {
    /// What cannot be read is no word.
    fn on(&self, action: ActionId) -> Consent {
        let line = self.files.read(Path::new(CONSENT_PATH), LINE_MAX).ok().flatten();
        let line = line.and_then(|line| String::from_utf8(line).ok()).unwrap_or_default();
        let mut words = line.trim().splitn(3, ' ');
        if words.next() != Some(&*action.to_string()) {
            return Consent::Later;
        }
        match (words.next(), words.next()) {
            (Some(YES), None) => Consent::Yes,
            (Some(NO), why) => Consent::No(why.unwrap_or(NO_REASON).to_owned()),
            _ => Consent::Later,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Now;
    use bundle::UnixTime;

    #[test]
    fn a_word_counts_for_its_own_action_alone_and_only_whole() {
        let dir = tempfile::tempdir().unwrap();
        let context = Context::host(dir.path(), Now(UnixTime(0)));
        let operator = Operator::of(&context);
        assert_eq!(operator.on(ActionId(7)), Consent::Later);
        operator.say(ActionId(7), None).unwrap();
        assert_eq!(
            (operator.on(ActionId(7)), operator.on(ActionId(8))),
            (Consent::Yes, Consent::Later)
        );
        operator.say(ActionId(7), Some(" shop\nis open ")).unwrap();
        assert!(matches!(operator.on(ActionId(7)), Consent::No(why) if why.starts_with("shop")));
        operator.say(ActionId(7), Some("")).unwrap();
        assert_eq!(operator.on(ActionId(7)), Consent::No(NO_REASON.to_owned()));
        let mut files = context.files.clone();
        for odd in ["", "7", "7 ye", "7 yes please", "77 yes", "\u{0}"] {
            files.replace(Path::new(CONSENT_PATH), odd.as_bytes()).unwrap();
            assert_eq!(operator.on(ActionId(7)), Consent::Later, "{odd:?}");
        }
    }
}
