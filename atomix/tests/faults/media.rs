// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board's devices in memory, of which one access goes wrong. Every access is counted over all
//! devices, so that each can be the one.

use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use storage::{Access, ByteLen, Devices, Geometry, MemoryStorage, Storage, StorageError};

/// What is done to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    Open,
    Read,
    Write,
    Erase,
    Flush,
    Forget,
}

impl Act {
    /// How a message says it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read | Self::Forget => "read",
            Self::Write => "write",
            Self::Erase => "erase",
            Self::Flush => "flush",
        }
    }

    /// What can go wrong with it.
    pub const fn faults(self) -> &'static [Fault] {
        match self {
            Self::Open => &[Fault::Eio, Fault::Gone],
            Self::Read => &[Fault::Eio, Fault::Short, Fault::WrongBytes, Fault::Dead],
            Self::Write => &[
                Fault::Eio,
                Fault::Short,
                Fault::NoSpace,
                Fault::ReadOnly,
                Fault::WrongBytes,
                Fault::BadSector,
                Fault::Dead,
            ],
            Self::Erase => {
                &[Fault::Eio, Fault::Short, Fault::ReadOnly, Fault::WrongBytes, Fault::Dead]
            }
            Self::Flush => &[Fault::Eio, Fault::LostWrites, Fault::Dead],
            Self::Forget => &[Fault::Eio],
        }
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Fails, and nothing was done.
    Eio,
    /// Fails half way.
    Short,
    /// No room (ENOSPC).
    NoSpace,
    /// The device is read-only from then on.
    ReadOnly,
    /// Succeeds, and one bit is wrong: on the medium after a write, on the way after a read.
    WrongBytes,
    /// The write succeeds, and what it wrote cannot be read until it is written again.
    BadSector,
    /// A flush fails, and what was written since the last one is lost.
    LostWrites,
    /// The device answers nothing any more.
    Dead,
    /// The device is not there.
    Gone,
}

/// One access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Did {
    pub device: PathBuf,
    pub act: Act,
}

/// What devices hold; one that nobody writes is never copied.
pub type Contents = BTreeMap<PathBuf, Arc<MemoryStorage>>;

/// All devices; clones are the same ones.
#[derive(Clone)]
pub struct Media(Arc<Mutex<State>>);

struct State {
    now: Contents,
    flushed: Contents,
    fault: Option<(usize, Fault)>,
    log: Vec<Did>,
    dead: BTreeSet<PathBuf>,
    read_only: BTreeSet<PathBuf>,
    bad: Option<(PathBuf, u64, u64)>,
}

impl Media {
    pub fn new(devices: Contents) -> Self {
        Self(Arc::new(Mutex::new(State {
            flushed: devices.clone(),
            now: devices,
            fault: None,
            log: Vec::new(),
            dead: BTreeSet::new(),
            read_only: BTreeSet::new(),
            bad: None,
        })))
    }

    /// From now on access number `at` goes wrong.
    pub fn fail(&self, at: usize, fault: Fault) {
        self.lock().fault = Some((at, fault));
    }

    /// Everything works again; what is stored stays. Bad sectors stay until they are written.
    pub fn repair(&self) {
        let mut state = self.lock();
        state.fault = None;
        state.dead.clear();
        state.read_only.clear();
    }

    /// The medium is another one, with the same content.
    pub fn replace_medium(&self) {
        self.lock().bad = None;
    }

    /// What was done so far.
    pub fn log(&self) -> Vec<Did> {
        self.lock().log.clone()
    }

    /// What a device holds, behind the seam's back.
    pub fn content(&self, device: &str) -> Arc<MemoryStorage> {
        Arc::clone(&self.lock().now[Path::new(device)])
    }

    /// Photograph of all devices.
    pub fn copy(&self) -> Contents {
        self.lock().now.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn begin(&self, device: &Path, act: Act) -> (MutexGuard<'_, State>, Option<Fault>) {
        let mut state = self.lock();
        let number = state.log.len();
        state.log.push(Did { device: device.to_owned(), act });
        let hit = state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
        match hit {
            Some(Fault::Dead) => {
                state.dead.insert(device.to_owned());
            }
            Some(Fault::ReadOnly) => {
                state.read_only.insert(device.to_owned());
            }
            Some(_) | None => {}
        }
        (state, hit)
    }
}

impl Devices for Media {
    fn open(&self, device: &Path, access: Access) -> Result<Box<dyn Storage>, StorageError> {
        let label = device.display().to_string();
        let (state, hit) = self.begin(device, Act::Open);
        if hit == Some(Fault::Gone) {
            return Err(StorageError::Absent { label });
        }
        if hit.is_some() || state.dead.contains(device) {
            return Err(StorageError::Open { label, source: Errno::EIO.into() });
        }
        if access.writes() && state.read_only.contains(device) {
            return Err(StorageError::ReadOnly { label });
        }
        let Some(medium) = state.now.get(device) else {
            return Err(StorageError::Absent { label });
        };
        let (len, geometry) = (medium.len(), medium.geometry());
        let media = self.clone();
        let device = device.to_owned();
        Ok(Box::new(Handle { media, device, label, len, geometry, poisoned: false }))
    }

