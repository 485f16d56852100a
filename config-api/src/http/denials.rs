// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every request that was not believed is written down, but nobody may fill the log: a few a
//! minute with their details, the others as a number.

use crate::auth::Uptime;
use crate::protocol::AuditEntry;

/// So many are written with details in [`WINDOW_SECS`].
const DETAILED: u64 = 20;
const WINDOW_SECS: u64 = 60;

/// Longest detail.
const MAX_DETAIL_CHARS: usize = 200;

/// Decides what is written.
#[derive(Debug)]
pub struct Denials {
    since: Uptime,
    written: u64,
    counted: u64,
}

impl Default for Denials {
    fn default() -> Self {
        Self { since: Uptime(0), written: 0, counted: 0 }
    }
}

impl Denials {
    /// The entries to be written for one more denial.
    pub fn note(&mut self, client: &str, target: &str, code: &str, now: Uptime) -> Vec<AuditEntry> {
        let mut entries = Vec::new();
        if now.0.saturating_sub(self.since.0) >= WINDOW_SECS {
            if self.counted > 0 {
                entries.push(AuditEntry::DeniedMore { count: self.counted });
            }
            *self = Self { since: now, written: 0, counted: 0 };
        }
        if self.written >= DETAILED {
            self.counted += 1;
            return entries;
        }
        self.written += 1;
        let cut = |text: &str| text.chars().take(MAX_DETAIL_CHARS).collect::<String>();
        entries.push(AuditEntry::Denied {
            client: cut(client),
            target: cut(target),
            code: code.to_owned(),
        });
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_denials_are_twenty_lines_and_a_number() {
        let mut denials = Denials::default();
        let mut lines = 0;
        for _ in 0..1000 {
            lines += denials.note("10.0.0.1", "/api/config", "nonce-unknown", Uptime(5)).len();
        }
        assert_eq!(lines, 20);
        let next = denials.note("10.0.0.1", &"x".repeat(9000), "nonce-unknown", Uptime(66));
        assert_eq!(next.first(), Some(&AuditEntry::DeniedMore { count: 980 }));
        let Some(AuditEntry::Denied { target, .. }) = next.last() else { panic!("{next:?}") };
        assert_eq!(target.len(), 200);
    }
}
