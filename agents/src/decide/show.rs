// SPDX-License-Identifier: MIT OR Apache-2.0
//! How is a judgement told? In words for a screen of 80 columns, and as JSON.

use super::check::when;
use super::{Check, Decision, Judgement, Verdict};
use serde_json::{Value, json};
use std::fmt::Write as _;

const COLUMNS: usize = 80;
/// Before the words of a check: mark, verdict and rule.
const INDENT: usize = 24;

impl Judgement {
    /// What is to be done, in one line.
    #[must_use]
    pub fn words(&self) -> String {
        let because = self.because().map(|check| format!(": {}", check.words)).unwrap_or_default();
        match &self.decision {
            Decision::UpToDate => format!("up to date{because}"),
            Decision::Refuse { .. } => format!("refused{because}"),
            Decision::Wait { until, .. } => format!("not before {}{because}", when(*until)),
            Decision::Look => "look at the beginning of the bundle".to_owned(),
            Decision::Install { order } => {
                let goes_on = if order.resumes { ", going on with what was begun" } else { "" };
                format!("install {} into slot {}{goes_on}", order.transfer, order.slot)
            }
            Decision::LeaveTrial { trial } => format!(
                "leave slot {trial}, which is on trial, for the good slot {}, and install from there",
                trial.other()
            ),
            Decision::Reboot { into } => format!("restart into slot {into}"),
            Decision::Nothing => format!("nothing to do{because}"),
        }
    }

    /// What is to be done and every check, in lines of at most 80 columns.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        // What follows a line is indented otherwise than any check: a server's word that comes to
        // stand at its beginning must not pass for one.
        let headline = wrapped(&self.words(), COLUMNS - 4);
        let mut lines: Vec<String> = headline
            .iter()
            .enumerate()
            .map(|(number, words)| format!("{}{words}", if number == 0 { "" } else { "    " }))
            .collect();
        if let Some(way) = self.way_out() {
            let words = format!("way out: {way}");
            lines.extend(wrapped(&words, COLUMNS - 4).iter().map(|words| format!("    {words}")));
        }
        for check in &self.checks {
            let head = format!("  {:<8} {:<13}", check.verdict.word(), check.rule.word());
            for (number, words) in wrapped(&check.words, COLUMNS - INDENT).iter().enumerate() {
                let head = if number == 0 { head.as_str() } else { "" };
                lines.push(format!("{head:<INDENT$}{words}"));
            }
        }
        lines
    }

    /// The same as an object; `version` tells a later form of it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut decision = json!({ "do": self.decision.word() });
        if let Some(fields) = decision.as_object_mut() {
            let mut put = |name: &str, value: Value| fields.insert(name.to_owned(), value);
            match &self.decision {
                Decision::Refuse { why } => {
                    put("why", json!(why.word()));
                }
                Decision::Wait { until, why } => {
                    put("why", json!(why.word()));
                    put("until", json!(until.0));
                }
                Decision::Install { order } => {
                    put("slot", json!(order.slot.boot_name()));
                    put("manifest", json!(order.manifest.to_string()));
                    put("transfer_bytes", json!(order.transfer.get()));
                    put("most_bytes", json!(order.most_bytes.map(storage::ByteLen::get)));
                    put("resumes", json!(order.resumes));
                }
                Decision::LeaveTrial { trial: slot } | Decision::Reboot { into: slot } => {
                    put("slot", json!(slot.boot_name()));
                }
                Decision::UpToDate | Decision::Look | Decision::Nothing => {}
            }
        }
        let checks: Vec<Value> = self.checks.iter().map(check_json).collect();
        json!({
            "version": 1,
            "decision": decision,
            "words": self.words(),
            "way_out": self.way_out(),
            "checks": checks,
        })
    }
}

impl Decision {
    /// Its word in JSON.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::UpToDate => "up-to-date",
            Self::Refuse { .. } => "refuse",
            Self::Wait { .. } => "wait",
            Self::Look => "look",
            Self::Install { .. } => "install",
            Self::LeaveTrial { .. } => "leave-trial",
            Self::Reboot { .. } => "reboot",
            Self::Nothing => "nothing",
        }
    }
}

fn check_json(check: &Check) -> Value {
    let until = match check.verdict {
        Verdict::Waits { until } => Some(until.0),
        Verdict::Passed | Verdict::Waived | Verdict::Open | Verdict::Refused => None,
    };
    json!({
        "rule": check.rule.word(),
        "verdict": check.verdict.word(),
        "until": until,
        "words": check.words,
    })
}

/// The text in lines of at most `columns` letters; a longer word is cut into pieces.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for (number, piece) in letters.chunks(columns).enumerate() {
            let gap = usize::from(used > 0 && number == 0);
            if used > 0 && used + gap + piece.len() > columns {
                lines.push(String::new());
                used = 0;
            }
            let gap = if used > 0 && number == 0 { " " } else { "" };
            if let Some(line) = lines.last_mut() {
                // Writing to a String cannot fail.
                let _ = write!(line, "{gap}{}", piece.iter().collect::<String>());
                used += gap.len() + piece.len();
            }
        }
    }
    lines
}
