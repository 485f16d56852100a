// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is worth remembering.

use crate::plain_text::plain;
use serde::{Deserialize, Deserializer, Serialize};

/// Longest text of an event; a stranger's words are cut there.
const MAX_TEXT_CHARS: usize = 200;

/// Words of somebody else: cut to a length, with nothing in them that moves a cursor or ends a
/// line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Takes somebody's words.
    #[must_use]
    pub fn new(words: &str) -> Self {
        Self(words.chars().take(MAX_TEXT_CHARS).map(plain).collect())
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self::new(&String::deserialize(from)?))
    }
}

/// What became of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConfigChange {
    /// A new one was promoted.
    Promoted,
    /// It proved itself.
    Committed,
    /// The operator confirmed it.
    Confirmed,
    /// It failed, and the one before is back.
    RolledBack,
    /// The first one failed, and there is none.
    Discarded,
    /// One that was found was not taken.
    Refused,
}

impl ConfigChange {
    /// In a word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Committed => "committed",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled back",
            Self::Discarded => "discarded",
            Self::Refused => "refused",
        }
    }
}

/// Something that happened. Fingerprints and digests stand for keys and contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AuditEvent {
    /// Somebody was not let in.
    AuthenticationFailed {
        /// From where.
        peer: Text,
        /// What was asked for.
        request: Text,
        /// Why not.
        reason: Text,
        /// So many more were refused since the line before, and not written one by one.
        suppressed: u64,
    },
    /// A configuration was changed, or taken back.
    ConfigChanged {
        /// What became of it.
        change: ConfigChange,
        /// Its generation.
        generation: Option<u32>,
        /// The fingerprint of the key that asked for it, or where it came from.
        by: Text,
        /// More, such as why it failed.
        detail: Option<Text>,
    },
    /// A container was given the whole machine.
    FullAccessGranted {
        /// Which one.
        container: Text,
        /// What it was given.
        directives: Vec<Text>,
    },
    /// A bundle was installed, or not.
    Installed {
        /// Its digest.
        bundle: Text,
        /// Its version.
        bundle_version: Text,
        /// The slot.
        slot: Text,
        /// Why not; nothing when it was.
        failure: Option<Text>,
    },
    /// A slot was marked.
    Marked {
        /// The slot.
        slot: Text,
        /// As what.
        mark: Text,
        /// Who asked.
        by: Text,
    },
}

/// Which segments an event goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// What strangers can cause at will.
    Access,
    /// What only those who were let in can cause.
    Changes,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Access, Self::Changes];

    /// The beginning of its segments' names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Changes => "changes",
        }
    }
}

impl AuditEvent {
    /// Where it is written.
    #[must_use]
    pub const fn family(&self) -> Family {
        match self {
            Self::AuthenticationFailed { .. } => Family::Access,
            Self::ConfigChanged { .. }
            | Self::FullAccessGranted { .. }
            | Self::Installed { .. }
            | Self::Marked { .. } => Family::Changes,
        }
    }
}
