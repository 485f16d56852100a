// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page of what servers may say names a test for each row, and each of these tests is there.

use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../../docs/agents-bad-input.md");

/// The last cells of the page's rows, as the words in backticks.
fn named() -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    let cells = rows.filter_map(|row| row.trim_end_matches(" |").rsplit(" | ").next());
    let cells = cells.filter(|cell| *cell != "Tests");
    cells.map(|cell| cell.split('`').skip(1).step_by(2).collect()).collect()
}

#[test]
fn each_row_names_tests_that_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut found = 0;
    for row in named() {
        let (mut file, mut text) = ("", String::new());
        let before = found;
        for word in &row {
            if word.contains('/') {
                file = word;
                text = fs::read_to_string(root.join(file)).expect(file);
            } else {
                let line = format!("fn {word}(");
                let at = text.find(&line).unwrap_or_else(|| panic!("{word} is not in {file}"));
                let before = text[..at].rsplit("\n\n").next().unwrap();
                assert!(before.contains("#[test]"), "{word} in {file} is no test");
                found += 1;
            }
        }
        assert!(found > before, "a row without a test: {row:?}");
    }
    assert!(found > 30, "{found}");
}
