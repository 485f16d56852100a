// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a maintainer's task failed.

use std::io;
use std::path::PathBuf;

/// A failed task.
#[derive(Debug, thiserror::Error)]
pub enum TaskError {
    /// A program could not be started.
    #[error("cannot run {program}: {source}")]
    Start {
        /// Program name.
        program: String,
        /// Cause.
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("{program} failed with {status}")]
    Failed {
        /// Program and arguments.
        program: String,
        /// Exit status in words.
        status: String,
    },
    /// No step of the suite has that in its name.
    #[error("no step of the suite is named like {part:?}; there are: {names}")]
    NoStep {
        /// What was asked for.
        part: String,
        /// The names that there are.
        names: String,
    },
    /// A crate of this workspace has no tests of its library any more.
    #[error("there are no tests of the library in {}", dir.display())]
    NoTests {
        /// Directory of the crate.
        dir: PathBuf,
    },
    /// Programs that judge our output are missing.
    #[error("missing programs: {}; run `bash .ci/setup` as root", programs.join(", "))]
    JudgesMissing {
        /// Program names.
        programs: Vec<String>,
    },
    /// The workspace breaks one of its own rules.
    #[error("the workspace breaks its rules:\n  {}", violations.join("\n  "))]
    Rules {
        /// One sentence each.
        violations: Vec<String>,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Path.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// `cargo metadata` printed something unexpected.
    #[error("cannot read cargo's metadata: {0}")]
    Metadata(#[from] serde_json::Error),
    /// `deny.toml` has another shape than expected.
    #[error("cannot read {}: {source}", path.display())]
    Policy {
        /// Path.
        path: PathBuf,
        /// Cause.
        source: toml::de::Error,
    },
    /// No scenario is called so.
    #[error("{name} is not the name of one scenario; `cargo xtask e2e --list` has them all")]
    NoScenario {
        /// What was asked for.
        name: String,
    },
    /// Scenarios of the real chain failed.
    #[error("failed: {}", failed.join(", "))]
    Scenarios {
        /// Their names.
        failed: Vec<String>,
    },
    /// There is no book here.
    #[error("there is no docs/book.toml here; run this in the root of the checkout")]
    NoBook,
    /// The book's builder is missing.
    #[error(
        "mdbook is not installed; `cargo install --locked mdbook` does it, `nix develop` has it"
    )]
    NoMdbook,
    /// Standard output is gone.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}
