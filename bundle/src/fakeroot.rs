// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who runs the programs that make parts of a bundle (mksquashfs, tar, mkcomposefs), and as whom?

use programs::{ProgramCall, ProgramError};
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Who stands for root while trees are packed.
pub(crate) struct Fakeroot<'a> {
    /// The file that remembers owners, when we are not root.
    state: Option<&'a Path>,
}

impl<'a> Fakeroot<'a> {
    /// Real root needs none.
    pub(crate) fn new(state: &'a Path) -> Self {
        Self { state: (!nix::unistd::geteuid().is_root()).then_some(state) }
    }

    pub(crate) fn none() -> Self {
        Self { state: None }
    }

    /// Runs `program` to its end, in our process group: who packs a bundle by hand ends it by
    /// Ctrl-C. What it prints goes to people: `mksquashfs -info`.
    pub(crate) fn run(&self, program: &str, args: &[OsString]) -> Result<(), ProgramError> {
        let call = match self.state {
            None => ProgramCall::new(program),
            Some(state) => {
                let call = ProgramCall::new("fakeroot").arg("-s").arg(state);
                let call = if state.exists() { call.arg("-i").arg(state) } else { call };
                call.arg("--").arg(program)
            }
        };
        let call = call.args(args).in_our_group().talks_to_people();
        let end = programs::run(call, &|| None)?;
        // fakeroot starts the program, and a shell's numbers tell that it could not.
        if self.state.is_some() && matches!(end.code, Some(126 | 127)) {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(ProgramError::Start { program: program.to_owned(), source });
        }
        end.check(program).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_program_and_a_missing_one_are_told_apart() {
        let run = |program: &str, args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            Fakeroot::none().run(program, &args)
        };
        assert!(run("true", &[]).is_ok());
        let failed = run("tar", &["-xf", "/nonexistent/archive"]).unwrap_err().to_string();
        assert!(failed.contains("/nonexistent/archive"), "{failed}");
        let missing = run("no-such-program-of-ours", &[]);
        assert!(matches!(missing, Err(ProgramError::Start { .. })));
    }
}
