// SPDX-License-Identifier: MIT OR Apache-2.0
//! What comes from the line, and how is something said on it? The device, raw: no echo, no line
//! editing, no flow control, as the boards want it.
//!
//! One program at a time listens: a second one would steal every other byte. So the device is
//! locked while it is open, as other terminal programs do it.

use super::baud::Baud;
use super::error::LineError;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{
    BaudRate, ControlFlags, FlushArg, SetArg, cfmakeraw, cfsetspeed, tcflush, tcgetattr, tcsetattr,
};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the line may refuse what is sent.
const SAY_PATIENCE: Duration = Duration::from_secs(5);

/// An open line.
#[derive(Debug)]
pub struct Port {
    path: PathBuf,
    file: File,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// So many bytes.
    Bytes(usize),
    /// Nothing in this time.
    Nothing,
}

impl Port {
    /// Opens the device of a line and throws away what came before.
    ///
    /// # Errors
    /// [`LineError`] of its existence, its owner or another listener.
    pub fn open(path: &Path, baud: Baud) -> Result<Self, LineError> {
        let own = || path.to_owned();
        // Without waiting: a modem line would wait for its carrier.
        let flags = OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(flags.bits());
        let file = options.open(path).map_err(|source| not_opened(path, source))?;
        // Also one of the names that the kernel has for ports that are not there.
        let Ok(mut settings) = tcgetattr(&file) else {
            return Err(LineError::NotALine { path: own() });
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LineError::InUse { path: own() }),
            Err(TryLockError::Error(source)) => {
                return Err(LineError::Io { act: "lock", path: own(), source });
            }
        }
        cfmakeraw(&mut settings);
        settings.control_flags |= ControlFlags::CLOCAL | ControlFlags::CREAD;
        settings.control_flags &= !(ControlFlags::CRTSCTS | ControlFlags::HUPCL);
        cfsetspeed(&mut settings, BaudRate::from(baud))
            .and_then(|()| tcsetattr(&file, SetArg::TCSANOW, &settings))
            .and_then(|()| tcflush(&file, FlushArg::TCIOFLUSH))
            .map_err(io::Error::from)
            .map_err(|cause| lost(path, "set up", cause))?;
        Ok(Self { path: own(), file })
    }

    /// Its device.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for bytes, not longer than `within`.
    ///
    /// # Errors
    /// [`LineError::Gone`] or [`LineError::Io`].
    pub fn hear(&mut self, into: &mut [u8], within: Duration) -> Result<Heard, LineError> {
        if self.wait(PollFlags::POLLIN, within)? {
            return self.take(into);
        }
        Ok(Heard::Nothing)
    }

    /// Takes the bytes that are there.
    ///
    /// # Errors
    /// [`LineError::Gone`] or [`LineError::Io`].
    pub fn take(&mut self, into: &mut [u8]) -> Result<Heard, LineError> {
        match self.file.read(into) {
            Ok(0) => Err(self.gone()),
            Ok(count) => Ok(Heard::Bytes(count)),
            Err(cause) if is_nothing_yet(&cause) => Ok(Heard::Nothing),
            Err(cause) => Err(self.lost("read", cause)),
        }
    }

    /// Says all of `bytes`.
    ///
    /// # Errors
    /// [`LineError::Gone`], [`LineError::Stuck`] or [`LineError::Io`].
    pub fn say(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(cause) if is_nothing_yet(&cause) => {
                    if !self.wait(PollFlags::POLLOUT, SAY_PATIENCE)? {
                        return Err(LineError::Stuck { path: self.path.clone() });
                    }
                }
                Err(cause) => return Err(self.lost("write to", cause)),
            }
        }
        Ok(())
    }

    fn wait(&self, what: PollFlags, within: Duration) -> Result<bool, LineError> {
        let mut polled = [PollFd::new(self.file.as_fd(), what)];
        let timeout = PollTimeout::try_from(within).unwrap_or(PollTimeout::MAX);
        match poll(&mut polled, timeout) {
            // A hang-up is told by the read that follows.
            Ok(count) => Ok(count > 0),
            Err(nix::errno::Errno::EINTR) => Ok(false),
            Err(cause) => Err(self.lost("wait for", cause.into())),
        }
    }

    fn gone(&self) -> LineError {
        LineError::Gone { path: self.path.clone() }
    }

    fn lost(&self, act: &'static str, source: io::Error) -> LineError {
        lost(&self.path, act, source)
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// An act on an open line failed, most often because it went away.
fn lost(path: &Path, act: &'static str, source: io::Error) -> LineError {
    let gone = [Errno::EIO, Errno::ENXIO, Errno::ENODEV, Errno::EBADF, Errno::EPIPE];
    let is_gone = source.raw_os_error().is_some_and(|raw| gone.contains(&Errno::from_raw(raw)));
    let path = path.to_owned();
    if is_gone { LineError::Gone { path } } else { LineError::Io { act, path, source } }
}

fn not_opened(path: &Path, source: io::Error) -> LineError {
    let path = path.to_owned();
    let kind = source.kind();
    if kind == ErrorKind::NotFound {
        LineError::Absent { path }
    } else if kind == ErrorKind::PermissionDenied {
        LineError::Denied { path, source }
    } else if kind == ErrorKind::IsADirectory {
        LineError::NotALine { path }
    } else if kind == ErrorKind::ResourceBusy {
        LineError::InUse { path }
    } else {
        LineError::Io { act: "open", path, source }
    }
}

fn is_nothing_yet(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
    use std::os::fd::OwnedFd;
    use storage::ByteLen;

    /// Only ends a test that would hang.
    const SOON: Duration = Duration::from_secs(60);

    /// The board's end of a line, and the laptop's with its path. No child of another test
    /// inherits them: a line whose end is held open somewhere does not go away.
    fn line() -> (File, File, PathBuf) {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let master = posix_openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = PathBuf::from(ptsname_r(&master).unwrap());
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits());
        let slave = options.open(&path).unwrap();
        (File::from(OwnedFd::from(master)), slave, path)
    }

    fn baud() -> Baud {
        Baud::ROCK64.parse().unwrap()
    }

    #[test]
    fn bytes_go_both_ways_as_they_are() {
        let (mut board, _keep, path) = line();
        let mut port = Port::open(&path, baud()).unwrap();
        let odd = b"\x03\x04\r\n\x11\x13\xff\x1b";
        board.write_all(odd).unwrap();
        let mut heard = [0; 64];
        assert_eq!(port.hear(&mut heard, SOON).unwrap(), Heard::Bytes(odd.len()));
        assert_eq!(&heard[..odd.len()], odd);
        port.say(odd).unwrap();
        let mut said = [0; 8];
        board.read_exact(&mut said).unwrap();
        assert_eq!(&said, odd);
        let short = Duration::from_millis(10);
        assert_eq!(port.hear(&mut heard, short).unwrap(), Heard::Nothing);
    }

    #[test]
    fn a_line_has_one_listener() {
        let (_board, _keep, path) = line();
        let first = Port::open(&path, baud()).unwrap();
        let second = Port::open(&path, baud()).unwrap_err();
        assert!(matches!(second, LineError::InUse { .. }), "{second}");
        drop(first);
        Port::open(&path, baud()).unwrap();
    }

    #[test]
    fn a_line_that_goes_away_says_so() {
        let (board, keep, path) = line();
        let mut port = Port::open(&path, baud()).unwrap();
        drop((board, keep));
        let gone = port.hear(&mut [0; 8], SOON).unwrap_err();
        assert!(matches!(gone, LineError::Gone { .. }), "{gone}");
        assert!(matches!(port.say(b"x"), Err(LineError::Gone { .. })));
    }

    #[test]
    fn a_line_that_takes_nothing_is_noticed_instead_of_waited_for() {
        let (_board, _keep, path) = line();
        let mut port = Port::open(&path, baud()).unwrap();
        let much = vec![b'x'; usize::try_from(ByteLen::mib(1).get()).unwrap()];
        assert!(matches!(port.say(&much), Err(LineError::Stuck { .. })));
    }

    #[test]
    fn what_is_no_line_is_refused_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        drop(File::options().create_new(true).write(true).open(&file).unwrap());
        for path in [dir.path(), &file, Path::new("/dev/null")] {
            let refused = Port::open(path, baud()).unwrap_err();
            assert!(matches!(refused, LineError::NotALine { .. }), "{refused:?}");
        }
        let absent = Port::open(&dir.path().join("ttyUSB0"), baud()).unwrap_err();
        assert!(matches!(absent, LineError::Absent { .. }), "{absent:?}");
    }
}
