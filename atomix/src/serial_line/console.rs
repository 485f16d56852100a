// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does a person talk with the board directly? The terminal of this program becomes the
//! board's: every key goes to the line, every byte of the line to the screen, until the escape.
//!
//! What the board sends is not tamed here: a console that draws menus needs its escape sequences.

use super::error::LineError;
use super::port::{Heard, Port};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

/// Ctrl-], as in telnet.
const ESCAPE: u8 = 0x1d;

/// Why the talk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The person typed the escape.
    Escape,
    /// There is nobody at the keyboard any more.
    NoKeyboard,
}

/// Connects this terminal with the line; `heard` is told what the board says.
///
/// # Errors
/// [`LineError`] of the line, or of the log behind `heard`.
pub fn bridge(
    port: &mut Port,
    heard: &mut dyn FnMut(&[u8]) -> Result<(), LineError>,
) -> Result<Ended, LineError> {
    // Not `Stdin`: its buffer would hold keys that the poll cannot see.
    let keyboard = io::stdin();
    let mut keys = keyboard.as_fd().try_clone_to_owned().map(std::fs::File::from).map_err(own)?;
    let _raw = Raw::begin(keys.as_fd().try_clone_to_owned().map_err(own)?.into())?;
    let mut screen = io::stdout().lock();
    let mut buffer = [0; 4096];
    loop {
        let (has_keys, has_bytes) = wait(&keys, port)?;
        if has_bytes && let Heard::Bytes(count) = port.take(&mut buffer)? {
            let bytes = buffer.get(..count).unwrap_or_default();
            screen.write_all(bytes).and_then(|()| screen.flush()).map_err(own)?;
            heard(bytes)?;
        }
        if !has_keys {
            continue;
        }
        let typed = match keys.read(&mut buffer) {
            Ok(0) => return Ok(Ended::NoKeyboard),
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            // The terminal was closed.
            Err(_) => return Ok(Ended::NoKeyboard),
        };
        let escape = typed.iter().position(|byte| *byte == ESCAPE);
        port.say(typed.get(..escape.unwrap_or(typed.len())).unwrap_or_default())?;
        if escape.is_some() {
            return Ok(Ended::Escape);
        }
    }
}

/// Whether there are keys, and bytes of the line.
fn wait(keys: &std::fs::File, port: &Port) -> Result<(bool, bool), LineError> {
    let mut polled =
        [keys.as_fd(), port.as_fd()].map(|source| PollFd::new(source, PollFlags::POLLIN));
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(cause) => return Err(own(cause.into())),
    }
    let [keys, bytes] = polled.map(|one| one.any().unwrap_or_default());
    Ok((keys, bytes))
}

fn own(source: io::Error) -> LineError {
    LineError::Io { act: "use", path: PathBuf::from("this terminal"), source }
}

/// A terminal that hands over each key; as before when this is dropped.
struct Raw {
    terminal: std::fs::File,
    before: Option<Termios>,
}

impl Raw {
    fn begin(terminal: std::fs::File) -> Result<Self, LineError> {
        if !terminal.is_terminal() {
            return Ok(Self { terminal, before: None });
        }
        let before = tcgetattr(&terminal).map_err(|cause| own(cause.into()))?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(&terminal, SetArg::TCSANOW, &raw).map_err(|cause| own(cause.into()))?;
        Ok(Self { terminal, before: Some(before) })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // A terminal that is gone needs no settings.
            let _ = tcsetattr(&self.terminal, SetArg::TCSADRAIN, before);
        }
    }
}
