// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask e2e`: plays the scenarios of the real chain one after the other, since each boots
//! an emulator that takes both cores, and says what came out.
//!
//! Each test runs as a program of its own: one that fails or hangs takes no other with it, and its
//! output is a file.

mod kept;
mod outcome;
mod set;

use crate::cargo::{debug_run, test_programs};
use crate::error::TaskError;
use crate::program::Program;
use outcome::{Outcome, Place, Played, Told, conclusion, measures, report, row};
use set::{Scenario, Wanted, read_list, select, violations};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The parts that scenarios are made of; the Rock64's boot loader is built with them, since
/// nothing else here proves that it builds.
const PARTS: [&str; 12] = [
    "uboot-qemu",
    "uboot-rock64",
    "uboot-sandbox",
    "uboot-stock",
    "rootfs",
    "disk",
    "bundle",
    "variants",
    "recipe",
    "recipe-rock64",
    "provisioned",
    "running",
];

/// Where the scenarios' sources are.
const TESTS: &str = "tests/e2e/tests";

/// What is shown of the output of a test that failed.
const TAIL_LINES: usize = 40;

/// The harness's names of the two; see `tests/e2e/src/scenario.rs`.
const RESULTS_VARIABLE: &str = "ATOMIX_E2E_RESULTS";
const INTERACTIVE_VARIABLE: &str = "ATOMIX_E2E_INTERACTIVE";

/// What was asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct E2eArgs {
    /// Names of the original suite, or parts of test names; else the set for CI
    names: Vec<String>,
    /// Play everything
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Play only what did not pass when it was played last, and take the other results from there
    #[arg(long, conflicts_with = "names")]
    failed: bool,
    /// Say what there is, and what is in the set for CI
    #[arg(long)]
    list: bool,
    /// Boot the board of the one scenario named, and obey this terminal
    #[arg(long, visible_alias = "debug", requires = "names")]
    interactive: bool,
    /// Write a report, with the timelines' pictures beside it
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Does what was asked for.
pub fn run(args: &E2eArgs, out: &mut impl Write) -> Result<(), TaskError> {
    let begun = Instant::now();
    let programs = build()?;
    let all = list(&programs)?;
    let wrong = violations(&all);
    if args.list {
        for scenario in &all {
            let set = if scenario.long { "long" } else { "ci" };
            writeln!(out, "{set:4} {:16} {}", scenario.program, scenario.name)?;
        }
    }
    if args.names.is_empty() && !wrong.is_empty() {
        return Err(TaskError::Rules { violations: wrong });
    }
    if args.list {
        return Ok(());
    }
    let wanted = match (args.all, args.names.is_empty()) {
        (true, _) => Wanted::All,
        (false, true) => Wanted::Ci,
        (false, false) => Wanted::Named(args.names.clone()),
    };
    let chosen = select(&all, &wanted).map_err(|name| TaskError::NoScenario { name })?;
    if args.interactive {
        return attend(&programs, &chosen);
    }
    writeln!(out, "parts of the chain: built once, then found again")?;
    out.flush()?;
    harness("parts", &PARTS.map(str::to_owned))?.run()?;
    writeln!(out, "parts: {:.1} s", begun.elapsed().as_secs_f64())?;
    let mut outcomes = Vec::new();
    let mut taken = 0;
    let commit = commit();
    for scenario in &chosen {
        let logs = logs_of(program_of(&programs, scenario));
        let last = kept::find(&logs, &scenario.name)?;
        let (outcome, played) = match last.filter(|last| args.failed && last.passed) {
            Some(last) => (last, Played::Before),
            None => {
                let quiet = args.names.is_empty();
                (play(&programs, scenario, &commit, quiet, out)?, Played::Now)
            }
        };
        taken += usize::from(played == Played::Before);
        writeln!(out, "{}", row(&outcome, played))?;
        out.flush()?;
        outcomes.push(outcome);
    }
    write!(out, "\n{}\n{}", measures(&outcomes), conclusion(&outcomes))?;
    if taken > 0 {
        writeln!(out, "{taken} of them were not played: that is what an earlier run found")?;
    }
    if let Some(file) = &args.report {
        write_report(file, &outcomes)?;
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed);
    let failed: Vec<String> = failed.map(|outcome| outcome.name.clone()).collect();
    if failed.is_empty() { Ok(()) } else { Err(TaskError::Scenarios { failed }) }
}

/// Boots an image on the emulated board and gives it the terminal.
pub fn vm(arguments: &[String]) -> Result<(), TaskError> {
    harness("vm", arguments)?.with_terminal().run()
}

/// The crate's own program, readied to do this.
fn harness(verb: &str, arguments: &[String]) -> Result<Program, TaskError> {
    debug_run("e2e", &[&[verb.to_owned()], arguments].concat())
}

/// The crate's test programs: name and path.
fn build() -> Result<Vec<(String, String)>, TaskError> {
    let mut which = Vec::new();
    for entry in fs::read_dir(TESTS)? {
        let path = entry?.path();
        // Other directories hold what several programs share.
        if path.is_file() || path.join("main.rs").exists() {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            which.extend(["--test".to_owned(), name]);
        }
    }
    test_programs(Path::new(TESTS), &which.iter().map(String::as_str).collect::<Vec<_>>())
}

