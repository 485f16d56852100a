// SPDX-License-Identifier: MIT OR Apache-2.0
//! From words to a request: which command, which options, or what to print instead. Pure.

use crate::rauc::commands::{COMMANDS, CommandSpec, DESCRIPTION, MAIN};
use crate::rauc::grammar::{Given, GrammarError, Strangers, help, parse};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A value that takes the place of one in `system.conf`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfOverride {
    /// Its group.
    pub section: String,
    /// Its key.
    pub key: String,
    /// The value.
    pub value: String,
}

/// A command line that names a command.
#[derive(Clone, Debug)]
pub struct Request {
    /// The command.
    pub command: &'static CommandSpec,
    /// The words behind it.
    pub words: Vec<OsString>,
    /// The options.
    pub given: Given,
    /// `-C`.
    pub overrides: Vec<ConfOverride>,
}

impl Request {
    /// A path option.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.given.last(name).map(PathBuf::from)
    }

    /// Every value of a path option.
    #[must_use]
    pub fn paths(&self, name: &str) -> Vec<PathBuf> {
        self.given.all(name).iter().flatten().map(PathBuf::from).collect()
    }

    /// Every value of a text option.
    #[must_use]
    pub fn texts(&self, name: &str) -> Vec<String> {
        let values = self.given.all(name).iter().flatten();
        values.map(|value| value.to_string_lossy().into_owned()).collect()
    }
}

/// What a command line asks for.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A command.
    Run(Box<Request>),
    /// Only text on the standard output, and perhaps a complaint.
    Print {
        /// For the standard error.
        complaint: Option<String>,
        /// For the standard output.
        text: String,
        /// The exit code.
        code: u8,
    },
}

/// Reads the words behind the program's name. `version` is what `--version` prints.
#[must_use]
pub fn read(words: &[OsString], version: &str, is_utf8: bool) -> Asked {
    let mut given = Given::default();
    let first = parse(words, &[&MAIN], Strangers::Left, &mut given);
    let refused = |complaint: String| Asked::Print {
        complaint: Some(complaint),
        text: String::new(),
        code: 1,
    };
    let left = match first {
        Ok(left) => left,
        Err(error) => return refused(error.to_string()),
    };
    let overrides = match overrides(&given) {
        Ok(overrides) => overrides,
        Err(complaint) => return refused(complaint.to_owned()),
    };
    let dots = if is_utf8 { "…" } else { "?" };
    let general = || help("<COMMAND>", "", None, &MAIN, (DESCRIPTION, dots));
    let Some(word) = left.iter().find(|word| !word.as_bytes().starts_with(b"-")) else {
        if given.has("version") {
            return Asked::Print { complaint: None, text: format!("{version}\n"), code: 0 };
        }
        let code = u8::from(!given.has("help"));
        return Asked::Print { complaint: None, text: general(), code };
    };
    let Some(command) = COMMANDS.iter().find(|known| OsStr::new(known.name) == word) else {
        let word = word.to_string_lossy();
        let text = format!("Invalid command '{word}' given\n{}", general());
        return Asked::Print { complaint: None, text, code: 1 };
    };
    let options = command.options.as_ref();
    let own = || help(command.usage, command.summary, options, &MAIN, ("", dots));
    let groups: Vec<_> = std::iter::once(&MAIN).chain(options).collect();
    match parse(&left, &groups, Strangers::Refused, &mut given) {
        Err(error) => {
            let complaint = Some(error.to_string());
            Asked::Print { complaint, text: own(), code: 1 }
        }
        Ok(_) if given.has("help") => Asked::Print { complaint: None, text: own(), code: 0 },
        Ok(words) => {
            let words = words.into_iter().skip(1).collect();
            Asked::Run(Box::new(Request { command, words, given, overrides }))
        }
    }
}

fn overrides(given: &Given) -> Result<Vec<ConfOverride>, &'static str> {
    let read = |value: &Option<OsString>| {
        let value = value
            .as_ref()
            .ok_or("Error in parsing override: you must specify it in format SECTION:KEY=VALUE")?;
        let value = value.to_string_lossy();
        let (place, value) =
            value.split_once('=').ok_or("Error in parsing override: Missing '='")?;
        let (section, key) =
            place.split_once(':').ok_or("Error in parsing override: Missing ':'")?;
        Ok(ConfOverride {
            section: section.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
        })
    };
    given.all("confopt").iter().map(read).collect()
}

/// The words of a command, if there are as many as it takes; `missing` are RAUC's complaints, one
/// for each word.
///
/// # Errors
/// RAUC's complaint.
pub fn exactly<const N: usize>(
    words: &[OsString],
    missing: [&str; N],
) -> Result<[OsString; N], String> {
    if let Some(missing) = missing.get(words.len()) {
        return Err((*missing).to_owned());
    }
    if let Some(excess) = words.get(N) {
        return Err(format!("Excess argument: {}", excess.to_string_lossy()));
    }
    words.to_vec().try_into().map_err(|_| "Excess argument".to_owned())
}

impl From<GrammarError> for String {
    fn from(error: GrammarError) -> Self {
        error.to_string()
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
