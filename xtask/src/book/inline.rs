// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which commands that pages name in a sentence does the program not know? What stands between two
//! backticks is looked at as a line of a block is; a word in capitals, or with `…`, stands for any.

use super::commands::{self, Commands, KEPT};
use super::{Page, numbered_lines};

/// Fewer mean that this no longer sees them.
pub const LEAST: usize = 100;
/// Words with which a span is a command line.
const PROGRAMS: [&str; 2] = ["atomix ", "cargo xtask "];

/// Spans with a verb or an option that the reference does not have, each with its line, and how many
/// were looked at.
pub fn violations(pages: &[Page], reference: &str) -> (Vec<String>, usize) {
    let known = commands::commands(reference);
    let mut found = Vec::new();
    let mut seen = 0;
    for page in pages.iter().filter(|page| !page.path.starts_with(KEPT)) {
        for (number, span) in spans(&page.text) {
            if !PROGRAMS.iter().any(|program| span.starts_with(program)) {
                continue;
            }
            seen += 1;
            if let Some(wrong) = judge(&span, &known) {
                found.push(format!("{}:{number}: {wrong}: `{span}`", page.path.display()));
            }
        }
    }
    (found, seen)
}

/// What is wrong with a span. Brackets are round what may be left out.
fn judge(span: &str, known: &Commands<'_>) -> Option<String> {
    let plain: String = span.chars().filter(|sign| !"[]".contains(*sign)).collect();
    plain.split(';').find_map(|part| commands::judge(part, known).err())
}

/// What stands between backticks outside of blocks, with the line on which it begins, from 1. A span
/// may go on in the next line, but not in what is a row, a heading or a paragraph of its own.
fn spans(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (number, fence, line) in numbered_lines(text) {
        let words = line.trim_start();
        if fence.is_some() || words.is_empty() || words.starts_with(['|', '#']) {
            open = None;
        }
        if fence.is_some() {
            continue;
        }
        if let Some((_, span)) = &mut open {
            span.push(' ');
        }
        for (part, words) in words.split('`').enumerate() {
            if part > 0 {
                open = match open.take() {
                    Some(span) => {
                        found.push(span);
                        None
                    }
                    None => Some((number, String::new())),
                };
            }
            if let Some((_, span)) = &mut open {
                span.push_str(words);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE_TEXT: &str = "## `atomix`\n```text\nCommands:\n```\n\
        ## `atomix boot`\n## `atomix boot mark-good`\n```text\n  --force  Even so\n```\n\
        ## `atomix install`\n```text\n      --dry-run  Look\n```\n## `atomix rauc`\n";

    fn found(path: &str, text: &str) -> (Vec<String>, usize) {
        violations(&[Page { path: path.into(), text: text.to_owned() }], REFERENCE_TEXT)
    }

    #[test]
    fn what_the_program_knows_may_be_named() {
        for span in [
            "atomix install FILE [--dry-run]",
            "atomix boot; atomix install",
            "atomix COMMAND --help",
            "atomix boot mark-… --whatever",
            "atomix boot mark-good\n--force",
            "cargo xtask check [STEP…]",
            "atomix rauc status --detailed",
        ] {
            assert_eq!(found("docs/a.md", &format!("a `b` `{span}`.")), (vec![], 1), "{span}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_told_with_its_line() {
        for (span, says) in [
            ("atomix dance", "docs/a.md:3: atomix has no verb dance: `atomix dance`"),
            (
                "atomix install --fast",
                "docs/a.md:3: atomix install has no option --fast: `atomix install --fast`",
            ),
            (
                "atomix boot; atomix boot\nmark-fine",
                "docs/a.md:3: atomix boot has no verb mark-fine: `atomix boot; atomix boot mark-fine`",
            ),
            (
                "atomix install [--fast]",
                "docs/a.md:3: atomix install has no option --fast: `atomix install [--fast]`",
            ),
            ("cargo xtask dance", "docs/a.md:3: cargo xtask takes it not: `cargo xtask dance`"),
        ] {
            // A lost backtick hides nothing below its own paragraph or row.
            for before in ["a `\n\n", "| `a |\n| b |\n| ", "`\n# a\n# "] {
                let text = format!("{before}a `b` `{span}`.\n");
                assert_eq!(found("docs/a.md", &text), (vec![says.to_owned()], 1));
            }
        }
    }

    #[test]
    fn blocks_other_programs_and_the_past_are_none_of_its_business() {
        let text = "```text\n`atomix dance`\n```\n`atomixos.dance`, `x atomix dance`, atomix dance";
        assert_eq!(found("docs/a.md", text), (vec![], 0));
        assert_eq!(found("docs/decisions/a.md", "`atomix dance`"), (vec![], 0));
    }
}
