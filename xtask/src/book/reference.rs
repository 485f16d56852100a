// SPDX-License-Identifier: MIT OR Apache-2.0
//! The page of all commands, `docs/cli.md`: what the program itself says about each.

use crate::error::TaskError;

const HEAD: &str = "<!-- Generated from the program. UPDATE=1 cargo xtask test \"reference of commands\" writes it anew. -->
# Commands

What `atomix COMMAND --help` says. Every command takes `--root DIR`, `--board DIR`, `--json`, `--help` and
`--version` too, which are told here only at the first. [Exit codes](exit-codes.md) are the same for all.
";
const PROGRAM: &str = "atomix";
/// Its help is another program's.
const RAUC: &str = "rauc";
const RAUC_SECTION: &str = "\n## `atomix rauc`\n\n\
    Answers in place of the program `rauc`: [RAUC compatibility](rauc-compatibility.md).\n";

/// Tells the help of a command, of which it is given the words behind the program's name.
type Help<'a> = &'a dyn Fn(&[&str]) -> Result<String, TaskError>;

/// The page.
pub fn page(help: Help<'_>) -> Result<String, TaskError> {
    let mut page = HEAD.to_owned();
    section(&mut page, help, &[])?;
    Ok(page)
}

fn section(page: &mut String, help: Help<'_>, words: &[&str]) -> Result<(), TaskError> {
    let said = help(words)?;
    let shown = if words.is_empty() { said.trim().to_owned() } else { without_general(&said) };
    let name = [&[PROGRAM], words].concat().join(" ");
    let lines: Vec<&str> = shown.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", lines.join("\n")));
    for verb in verbs(&said) {
        if words.is_empty() && verb == RAUC {
            page.push_str(RAUC_SECTION);
        } else {
            section(page, help, &[words, &[verb]].concat())?;
        }
    }
    Ok(())
}

/// The verbs that a help lists.
fn verbs(help: &str) -> impl Iterator<Item = &str> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| line.starts_with("  "));
    let names =
        list.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split(' ').next()).filter(|verb| *verb != "help")
}

/// A help without what every command takes, which is the last of its options.
fn without_general(help: &str) -> String {
    let is_begin = |line: &str| line.trim_start().starts_with("--root <DIR>");
    let mut kept: Vec<&str> = help.lines().take_while(|line| !is_begin(line)).collect();
    let behind = help.lines().skip_while(|line| !line.contains("-V, --version")).skip(1);
    // In a long help what an option means stands on the lines below it.
    kept.extend(behind.skip_while(|line| line.starts_with("          ")));
    let text = kept.join("\n");
    text.trim().trim_end_matches("Options:").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_has_a_section_and_what_all_take_is_told_once() {
        let general = "Options:\n      --root <DIR>   Look\n                     there\n  -V, --version      Print version\n";
        let page = page(&|words| {
            Ok(match words {
                [] => format!("Boots\n\nCommands:\n  boot  Read\n        more\n  rauc  Answer\n  help  Print\n\n{general}\nExit"),
                ["boot"] => format!("Read\n\nCommands:\n  mark  Mark\n  help  Print\n\n{general}"),
                ["boot", "mark"] => "Mark\n\nOptions:\n      --force\n          Even so\n\n      --root <DIR>\n          Look\n\n  -V, --version\n          Print version\n".to_owned(),
                _ => panic!("{words:?}"),
            })
        })
        .unwrap();
        let sections: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(
            sections,
            ["## `atomix`", "## `atomix boot`", "## `atomix boot mark`", "## `atomix rauc`"]
        );
        assert_eq!(page.matches("--root <DIR>").count(), 1, "{page}");
        assert!(page.ends_with(RAUC_SECTION));
        assert!(page.contains("Even so\n```"), "{page}");
        assert!(page.contains("  help  Print\n```\n\n## `atomix boot mark`"), "{page}");
    }
}
