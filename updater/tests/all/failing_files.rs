// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each use of a small file fails once, and from then on: `/data` full, gone, read-only or broken.
//! An update does not need it, and what could not be kept is told with its path and its cause.

use crate::support::bundles::bundle_of;
use crate::support::{Board, ENV_BYTES, SYSTEM_CONF, config, options, system};
use bootctl::{Recorder, SlotId, SlotState, Timestamp};
use nix::errno::Errno;
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use storage::{ByteLen, Files, FilesError, MemoryFiles, Storage};
use updater::{BootedGroup, InstallEvent, InstallPolicy, Installer, STATUS_FALLBACK_PATH};

/// What happens to the uses of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    Once,
    /// Below `/data` only: `/run` is memory.
    FromThenOn,
}

/// Files of which use number `at` fails.
struct Failing {
    inner: MemoryFiles,
    at: usize,
    errno: Errno,
    lasts: Lasts,
    uses: AtomicUsize,
}

impl Failing {
    fn cause(&self, path: &Path) -> Option<std::io::Error> {
        let number = self.uses.fetch_add(1, Ordering::Relaxed);
        let fails = match self.lasts {
            Lasts::Once => number == self.at,
            Lasts::FromThenOn => number >= self.at && path.starts_with("/data"),
        };
        fails.then(|| self.errno.into())
    }

    fn write(&self, path: &Path) -> Result<(), FilesError> {
        let failed = |source| Err(FilesError::Write { path: path.to_owned(), source });
        self.cause(path).map_or(Ok(()), failed)
    }

    fn look(&self, path: &Path) -> Result<(), FilesError> {
        let failed = |source| Err(FilesError::Read { path: path.to_owned(), source });
        self.cause(path).map_or(Ok(()), failed)
    }
}

impl Files for Failing {
    fn read(&self, path: &Path, limit: ByteLen) -> Result<Option<Vec<u8>>, FilesError> {
        self.look(path)?;
        self.inner.read(path, limit)
    }

    fn replace(&mut self, path: &Path, content: &[u8]) -> Result<(), FilesError> {
        self.write(path)?;
        self.inner.replace(path, content)
    }

    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        self.write(path)?;
        self.inner.remove(path)
    }

    fn list(&self, dir: &Path) -> Result<Vec<String>, FilesError> {
        self.look(dir)?;
        self.inner.list(dir)
    }
}

/// Installs with these files; how often they were used, and what was warned of.
fn install(board: &mut Board, files: Failing, lasting: &Cell<Option<Failing>>) -> Vec<String> {
    let bundle = bundle_of(&system(3), "26.1");
    let history: Box<dyn Storage> = Box::new(board.history.clone());
    let (lock, mut files, mut warnings) = (board.lock(), files, Vec::new());
    Installer {
        config: &config(SYSTEM_CONF),
        devices: &board.devices,
        files: &mut files,
        backend: &mut Board::backend(board.env.clone()),
        recorder: Some(&mut Recorder::open(history, ENV_BYTES).unwrap()),
        at: Timestamp::UNKNOWN,
        progress: &mut |event| {
            if let InstallEvent::Warning(text) = event {
                warnings.push(text);
            }
        },
    }
    .install(&lock, &bundle, &options(BootedGroup::Slot(SlotId::A), InstallPolicy::default()))
    .unwrap();
    lasting.set(Some(files));
    warnings
}

fn failing(at: usize, errno: Errno, lasts: Lasts) -> Failing {
    Failing { inner: MemoryFiles::new(), at, errno, lasts, uses: AtomicUsize::new(0) }
}

#[test]
fn an_update_does_not_need_data_whatever_is_wrong_with_it_and_says_what_is() {
    let kept = Cell::new(None);
    let mut board = Board::new(&system(1), &system(2));
    let none = install(&mut board, failing(usize::MAX, Errno::EIO, Lasts::Once), &kept);
    let uses = kept.take().unwrap().uses.into_inner();
    assert!(none.is_empty() && uses >= 4, "{uses} uses, {none:?}");
    for at in 0..uses {
        for errno in [Errno::EIO, Errno::ENOSPC, Errno::EROFS, Errno::EACCES] {
            for lasts in [Lasts::Once, Lasts::FromThenOn] {
                let case = format!("use {at}, {errno}, {lasts:?}");
                let mut board = Board::new(&system(1), &system(2));
                let told = install(&mut board, failing(at, errno, lasts), &kept);
                assert_eq!(board.state().b.state, SlotState::Trying, "{case}");
                assert!(board.holds(SlotId::B, &system(3)), "{case}");
                let named = |warning: &String| {
                    let place = ["/data/rauc/status.raucs", STATUS_FALLBACK_PATH]
                        .iter()
                        .any(|place| warning.contains(place));
                    place && warning.contains(&std::io::Error::from(errno).to_string())
                };
                assert!(told.iter().any(named), "{case}: {told:?}");
                let files = kept.take().unwrap().inner;
                let aside = PathBuf::from(STATUS_FALLBACK_PATH);
                if lasts == Lasts::FromThenOn && at == 0 {
                    assert!(files.tree().contains_key(&aside), "{case}");
                }
            }
        }
    }
}
