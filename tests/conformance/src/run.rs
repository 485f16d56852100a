// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole run: both parts at once, the table of modules, the verdict.

use crate::cli::{Cli, Kernel};
use crate::outcome::{self, Ended, Outcomes};
use crate::shard::{Shard, Work, divide};
use crate::suite::Suite;
use crate::uml;
use crate::verdict::{EXCEPTIONS_MAX_PERCENT, Exceptions, Verdict, Wanted, judge, read_list};
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Runs what the arguments ask for.
///
/// # Errors
/// When a suite cannot be run, or the program under test does not pass what it must.
pub fn run(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    if let (Some(tree), Some(program)) = (&cli.tree, &cli.program) {
        return run_tree(cli, tree, program, out);
    }
    let mut fell_short = Vec::new();
    for suite in &cli.suite {
        if !run_suite(cli, *suite, out)? {
            fell_short.push(suite.name());
        }
    }
    ensure!(fell_short.is_empty(), "tests that must pass did not: {}", fell_short.join(", "));
    Ok(())
}

fn run_suite(cli: &Cli, suite: Suite, out: &mut dyn Write) -> Result<bool> {
    let begun = Instant::now();
    let tree = suite.source()?.join("tree");
    let version = suite.found_version()?;
    writeln!(out, "RAUC's tests of {version} ({}), kernel: {}", suite.name(), cli.kernel.name())?;
    if version != suite.recorded_version() {
        writeln!(out, "  the lists were made with {}: record them anew", suite.recorded_version())?;
    }
    let program = match &cli.program {
        Some(program) => absolute(program)?,
        None => suite.real_rauc()?,
    };
    let work = Work { tree: &tree, program: &program, only: cli.only.as_deref(), limit: cli.limit };
    let outcomes = run_parts(cli, suite.name(), &work)?;
    table(&outcomes, out)?;
    writeln!(out, "  {:.0} s", begun.elapsed().as_secs_f64())?;
    if cli.record {
        record(suite, cli.kernel, &version, &outcomes)?;
        return Ok(true);
    }
    let wanted = wanted(suite, cli.program.as_deref(), &outcomes)?;
    let exceptions = exceptions(suite, cli.program.as_deref())?;
    let asked = &cli.modules;
    let ran = |test: &str| match &cli.only {
        // What an expression selects, only pytest knows.
        Some(_) => outcomes.contains_key(test),
        None => {
            asked.is_empty()
                || asked.iter().any(|one| test.starts_with(&format!("test_{one}.py::")))
        }
    };
    let verdict = judge(&outcomes, &wanted, &exceptions, &ran);
    tell(&verdict, &outcomes, out)?;
    Ok(verdict.holds())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).with_context(|| format!("no {}", path.display()))
}

/// The tests of a source tree that Debian has not. Nobody recorded what the real program passes
/// there, so every failure counts.
fn run_tree(cli: &Cli, tree: &Path, program: &Path, out: &mut dyn Write) -> Result<()> {
    let begun = Instant::now();
    let (tree, program) = (absolute(tree)?, absolute(program)?);
    writeln!(out, "RAUC's tests of {}, kernel: {}", tree.display(), cli.kernel.name())?;
    let work = Work { tree: &tree, program: &program, only: cli.only.as_deref(), limit: cli.limit };
    let outcomes = run_parts(cli, "tree", &work)?;
    table(&outcomes, out)?;
    writeln!(out, "  {:.0} s", begun.elapsed().as_secs_f64())?;
    let failed = outcomes.iter().filter(|(_, one)| one.ended == Ended::Failed);
    let mut count = 0;
    for (test, one) in failed {
        let why: String = one.why.chars().take(100).collect();
        writeln!(out, "  FAILED  {test}\n          {why}")?;
        count += 1;
    }
    ensure!(count == 0, "{count} tests failed");
    let passed = outcomes.values().filter(|one| one.ended == Ended::Passed).count();
    ensure!(passed > 0, "no test was run");
    Ok(())
}

fn run_parts(cli: &Cli, suite: &str, work: &Work<'_>) -> Result<Outcomes> {
    let scratch = tempfile::Builder::new().prefix("conformance-").tempdir()?;
    // The suite drops privileges in places, and these users must be able to come here.
    open_to_all(scratch.path())?;
    let mut shards = Vec::new();
    for (name, modules) in ["a", "b"].into_iter().zip(divide(work.tree, &cli.modules)?) {
        shards.push(Shard::prepare(scratch.path().join(name), modules, work)?);
    }
    let kernel = match cli.kernel {
        Kernel::Host => None,
        Kernel::Uml => Some(Suite::user_mode_linux()?.join("root")),
    };
    let ended: Vec<Result<()>> = std::thread::scope(|scope| {
        let kernel = &kernel;
        let started: Vec<_> = shards
            .iter()
            .map(|shard| {
                scope.spawn(move || match kernel {
                    None => shard.run(work),
                    Some(root) => uml::run(shard, work, root),
                })
            })
            .collect();
        started
            .into_iter()
            .map(|one| one.join().unwrap_or_else(|_| bail!("a part's thread panicked")))
            .collect()
    });
    let mut outcomes = Outcomes::new();
    for shard in &shards {
        if let Some(logs) = &cli.logs {
            keep_logs(shard, &logs.join(suite))?;
        }
        outcome::read(&shard.dir.join("results"), &mut outcomes)?;
    }
    for one in ended {
        one?;
    }
    Ok(outcomes)
}

fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?)
}

fn keep_logs(shard: &Shard, logs: &Path) -> Result<()> {
    fs::create_dir_all(logs)?;
    let part = shard.dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for name in ["results", "pytest.log", "nginx.log", "backend.log", "console.log"] {
        let from = shard.dir.join(name);
        if from.is_file() {
            fs::copy(&from, logs.join(format!("{part}-{name}")))?;
        }
    }
    Ok(())
}

/// One line for each module.
fn table(outcomes: &Outcomes, out: &mut dyn Write) -> Result<()> {
    let mut modules: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for (test, one) in outcomes {
        let module = test.split_once("::").map_or(test.as_str(), |(module, _)| module);
        let counts = modules.entry(module).or_default();
        let [passed, skipped, failed] = counts;
        match one.ended {
            Ended::Passed => *passed += 1,
            Ended::Skipped => *skipped += 1,
            Ended::Failed => *failed += 1,
        }
    }
    writeln!(out, "  {:26} {:>6} {:>7} {:>6}", "module", "passed", "skipped", "failed")?;
    let mut sum = [0; 3];
    for (module, [passed, skipped, failed]) in modules {
        writeln!(out, "  {module:26} {passed:>6} {skipped:>7} {failed:>6}")?;
        sum = [sum[0] + passed, sum[1] + skipped, sum[2] + failed];
    }
    let [passed, skipped, failed] = sum;
    writeln!(out, "  {:26} {passed:>6} {skipped:>7} {failed:>6}", "all")?;
    Ok(())
}

fn tell(verdict: &Verdict, outcomes: &Outcomes, out: &mut dyn Write) -> Result<()> {
    for test in &verdict.missing {
        let why = outcomes.get(test).map_or("it was not run", |one| one.why.as_str());
        let why: String = why.chars().take(100).collect();
        writeln!(out, "  MISSING {test}\n          {why}")?;
    }
    for test in &verdict.stale {
        writeln!(out, "  STALE   {test}: no exception any more (exceptions.toml)")?;
    }
    let Verdict { passed, wanted, excepted, beyond, .. } = verdict;
    writeln!(
        out,
        "  passed {passed} of {wanted} that the real RAUC passes here or in user-mode Linux, \
         {excepted} excepted (most {EXCEPTIONS_MAX_PERCENT} %), {beyond} beyond",
    )?;
    Ok(())
}

fn lists() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("lists")
}

fn list_file(suite: Suite, kernel: Kernel) -> PathBuf {
    lists().join(format!("{}.{}.txt", suite.name(), kernel.name()))
}

/// For ours all that the real one passes here, and what it passes in user-mode Linux; for the real
/// one what it passed here. Kernels since 6.19 word the state of dm-verity in a way that RAUC before
/// 1.15.1 does not understand, and older ones do not run on every processor: so a test that a newer
/// RAUC passes there counts for each version of the suite that has it.
fn wanted(suite: Suite, ours: Option<&Path>, outcomes: &Outcomes) -> Result<Wanted> {
    let mut wanted = Wanted { tests: read_list_file(suite, Kernel::Host)? };
    if ours.is_some() {
        for other in Suite::ALL {
            let file = read_list_file(other, Kernel::Uml)?;
            wanted.tests.extend(file.into_iter().filter(|test| outcomes.contains_key(test)));
        }
    }
    Ok(wanted)
}

fn read_list_file(suite: Suite, kernel: Kernel) -> Result<BTreeSet<String>> {
    let file = list_file(suite, kernel);
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}: --record makes it", file.display()))?;
    Ok(read_list(&text))
}

fn exceptions(suite: Suite, ours: Option<&Path>) -> Result<BTreeMap<String, String>> {
    if ours.is_none() {
        return Ok(BTreeMap::new());
    }
    let file = lists().join("exceptions.toml");
    let text = fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
    let mut all: Exceptions =
        toml::from_str(&text).with_context(|| format!("in {}", file.display()))?;
    Ok(all.by_suite.remove(suite.name()).unwrap_or_default())
}

fn record(suite: Suite, kernel: Kernel, version: &str, outcomes: &Outcomes) -> Result<()> {
    let mut text = format!(
        "# RAUC's own tests that Debian's rauc {version} ({}) passes; kernel: {}.\n\
         # Made by: cargo xtask conformance --record --suite {} --kernel {}\n",
        suite.name(),
        kernel.name(),
        suite.name(),
        kernel.name(),
    );
    for (test, one) in outcomes {
        if one.ended == Ended::Passed {
            text.push_str(test);
            text.push('\n');
        }
    }
    let file = list_file(suite, kernel);
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}
