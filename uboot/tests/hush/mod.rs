// SPDX-License-Identifier: MIT OR Apache-2.0
//! U-Boot's old hush and the commands the selector uses, as far as the selector uses them.
//!
//! Anything outside this subset panics: `setexpr`, `break`, command substitution, too many words,
//! a command the board does not have. Uses `std` only, so that other crates' tests can include
//! it with `#[path]`.

use std::collections::{BTreeMap, BTreeSet};

mod parse;

use parse::{List, Statement, Word, parse_list};

/// `CONFIG_SYS_MAXARGS`: a command with more words is refused by U-Boot.
const MAX_WORDS: usize = 16;

/// What separates words of an unquoted variable; a tab does not.
const BLANKS: [char; 2] = [' ', '\n'];

/// Statements after which a script counts as endless.
const MAX_STATEMENTS: usize = 10_000;

/// How a run of the firmware ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// A kernel was started with these arguments: those of the selector, or the slot script's.
    Started { slot: String, args: String },
    /// The board was reset.
    Reset,
    /// The script ended: the board waits at its prompt.
    Prompt,
}

/// A board as the firmware sees it.
#[derive(Clone, Debug, Default)]
pub struct Firmware {
    /// Environment in memory.
    pub env: BTreeMap<String, String>,
    /// Environment in storage; `None` was never saved.
    pub saved: Option<BTreeMap<String, String>>,
    /// Environment built into U-Boot.
    pub defaults: BTreeMap<String, String>,
    /// Partition labels in order of their number, with their unique GUIDs.
    pub partitions: Vec<(String, String)>,
    /// Labels of boot partitions whose script loads.
    pub sealed: BTreeSet<String>,
    /// Labels of boot partitions whose kernel starts once the script was loaded.
    pub starts: BTreeSet<String>,
    /// Files that no boot partition has.
    pub missing: BTreeSet<String>,
    /// The script in every boot partition; without one, `source` starts the kernel at once.
    pub slot_script: Option<String>,
    /// Whether `saveenv` works.
    pub save_works: bool,
    /// Commands that fail without an effect: `wdt` without a watchdog, `ums` without a host.
    pub failing: BTreeSet<String>,
    /// Readings of the recovery button, first to last; then it is not pressed.
    pub button: Vec<bool>,
    /// Every command that had an effect outside the environment.
    pub trace: Vec<String>,
    /// Number of successful saves.
    pub saves: usize,
    /// Lines printed.
    pub said: Vec<String>,
    /// What does not outlive a reset.
    pub shell: Shell,
}

/// The shell's own memory.
#[derive(Clone, Debug, Default)]
pub struct Shell {
    locals: BTreeMap<String, String>,
    loaded: Option<String>,
    statements: usize,
}

impl Firmware {
    /// Powers on: takes the stored environment, or the defaults where there is none, and runs
    /// the built-in `bootcmd` until a kernel starts or the board resets.
    pub fn power_on(&mut self) -> End {
        self.env = self.saved.clone().unwrap_or_else(|| self.defaults.clone());
        self.shell = Shell::default();
        let bootcmd = self.defaults.get("bootcmd").cloned().expect("the defaults have bootcmd");
        match self.run_text(&bootcmd) {
            Flow::Done(_) => End::Prompt,
            Flow::End(end) => end,
        }
    }

    fn run_text(&mut self, text: &str) -> Flow {
        let list = parse_list(text);
        self.run_list(&list)
    }

    fn run_list(&mut self, list: &List) -> Flow {
        let mut status = 0;
        for statement in list {
            match self.run_statement(statement) {
                Flow::Done(code) => status = code,
                end @ Flow::End(_) => return end,
            }
        }
        Flow::Done(status)
    }

    fn run_statement(&mut self, statement: &Statement) -> Flow {
        self.shell.statements += 1;
        assert!(self.shell.statements < MAX_STATEMENTS, "the script does not come to an end");
        match statement {
            Statement::Command(words) => {
                let words = self.expand(words);
                self.run_command(&words)
            }
            Statement::If { arms, otherwise } => {
                for (condition, body) in arms {
                    match self.run_list(condition) {
                        Flow::Done(0) => return self.run_list(body),
                        Flow::Done(_) => {}
                        end @ Flow::End(_) => return end,
                    }
                }
                self.run_list(otherwise)
            }
            Statement::For { name, words, body } => {
                let mut status = 0;
                for value in self.expand(words) {
                    self.shell.locals.insert(name.clone(), value);
                    match self.run_list(body) {
                        Flow::Done(code) => status = code,
                        end @ Flow::End(_) => return end,
                    }
                }
                Flow::Done(status)
            }
        }
    }

    /// Unquoted variables split into words and vanish when empty, as in U-Boot.
    fn expand(&self, words: &[Word]) -> Vec<String> {
        let mut expanded = Vec::new();
        for word in words {
            let mut current = String::new();
            let mut present = false;
            for piece in &word.pieces {
                let text = match &piece.variable {
                    // The environment hides the shell's own variables.
                    Some(name) => {
                        self.env.get(name).or_else(|| self.shell.locals.get(name)).cloned()
                    }
                    None => Some(piece.text.clone()),
                };
                let text = text.unwrap_or_default();
                if piece.quoted || piece.variable.is_none() {
                    current.push_str(&text);
                    present = true;
                    continue;
                }
                let mut parts = text.split(BLANKS).filter(|part| !part.is_empty()).peekable();
                while let Some(part) = parts.next() {
                    current.push_str(part);
                    present = true;
                    if parts.peek().is_some() {
                        expanded.push(std::mem::take(&mut current));
                    }
                }
            }
            if present {
                expanded.push(current);
            }
        }
        expanded
    }

