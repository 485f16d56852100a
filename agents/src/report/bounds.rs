// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long may a report be? Each text and each list has a limit; what is left of the whole belongs
//! to the flight recorder's newest records.

use super::Report;
use storage::{ByteLen, is_unseen};

/// Longest report, as JSON. Servers and memories of agents are sized by it.
pub const REPORT_MAX: ByteLen = ByteLen::kib(64);

/// Most letters of a name: a version, a product, a device.
pub(super) const NAME_MAX: usize = 128;

/// Most letters of a sentence. The recorder's texts are 120 bytes.
pub(super) const TEXT_MAX: usize = 200;

/// Most letters of what the agent decided.
pub(super) const DECISION_MAX: usize = 400;

/// Most verdicts.
pub(super) const VERDICTS_MAX: usize = 8;

/// Most remarks of a kind: parts that could not be read, copies that are broken.
pub(super) const REMARKS_MAX: usize = 16;

/// Most records of the flight recorder.
pub(super) const RECORDS_MAX: usize = 128;

/// A text of at most `most` letters that does nothing to a terminal or a log. What was cut says so.
pub(super) fn text(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for (count, letter) in text.chars().enumerate() {
        if count == most {
            kept.pop();
            kept.push('…');
            break;
        }
        kept.push(if is_unseen(letter) { '?' } else { letter });
    }
    kept
}

/// The same for what may be missing.
pub(super) fn optional(value: Option<&str>, most: usize) -> Option<String> {
    value.filter(|value| !value.is_empty()).map(|value| text(value, most))
}

/// The first of many remarks.
pub(super) fn remarks(all: &[String]) -> Vec<String> {
    all.iter().take(REMARKS_MAX).map(|one| text(one, TEXT_MAX)).collect()
}

/// Leaves out the oldest records until the whole is short enough.
pub(super) fn fit(report: &mut Report) {
    report.recorder.records.truncate(RECORDS_MAX);
    let mut records = std::mem::take(&mut report.recorder.records);
    let most = usize::try_from(REPORT_MAX.get()).unwrap_or(usize::MAX);
    // The number of those left out has up to 20 digits, each record a comma.
    let mut room = most.saturating_sub(length(report)).saturating_sub(20);
    let fitting = records.iter().take_while(|record| {
        let needed = length(record).saturating_add(1);
        let fits = needed <= room;
        room = room.saturating_sub(needed);
        fits
    });
    let kept = fitting.count();
    records.truncate(kept);
    report.recorder.records = records;
}

/// Length as JSON; what cannot be written would not fit either.
fn length<T: serde::Serialize>(value: &T) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_letters_end_and_tells_it() {
        assert_eq!(text("abc", 3), "abc");
        assert_eq!(text("äöüß", 3), "äö…");
        assert_eq!(text("a\u{1b}[2J\nb\u{202e}", 20), "a?[2J?b?");
        assert_eq!(optional(Some(""), 3), None);
    }
}
