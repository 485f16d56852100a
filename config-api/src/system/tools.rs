// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs that an activation needs, behind a seam of its own for its tests.

use programs::{ProgramCall, ProgramError, capture};
use std::time::Duration;

/// Most of an answer that is kept; `nft` lists one chain.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Whoever can run programs.
pub trait Programs: Send {
    /// Runs one to its good end, for `limit` at most, and gives its answer.
    ///
    /// # Errors
    /// [`ProgramError`].
    fn run(
        &mut self,
        argv: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, ProgramError>;
}

/// The programs of this machine.
#[derive(Clone, Debug)]
pub struct HostPrograms {
    /// Where they are looked for.
    pub path: String,
}

impl Programs for HostPrograms {
    fn run(
        &mut self,
        argv: &[&str],
        mut input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, ProgramError> {
        let program = argv.first().copied().unwrap_or_default();
        let call = ProgramCall::new(program)
            .args(argv.get(1..).unwrap_or_default())
            .env("PATH", &self.path)
            .env("LC_ALL", "C")
            .input(&mut input)
            .timeout(limit);
        let (end, answer) = capture(call, MAX_ANSWER_BYTES, &|| None)?;
        end.check(program)?;
        Ok(answer)
    }
}
