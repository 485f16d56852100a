// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which pictures of text are too wide to be read on a terminal, on paper or beside a summary? A block
//! of `text` keeps to the width of a terminal. One of `text output` is what a program says, which is as
//! wide as the program makes it.

use super::{Page, numbered_lines};

/// As wide as a terminal.
const COLUMNS: usize = 80;
const PICTURE: &str = "text";
const OUTPUT: &str = "text output";

/// Lines that are too wide, and blocks of text with an unknown mark.
pub fn violations(pages: &[Page]) -> Vec<String> {
    let mut found = Vec::new();
    for page in pages {
        for (number, fence, line) in numbered_lines(&page.text) {
            let Some(fence) = fence.filter(|fence| fence.split(' ').next() == Some(PICTURE)) else {
                continue;
            };
            let at = format!("{}:{number}", page.path.display());
            let columns = line.chars().count();
            if fence != PICTURE && fence != OUTPUT {
                found.push(format!("{at}: in a block with an unknown mark: {fence}"));
            } else if fence == PICTURE && columns > COLUMNS {
                found.push(format!("{at}: {columns} columns in a picture, more than {COLUMNS}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(fence: &str, columns: usize) -> Vec<String> {
        let line = "─".repeat(columns);
        let text = format!("# A\n\n```{fence}\nx\n{line}\n```\n{line}─\n");
        violations(&[Page { path: "docs/a.md".into(), text }])
    }

    #[test]
    fn a_picture_is_no_wider_than_a_terminal() {
        assert_eq!(found("text", 80), Vec::<String>::new());
        let wide = ["docs/a.md:5: 81 columns in a picture, more than 80"];
        assert_eq!(found("text", 81), wide);
    }

    #[test]
    fn what_a_program_says_is_as_wide_as_it_is_and_commands_are_no_pictures() {
        assert_eq!(found("text output", 200), Vec::<String>::new());
        assert_eq!(found("sh board", 200), Vec::<String>::new());
        let unknown = "in a block with an unknown mark: text ouptut";
        assert!(found("text ouptut", 9).concat().contains(unknown));
    }
}
