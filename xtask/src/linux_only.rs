// SPDX-License-Identifier: MIT OR Apache-2.0
//! Do the rooms still build where there is no Linux? The build machine has one system only, so
//! this reads the sources: a name that only Linux knows may stand only in code that is compiled
//! for Linux alone. It knows the names of [`LINUX_ONLY`] and those that a room exports for Linux
//! alone; a build on another system is the whole proof (`docs/testing.md`).
//!
//! It relies on the layout of `rustfmt`: what encloses a line stands above it, indented less.

use crate::error::TaskError;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of calls, flags, macros and files that only Linux has, as far as the rooms need such.
const LINUX_ONLY: [&str; 26] = [
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
    "CLOCK_BOOTTIME",
    "FsType",
    "ST_NOEXEC",
    ".filesystem_type(",
    "stat::major",
    "stat::{major",
];

const SOURCES: [&str; 13] = [
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
    "agents/src",
    "board-rock64/src",
    "atomix/src",
];

/// Checks the sources of all rooms.
pub fn check() -> Result<(), TaskError> {
    let mut violations = Vec::new();
    let mut rooms = Vec::new();
    for room in SOURCES {
        let mut files = Vec::new();
        collect(Path::new(room), &mut files)?;
        rooms.push((room, files));
    }
    let exports: Vec<Exports> =
        rooms.iter().map(|(room, files)| Exports::of(room, files)).collect();
    for (_, files) in &rooms {
        let declared = gated_modules(files);
        for (path, text) in files {
            if path
                .file_stem()
                .is_some_and(|stem| declared.contains(&stem.to_string_lossy().into()))
            {
                continue;
            }
            let calls = ungated(text).into_iter().map(|(line, name)| (line, name.to_owned()));
            let taken = exports.iter().flat_map(|exports| exports.ungated(text));
            violations.extend(calls.chain(taken).map(|(line, name)| {
                format!("{}:{line}: {name} exists on Linux only and is not gated", path.display())
            }));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(TaskError::Rules { violations }) }
}

/// What a room hands out on Linux alone.
struct Exports {
    /// As code calls the room.
    room: String,
    names: Vec<String>,
}

impl Exports {
    fn of(source: &str, files: &[(PathBuf, String)]) -> Self {
        let room = source.trim_end_matches("/src").replace('-', "_");
        let (mut names, mut elsewhere) = (Vec::new(), Vec::new());
        for (_, text) in files {
            let lines: Vec<&str> = text.lines().collect();
            for (at, line) in lines.iter().enumerate() {
                if !line.trim().starts_with("pub use ") {
                    continue;
                }
                let found = words(&statement(&lines, at)).map(str::to_owned).collect::<Vec<_>>();
                if has_gate(&lines, at) {
                    names.extend(found);
                } else {
                    elsewhere.extend(found);
                }
            }
        }
        // Modules are lower case as functions are; what other systems export too is none of Linux's.
        names.retain(|name| !elsewhere.contains(name) && !KEYWORDS.contains(&name.as_str()));
        Self { room, names }
    }

    /// Lines that take such a name from the room where other systems compile them too.
    fn ungated(&self, text: &str) -> Vec<(usize, String)> {
        let lines: Vec<&str> = text.lines().collect();
        let mut found = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            let whole = statement(&lines, at);
            let import = whole.trim_start_matches("pub ").strip_prefix("use ");
            let taken: Vec<&str> = match import {
                Some(path) if words(path).next() == Some(&self.room) => words(path).collect(),
                Some(_) => Vec::new(),
                None => paths_of(code, &self.room).flat_map(words).collect(),
            };
            let name = self.names.iter().find(|name| taken.contains(&name.as_str()));
            if let Some(name) = name.filter(|_| !is_gated(&lines, at)) {
                found.push((at + 1, format!("{}::{name}", self.room)));
            }
        }
        found
    }
}

const KEYWORDS: [&str; 4] = ["pub", "use", "crate", "self"];

/// A statement that begins at a line, up to its semicolon.
fn statement(lines: &[&str], at: usize) -> String {
    let rest = lines.iter().skip(at).map(|line| line.trim());
    let mut whole = String::new();
    for line in rest {
        whole.push_str(line);
        whole.push(' ');
        if line.ends_with(';') || !whole.trim_start_matches("pub ").starts_with("use ") {
            break;
        }
    }
    whole
}

fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty())
}

/// The paths in a line that begin at a room.
fn paths_of<'c>(code: &'c str, room: &str) -> impl Iterator<Item = &'c str> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let begin = format!("{room}::");
    code.split(move |c| !is_part(c)).filter(move |path| path.starts_with(&begin))
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
            let name = name.filter(|_| has_gate(&lines, at));
            modules.extend(name.map(|name| stem_above(&lines, at).unwrap_or(name).to_owned()));
        }
    }
    modules
}

/// Where the file of a module has another name than it: `#[path = "…"]`.
fn stem_above<'l>(lines: &[&'l str], at: usize) -> Option<&'l str> {
    let path = lines.get(at.checked_sub(1)?)?.trim().strip_prefix("#[path = \"")?;
    path.strip_suffix(".rs\"]")
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
        // What a closing bracket begins with goes on above, as deep: `) -> u32 {`.
        within = if line.trim_start().starts_with(')') { depth + 1 } else { depth };
    }
    false
}

/// Whether the attributes right above a line name Linux among the systems it is compiled for, or
/// say that it is a test: those run on Linux only.
fn has_gate(lines: &[&str], at: usize) -> bool {
    let above = lines.iter().take(at).rev().map(|line| line.trim());
    above.take_while(|line| line.starts_with("#[") || line.starts_with("//")).any(|line| {
        line == "#[cfg(test)]"
            || line.starts_with("#[cfg(") && line.contains("linux") && !line.contains("not(")
    })
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
        let long =
            "#[cfg(target_os = \"linux\")]\nfn a(\n    b: u8,\n) -> u8 {\n    O_DIRECT;\n}\n";
        assert!(ungated(long).is_empty());
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
    fn what_a_room_exports_for_linux_alone_is_gated_where_it_is_taken() {
        let gate = "#[cfg(target_os = \"linux\")]\n";
        let lib = format!(
            "{gate}pub use emmc::{{BootPartition,\n    Registers}};\npub use both::open;\n\
             {gate}pub use ioctl::open;\n"
        );
        let exports = Exports::of("storage/src", &[("lib.rs".into(), lib)]);
        let import = "use storage::{Access,\n    Registers};\nuse bundle::Registers;\n";
        assert_eq!(exports.ungated(import), [(1, "storage::Registers".to_owned())]);
        let call = "fn a() {\n    storage::Registers::new(storage::open());\n}\n";
        assert_eq!(exports.ungated(call), [(2, "storage::Registers".to_owned())]);
        assert!(exports.ungated(&format!("{gate}{import}")).is_empty());
    }

    #[test]
    fn a_file_is_gated_where_its_module_is_declared() {
        let text = "#[cfg(target_os = \"linux\")]\nmod ioctl;\nmod file;\n\
                    #[cfg(test)]\n#[path = \"mount_tests.rs\"]\nmod tests;\n";
        let modules = gated_modules(&[("lib.rs".into(), text.to_owned())]);
        assert_eq!(modules, ["ioctl", "mount_tests"]);
    }
}
