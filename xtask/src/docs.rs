// SPDX-License-Identifier: MIT OR Apache-2.0
//! `cargo xtask docs`: the book as pages, by mdbook. What is wrong in the book is the suite's to find
//! (`book.rs`), which needs no mdbook.

use crate::error::TaskError;
use crate::program::Program;
use clap::Subcommand;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

const MDBOOK: &str = "mdbook";
const BOOK: &str = "docs";

/// Verbs of `cargo xtask docs`.
#[derive(Clone, Debug, Subcommand)]
pub enum DocsCommand {
    /// Build the pages
    Build {
        /// Where they go; without it target/book
        #[arg(long, value_name = "DIR")]
        dest: Option<PathBuf>,
    },
    /// Serve the pages on this machine, anew at each change, until Ctrl-C
    Serve {
        /// The TCP port
        #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u16).range(1..))]
        port: u16,
    },
}

/// Does what was asked for.
pub fn run(command: &DocsCommand) -> Result<(), TaskError> {
    if !Path::new(BOOK).join("book.toml").is_file() {
        return Err(TaskError::NoBook);
    }
    by(MDBOOK, &words(command)?)
}

/// What mdbook is told. It takes a relative directory from the book on, and a person does not.
fn words(command: &DocsCommand) -> Result<Vec<String>, TaskError> {
    let mut words: Vec<String> = Vec::new();
    match command {
        DocsCommand::Build { dest } => {
            words.extend(["build", BOOK].map(str::to_owned));
            if let Some(dest) = dest {
                words.push("--dest-dir".to_owned());
                words.push(std::path::absolute(dest)?.display().to_string());
            }
        }
        DocsCommand::Serve { port } => {
            words.extend(["serve", BOOK, "--hostname", "localhost", "--port"].map(str::to_owned));
            words.push(port.to_string());
        }
    }
    Ok(words)
}

fn by(program: &str, words: &[String]) -> Result<(), TaskError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match Program::new(program, &words).run() {
        Err(TaskError::Start { source, .. }) if source.kind() == ErrorKind::NotFound => {
            Err(TaskError::NoMdbook)
        }
        ended => ended,
    }
}

#[cfg(test)]
mod tests {
    use super::{DocsCommand, by, words};

    #[test]
    fn pages_go_where_a_person_says_seen_from_where_he_is() {
        let here = std::env::current_dir().unwrap().join("pages").display().to_string();
        let build =
            |dest: Option<&str>| words(&DocsCommand::Build { dest: dest.map(Into::into) }).unwrap();
        assert_eq!(build(None), ["build", "docs"]);
        assert_eq!(build(Some("pages")), ["build", "docs", "--dest-dir", &here]);
        assert_eq!(build(Some("/srv/pages"))[3], "/srv/pages");
    }

    #[test]
    fn pages_are_served_to_this_machine_alone() {
        let words = words(&DocsCommand::Serve { port: 3001 }).unwrap();
        assert_eq!(words, ["serve", "docs", "--hostname", "localhost", "--port", "3001"]);
    }

    #[test]
    fn without_mdbook_the_way_to_it_is_told_and_its_own_failure_is_its_own() {
        let told = by("/nowhere/mdbook", &[]).unwrap_err().to_string();
        assert!(told.contains("cargo install --locked mdbook"), "{told}");
        let failed = by("false", &["build".to_owned()]).unwrap_err().to_string();
        assert!(failed.starts_with("false build failed with "), "{failed}");
    }
}
