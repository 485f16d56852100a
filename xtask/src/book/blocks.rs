// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which commands does a page show, and may they be run? A fenced block of `sh` or `console` is run
//! unless a mark behind that word says what it lacks.
//!
//! In `console` a line with `$ ` is a command, and the lines below it are what it says: `…` in a
//! line stands for anything, a line of `[…]` for any number of lines.

use super::Page;

/// Where the commands of a block are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Beside a configuration, as on a laptop.
    Laptop,
    /// On a copy of the virtual board that the demo leaves.
    VirtualBoard,
}

/// Why a block is not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A device, its disk or its serial line.
    Board,
    /// Rights, or paths, that are root's alone.
    Root,
    /// A server, a mirror or a device that answers.
    Network,
    /// Compilers or judges, for minutes.
    Build,
    /// A test of its own runs it, with what it wants prepared.
    Tested,
}

impl Reason {
    /// In words that end "N lines".
    pub const fn words(self) -> &'static str {
        match self {
            Self::Board => "need a board",
            Self::Root => "need root",
            Self::Network => "need a network",
            Self::Build => "build or judge for long",
            Self::Tested => "are run by a test of their own",
        }
    }
}

/// A command, and what the page says that it says; nothing where that is left open.
#[derive(Debug, PartialEq, Eq)]
pub struct Act {
    /// For a shell; more than one line where lines belong together.
    pub script: String,
    /// The lines of the answer.
    pub answer: Option<Vec<String>>,
}

/// A block of commands.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// Its fence's line in the page, from 1.
    pub line: usize,
    /// What becomes of it.
    pub fate: Result<Place, Reason>,
    /// In their order.
    pub acts: Vec<Act>,
}

impl Block {
    /// How many lines are commands.
    pub fn commands(&self) -> usize {
        let is_command = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with('#');
        // What a backslash goes on in is the same command.
        let ends = |line: &&str| !line.ends_with('\\');
        self.acts.iter().map(|act| act.script.lines().filter(is_command).filter(ends).count()).sum()
    }
}

/// The blocks of a page.
///
/// # Errors
/// The fence that has an unknown mark or is not closed, in words.
pub fn blocks(page: &Page) -> Result<Vec<Block>, String> {
    let mut found = Vec::new();
    let mut lines = page.text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        let Some(words) = line.trim_start().strip_prefix("```") else { continue };
        let mut body = Vec::new();
        loop {
            let Some((_, line)) = lines.next() else {
                return Err(format!("{}:{}: not closed", page.path.display(), number + 1));
            };
            if line.trim_start().starts_with("```") {
                break;
            }
            body.push(line.get(indent..).unwrap_or(line.trim_start()));
        }
        let mut words = words.split_whitespace();
        let acts = match words.next() {
            Some("sh") => vec![Act { script: body.join("\n"), answer: None }],
            Some("console") => dialogue(&body),
            _ => continue,
        };
        let fate = fate(words.next())
            .ok_or_else(|| format!("{}:{}: an unknown mark", page.path.display(), number + 1))?;
        found.push(Block { line: number + 1, fate, acts });
    }
    Ok(found)
}

fn fate(mark: Option<&str>) -> Option<Result<Place, Reason>> {
    Some(match mark {
        None => Ok(Place::Laptop),
        Some("virtual") => Ok(Place::VirtualBoard),
        Some("board") => Err(Reason::Board),
        Some("root") => Err(Reason::Root),
        Some("network") => Err(Reason::Network),
        Some("build") => Err(Reason::Build),
        Some("tested") => Err(Reason::Tested),
        Some(_) => return None,
    })
}

fn dialogue(body: &[&str]) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for line in body {
        if let Some(script) = line.strip_prefix("$ ") {
            acts.push(Act { script: script.to_owned(), answer: Some(Vec::new()) });
        } else if let Some(Act { script, answer: Some(answer) }) = acts.last_mut() {
            if answer.is_empty() && script.ends_with('\\') {
                script.push_str(&format!("\n{line}"));
            } else {
                answer.push(line.trim_end().to_owned());
            }
        }
    }
    acts
}