    fn mounted_at(&self, _: &Path) -> Result<Option<PathBuf>, StorageError> {
        Ok(None)
    }
}

struct Handle {
    media: Media,
    device: PathBuf,
    label: String,
    len: ByteLen,
    geometry: Geometry,
    poisoned: bool,
}

impl Handle {
    fn check_poison(&self) -> Result<(), StorageError> {
        if self.poisoned {
            return Err(StorageError::Poisoned { label: self.label.clone() });
        }
        Ok(())
    }

    fn read_failed(&self, offset: u64, len: usize, source: io::Error) -> StorageError {
        StorageError::Read { label: self.label.clone(), offset, len: len as u64, source }
    }

    /// A write or an erase of `len` bytes; `act` does the first so many of them.
    fn change(
        &mut self,
        kind: Act,
        offset: u64,
        len: u64,
        act: impl FnOnce(&mut MemoryStorage, u64) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        self.check_poison()?;
        let (mut state, hit) = self.media.begin(&self.device, kind);
        let cause = match hit {
            Some(Fault::NoSpace) => Some(Errno::ENOSPC),
            Some(Fault::Eio | Fault::Short) => Some(Errno::EIO),
            Some(_) | None if state.dead.contains(&self.device) => Some(Errno::EIO),
            Some(_) | None if state.read_only.contains(&self.device) => Some(Errno::EROFS),
            Some(_) | None => None,
        };
        let block = self.geometry.erase_bytes.map_or(512, u64::from);
        // Devices do whole sectors and erase blocks.
        let half = if kind == Act::Erase { len / 2 / block * block } else { len / 2 / 512 * 512 };
        let done = match cause {
            None => len,
            Some(_) if hit == Some(Fault::Short) => half,
            Some(_) => 0,
        };
        if let Some((bad, at, bytes)) = &state.bad
            && *bad == self.device
            && *at < offset + done
            && offset < at + bytes
        {
            state.bad = None;
        }
        let medium = Arc::make_mut(state.now.get_mut(&self.device).unwrap());
        if done > 0 {
            act(medium, done)?;
        }
        match hit {
            Some(Fault::WrongBytes) => {
                let at = usize::try_from(offset + len / 2).unwrap();
                // A bit that flash can hold whatever was there.
                let byte = &mut medium.bytes_mut()[at];
                *byte = if *byte & 1 == 1 { *byte & !1 } else { *byte | 1 };
            }
            Some(Fault::BadSector) => state.bad = Some((self.device.clone(), offset, len)),
            Some(_) | None => {}
        }
        drop(state);
        let Some(cause) = cause else { return Ok(()) };
        self.poisoned = true;
        Err(StorageError::Write { label: self.label.clone(), offset, len, source: cause.into() })
    }
}

impl Storage for Handle {
    fn label(&self) -> &str {
        &self.label
    }

    fn len(&self) -> ByteLen {
        self.len
    }

    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), StorageError> {
        self.check_poison()?;
        let (state, hit) = self.media.begin(&self.device, Act::Read);
        let is_bad = state.bad.as_ref().is_some_and(|(device, at, len)| {
            *device == self.device && *at < offset + buf.len() as u64 && offset < at + len
        });
        if hit == Some(Fault::Eio) || is_bad || state.dead.contains(&self.device) {
            return Err(self.read_failed(offset, buf.len(), Errno::EIO.into()));
        }
        if hit == Some(Fault::Short) {
            let source = io::ErrorKind::UnexpectedEof.into();
            return Err(self.read_failed(offset, buf.len(), source));
        }
        state.now[&self.device].read_at(offset, buf)?;
        if hit == Some(Fault::WrongBytes) {
            let at = buf.len() / 2;
            buf[at] ^= 1;
        }
        Ok(())
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<(), StorageError> {
        self.change(Act::Write, offset, data.len() as u64, |medium, done| {
            medium.write_at(offset, &data[..usize::try_from(done).unwrap()])
        })
    }

    fn erase(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.change(Act::Erase, offset, len, |medium, done| medium.erase(offset, done))
    }

    fn flush(&mut self) -> Result<(), StorageError> {
        self.check_poison()?;
        let (mut state, hit) = self.media.begin(&self.device, Act::Flush);
        let device = &self.device;
        if hit.is_some() || state.dead.contains(device) {
            if hit == Some(Fault::LostWrites) {
                let before = state.flushed[device].clone();
                state.now.insert(device.clone(), before);
            }
            drop(state);
            self.poisoned = true;
            let label = self.label.clone();
            return Err(StorageError::Flush { label, source: Errno::EIO.into() });
        }
        let now = state.now[device].clone();
        state.flushed.insert(device.clone(), now);
        Ok(())
    }

    fn forget_cached(&mut self, offset: u64, len: u64) -> Result<(), StorageError> {
        self.check_poison()?;
        let (state, hit) = self.media.begin(&self.device, Act::Forget);
        if hit.is_some() || state.dead.contains(&self.device) {
            let len = usize::try_from(len).unwrap();
            return Err(self.read_failed(offset, len, Errno::EIO.into()));
        }
        Ok(())
    }
}
