// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which command lines that pages show does the program not know? Its reference (`docs/cli.md`) is
//! made from the program itself, so verbs and options are compared with that page; whether a line
//! succeeds is for the tests that run it.

use super::{Page, lines};
use crate::cli::Cli;
use clap::{Error as ClapError, Parser};
use std::collections::{BTreeMap, BTreeSet};

/// The page that has every command.
pub const REFERENCE: &str = "docs/cli.md";
const PROGRAM: &str = "atomix";
/// What every command takes; the reference says it once.
const GENERAL: [&str; 7] = ["--root", "--board", "--json", "--help", "--version", "-h", "-V"];
/// Behind these stands another program's command line.
const FOREIGN: [&str; 1] = ["atomix rauc"];
/// Pages of the past, which nobody corrects.
pub const KEPT: &str = "docs/decisions/";

pub type Commands<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Lines with a verb or an option that the reference does not have.
pub fn violations(pages: &[Page], reference: &str) -> Vec<String> {
    let known = commands(reference);
    let mut found = Vec::new();
    for page in pages.iter().filter(|page| !page.path.starts_with(KEPT)) {
        let shown = lines(&page.text);
        for line in shown.filter_map(|(fence, line)| fence.and_then(|fence| command(fence, line))) {
            for wrong in line.split(';').filter_map(|part| judge(part, &known).err()) {
                found.push(format!("{}: {wrong}: {}", page.path.display(), line.trim()));
            }
        }
    }
    found
}

/// What stands to be typed in a line of a block: in a dialogue the lines between are answers.
fn command<'l>(fence: &str, line: &'l str) -> Option<&'l str> {
    match fence.split(' ').next() {
        Some("sh") => Some(line),
        Some("console") => line.trim_start().strip_prefix("$ "),
        _ => None,
    }
}

/// Every command of the reference with its options.
pub fn commands(reference: &str) -> Commands<'_> {
    let mut known = Commands::new();
    let mut current = "";
    for (fence, line) in lines(reference) {
        if fence.is_none() {
            if let Some(name) = line.strip_prefix("## `").and_then(|rest| rest.strip_suffix('`')) {
                current = name;
                known.entry(current).or_default();
            }
            continue;
        }
        let words = line.split([' ', ',', '[', ']', '=']).filter(|word| word.starts_with('-'));
        if let Some(options) = known.get_mut(current) {
            options.extend(words);
        }
    }
    known
}

/// What is wrong with one line, in words. A word in capitals, or with `…`, stands for any verb.
///
/// # Errors
/// The verb or option that nobody knows.
pub fn judge(line: &str, known: &Commands<'_>) -> Result<(), String> {
    let line = line.trim().trim_start_matches("$ ").trim_start_matches("# ");
    if let Some(rest) = line.strip_prefix("cargo xtask ") {
        let words = rest.split(" #").next().unwrap_or(rest).split_whitespace();
        let told = Cli::try_parse_from(["xtask"].into_iter().chain(words)).err();
        return told
            .filter(ClapError::use_stderr)
            .map_or(Ok(()), |_| Err("cargo xtask takes it not".to_owned()));
    }
    let Some(rest) = line.strip_prefix("atomix ") else { return Ok(()) };
    let end = [" |", " >", " #", " &"].iter().filter_map(|mark| rest.find(mark)).min();
    let words: Vec<&str> =
        rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest).split_whitespace().collect();
    let mut command = PROGRAM.to_owned();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        if matches!(word, "--root" | "--board") {
            words.next();
        } else if word.starts_with('-') {
            let option = word.split('=').next().unwrap_or(word);
            let takes = known.get(command.as_str()).is_some_and(|options| options.contains(option));
            if !takes && !GENERAL.contains(&option) && option != "--" {
                return Err(format!("{command} has no option {option}"));
            }
        } else {
            let deeper = format!("{command} {word}");
            if known.contains_key(deeper.as_str()) {
                command = deeper;
            } else if has_verbs(&command, known) {
                if is_any(word) {
                    break;
                }
                return Err(format!("{command} has no verb {word}"));
            }
        }
        if FOREIGN.contains(&command.as_str()) {
            break;
        }
    }
    Ok(())
}

fn is_any(word: &str) -> bool {
    word.contains('…') || word.chars().all(|letter| letter.is_ascii_uppercase())
}

fn has_verbs(command: &str, known: &Commands<'_>) -> bool {
    let prefix = format!("{command} ");
    known.keys().any(|name| name.starts_with(&prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCE_TEXT: &str = "## `atomix`\n```text\nCommands:\n```\n\
        ## `atomix boot`\n## `atomix boot mark-good`\n```text\n  --force  Even so\n```\n\
        ## `atomix install`\n```text\nUsage: atomix install [OPTIONS] <BUNDLE>\n      --dry-run  Look\n```\n\
        ## `atomix rauc`\n";

    fn found(text: &str) -> Vec<String> {
        let text = format!("```sh\n{text}\n```\n```text\natomix dance\n```\natomix dance\n");
        violations(&[Page { path: "docs/a.md".into(), text }], REFERENCE_TEXT)
    }

    #[test]
    fn lines_that_the_program_knows_are_right() {
        for line in [
            "atomix install a.raucb --dry-run   # look",
            "atomix --board DIR boot mark-good A --force --json | jq",
            "$ atomix boot mark-good",
            "atomix rauc status --detailed",
            "atomix boot mark-good; atomix install a.raucb",
            "cargo xtask test",
            "cargo xtask e2e --all --report docs/e2e/report.md   # and more",
        ] {
            assert_eq!(found(line), Vec::<String>::new(), "{line}");
        }
    }

    #[test]
    fn verbs_and_options_that_it_does_not_have_are_told() {
        let told = found("atomix boot mark-fine");
        assert_eq!(told, ["docs/a.md: atomix boot has no verb mark-fine: atomix boot mark-fine"]);
        assert!(found("atomix install a.raucb --fast").concat().contains("has no option --fast"));
        assert!(found("atomix boot; atomix dance").concat().contains("atomix has no verb dance"));
        assert!(found("cargo xtask dance   # x").concat().contains("cargo xtask takes it not"));
        assert!(found("atomix dance").concat().contains("atomix has no verb dance"));
    }
}
