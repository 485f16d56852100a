// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which command lines do the scripts of the machines' tests give? Nothing here can run them, so their
//! verbs and options are looked at as a page's are. A script stands in a nix file, as Python whose
//! strings are the lines; what nix puts in is one word to the program.

use super::Page;
use std::path::Path;

/// Where they lie.
pub const PLACE: &str = "nix/tests";
/// Fewer lines mean that this no longer sees them.
pub const LEAST: usize = 12;
const PROGRAM: &str = "atomix ";
/// Stands for what nix puts in.
const PUT_IN: &str = "WORD";

/// The lines of one file, as a page with nothing else.
pub fn page(path: &Path, text: &str) -> Page {
    let shown: Vec<String> = text.lines().flat_map(lines).collect();
    Page { path: path.to_owned(), text: format!("```sh\n{}\n```\n", shown.join("\n")) }
}

/// How many lines such a page has.
pub fn count(page: &Page) -> usize {
    page.text.lines().filter(|line| line.starts_with(PROGRAM)).count()
}

/// Every command line in a line: from the program's name to the end of the string.
fn lines(line: &str) -> Vec<String> {
    if line.trim_start().starts_with('#') {
        return Vec::new();
    }
    let line = plain(line);
    let begins = |at: usize| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + PROGRAM.len()..).and_then(|after| after.chars().next());
        before.is_none_or(|sign| " \"'(".contains(sign))
            && after.is_some_and(|sign| sign.is_ascii_lowercase() || sign == '-')
    };
    line.match_indices(PROGRAM)
        .filter(|(at, _)| begins(*at))
        .filter_map(|(at, _)| line.get(at..)?.split(['"', '\'', ')']).next())
        .map(str::to_owned)
        .collect()
}

/// A line with one word for each `${…}`, which may have quotes and braces of its own.
fn plain(line: &str) -> String {
    let mut found = String::new();
    let mut rest = line;
    while let Some((before, inner)) = rest.split_once("${") {
        found.push_str(before);
        found.push_str(PUT_IN);
        let mut depth = 1_usize;
        let end = inner.find(|sign| {
            match sign {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        rest = end.and_then(|end| inner.get(end + 1..)).unwrap_or_default();
    }
    found.push_str(rest);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        text.lines().flat_map(lines).collect()
    }

    #[test]
    fn lines_end_where_their_string_does() {
        assert_eq!(
            found("    machine.succeed(\"atomix install --force ${board.bundle \"2.0.0\"}\")"),
            ["atomix install --force WORD"]
        );
        assert_eq!(
            found("  m.execute(\"systemd-run --unit=x atomix slot check B && atomix why\")"),
            ["atomix slot check B && atomix why", "atomix why"]
        );
        assert_eq!(
            found("    atomix image build --boot ${content}/boot \"$out\""),
            ["atomix image build --boot WORD/boot "]
        );
    }

    #[test]
    fn what_is_no_line_is_none() {
        for text in
            ["# atomix dance", "  atomix = {", "{ tools = [ atomix ]; }", "\"atomix/a\" = 1"]
        {
            assert_eq!(found(text), Vec::<String>::new(), "{text}");
        }
    }
}
