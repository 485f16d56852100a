// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a row is, and how it is tried.

use crate::cli_board::rig::{Faults, RiggedDevices};
use crate::cli_board::{NOW, Ran, SmallBoard, disk_identity, run_on};
use atomix::context::Context;
use bootctl::{FirmwareFacts, PerSlot, SlotId, SlotState, select};
use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Stands in arguments and expectations for the path of the row's bundle.
pub const BUNDLE: &str = "BUNDLE";

/// Made by every command that takes the install lock; `/run` is empty after each boot.
const LOCKS: [&str; 3] =
    ["run/atomix/install.lock", "run/atomix/env.lock", "run/lock/fw_printenv.lock"];

/// How a warning says what makes it go away, or that nobody has to do anything.
const WAYS_ON: [&str; 11] = [
    "writes it anew",
    "writes the order anew",
    "until the next change",
    "is written again",
    "would be written again",
    "check fw_env.config",
    "correct [recorder]",
    "install a bundle into it",
    "the status is kept in /run/atomix/status.raucs",
    "begins it anew",
    "reboot once",
];

/// What a row prepares.
pub struct Case {
    pub board: SmallBoard,
    pub faults: Faults,
    /// The bundle's place, outside the board.
    pub bundle: PathBuf,
    /// What has to live while the command runs.
    pub held: Vec<Box<dyn Any>>,
    _dir: tempfile::TempDir,
}

impl Case {
    pub fn offer(&mut self, bundle: impl AsRef<[u8]>) {
        fs::write(&self.bundle, bundle).unwrap();
    }
}

/// What the board is afterwards.
#[derive(Clone, Copy)]
pub enum After {
    /// As before, every byte.
    Unchanged,
    /// The target is `writing` and no firmware starts it; nothing outside of it and of the boot
    /// state changed.
    Torn,
    /// The command went on; this must hold.
    Works(fn(&SmallBoard)),
}

/// One bad input.
pub struct Row {
    pub name: &'static str,
    /// Rows of one cause may share their words; all others must not.
    pub cause: &'static str,
    pub make: fn(&mut Case),
    pub args: &'static [&'static str],
    pub code: u8,
    /// What the first line has to hold: what is wrong, and where; of a warning the way out too.
    pub says: &'static [&'static str],
    /// A part of the way out; empty for a command that goes on.
    pub hint: &'static str,
    pub after: After,
}

impl Row {
    /// `atomix install BUNDLE` that must not begin.
    pub const fn install(
        name: &'static str,
        make: fn(&mut Case),
        code: u8,
        says: &'static [&'static str],
        hint: &'static str,
    ) -> Self {
        Self::command(name, make, &["install", BUNDLE], code, says, hint)
    }

    /// A command that must change nothing.
    pub const fn command(
        name: &'static str,
        make: fn(&mut Case),
        args: &'static [&'static str],
        code: u8,
        says: &'static [&'static str],
        hint: &'static str,
    ) -> Self {
        Self { name, cause: name, make, args, code, says, hint, after: After::Unchanged }
    }

    pub const fn because(mut self, cause: &'static str) -> Self {
        self.cause = cause;
        self
    }

    pub const fn after(mut self, after: After) -> Self {
        self.after = after;
        self
    }
}

/// How a row was answered.
pub struct Answer {
    /// The first line without what differs from run to run or from place to place.
    pub line: String,
    pub problems: Vec<String>,
}

/// Tries one row.
pub fn answer(row: &Row) -> Answer {
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("update.raucb");
    let board = SmallBoard::new();
    let mut case = Case { board, faults: Faults::default(), bundle, held: Vec::new(), _dir: dir };
    case.offer(crate::cli_board::bundles::good());
    (row.make)(&mut case);
    let before = snapshot(&case.board);
    let path = case.bundle.to_str().unwrap().to_owned();
    let args: Vec<&str> =
        row.args.iter().map(|arg| if *arg == BUNDLE { path.as_str() } else { arg }).collect();
    let devices = RiggedDevices::new(case.board.root(), case.faults.clone());
    let context = Context::with_devices(case.board.root(), Box::new(devices), NOW);
    let ran = run_on(&context, &args);
    let stderr = tidy(&ran.stderr, &path, &case.board);
    let mut problems = Vec::new();
    judge_words(row, &ran, &stderr, &mut problems);
    judge_board(row, &case.board, &before, &mut problems);
    let line = without_numbers(telling_line(&stderr));
    Answer { line, problems }
}

/// The failure, or the first warning of a command that went on; progress may stand before it.
fn telling_line(stderr: &str) -> &str {
    let starting = |with: &str| stderr.lines().find(|line| line.starts_with(with));
    starting("atomix: ").or_else(|| starting("warning: ")).unwrap_or_default()
}

