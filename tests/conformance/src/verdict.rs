// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is what passed enough? Decided over lists: what the real program passes here, what it fails
//! only for lack of kernel features, and the exceptions that we own up to.

use crate::outcome::{Ended, Outcomes};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Most exceptions, in percent of the wanted tests.
pub const EXCEPTIONS_MAX_PERCENT: usize = 5;

/// Tests that ours need not pass, with the reason.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Exceptions {
    /// By the suite's name, then the test's.
    #[serde(flatten)]
    pub by_suite: BTreeMap<String, BTreeMap<String, String>>,
}

/// What ours was measured against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What the real program passes, here or in user-mode Linux.
    pub tests: BTreeSet<String>,
}

/// What is wrong with a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Wanted and passed.
    pub passed: usize,
    /// All that is wanted.
    pub wanted: usize,
    /// Wanted, no exception, and not passed.
    pub missing: Vec<String>,
    /// Exceptions that passed, or that nobody wants: the list is not true any more.
    pub stale: Vec<String>,
    /// Exceptions in use.
    pub excepted: usize,
    /// Passed though the real program does not.
    pub beyond: usize,
}

impl Verdict {
    /// Whether the run is good enough.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.missing.is_empty()
            && self.stale.is_empty()
            && self.excepted * 100 <= self.wanted * EXCEPTIONS_MAX_PERCENT
    }
}

/// The tests of a list: one in a line, `#` begins a comment.
#[must_use]
pub fn read_list(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).map(str::to_owned).collect()
}

/// Judges the outcomes. `ran` says whether a test was part of the run at all, so that a run of a
/// few modules is judged by these.
#[must_use]
pub fn judge(
    outcomes: &Outcomes,
    wanted: &Wanted,
    exceptions: &BTreeMap<String, String>,
    ran: &dyn Fn(&str) -> bool,
) -> Verdict {
    let passed = |test: &str| outcomes.get(test).is_some_and(|one| one.ended == Ended::Passed);
    let mut verdict = Verdict::default();
    for test in wanted.tests.iter().filter(|test| ran(test)) {
        verdict.wanted += 1;
        match (passed(test), exceptions.contains_key(test)) {
            (true, true) => verdict.stale.push(test.clone()),
            (true, false) => verdict.passed += 1,
            (false, true) => verdict.excepted += 1,
            (false, false) => verdict.missing.push(test.clone()),
        }
    }
    let unwanted = exceptions.keys().filter(|test| ran(test) && !wanted.tests.contains(*test));
    verdict.stale.extend(unwanted.cloned());
    let all_passed = outcomes.keys().filter(|test| passed(test));
    verdict.beyond = all_passed.filter(|test| !wanted.tests.contains(*test)).count();
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    fn outcomes(ended: &[(&str, Ended)]) -> Outcomes {
        let one = |ended| Outcome { ended, why: String::new() };
        ended.iter().map(|(test, ended)| ((*test).to_owned(), one(*ended))).collect()
    }

    fn wanted(tests: &[&str]) -> Wanted {
        Wanted { tests: tests.iter().map(|test| (*test).to_owned()).collect() }
    }

    #[test]
    fn a_failed_a_skipped_and_an_absent_test_are_each_missing() {
        let outcomes =
            outcomes(&[("a", Ended::Passed), ("b", Ended::Failed), ("c", Ended::Skipped)]);
        let verdict = judge(&outcomes, &wanted(&["a", "b", "c", "d"]), &BTreeMap::new(), &|_| true);
        assert_eq!(verdict.missing, ["b", "c", "d"]);
        assert_eq!((verdict.passed, verdict.wanted), (1, 4));
        assert!(!verdict.holds());
    }

    #[test]
    fn an_exception_that_passes_or_that_nobody_wants_is_stale() {
        let outcomes = outcomes(&[("a", Ended::Passed)]);
        let exceptions: BTreeMap<String, String> =
            ["a", "x"].map(|test| (test.to_owned(), "why".to_owned())).into();
        let verdict = judge(&outcomes, &wanted(&["a"]), &exceptions, &|_| true);
        assert_eq!(verdict.stale, ["a", "x"]);
        assert!(!verdict.holds());
    }

    #[test]
    fn more_exceptions_than_a_twentieth_do_not_hold() {
        let names: Vec<String> = (0..40).map(|number| format!("t{number:02}")).collect();
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        for (excepted, holds) in [(2, true), (3, false)] {
            let passed: Vec<(&str, Ended)> =
                all.iter().skip(excepted).map(|test| (*test, Ended::Passed)).collect();
            let exceptions =
                all.iter().take(excepted).map(|test| ((*test).to_owned(), String::new())).collect();
            let verdict = judge(&outcomes(&passed), &wanted(&all), &exceptions, &|_| true);
            assert_eq!(verdict.holds(), holds, "{verdict:?}");
        }
    }

    #[test]
    fn a_run_of_some_tests_is_judged_by_these() {
        let outcomes = outcomes(&[("info::a", Ended::Passed), ("info::new", Ended::Passed)]);
        let wanted = wanted(&["info::a", "mark::b"]);
        let verdict = judge(&outcomes, &wanted, &BTreeMap::new(), &|test| test.starts_with("info"));
        assert!(verdict.holds());
        assert_eq!((verdict.wanted, verdict.beyond), (1, 1));
    }

    #[test]
    fn comments_and_empty_lines_of_a_list_are_no_tests() {
        assert_eq!(read_list("# version: 1\n\na::b\n").into_iter().collect::<Vec<_>>(), ["a::b"]);
    }
}