/// Which line that the page shows was not said; the number of lines where more was said.
pub fn first_untold(shown: &[String], said: &[&str]) -> Option<usize> {
    let Some((first, below)) = shown.split_first() else { return (!said.is_empty()).then_some(0) };
    if first.trim() == "[…]" {
        let mut furthest = 0;
        for left_out in 0..=said.len() {
            // The furthest is where a reader has to look.
            let untold = first_untold(below, said.get(left_out..).unwrap_or(&[]))?;
            furthest = furthest.max(untold + 1);
        }
        return Some(furthest);
    }
    match said.split_first() {
        Some((line, said)) if is_line(first, line.trim_end()) => {
            first_untold(below, said).map(|untold| untold + 1)
        }
        _ => Some(0),
    }
}

fn is_line(shown: &str, said: &str) -> bool {
    let Some((begin, rest)) = shown.split_once('…') else { return shown == said };
    let Some(said) = said.strip_prefix(begin) else { return false };
    let ends = said.char_indices().map(|(at, _)| at).chain([said.len()]);
    ends.filter_map(|at| said.get(at..)).any(|said| is_line(rest, said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Block>, String> {
        blocks(&Page { path: "docs/a.md".into(), text: text.to_owned() })
    }

    fn untold(shown: &str, said: &[&str]) -> Option<usize> {
        first_untold(&shown.lines().map(str::to_owned).collect::<Vec<_>>(), said)
    }

    fn told(shown: &str, said: &[&str]) -> bool {
        untold(shown, said).is_none()
    }

    #[test]
    fn blocks_without_a_mark_are_run_and_others_say_why_not() {
        let found =
            of("```sh\na \\\n  b\n# c\n```\n1.\n   ```sh root\n   d\n   ```\n```text\n$ e\n```\n");
        let found = found.unwrap();
        let fates: Vec<_> = found.iter().map(|one| (one.line, one.fate, one.commands())).collect();
        assert_eq!(fates, [(1, Ok(Place::Laptop), 1), (7, Err(Reason::Root), 1)]);
        assert_eq!(found[1].acts[0].script, "d");
        assert_eq!(of("a\n```sh rot\nd\n```\n").unwrap_err(), "docs/a.md:2: an unknown mark");
        assert!(of("```sh\nd\n").is_err());
    }

    #[test]
    fn below_each_command_of_a_dialogue_stands_its_answer() {
        let found = of("```console virtual\n$ a \\\n b\nc\n  d\n$ e\n```\n").unwrap();
        assert_eq!(found[0].fate, Ok(Place::VirtualBoard));
        let act = |script: &str, answer: &[&str]| Act {
            script: script.to_owned(),
            answer: Some(answer.iter().map(|&line| line.to_owned()).collect()),
        };
        assert_eq!(found[0].acts, [act("a \\\n b", &["c", "  d"]), act("e", &[])]);
    }

    #[test]
    fn an_answer_is_compared_line_by_line_but_for_what_is_left_out() {
        assert!(told("a\nat … of …\n[…]\nz", &["a", "at 5 of 6", "b", "c", "z "]));
        assert!(told("[…]", &[]) && told("a…", &["a"]));
        for (shown, said) in [
            ("a", &["b"][..]),
            ("a", &["a", "b"]),
            ("a\nb", &["a"]),
            ("at … of 6", &["at 5 of 7"]),
            ("at …", &["was at 5"]),
            ("[…]\nz", &["a"]),
        ] {
            assert!(!told(shown, said), "{shown}");
        }
        assert_eq!(untold("a\nb\n[…]\nc\nd", &["a", "b", "x", "c", "x"]), Some(4));
        assert_eq!(untold("a", &["a", "b"]), Some(1));
    }
}
