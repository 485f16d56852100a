// SPDX-License-Identifier: MIT OR Apache-2.0
//! The book under `docs/`: every page is listed in `SUMMARY.md`, every link leads to a file and to a
//! heading in it, every command line that is shown is one of the program's, and so is every one that a
//! test's machine is given or that a sentence names; what is drawn or written from other files is what
//! these say, and no picture of text is wider than a terminal. `mdbook build` finds none of it. That it
//! makes pages of the book, whose links lead somewhere, is seen in the step "Nix".

mod api;
mod blocks;
mod claims;
mod commands;
mod inline;
mod layout;
mod links;
mod pictures;
mod reference;
mod run;
mod scripts;

use crate::error::TaskError;
use crate::program::Program;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

const BOOK: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";
/// Pages outside the book whose links and lines are looked at all the same.
const BESIDE: [&str; 1] = ["README.md"];

/// A page: where it lies, and its text.
struct Page {
    path: PathBuf,
    text: String,
}

/// Checks the book. With `UPDATE=1` what is made from other files is written first.
pub fn check() -> Result<(), TaskError> {
    let mut violations = generated()?;
    let pages = pages()?;
    violations.extend(links::violations(&pages, Path::new(SUMMARY), &|path| path.is_file()));
    let reference = read(Path::new(commands::REFERENCE))?;
    violations.extend(commands::violations(&pages, &reference));
    violations.extend(sentences(&pages, &reference));
    violations.extend(pictures::violations(&pages));
    violations.extend(machines(&reference)?);
    let sources = paths(Path::new("."), "rs")?;
    let sources =
        sources.iter().map(|path| read(path)).collect::<Result<Vec<String>, TaskError>>()?;
    violations.extend(claims::violations(&pages, &sources));
    if violations.is_empty() { Ok(()) } else { Err(TaskError::Rules { violations }) }
}

/// Commands in sentences that the program does not know.
fn sentences(pages: &[Page], reference: &str) -> Vec<String> {
    let (mut found, seen) = inline::violations(pages, reference);
    if seen < inline::LEAST {
        found.push(format!("{BOOK}: only {seen} commands in sentences are seen"));
    }
    found
}

/// Command lines of the machines' tests that the program does not know.
fn machines(reference: &str) -> Result<Vec<String>, TaskError> {
    let files = paths(Path::new(scripts::PLACE), "nix")?;
    let pages = files
        .iter()
        .map(|path| read(path).map(|text| scripts::page(path, &text)))
        .collect::<Result<Vec<Page>, TaskError>>()?;
    let mut found = commands::violations(&pages, reference);
    let lines: usize = pages.iter().map(scripts::count).sum();
    if lines < scripts::LEAST {
        found.push(format!("{}: only {lines} command lines are seen", scripts::PLACE));
    }
    Ok(found)
}

/// Runs the commands that pages show, in a directory that is made anew.
pub fn check_commands(program: &str, place: &Path, out: &mut dyn Write) -> Result<(), TaskError> {
    run::check(program, place, out)
}

/// The pages of the book and those beside it.
fn pages() -> Result<Vec<Page>, TaskError> {
    let mut files = paths(Path::new(BOOK), "md")?;
    files.extend(BESIDE.map(PathBuf::from));
    files.into_iter().map(|path| read(&path).map(|text| Page { path, text })).collect()
}

/// Compares the page of commands with what the program says. With `UPDATE=1` it is written first.
pub fn check_reference(program: &str) -> Result<(), TaskError> {
    let wanted = reference::page(&|words| {
        let help = Program::new(program, &[words, &["--help"]].concat()).output()?;
        Ok(String::from_utf8_lossy(&help).into_owned())
    })?;
    let path = Path::new(commands::REFERENCE);
    if updates() {
        write(path, &wanted)?;
    }
    if read(path)? == wanted {
        return Ok(());
    }
    let name = path.display();
    let way = "UPDATE=1 cargo xtask test \"reference of commands\"";
    Err(TaskError::Rules { violations: vec![format!("{name} is not up to date: {way}")] })
}

fn updates() -> bool {
    std::env::var_os("UPDATE").is_some()
}

/// What is made from other files and is not as these say.
fn generated() -> Result<Vec<String>, TaskError> {
    let mut violations = Vec::new();
    for (name, wanted) in [
        ("docs/api.md", api::page(&read(Path::new("docs/openapi.json"))?)?),
        ("docs/images/layout.svg", layout::picture(&layout::facts(&|name| read(Path::new(name)))?)),
    ] {
        let path = Path::new(name);
        if updates() {
            write(path, &wanted)?;
        }
        if !path.is_file() || read(path)? != wanted {
            violations.push(format!("{name} is not up to date: UPDATE=1 cargo xtask test book"));
        }
    }
    Ok(violations)
}

#[expect(clippy::disallowed_methods, reason = "a maintainer's tool reads its own checkout")]
fn read(path: &Path) -> Result<String, TaskError> {
    fs::read_to_string(path).map_err(|source| TaskError::Read { path: path.to_owned(), source })
}

#[expect(clippy::disallowed_methods, reason = "a maintainer's tool writes its own checkout")]
fn write(path: &Path, text: &str) -> Result<(), TaskError> {
    Ok(fs::write(path, text)?)
}

/// Files below `dir` with an extension, but for those of builds and of other programs.
fn paths(dir: &Path, extension: &str) -> Result<Vec<PathBuf>, TaskError> {
    let failed = |source| TaskError::Read { path: dir.to_owned(), source };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, name) = (entry.path(), entry.file_name());
        let is_foreign = name == "target" || name.to_string_lossy().starts_with('.');
        if entry.file_type().map_err(failed)?.is_dir() {
            if !is_foreign {
                found.extend(paths(&path, extension)?);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The lines of a text outside of fenced blocks, or those inside with the word behind the fence.
fn lines(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    numbered_lines(text).map(|(_, fence, line)| (fence, line))
}

/// The same, each with its number, from 1.
fn numbered_lines(text: &str) -> impl Iterator<Item = (usize, Option<&str>, &str)> {
    let mut fence = None;
    (1..).zip(text.lines()).filter_map(move |(number, line)| {
        if let Some(word) = line.trim_start().strip_prefix("```") {
            fence = if fence.is_some() { None } else { Some(word.trim()) };
            return None;
        }
        Some((number, fence, line))
    })
}
