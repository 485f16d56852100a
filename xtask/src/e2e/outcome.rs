// SPDX-License-Identifier: MIT OR Apache-2.0
//! What came out of a run? The table at its end, and the report. Pure.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Columns of a terminal.
const COLUMNS: usize = 80;

/// One test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Its name.
    pub name: String,
    /// What was checked out when it was played, as `git describe` names it.
    pub commit: String,
    /// Whether it passed.
    pub passed: bool,
    /// How long it took.
    pub secs: f64,
    /// What its scenarios told.
    pub told: Vec<Told>,
}

/// The line of a scenario, as the harness writes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// Name of the scenario.
    pub scenario: String,
    /// How many boots it had.
    pub boots: usize,
    /// Its numbers.
    pub measures: Vec<Measure>,
    /// Its picture.
    pub picture: String,
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What was measured.
    pub what: String,
    /// How much.
    pub value: f64,
    /// Of what.
    pub unit: String,
}

/// Whether this run played a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Played {
    /// It did.
    Now,
    /// It took what an earlier run found.
    Before,
}

/// A test's row.
pub fn row(outcome: &Outcome, played: Played) -> String {
    let word = match (outcome.passed, played) {
        (false, _) => "FAILED",
        (true, Played::Now) => "ok    ",
        (true, Played::Before) => "before",
    };
    let boots: usize = outcome.told.iter().map(|told| told.boots).sum();
    let name = outcome.name.replace('_', " ");
    let row = format!("{word} {:6.1} s {boots:3} boots  {name}", outcome.secs);
    row.chars().take(COLUMNS).collect()
}

/// The numbers of all scenarios, one row for each kind.
pub fn measures(outcomes: &[Outcome]) -> String {
    let mut kinds: BTreeMap<(&str, &str), Vec<f64>> = BTreeMap::new();
    let told = outcomes.iter().flat_map(|outcome| &outcome.told);
    for Measure { what, value, unit } in told.flat_map(|told| &told.measures) {
        kinds.entry((what, unit)).or_default().push(*value);
    }
    let mut text =
        format!("{:32} {:>6} {:>8} {:>8} {:>8}\n", "measure", "count", "least", "median", "most");
    for ((what, unit), mut values) in kinds {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let count = values.len();
        let what = if unit.is_empty() { what.to_owned() } else { format!("{what} ({unit})") };
        // Writing into a String cannot fail.
        let _ = writeln!(
            text,
            "{what:32} {count:6} {:8.1} {:8.1} {:8.1}",
            at(0),
            at(count / 2),
            at(count.saturating_sub(1))
        );
    }
    text
}

/// The last words of a run.
pub fn conclusion(outcomes: &[Outcome]) -> String {
    let secs: f64 = outcomes.iter().map(|outcome| outcome.secs).sum();
    let failed = outcomes.iter().filter(|outcome| !outcome.passed).count();
    let passed = outcomes.len() - failed;
    format!("{passed} passed, {failed} failed, {} in {secs:.0} s\n", outcomes.len())
}

/// What a report says of where it was made.
pub struct Place {
    /// The machine, in words.
    pub machine: String,
    /// Names and versions of what ran.
    pub versions: Vec<(String, String)>,
}

/// The report; `picture` gives the link to a scenario's picture.
pub fn report(place: &Place, outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "# The real chain: report of a run\n\nWritten by `cargo xtask e2e --all --report FILE`.\n\n\
         Machine: {}. {}\n| What ran | Version |\n|---|---|\n",
        place.machine,
        conclusion(outcomes)
    );
    for (name, version) in &place.versions {
        let _ = writeln!(text, "| {name} | {version} |");
    }
    text.push_str("\n| Scenario | Commit | Result | Seconds | Boots | Timeline |\n|---|---|---|---|---|---|\n");
    for outcome in outcomes {
        let word = if outcome.passed { "ok" } else { "**failed**" };
        let boots: usize = outcome.told.iter().map(|told| told.boots).sum();
        let links = outcome.told.iter().map(|told| format!("[{0}]({0}.svg)", told.scenario));
        let links = links.collect::<Vec<_>>().join(" ");
        let name = outcome.name.replace('_', " ");
        let (commit, secs) = (&outcome.commit, outcome.secs);
        let _ = writeln!(text, "| {name} | {commit} | {word} | {secs:.0} | {boots} | {links} |");
    }
    let _ = write!(text, "\n```text\n{}```\n", measures(outcomes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes() -> Vec<Outcome> {
        let line = r#"{"scenario":"panic","secs":80.0,"boots":5,"picture":"p.svg",
            "measures":[{"what":"power to kernel","value":2.0,"unit":"s"},
                        {"what":"power to kernel","value":1.0,"unit":"s"},
                        {"what":"power to kernel","value":4.0,"unit":"s"},
                        {"what":"attempts before a fallback","value":3.0,"unit":""}]}"#;
        let told = vec![serde_json::from_str(line).unwrap()];
        let name = "an_update_that_panics_is_left_explained_and_not_installed_again".to_owned();
        let commit = || "abc".to_owned();
        let other = "other".to_owned();
        vec![
            Outcome { name, commit: commit(), passed: true, secs: 81.0, told },
            Outcome { name: other, commit: commit(), passed: false, secs: 1.0, told: Vec::new() },
        ]
    }

    #[test]
    fn rows_fit_a_terminal_and_failures_are_loud() {
        let rows: Vec<String> = outcomes().iter().map(|one| row(one, Played::Now)).collect();
        assert!(rows.iter().all(|row| row.chars().count() <= COLUMNS), "{rows:?}");
        assert!(rows[0].starts_with("ok       81.0 s   5 boots  an update that panics"));
        assert!(rows[1].starts_with("FAILED"));
        assert!(row(&outcomes()[0], Played::Before).starts_with("before   81.0 s"));
        assert_eq!(conclusion(&outcomes()), "1 passed, 1 failed, 2 in 82 s\n");
    }

    #[test]
    fn numbers_are_summed_up_by_kind() {
        let text = measures(&outcomes());
        let kernel = text.lines().find(|line| line.starts_with("power to kernel (s)")).unwrap();
        let fields: Vec<&str> = kernel.split_whitespace().skip(4).collect();
        assert_eq!(fields, ["3", "1.0", "2.0", "4.0"]);
        assert!(text.lines().all(|line| line.len() <= COLUMNS));
    }

    #[test]
    fn the_report_names_machine_versions_scenarios_and_pictures() {
        let versions = vec![("QEMU".to_owned(), "10.0.2".to_owned())];
        let place = Place { machine: "2 cores".to_owned(), versions };
        let text = report(&place, &outcomes());
        let row = "| other | abc | **failed** | 1 | 0 |";
        for wanted in ["2 cores", "| QEMU | 10.0.2 |", "[panic](panic.svg)", row] {
            assert!(text.contains(wanted), "{wanted}\n{text}");
        }
    }
}
