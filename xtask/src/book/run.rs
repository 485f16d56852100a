// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the commands of the pages do what the pages say? Each page has a directory of its own, in
//! which its blocks are run in their order, by the program that was built. Nothing is fetched, and
//! nobody's rights but the caller's are used; what wants more carries a mark that is counted.

use super::blocks::{Block, Place, Reason, blocks, first_untold};
use super::{Page, TaskError, pages};
use crate::program::Program;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

/// Longer than any of them takes on a machine with other work.
const PATIENCE_SECS: &str = "120";

/// How much of what was said is told where it is wrong.
const END_LINES: usize = 12;

/// Makes the place anew: `$0` is the place, `$1` the program. `cargo run --release --` is the
/// program too: that it can be built so, another step shows. The board that several pages keep is
/// made once, here.
const PREPARE: &str = r#"
rm -rf "$0"; mkdir -p "$0/laptop" "$0/virtual"; ln -s "$1" "$0/laptop/atomix"
printf '#!/bin/sh\nexec "%s" --board board "$@"\n' "$1" > "$0/virtual/atomix"
cat > "$0/laptop/cargo" <<'END'
#!/bin/sh
case "$*" in
"run --release -- demo --keep board") exec cp -a --sparse=always ../board board ;;
"run --release -- "*) shift 3; exec atomix "$@" ;;
esac
echo "not here: cargo $*" >&2; exit 127
END
chmod +x "$0/virtual/atomix" "$0/laptop/cargo"; cp "$0/laptop/cargo" "$0/virtual/cargo"
cd "$0"; "$1" demo --keep board > demo.log 2>&1
"#;

/// Makes a page's directory `$0` in the place: `$1` is the checkout.
const FURNISH: &str = r#"
mkdir "$0"; cd "$0"; ln -s "$1/tests" tests; cp "$1/docs/examples/updates-signed/config.toml" .
"#;

/// Gives the directory `$0` a board of its own, and an update for it.
const BRING_BOARD: &str = r#"
cd "$0"; cp -a --sparse=always ../board board; cp board/bundles/update-3.raucb update.raucb
"#;

/// Runs what pages show with `program`, in `place`, and tells how much that was.
pub fn check(program: &str, place: &Path, out: &mut dyn Write) -> Result<(), TaskError> {
    let place = place.display().to_string();
    shell(PREPARE, &[&place, program])?;
    let checkout = std::env::current_dir()?.display().to_string();
    let mut tally = Tally::default();
    for (number, page) in pages()?.iter().enumerate() {
        let found = match blocks(page) {
            Ok(found) => found,
            Err(wrong) => {
                tally.violations.push(wrong);
                continue;
            }
        };
        let runs: Vec<Place> = found.iter().filter_map(|block| block.fate.ok()).collect();
        let dir = format!("{place}/page-{number}");
        if !runs.is_empty() {
            shell(FURNISH, &[&dir, &checkout])?;
        }
        if runs.contains(&Place::VirtualBoard) {
            shell(BRING_BOARD, &[&dir])?;
        }
        for block in &found {
            tally
                .take(page, block, &mut |place_of, script| said(&place, &dir, place_of, script))?;
        }
    }
    shell("rm -rf \"$0\"", &[&place])?;
    writeln!(out, "   {}", tally.words())?;
    if tally.violations.is_empty() {
        Ok(())
    } else {
        Err(TaskError::Rules { violations: tally.violations })
    }
}

/// Runs a script of commands: whether it succeeded, and what it said.
type Runner<'a> = dyn FnMut(Place, &str) -> Result<(bool, String), TaskError> + 'a;

/// What became of the lines.
#[derive(Default)]
struct Tally {
    run: usize,
    compared: usize,
    not: BTreeMap<Reason, usize>,
    violations: Vec<String>,
}

impl Tally {
    fn take(&mut self, page: &Page, block: &Block, run: &mut Runner<'_>) -> Result<(), TaskError> {
        let place = match block.fate {
            Ok(place) => place,
            Err(reason) => {
                *self.not.entry(reason).or_default() += block.commands();
                return Ok(());
            }
        };
        self.run += block.commands();
        for act in &block.acts {
            let (is_done, said) = run(place, &act.script)?;
            let said: Vec<&str> = said.lines().collect();
            let wrong = match &act.answer {
                Some(shown) => {
                    self.compared += 1;
                    first_untold(shown, &said).map(|line| match shown.get(line) {
                        Some(line) => format!("does not say {line:?}"),
                        None => "says more".to_owned(),
                    })
                }
                None => (!is_done).then(|| "fails".to_owned()),
            };
            if let Some(wrong) = wrong {
                let at = format!("{}:{}: {}", page.path.display(), block.line, act.script);
                let end = said.get(said.len().saturating_sub(END_LINES)..).unwrap_or(&[]);
                self.violations
                    .push(format!("{at}: {wrong}; at its end:\n    {}", end.join("\n    ")));
            }
        }
        Ok(())
    }

    fn words(&self) -> String {
        let not: Vec<String> =
            self.not.iter().map(|(reason, lines)| format!("{lines} {}", reason.words())).collect();
        let left: usize = self.not.values().sum();
        let (run, compared) = (self.run, self.compared);
        format!("{run} commands run, {compared} answers compared; {left} not: {}", not.join(", "))
    }
}

fn said(
    place: &str,
    dir: &str,
    place_of: Place,
    script: &str,
) -> Result<(bool, String), TaskError> {
    let programs = match place_of {
        Place::Laptop => "laptop",
        Place::VirtualBoard => "virtual",
    };
    let path = std::env::var("PATH").unwrap_or_default();
    // Both streams stand in the page as they come.
    let script = format!("exec 2>&1\n{script}");
    Program::new("timeout", &[PATIENCE_SECS, "sh", "-euc", &script])
        .env("PATH", &format!("{place}/{programs}:{path}"))
        .at(Path::new(dir))
        .answer()
}

fn shell(script: &str, arguments: &[&str]) -> Result<(), TaskError> {
    Program::new("sh", &[&["-euc", script], arguments].concat()).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let page = Page { path: "docs/a.md".into(), text: text.to_owned() };
        let mut tally = Tally::default();
        for block in &blocks(&page).unwrap() {
            let run = &mut |_, script: &str| Ok((script != "false", format!("{script}!\n")));
            tally.take(&page, block, run).unwrap();
        }
        tally
    }

    #[test]
    fn what_is_run_and_what_is_not_is_counted() {
        let text = "```sh\ntrue\n```\n```sh root\na\nb\n```\n```console virtual\n$ c\nc!\n```\n\
                    ```sh board\nd\n```\n";
        let tally = tally(text);
        assert_eq!(tally.violations, Vec::<String>::new());
        let wanted = "2 commands run, 1 answers compared; 3 not: 1 need a board, 2 need root";
        assert_eq!(tally.words(), wanted);
    }

    #[test]
    fn a_command_that_fails_or_says_something_else_is_told() {
        let told = tally("```sh\nfalse\n```\n```console\n$ a\nb!\n```\n").violations;
        assert_eq!(
            told,
            [
                "docs/a.md:1: false: fails; at its end:\n    false!",
                "docs/a.md:4: a: does not say \"b!\"; at its end:\n    a!",
            ]
        );
    }
}