    fn run_command(&mut self, words: &[String]) -> Flow {
        assert!(words.len() <= MAX_WORDS, "too many words for U-Boot: {words:?}");
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let status = match words.as_slice() {
            ["true"] => 0,
            ["echo", said @ ..] => {
                self.said.push(said.join(" "));
                0
            }
            ["false"] => 1,
            ["test", condition @ ..] => i32::from(!test_holds(condition)),
            ["setenv", name, value @ ..] => {
                self.set(name, &value.join(" "));
                0
            }
            ["env", "default", "-f", names @ ..] => {
                for name in names {
                    let value = self.defaults.get(*name).cloned();
                    self.set(name, &value.expect("only variables of the defaults are re-made"));
                }
                0
            }
            ["run", name] => {
                let text = self.env.get(*name).cloned();
                return self.run_text(&text.unwrap_or_else(|| panic!("{name} is not defined")));
            }
            ["saveenv"] => self.save(),
            ["reset"] => return Flow::End(End::Reset),
            ["part", rest @ ..] => self.part(rest),
            ["load", "mmc" | "host", place, address, path] => self.load(place, address, path),
            ["source", _] => return self.source(),
            ["booti", ..] => {
                self.trace.push(words.join(" "));
                return self.start("bootargs");
            }
            ["gpio", "input", "100"] => {
                let pressed = !self.button.is_empty() && self.button.remove(0);
                i32::from(!pressed)
            }
            ["sleep" | "wdt" | "ums", ..] => {
                self.trace.push(words.join(" "));
                i32::from(self.failing.contains(words[0]))
            }
            _ => panic!("U-Boot does not have this command: {words:?}"),
        };
        Flow::Done(status)
    }

    fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.env.remove(name);
        } else {
            self.env.insert(name.to_owned(), value.to_owned());
        }
    }

    fn save(&mut self) -> i32 {
        if !self.save_works {
            return 1;
        }
        self.saves += 1;
        self.saved = Some(self.env.clone());
        self.trace.push("saveenv".to_owned());
        0
    }

    fn part(&mut self, words: &[&str]) -> i32 {
        match words {
            ["number", "mmc" | "host", "0", label, variable] => {
                let found = self.partitions.iter().position(|(name, _)| name == label);
                let Some(index) = found else { return 1 };
                self.set(variable, &format!("{:#x}", index + 1));
                0
            }
            ["uuid", "mmc" | "host", place, variable] => {
                let Some(uuid) = self.partition(place).map(|(_, uuid)| uuid.clone()) else {
                    return 1;
                };
                self.set(variable, &uuid);
                0
            }
            _ => panic!("part is not used like this: {words:?}"),
        }
    }

    fn partition(&self, place: &str) -> Option<&(String, String)> {
        let number = place.strip_prefix("0:0x").expect("a partition of disk 0");
        let number = usize::from_str_radix(number, 16).expect("a partition number");
        self.partitions.get(number.checked_sub(1)?)
    }

    fn load(&mut self, place: &str, address: &str, path: &str) -> i32 {
        assert!(address.starts_with("0x"), "{address}");
        let label = self.partition(place).map(|(label, _)| label.clone());
        self.shell.loaded =
            label.filter(|label| self.sealed.contains(label) && !self.missing.contains(path));
        if self.shell.loaded.is_none() {
            return 1;
        }
        self.set("filesize", &format!("{:x}", path.len()));
        0
    }

    fn source(&mut self) -> Flow {
        match self.slot_script.clone() {
            Some(script) => self.run_text(&script),
            None => self.start("atomix_args"),
        }
    }

    fn start(&mut self, args: &str) -> Flow {
        let label = self.shell.loaded.clone().expect("something was loaded before");
        let slot = self.env.get("atomix_slot").cloned().unwrap_or_default();
        assert_eq!(label, format!("boot-{}", slot.to_lowercase()), "loaded from another slot");
        if !self.starts.contains(&label) {
            return Flow::Done(1);
        }
        let args = self.env.get(args).cloned().unwrap_or_default();
        Flow::End(End::Started { slot, args })
    }
}

enum Flow {
    Done(i32),
    End(End),
}

/// U-Boot's `test`: comparisons joined from left to right.
fn test_holds(words: &[&str]) -> bool {
    let mut joined: Vec<&[&str]> = Vec::new();
    let mut operators = Vec::new();
    for (index, chunk) in words.chunks(4).enumerate() {
        joined.push(&chunk[..3]);
        match chunk.get(3) {
            Some(operator) => operators.push(*operator),
            None => assert_eq!(index, words.chunks(4).len() - 1),
        }
    }
    assert_eq!(operators.len() + 1, joined.len(), "test is not used like this: {words:?}");
    let compare = |words: &[&str]| match words {
        [left, "=", right] => left == right,
        [left, "!=", right] => left != right,
        _ => panic!("test is not used like this: {words:?}"),
    };
    let mut holds = compare(joined[0]);
    for (operator, words) in operators.iter().zip(&joined[1..]) {
        holds = match *operator {
            "-a" => holds && compare(words),
            "-o" => holds || compare(words),
            _ => panic!("test cannot join with {operator}"),
        };
    }
    holds
}
