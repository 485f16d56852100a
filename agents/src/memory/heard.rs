// SPDX-License-Identifier: MIT OR Apache-2.0
//! When was the server last asked, and what came? For people and for the report; nothing is decided
//! by it. Kept in `/run`: it changes at each question, and flash wears.

use super::text::optional_time;
use bundle::UnixTime;
use serde::{Deserialize, Serialize};
use std::path::Path;
use storage::{ByteLen, Files, FilesError};

/// Where it is.
pub const HEARD_PATH: &str = "/run/atomix/agent/heard.json";

/// Longest file, and longest text in it, in letters.
const MAX_FILE: ByteLen = ByteLen::kib(16);
const MAX_WORDS: usize = 400;

/// The last question since the boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heard {
    /// When it was asked.
    #[serde(with = "optional_time")]
    pub asked: Option<UnixTime>,
    /// When a server last answered, whatever it said.
    #[serde(with = "optional_time")]
    pub contact: Option<UnixTime>,
    /// What came of the last question, in words.
    pub came: Option<String>,
    /// What was last decided, in words.
    pub decision: Option<String>,
    /// What somebody can do about it.
    pub way_out: Option<String>,
    /// When it is asked next.
    #[serde(with = "optional_time")]
    pub next: Option<UnixTime>,
}

impl Heard {
    /// What was heard since the boot. Nothing needs it: one that cannot be used is none.
    #[must_use]
    pub fn load(files: &dyn Files) -> Self {
        let content = files.read(Path::new(HEARD_PATH), MAX_FILE).ok().flatten();
        content.and_then(|content| serde_json::from_slice(&content).ok()).unwrap_or_default()
    }

    /// Keeps it until the next boot.
    ///
    /// # Errors
    /// [`FilesError`]; nothing but what people are shown is lost then.
    pub fn store(&self, files: &mut dyn Files) -> Result<(), FilesError> {
        let cut = |text: &Option<String>| {
            text.as_deref().map(|text| text.chars().take(MAX_WORDS).collect::<String>())
        };
        let (came, decision) = (cut(&self.came), cut(&self.decision));
        let kept = Self { came, decision, way_out: cut(&self.way_out), ..self.clone() };
        // Times and strings, which JSON can always hold.
        let content = serde_json::to_vec(&kept).unwrap_or_default();
        files.replace(Path::new(HEARD_PATH), &content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::MemoryFiles;

    #[test]
    fn what_was_heard_is_read_as_it_was_kept_and_junk_is_nothing() {
        let mut files = MemoryFiles::new();
        assert_eq!(Heard::load(&files), Heard::default());
        let heard = Heard {
            asked: Some(UnixTime(7)),
            came: Some("nothing is offered".to_owned()),
            decision: Some("\u{1f600}".repeat(9_000)),
            ..Heard::default()
        };
        heard.store(&mut files).unwrap();
        let found = Heard::load(&files);
        assert_eq!((found.asked, &found.came), (heard.asked, &heard.came));
        assert_eq!(found.decision.map(|text| text.chars().count()), Some(MAX_WORDS));
        for junk in ["", "[]", "{\"asked\": \"soon\"}", "{\"later\": 1}", "\u{0}"] {
            files.replace(Path::new(HEARD_PATH), junk.as_bytes()).unwrap();
            assert_eq!(Heard::load(&files), Heard::default(), "{junk}");
        }
    }
}
