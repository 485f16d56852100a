// SPDX-License-Identifier: MIT OR Apache-2.0
//! A part of the suite: a copy of the tests, a pretended build directory, and the script that runs
//! pytest in namespaces of its own.

use crate::suite::Suite;
use anyhow::{Context as _, Result, ensure};
use e2e::program::Program;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

const SCRIPT: &str = include_str!("shard.sh");
const PLUGIN: &str = include_str!("isolate.py");

/// Modules that mostly wait for timers; they run beside the others.
const WAITING: [&str; 6] = ["cmdline", "http", "mount", "polling", "service", "status"];

/// What the program under test is said to be built with; `composefs` is not in Debian's either.
const BUILT_WITH: [(&str, u8); 7] = [
    ("JSON", 1),
    ("SERVICE", 1),
    ("STREAMING", 1),
    ("NETWORK", 1),
    ("CREATE", 1),
    ("GPT", 1),
    ("COMPOSEFS", 0),
];

/// One part: its directory and its modules.
#[derive(Clone, Debug)]
pub struct Shard {
    /// Its scratch directory.
    pub dir: PathBuf,
    /// The modules without `test_` and `.py`.
    pub modules: Vec<String>,
}

/// What all parts have in common.
#[derive(Clone, Debug)]
pub struct Work<'a> {
    /// RAUC's source tree.
    pub tree: &'a Path,
    /// The program that takes RAUC's place.
    pub program: &'a Path,
    /// A pytest expression.
    pub only: Option<&'a str>,
    /// Seconds for each part.
    pub limit: u64,
}

/// The modules of the tree in two parts of similar length, without empty ones.
///
/// # Errors
/// When the tree has no tests, or none of the modules asked for.
pub fn divide(tree: &Path, asked: &[String]) -> Result<Vec<Vec<String>>> {
    let mut modules = Vec::new();
    for entry in fs::read_dir(tree.join("test")).context("the source tree has no tests")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let module = name.strip_prefix("test_").and_then(|name| name.strip_suffix(".py"));
        modules.extend(
            module
                .filter(|one| asked.is_empty() || asked.iter().any(|a| a == one))
                .map(str::to_owned),
        );
    }
    modules.sort();
    ensure!(!modules.is_empty(), "no such modules: {asked:?}");
    let (waiting, busy) = modules.into_iter().partition(|one| WAITING.contains(&one.as_str()));
    Ok([busy, waiting].into_iter().filter(|part: &Vec<String>| !part.is_empty()).collect())
}

impl Shard {
    /// Makes the scratch directory of a part.
    ///
    /// # Errors
    /// When there is no room, or the tree is not RAUC's.
    pub fn prepare(dir: PathBuf, modules: Vec<String>, work: &Work<'_>) -> Result<Self> {
        let build = dir.join("build");
        fs::create_dir_all(build.join("meson-info"))?;
        Program::new("cp").arg("-a").arg(work.tree.join("test")).arg(dir.join("test")).run()?;
        ensure!(dir.join("test/conftest.py").is_file(), "the tests have no conftest.py");
        let flags: String = BUILT_WITH
            .iter()
            .map(|(name, value)| format!("#define ENABLE_{name} {value}\n"))
            .collect();
        fs::write(build.join("config.h"), flags)?;
        let options = "[{\"name\": \"b_sanitize\", \"value\": \"none\"}]";
        fs::write(build.join("meson-info/intro-buildoptions.json"), options)?;
        copy_program(work.program, &dir.join("program"))?;
        copy_program(&Suite::desync()?, &dir.join("desync"))?;
        symlink("../program/rauc", build.join("rauc"))?;
        fs::write(dir.join("shard.sh"), SCRIPT)?;
        fs::write(dir.join("isolate.py"), PLUGIN)?;
        fs::write(dir.join("results"), "")?;
        // The suite writes beside its files, and checks that root owns bundles.
        Program::new("chown").args(["-R", "root:root"]).arg(&dir).run()?;
        Program::new("chmod").args(["-R", "u+rwX,go+rX"]).arg(&dir).run()?;
        Ok(Self { dir, modules })
    }

    /// The words after the script's name.
    #[must_use]
    pub fn arguments(&self, dir: &Path, work: &Work<'_>) -> Vec<String> {
        let mut arguments = vec![
            dir.display().to_string(),
            work.limit.to_string(),
            work.only.unwrap_or_default().to_owned(),
        ];
        arguments.extend(self.modules.iter().cloned());
        arguments
    }

    /// Runs it on this machine's kernel. Tests that fail are no error here: the results tell.
    ///
    /// # Errors
    /// When pytest did not come to an end.
    pub fn run(&self, work: &Work<'_>) -> Result<()> {
        let ran = Program::new("unshare")
            .args(["-m", "-n", "-p", "-f", "--mount-proc", "/bin/bash"])
            .arg(self.dir.join("shard.sh"))
            .args(self.arguments(&self.dir, work))
            .run();
        if let Ok(device) = fs::read_to_string(self.dir.join("loopdev")) {
            Program::new("losetup").args(["-d", device.trim()]).run()?;
        }
        self.came_to_an_end().or_else(|cut_short| ran.and(Err(cut_short)))
    }

    /// Whether pytest printed its last line. Without it the results are a part of the results, and
    /// a list made of them would ask for too little.
    ///
    /// # Errors
    /// When it did not.
    pub fn came_to_an_end(&self) -> Result<()> {
        let log =
            fs::read_to_string(self.dir.join("pytest.log")).context("pytest was not started")?;
        let last = log.lines().next_back().unwrap_or_default();
        let ended = last.starts_with("==") && last.contains(" in ");
        ensure!(ended, "pytest was cut short: {}", self.modules.join(", "));
        Ok(())
    }
}

/// A copy that every user may start: RAUC's streaming helper runs as nobody. The real program
/// brings its libraries along in a directory beside it.
fn copy_program(program: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    match program.parent().filter(|dir| dir.join("root").is_dir()) {
        Some(dir) => Program::new("cp").arg("-a").arg(dir.join(".")).arg(to).run(),
        None => Ok(fs::copy(program, to.join("rauc")).map(drop)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(names: &[&str]) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("test")).unwrap();
        for name in names {
            fs::write(tree.path().join("test").join(name), "").unwrap();
        }
        tree
    }

    #[test]
    fn every_module_is_in_one_part_and_other_files_in_none() {
        let tree = tree(&["test_info.py", "test_status.py", "helper.py", "test_x.c"]);
        let parts = divide(tree.path(), &[]).unwrap();
        assert_eq!(parts, [vec!["info".to_owned()], vec!["status".to_owned()]]);
    }

    #[test]
    fn tests_that_were_cut_short_or_never_began_are_no_results() {
        let dir = tempfile::tempdir().unwrap();
        let shard = Shard { dir: dir.path().to_owned(), modules: vec!["info".to_owned()] };
        assert!(shard.came_to_an_end().is_err());
        fs::write(dir.path().join("pytest.log"), "test_info.py::test_a PASSED\n").unwrap();
        assert!(shard.came_to_an_end().is_err());
        fs::write(dir.path().join("pytest.log"), "x\n==== 1 failed, 2 passed in 3.4s ====\n")
            .unwrap();
        shard.came_to_an_end().unwrap();
    }

    #[test]
    fn a_module_that_is_not_there_is_refused() {
        let tree = tree(&["test_info.py"]);
        assert!(divide(tree.path(), &["inof".to_owned()]).is_err());
        assert_eq!(divide(tree.path(), &["info".to_owned()]).unwrap().len(), 1);
    }
}
