// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a program to get, and how did it end?

use crate::ProgramError;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::path::Path;
use std::time::Duration;

/// Which of a program's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Told what a program writes, as it comes.
pub type OutputSink<'a> = &'a mut dyn FnMut(OutputStream, &[u8]);

/// Where a program's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardOutput {
    /// To the caller's sink; nowhere without one.
    Told,
    /// To our standard error: what it prints is for people, and our standard output is data.
    People,
}

/// Whose process group a program is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Its own: all that it starts is ended with it.
    Own,
    /// Ours: a terminal's signals reach it, and only itself is ended by us.
    Ours,
}

/// A program to run: an argument list, never a shell's line.
pub struct ProgramCall<'a> {
    /// The program; without a slash it is looked for in `PATH` and in the `sbin` directories.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Variables on top of this process's own.
    pub environment: Vec<(OsString, OsString)>,
    /// What it reads on standard input; nothing when `None`.
    pub input: Option<&'a mut dyn Read>,
    /// Told what it writes, as it comes: in pieces of at most 64 KiB that end anywhere.
    pub output: Option<OutputSink<'a>>,
    /// Where its standard output goes.
    pub standard_output: StandardOutput,
    /// Whose process group it is in.
    pub group: Group,
    /// The longest it may take.
    pub timeout: Option<Duration>,
}

impl<'a> ProgramCall<'a> {
    /// A program without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            input: None,
            output: None,
            standard_output: StandardOutput::Told,
            group: Group::Own,
            timeout: None,
        }
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|one| one.as_ref().to_owned()));
        self
    }

    /// One more variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What it reads on standard input.
    #[must_use]
    pub fn input(mut self, input: &'a mut dyn Read) -> Self {
        self.input = Some(input);
        self
    }

    /// Who is told what it writes.
    #[must_use]
    pub fn output(mut self, output: OutputSink<'a>) -> Self {
        self.output = Some(output);
        self
    }

    /// The longest it may take.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Its standard output goes to our standard error, where people and logs read; the sink of
    /// [`Self::output`] gets the standard error alone.
    #[must_use]
    pub const fn talks_to_people(mut self) -> Self {
        self.standard_output = StandardOutput::People;
        self
    }

    /// It stays in our process group, so that the terminal's Ctrl-C ends it with us.
    #[must_use]
    pub const fn in_our_group(mut self) -> Self {
        self.group = Group::Ours;
        self
    }

    /// The same call with another sink, which may live shorter than what the call had.
    pub fn told_to<'n>(self, sink: OutputSink<'n>) -> ProgramCall<'n>
    where
        'a: 'n,
    {
        let Self {
            program, arguments, environment, input, standard_output, group, timeout, ..
        } = self;
        let input = input.map(|input| -> &'n mut dyn Read { input });
        let output = Some(sink);
        ProgramCall {
            program,
            arguments,
            environment,
            input,
            output,
            standard_output,
            group,
            timeout,
        }
    }

    /// The program's name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        let path = Path::new(&self.program);
        path.file_name().unwrap_or(&self.program).to_string_lossy().into_owned()
    }
}

/// How a program ended by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramEnd {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The end of what it wrote to standard error, bounded.
    pub stderr: String,
    /// Whether it stopped reading before its input was at an end.
    pub left_input: bool,
}

impl ProgramEnd {
    /// Whether it exited with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Success, or [`ProgramError::Failed`] in the name of `program`.
    ///
    /// # Errors
    /// [`ProgramError::Failed`].
    pub fn check(self, program: &str) -> Result<Self, ProgramError> {
        if self.success() {
            return Ok(self);
        }
        Err(ProgramError::Failed { program: program.to_owned(), end: self })
    }

    /// How it ended, and its last words in one line: they are foreign text.
    pub(crate) fn describe(&self) -> String {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit status".to_owned(),
        };
        let words = self.stderr.split(char::is_control).map(str::trim);
        let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() { how } else { format!("{how}: {}", words.join(" ")) }
    }
}
