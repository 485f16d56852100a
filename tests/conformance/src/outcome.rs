// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did a run of the suite say? The lines that the plugin of the shard wrote.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// As it should.
    Passed,
    /// It wants what this machine has not.
    Skipped,
    /// Not as it should, in its own code or in its fixtures.
    Failed,
}

/// One test's end and the first line of why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// Why, for skipped and failed ones.
    pub why: String,
}

/// Tests by their name, `test_info.py::test_info_verity`.
pub type Outcomes = BTreeMap<String, Outcome>;

#[derive(Deserialize)]
struct Line {
    test: String,
    ended: Ended,
    #[serde(default)]
    why: String,
}

/// Reads what a shard wrote and adds it. A test has several lines: its set-up, its call and its
/// tear-down; the worst of them counts.
///
/// # Errors
/// When there is no file, or it is not the plugin's.
pub fn read(file: &Path, outcomes: &mut Outcomes) -> Result<()> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("the tests wrote no {}", file.display()))?;
    parse(&text, outcomes)
}

fn parse(text: &str, outcomes: &mut Outcomes) -> Result<()> {
    for line in text.lines() {
        let Line { test, ended, why } =
            serde_json::from_str(line).with_context(|| format!("not a result: {line}"))?;
        let known = outcomes.entry(test).or_insert_with(|| Outcome { ended, why: why.clone() });
        if rank(ended) > rank(known.ended) {
            *known = Outcome { ended, why };
        }
    }
    Ok(())
}

const fn rank(ended: Ended) -> u8 {
    match ended {
        Ended::Passed => 0,
        Ended::Skipped => 1,
        Ended::Failed => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_phase_of_a_test_counts() {
        let text = "{\"test\":\"a\",\"ended\":\"passed\"}\n\
                    {\"test\":\"a\",\"ended\":\"failed\",\"why\":\"boom\"}\n\
                    {\"test\":\"a\",\"ended\":\"passed\"}\n\
                    {\"test\":\"b\",\"ended\":\"skipped\",\"why\":\"no\"}\n";
        let mut outcomes = Outcomes::new();
        parse(text, &mut outcomes).unwrap();
        assert_eq!(outcomes["a"], Outcome { ended: Ended::Failed, why: "boom".to_owned() });
        assert_eq!(outcomes["b"].ended, Ended::Skipped);
        assert!(parse("half a li", &mut outcomes).is_err());
    }
}