fn list(programs: &[(String, String)]) -> Result<Vec<Scenario>, TaskError> {
    let mut all = Vec::new();
    for (name, path) in programs {
        let listed = Program::new(path, &["--list"]).output()?;
        let ignored = Program::new(path, &["--list", "--ignored"]).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        all.extend(read_list(name, &text(&listed), &text(&ignored)));
    }
    Ok(all)
}

fn program_of<'a>(programs: &'a [(String, String)], scenario: &Scenario) -> &'a str {
    let found = programs.iter().find(|(name, _)| *name == scenario.program);
    found.map_or("", |(_, path)| path.as_str())
}

/// Where the logs of a program's scenarios are.
fn logs_of(program: &str) -> PathBuf {
    Path::new(program).ancestors().nth(3).unwrap_or(Path::new(".")).join("tmp/e2e-logs")
}

/// What is checked out, for the report.
fn commit() -> String {
    let printed = Program::new("git", &["describe", "--always", "--dirty"]).output();
    let name = printed.map(|name| String::from_utf8_lossy(&name).trim().to_owned());
    name.unwrap_or_else(|_| "no checkout".to_owned())
}

fn arguments(scenario: &Scenario) -> [&str; 5] {
    ["--exact", &scenario.name, "--nocapture", "--include-ignored", "--test-threads=1"]
}

fn attend(programs: &[(String, String)], chosen: &[Scenario]) -> Result<(), TaskError> {
    let [scenario] = chosen else {
        let names: Vec<&str> = chosen.iter().map(|scenario| scenario.name.as_str()).collect();
        return Err(TaskError::NoScenario { name: format!("one of {}", names.join(", ")) });
    };
    Program::new(program_of(programs, scenario), &arguments(scenario))
        .env(INTERACTIVE_VARIABLE, "1")
        .with_terminal()
        .run()
}

/// Plays one scenario; when the run is quiet, its output goes into a file, and the end of that is
/// shown where it failed.
#[expect(clippy::disallowed_methods, reason = "results and logs are scratch of this run")]
fn play(
    programs: &[(String, String)],
    scenario: &Scenario,
    commit: &str,
    quiet: bool,
    out: &mut impl Write,
) -> Result<Outcome, TaskError> {
    let program = program_of(programs, scenario);
    let logs = logs_of(program);
    fs::create_dir_all(&logs)?;
    kept::forget(&logs, &scenario.name)?;
    let results = logs.join(format!("{}.jsonl", scenario.name));
    let log = logs.join(format!("{}.log", scenario.name));
    if results.exists() {
        fs::remove_file(&results)?;
    }
    let begun = Instant::now();
    let play = Program::new(program, &arguments(scenario))
        .env(RESULTS_VARIABLE, &results.to_string_lossy());
    let done = if quiet { play.run_into(&log) } else { play.run() };
    let secs = begun.elapsed().as_secs_f64();
    if done.is_err() && quiet {
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(TAIL_LINES)) {
            writeln!(out, "  | {line}")?;
        }
        writeln!(out, "  log: {}", log.display())?;
    }
    let mut told: Vec<Told> = Vec::new();
    if results.exists() {
        for line in fs::read_to_string(&results)?.lines() {
            told.push(serde_json::from_str(line)?);
        }
    }
    let (name, commit) = (scenario.name.clone(), commit.to_owned());
    let outcome = Outcome { name, commit, passed: done.is_ok(), secs, told };
    kept::keep(&logs, &outcome)?;
    Ok(outcome)
}

#[expect(clippy::disallowed_methods, reason = "a report in the checkout, for the next commit")]
fn write_report(file: &Path, outcomes: &[Outcome]) -> Result<(), TaskError> {
    let printed = harness("versions", &[])?.output()?;
    let versions = String::from_utf8_lossy(&printed).into_owned();
    let versions = versions.lines().filter_map(|line| line.split_once('\t'));
    let place = Place {
        machine: machine()?,
        versions: versions.map(|(name, text)| (name.to_owned(), text.to_owned())).collect(),
    };
    let dir = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(dir)?;
    fs::write(file, report(&place, outcomes))?;
    for told in outcomes.iter().flat_map(|outcome| &outcome.told) {
        fs::copy(&told.picture, dir.join(format!("{}.svg", told.scenario)))?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "what the kernel says of the machine")]
fn machine() -> Result<String, TaskError> {
    let read = |name: &str| {
        let path = PathBuf::from("/proc").join(name);
        fs::read_to_string(&path).map_err(|source| TaskError::Read { path, source })
    };
    let (processors, memory) = (read("cpuinfo")?, read("meminfo")?);
    let cores = processors.lines().filter(|line| line.starts_with("processor")).count();
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let kib: u64 =
        value(&memory, "MemTotal").split(' ').next().unwrap_or_default().parse().unwrap_or(0);
    Ok(format!("{cores} cores ({}), {} GiB", value(&processors, "model name"), kib >> 20))
}