fn judge_words(row: &Row, ran: &Ran, stderr: &str, problems: &mut Vec<String>) {
    let mut wrong = |what: String| problems.push(format!("{what}\n    {stderr:?}"));
    if ran.code != row.code {
        wrong(format!("exit code {} instead of {}", ran.code, row.code));
    }
    let first = telling_line(stderr);
    for words in row.says.iter().filter(|words| !first.contains(**words)) {
        wrong(format!("first line lacks {words:?}"));
    }
    let hint = stderr.lines().find_map(|line| line.strip_prefix("hint: "));
    match (hint, row.hint) {
        (None, "") if row.code == 0 => {}
        (None, "") => wrong("no way out".to_owned()),
        (None, wanted) => wrong(format!("no hint, wanted {wanted:?}")),
        (Some(hint), "") => wrong(format!("unexpected hint {hint:?}")),
        (Some(hint), wanted) if hint.contains(wanted) => {}
        (Some(hint), wanted) => wrong(format!("hint {hint:?}, wanted {wanted:?}")),
    }
    let mut warnings = stderr.lines().filter(|line| line.starts_with("warning: ")).peekable();
    if row.code == 0
        && warnings.peek().is_some()
        && !warnings.any(|warning| WAYS_ON.iter().any(|way| warning.contains(way)))
    {
        wrong("warnings without a way on".to_owned());
    }
    let failed = stderr.lines().any(|line| line.starts_with("atomix: "));
    if failed != (row.code != 0) {
        wrong("words and exit code disagree".to_owned());
    }
    if row.code != 0 && row.code != 10 && !ran.stdout.is_empty() {
        wrong(format!("data in spite of failure: {:?}", ran.stdout));
    }
}

/// What is written of refused installs as well, and its lock.
const AUDIT: &str = "data/atomix/audit/changes-000001.jsonl";
const AUDIT_LOCK: &str = "run/atomix/audit.lock";

fn snapshot(board: &SmallBoard) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = board.everything();
    for lock in LOCKS {
        files.remove(Path::new(lock));
    }
    // That somebody tried is remembered, whatever came of it.
    files.remove(Path::new(AUDIT));
    files.remove(Path::new(AUDIT_LOCK));
    files
}

fn judge_board(
    row: &Row,
    board: &SmallBoard,
    before: &BTreeMap<PathBuf, Vec<u8>>,
    problems: &mut Vec<String>,
) {
    let after = snapshot(board);
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let changed: Vec<String> = paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .map(|path| path.display().to_string())
        .collect();
    match row.after {
        After::Unchanged if changed.is_empty() => {}
        After::Unchanged => problems.push(format!("changed: {}", changed.join(", "))),
        After::Works(holds) => holds(board),
        After::Torn => judge_torn(board, &changed, problems),
    }
}

/// An install that ended half way: the target cannot start, with or without its environment.
fn judge_torn(board: &SmallBoard, changed: &[String], problems: &mut Vec<String>) {
    let may = ["dev/mmcblk1p3", "dev/mmcblk1p4", "dev/mtd0", "data/rauc/status.raucs"];
    for path in changed.iter().filter(|path| !may.contains(&path.as_str())) {
        problems.push(format!("changed: {path}"));
    }
    let state = board.state();
    if state.b.state != SlotState::Writing || state.order != [SlotId::A] {
        problems.push(format!("boot state is {state:?}"));
    }
    let seal = &board.read("/dev/mmcblk1p3")[..updater::SEAL_BYTES];
    let sealed = seal.iter().any(|byte| *byte != 0);
    if sealed {
        problems.push("the target's seal is not broken".to_owned());
    }
    for env in [Some(&state), None] {
        let facts = FirmwareFacts {
            disk: Some(disk_identity()),
            save_works: true,
            loads: PerSlot { a: true, b: sealed },
        };
        let boots = select(env, &facts).boots;
        if boots != Some(SlotId::A) {
            problems.push(format!("the firmware starts {boots:?} with {env:?}"));
        }
    }
}

/// Names in place of temporary paths.
fn tidy(text: &str, bundle: &str, board: &SmallBoard) -> String {
    let root = board.root().display().to_string();
    text.replace(bundle, BUNDLE).replace(&root, "ROOT")
}

/// Places differ between rows of one cause, and two causes must not differ by a number alone.
fn without_numbers(line: &str) -> String {
    let has_digit = |word: &str| word.chars().any(|c| c.is_ascii_digit());
    let words = line.split(' ').map(|word| if has_digit(word) { "#" } else { word });
    words.collect::<Vec<_>>().join(" ")
}
