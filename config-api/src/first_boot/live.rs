// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sources of a real device. Each stick is read in a thread of its own, which is left behind
//! when the stick does not answer: the kernel may wait for it for minutes.

use super::blocks::{Volume, find_volumes};
use super::look::{LookError, NAMES, look, read_named};
use super::search::{Found, Look, Sources};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use storage::tree::{HostTrees, Kind, Trees};
use storage::{Access, ByteLen, Devices, FilesError, HostDevices, HostFiles, chain};

/// For all reads of one stick.
const PATIENCE: Duration = Duration::from_secs(60);

/// For it to give an answer at all, its last read included.
const GRACE: Duration = Duration::from_secs(30);

/// This machine's boot partition and sticks.
#[derive(Clone, Debug)]
pub struct LiveSources {
    root: PathBuf,
    boot: PathBuf,
    /// The lengths of the seed's files, and what they are: they change with the slot alone.
    seed: Option<(Vec<Option<u64>>, Look)>,
}

impl LiveSources {
    /// Below `root`, `/` on a device; the seed lies in `boot`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>, boot: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), boot: boot.into(), seed: None }
    }

    /// Does `act` with a stick, in a thread of its own.
    fn patiently<T: Send + 'static>(
        &self,
        volume: &Volume,
        act: impl FnOnce(Box<dyn storage::Storage>, Instant) -> Result<T, LookError> + Send + 'static,
    ) -> Result<T, String> {
        let (devices, device) = (HostDevices::new(&self.root), volume.device());
        let until = Instant::now() + PATIENCE;
        let (send, received) = channel();
        let work = move || {
            let opened = devices.open(&device, Access::ReadOnly).map_err(LookError::from);
            // Nobody listens any more when this took too long.
            let _ = send.send(opened.and_then(|storage| act(storage, until)));
        };
        thread::Builder::new().spawn(work).map_err(|error| error.to_string())?;
        match received.recv_timeout(PATIENCE + GRACE) {
            Ok(done) => done.map_err(|error| chain(&error)),
            Err(RecvTimeoutError::Timeout) => Err("it does not answer".to_owned()),
            Err(RecvTimeoutError::Disconnected) => Err("reading it failed".to_owned()),
        }
    }

    fn boot(&self) -> Result<Option<HostTrees>, FilesError> {
        let place = self.root.join(self.boot.strip_prefix("/").unwrap_or(&self.boot));
        match HostTrees::open(&place) {
            Ok(trees) => Ok(Some(trees)),
            // No `/boot` at all is no seed.
            Err(FilesError::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How long each of its files is.
    fn seed_lengths(&self) -> Vec<Option<u64>> {
        let Ok(Some(trees)) = self.boot() else { return Vec::new() };
        let length = |name: &&str| match trees.entry(Path::new(name)).ok()??.kind {
            Kind::File(len) => Some(len.get()),
            Kind::Dir | Kind::Link | Kind::Other => Some(u64::MAX),
        };
        NAMES.iter().map(length).collect()
    }

    fn read_seed(&self, name: &str) -> Result<Option<Vec<u8>>, FilesError> {
        let Some(trees) = self.boot()? else { return Ok(None) };
        match trees.entry(Path::new(name))?.map(|entry| entry.kind) {
            None => Ok(None),
            Some(Kind::File(_)) => {
                trees.read(Path::new(name), ByteLen::new(crate::protocol::MAX_UPLOAD_BYTES))
            }
            Some(Kind::Dir | Kind::Link | Kind::Other) => Err(FilesError::Read {
                path: self.boot.join(name),
                source: std::io::Error::other("it is no ordinary file"),
            }),
        }
    }
}

impl Sources for LiveSources {
    fn seed(&mut self) -> Look {
        let lengths = self.seed_lengths();
        if let Some((known, look)) = &self.seed
            && *known == lengths
        {
            return look.clone();
        }
        let mut look = Look::default();
        for name in NAMES {
            match self.read_seed(name) {
                Ok(None) => {}
                Ok(Some(content)) => look.files.push((name, Found::judge(name, &content))),
                Err(error) => look.files.push((name, Found::Unreadable(chain(&error)))),
            }
        }
        self.seed = Some((lengths, look.clone()));
        look
    }

    fn volumes(&mut self) -> Result<Vec<Volume>, String> {
        find_volumes(&HostFiles::new(&self.root)).map_err(|error| chain(&error))
    }

    fn look(&mut self, volume: &Volume) -> Look {
        let looked = self.patiently(volume, |storage, until| {
            let mut files = Vec::new();
            let filesystem = look(storage, until, &mut |name, content| {
                let found = match content {
                    Ok(content) => Found::judge(name, &content),
                    Err(error) => Found::Unreadable(chain(&error)),
                };
                files.push((name, found));
            })?;
            Ok(Look { filesystem, files, trouble: None })
        });
        looked.unwrap_or_else(|trouble| Look { trouble: Some(trouble), ..Look::default() })
    }

    fn read(&mut self, volume: Option<&Volume>, name: &'static str) -> Result<Vec<u8>, String> {
        match volume {
            Some(volume) => {
                self.patiently(volume, move |storage, until| read_named(storage, until, name))
            }
            None => match self.read_seed(name) {
                Ok(content) => content.ok_or_else(|| format!("{name} is gone")),
                Err(error) => Err(chain(&error)),
            },
        }
    }
}
