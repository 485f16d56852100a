// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the rooms still build where there is no Linux? The build machine has one system only, so
//! this reads the sources: a name that only Linux knows may stand only in code that is compiled
//! for Linux alone. It knows the names of [`LINUX_ONLY`] and no others; a build on another system
//! is the whole proof (`docs/testing.md`).
//!
//! It relies on the layout of `rustfmt`: what encloses a line stands above it, indented less.

use crate::error::TaskError;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of calls, flags, macros and files that only Linux has, as far as the rooms need such.
const LINUX_ONLY: [&str; 20] = [
    "memfd_create",
    "O_DIRECT",
    "O_TMPFILE",
    "O_PATH",
    "posix_fadvise(",
    "fallocate(",
    "openat2(",
    "renameat2(",
    "syncfs(",
    "pipe2(",
    "nix::mount",
    "nix::sys::inotify",
    "nix::sys::epoll",
    "nix::sys::signalfd",
    "nix::sys::timerfd",
    "ioctl_none",
    "ioctl_read",
    "ioctl_write",
    "std::os::linux",
    "/proc/self/fd",
];

const SOURCES: [&str; 12] = [
    "programs/src",
    "storage/src",
    "uboot/src",
    "bundle/src",
    "bootctl/src",
    "repart/src",
    "atomix-repart/src",
    "verifier/src",
    "updater/src",
    "config-api/src",
    "board-rock64/src",
    "atomix/src",
];

/// Checks the sources of all rooms.
pub fn check() -> Result<(), TaskError> {
    let mut violations = Vec::new();
    for room in SOURCES {
        let mut files = Vec::new();
        collect(Path::new(room), &mut files)?;
        let declared = gated_modules(&files);
        for (path, text) in &files {
            if path
                .file_stem()
                .is_some_and(|stem| declared.contains(&stem.to_string_lossy().into()))
            {
                continue;
            }
            violations.extend(ungated(text).into_iter().map(|(line, name)| {
                format!("{}:{line}: {name} exists on Linux only and is not gated", path.display())
            }));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(TaskError::Rules { violations }) }
}

#[expect(clippy::disallowed_methods, reason = "a maintainer's tool reads its own checkout")]
fn collect(dir: &Path, files: &mut Vec<(PathBuf, String)>) -> Result<(), TaskError> {
    let failed = |source| TaskError::Read { path: dir.to_owned(), source };
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)
                .map_err(|source| TaskError::Read { path: path.clone(), source })?;
            files.push((path, text));
        }
    }
    files.sort();
    Ok(())
}

/// Modules in files of their own that are compiled for Linux alone.
fn gated_modules(files: &[(PathBuf, String)]) -> Vec<String> {
    let mut modules = Vec::new();
    for (_, text) in files {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let name = line.trim().strip_prefix("pub ").unwrap_or(line.trim());
            let name = name.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';'));
            modules.extend(name.filter(|_| has_gate(&lines, at)).map(str::to_owned));
        }
    }
    modules
}

/// Whether `code` has `name` in it. Every system has `O_DIRECTORY`; calls have variants.
fn names(code: &str, name: &str) -> bool {
    let is_longer = |rest: &str| name.starts_with("O_") && rest.starts_with(char::is_alphabetic);
    code.match_indices(name).any(|(at, _)| !is_longer(&code[at + name.len()..]))
}

/// Line numbers and names of what is Linux's and stands in code that other systems compile too.
fn ungated(text: &str) -> Vec<(usize, &'static str)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let Some(name) = LINUX_ONLY.iter().find(|name| names(code, name)) else { continue };
        if !is_gated(&lines, at) {
            found.push((at + 1, *name));
        }
    }
    found
}

/// Whether the line or anything that encloses it has a gate.
fn is_gated(lines: &[&str], at: usize) -> bool {
    let mut within = usize::MAX;
    for (number, line) in lines.iter().enumerate().take(at + 1).rev() {
        let depth = line.len() - line.trim_start().len();
        if line.trim().is_empty() || depth >= within {
            continue;
        }
        if has_gate(lines, number) {
            return true;
        }
        within = depth;
    }
    false
}

/// Whether the attributes right above a line name Linux among the systems it is compiled for.
fn has_gate(lines: &[&str], at: usize) -> bool {
    let above = lines.iter().take(at).rev().map(|line| line.trim());
    above
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .any(|line| line.starts_with("#[cfg(") && line.contains("linux") && !line.contains("not("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ungated_call_is_found_with_its_line_and_name() {
        let text = "fn a() {\n    let file = memfd_create(c\"a\");\n}\n";
        assert_eq!(ungated(text), [(2, "memfd_create")]);
    }

    #[test]
    fn a_gate_covers_its_item_its_module_and_its_statement_and_nothing_after_it() {
        let item = "#[cfg(target_os = \"linux\")]\n/// Why.\nfn a() {\n    O_DIRECT;\n}\n";
        assert!(ungated(item).is_empty());
        let module = format!("#[cfg(target_os = \"linux\")]\nmod linux {{\n{item}}}\n");
        assert!(ungated(&module).is_empty());
        let statement =
            "fn a() {\n    #[cfg(target_os = \"linux\")]\n    {\n        O_DIRECT;\n    }\n}\n";
        assert!(ungated(statement).is_empty());
        let after = format!("{item}fn b() {{\n    O_DIRECT;\n}}\n");
        assert_eq!(ungated(&after), [(7, "O_DIRECT")]);
    }

    #[test]
    fn a_gate_against_linux_is_none_and_a_comment_is_no_call() {
        let against = "#[cfg(not(target_os = \"linux\"))]\nfn a() {\n    O_DIRECT;\n}\n";
        assert_eq!(ungated(against), [(3, "O_DIRECT")]);
        assert!(ungated("//! O_DIRECT is not for us\n").is_empty());
    }

    #[test]
    fn a_file_is_gated_where_its_module_is_declared() {
        let text = "#[cfg(target_os = \"linux\")]\nmod ioctl;\nmod file;\n".to_owned();
        assert_eq!(gated_modules(&[("lib.rs".into(), text)]), ["ioctl"]);
    }
}
