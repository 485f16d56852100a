// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one seam between slot handlers, hooks and the machine: programs, devices, and the few acts
//! on devices that are no reading and writing. Tests put a machine of their own here.

use crate::StopQuestion;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use storage::{ByteLen, Devices, StorageError};

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
    /// Told what it writes, as it comes; see [`crate::Lines`] for whole lines.
    pub output: Option<OutputSink<'a>>,
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

    fn describe(&self) -> String {
        let how = match (self.code, self.signal) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "no exit status".to_owned(),
        };
        match self.stderr.trim() {
            "" => how,
            stderr => format!("{how}: {stderr}"),
        }
    }
}

/// A program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started.
    #[error("cannot start {program}")]
    Start {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// Its pipes failed.
    #[error("cannot talk with {program}")]
    Talk {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// What it should read could not be had.
    #[error("cannot read the input for {program}")]
    Input {
        /// Program.
        program: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("{program} took longer than {} s and was killed", limit.as_secs())]
    TimedOut {
        /// Program.
        program: String,
        /// The longest it may take.
        limit: Duration,
    },
    /// Somebody wanted the whole to end; the program was killed.
    #[error("stopped by {by}")]
    Stopped {
        /// Who, in a word.
        by: &'static str,
    },
    /// It ended with a failure.
    #[error("{program} failed ({})", end.describe())]
    Failed {
        /// Program.
        program: String,
        /// How it ended.
        end: ProgramEnd,
    },
}

impl ProgramError {
    /// The way out, where there is one to name.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("install the program, or put its directory into PATH")
            }
            Self::Start { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("make it executable, on a file system that is not mounted noexec")
            }
            Self::Start { .. }
            | Self::Talk { .. }
            | Self::Input { .. }
            | Self::TimedOut { .. }
            | Self::Stopped { .. }
            | Self::Failed { .. } => None,
        }
    }
}

/// An act of a machine that is no program failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {path}", path = path.display())]
pub struct MachineError {
    /// What was tried.
    pub act: &'static str,
    /// With what.
    pub path: PathBuf,
    /// Cause.
    #[source]
    pub source: io::Error,
}

/// One of the two boot partitions of an eMMC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootHalf {
    /// `boot0`.
    Boot0,
    /// `boot1`.
    Boot1,
}

impl BootHalf {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Boot0 => Self::Boot1,
            Self::Boot1 => Self::Boot0,
        }
    }

    /// Its number, as in the device's name.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Boot0 => 0,
            Self::Boot1 => 1,
        }
    }
}

/// A copy of an image that a program can open by a path; gone when dropped.
pub trait Spooled {
    /// Where it can be read.
    fn path(&self) -> &Path;
}

/// What slot handlers, hooks and handlers may do to a machine.
pub trait Machine: Send {
    /// Runs a program to its end: in a process group of its own, with the default signal mask,
    /// asking `stop` while it runs. Background children that hold its pipes are not waited for.
    ///
    /// # Errors
    /// [`ProgramError`], every kind but `Failed`: an exit code is an answer, see
    /// [`ProgramEnd::check`].
    fn run(
        &mut self,
        call: ProgramCall<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<ProgramEnd, ProgramError>;

    /// The devices.
    fn devices(&self) -> &dyn Devices;

    /// Makes a directory and those above it, for root alone; being there already is success.
    ///
    /// # Errors
    /// [`MachineError`].
    fn make_dir(&mut self, dir: &Path) -> Result<(), MachineError>;

    /// Removes an empty directory; a failure costs nothing and is not told.
    fn remove_dir(&mut self, dir: &Path);

    /// Makes everything on the file system that is mounted at `dir` durable.
    ///
    /// # Errors
    /// [`MachineError`]; since Linux 5.8 also when an earlier write failed.
    fn sync_filesystem(&mut self, dir: &Path) -> Result<(), MachineError> {
        let sync = || -> io::Result<()> { Ok(nix::unistd::syncfs(std::fs::File::open(dir)?)?) };
        sync().map_err(|source| MachineError { act: "sync", path: dir.to_owned(), source })
    }

    /// The device's path without links.
    ///
    /// # Errors
    /// [`MachineError`].
    fn real_path(&self, device: &Path) -> Result<PathBuf, MachineError>;

    /// Makes a plain file that stands for a device at least as long as `len`; devices keep their
    /// size.
    ///
    /// # Errors
    /// [`MachineError`].
    fn grow_file(&mut self, device: &Path, len: ByteLen) -> Result<(), MachineError>;

    /// Keeps exactly what `image` gives where a program can open it by a path.
    ///
    /// # Errors
    /// [`MachineError`].
    fn spool(&mut self, image: &mut dyn Read) -> Result<Box<dyn Spooled>, MachineError>;

    /// Begins to replace the content of a UBI volume by `len` bytes (`UBI_IOCVOLUP`). The volume
    /// is unusable until all of them are written.
    ///
    /// # Errors
    /// [`StorageError`].
    fn replace_volume(
        &mut self,
        device: &Path,
        len: ByteLen,
    ) -> Result<Box<dyn Write>, StorageError>;

    /// Reads a UBI volume from its start.
    ///
    /// # Errors
    /// [`StorageError`].
    fn read_volume(&self, device: &Path) -> Result<Box<dyn Read>, StorageError>;

    /// Which boot partition an eMMC boots from; `None` when it is not set up to boot from one.
    ///
    /// # Errors
    /// [`StorageError`].
    fn boot_partition(&self, device: &Path) -> Result<Option<BootHalf>, StorageError>;

    /// Makes an eMMC boot from this boot partition.
    ///
    /// # Errors
    /// [`StorageError`].
    fn set_boot_partition(&mut self, device: &Path, half: BootHalf) -> Result<(), StorageError>;

    /// Sets the kernel's write protection (`force_ro`) of a block device.
    ///
    /// # Errors
    /// [`MachineError`].
    fn set_force_ro(&mut self, device: &Path, protect: Protection) -> Result<(), MachineError>;
}

/// The kernel's write protection of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// It can be written.
    Off,
    /// It cannot be written.
    On,
}
