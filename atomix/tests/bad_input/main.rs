// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every bad input that the chain is known to meet, in one table: what it is, what is run, how
//! the refusal is worded, what the way out is, and that the board is as it was, byte for byte.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "../cli_board/mod.rs"]
mod cli_board;
mod disk_rows;
mod environment_rows;
mod manifest_rows;
mod signature_rows;
mod state_rows;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use table::{Answer, Row, answer};

fn rows() -> Vec<Row> {
    let mut rows = signature_rows::rows();
    rows.extend(manifest_rows::rows());
    rows.extend(state_rows::rows());
    rows.extend(environment_rows::rows());
    rows.extend(disk_rows::rows());
    rows
}

/// Rows mostly wait for flushes, so some are tried at once.
const THREADS: usize = 4;

/// The answers of all rows, in order.
fn answers(rows: &[Row]) -> Vec<Answer> {
    let share = rows.len().div_ceil(THREADS);
    std::thread::scope(|scope| {
        let shares: Vec<_> = rows
            .chunks(share)
            .map(|rows| scope.spawn(|| rows.iter().map(answer_or_panic).collect::<Vec<_>>()))
            .collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    })
}

/// A row that panics must not hide the others.
fn answer_or_panic(row: &Row) -> Answer {
    std::panic::catch_unwind(|| answer(row)).unwrap_or_else(|_| Answer {
        line: String::new(),
        problems: vec!["panicked; its words are above".to_owned()],
    })
}

/// The one table. All rows are tried before the test fails, so that one run tells everything.
#[test]
#[expect(clippy::print_stdout, reason = "the words of all rows, with --nocapture")]
fn every_bad_input_is_answered_distinctly_and_changes_nothing() {
    let rows = rows();
    let mut problems = Vec::new();
    let mut said: BTreeMap<String, (&str, &str)> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for (row, Answer { line, problems: found }) in rows.iter().zip(answers(&rows)) {
        assert!(names.insert(row.name), "two rows are named {}", row.name);
        println!("{:46} {line}", row.name);
        problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", row.name)));
        // A command that went on may have nothing to tell.
        if line.is_empty() {
            continue;
        }
        let other = said.entry(line.clone()).or_insert((row.cause, row.name));
        if other.0 != row.cause {
            problems.push(format!("{} and {} both say {line:?}", row.name, other.1));
        }
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}
