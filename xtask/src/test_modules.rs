// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is every file of tests compiled? A test program that has a directory (`tests/all/main.rs`) runs
//! what its `main.rs` names: a file that nobody names is silently no test. Files right below
//! `tests` are programs that cargo finds by itself.

use crate::error::TaskError;
use std::fs;
use std::path::{Path, PathBuf};

/// A sentence for each module that no `main.rs` names, in the tests of the packages below `root`
/// and below its `tests`.
pub fn forgotten(root: &Path) -> Result<Vec<String>, TaskError> {
    let mut found = Vec::new();
    for group in [root.to_owned(), root.join("tests")] {
        for package in entries(&group)? {
            for program in entries(&package.join("tests"))? {
                found.extend(forgotten_by(&program)?);
            }
        }
    }
    Ok(found)
}

/// Those of the program in `dir`, if one is there.
#[expect(clippy::disallowed_methods, reason = "a maintainer's tool reads its own checkout")]
fn forgotten_by(dir: &Path) -> Result<Vec<String>, TaskError> {
    let main = dir.join("main.rs");
    if !main.is_file() {
        return Ok(Vec::new());
    }
    let text =
        fs::read_to_string(&main).map_err(|source| TaskError::Read { path: main, source })?;
    let is_named = |module: &str| text.lines().any(|line| line == format!("mod {module};"));
    let mut found = Vec::new();
    for path in entries(dir)? {
        let is_module =
            path.join("mod.rs").is_file() || path.extension().is_some_and(|e| e == "rs");
        let module = path.file_stem().unwrap_or_default().to_string_lossy();
        if is_module && module != "main" && !is_named(&module) {
            found.push(format!("{}: main.rs beside it has no `mod {module};`", path.display()));
        }
    }
    Ok(found)
}

/// What is in a directory, sorted; nothing where there is none.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, TaskError> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let failed = |source| TaskError::Read { path: dir.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test fails by them")]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_tests_that_nobody_names_is_told() {
        let root = tempfile::tempdir().unwrap();
        let all = root.path().join("tests/room/tests/all");
        fs::create_dir_all(all.join("deep")).unwrap();
        fs::create_dir_all(all.join("fixtures")).unwrap();
        for name in ["named.rs", "lost.rs", "deep/mod.rs", "deep/inner.rs", "fixtures/a.toml"] {
            fs::write(all.join(name), "").unwrap();
        }
        fs::write(all.join("main.rs"), "#[cfg(unix)]\nmod named;\n// mod lost;\n").unwrap();
        let found = forgotten(root.path()).unwrap();
        let end = |text: &String| text.rsplit_once("all/").unwrap().1.to_owned();
        assert_eq!(
            found.iter().map(end).collect::<Vec<_>>(),
            [
                "deep: main.rs beside it has no `mod deep;`",
                "lost.rs: main.rs beside it has no `mod lost;`"
            ]
        );
    }
}
