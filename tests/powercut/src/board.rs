// SPDX-License-Identifier: MIT OR Apache-2.0
//! A board in memory: devices, small files, environment and flight recorder, through the seams
//! that production code uses. It can be recorded, photographed and put back.

use crate::medium::Medium;
use crate::shared_files::SharedFiles;
use anyhow::{Context, Result};
use bootctl::{BackendError, BootBackend, BootState, DataReset, Recorder, Timestamp, UbootBackend};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{
    Access, Devices, FileTree, Files, Journal, MemoryFiles, MemoryStorage, PartUuid, Recording,
    RecordingFiles, Storage, StorageError,
};
use uboot::{CopyPlace, Env, EnvStore};
use updater::InstallLock;
use xxhash_rust::xxh3::xxh3_128;

/// Size of an environment copy, and of an erase block of the flash.
pub const ENV_BYTES: u32 = 4096;

/// Size of a block of the flight recorder on flash, and on a disk, where each record takes a
/// sector. Its ring has two.
const RECORDER_BLOCKS: [u32; 2] = [2048, 8192];

/// The environment's device.
pub const ENV: &str = "/dev/env";

/// The flight recorder's device.
pub const RECORDER: &str = "/dev/recorder";

/// What the clock of every board says.
pub const NOW: u64 = 1_795_230_000;

/// How the environment is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvKind {
    /// Two copies on SPI NOR flash, in erase blocks of their own.
    FlashPair,
    /// Two copies on a disk, told apart by a counter.
    DiskPair,
    /// One copy on a disk: the weaker choice.
    DiskSingle,
}

impl EnvKind {
    /// The flight recorder lies on the same kind of medium.
    const fn recorder_block(self) -> u32 {
        let [flash, disk] = RECORDER_BLOCKS;
        match self {
            Self::FlashPair => flash,
            Self::DiskPair | Self::DiskSingle => disk,
        }
    }
}

/// Something durable that returned: from then on no cut may take it back.
#[derive(Clone, Debug)]
pub struct Promise {
    /// So many acts were in the journal.
    pub acts: usize,
    /// What was promised.
    pub kept: Kept,
}

/// What a promise is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A commit of the environment.
    State(Box<BootState>),
    /// A step of the scenario's own, by its number.
    Step(u64),
}

/// Wraps every device that is opened: a medium that lies, code that does not look.
pub type Wrap = fn(Box<dyn Storage>) -> Box<dyn Storage>;

/// A board.
pub struct Board {
    devices: BTreeMap<Arc<str>, Medium>,
    files: MemoryFiles,
    env: EnvKind,
    journal: Option<Journal>,
    promises: Arc<Mutex<Vec<Promise>>>,
    wrap: Option<Wrap>,
    lock: Arc<InstallLock>,
    /// The board's root: configuration, locks, scratch files. Nothing of it is judged.
    root: Arc<tempfile::TempDir>,
}

/// Where a board can be put back to.
pub struct Photo {
    marks: Vec<usize>,
    files: MemoryFiles,
}

impl Board {
    /// A board of these devices, with a blank environment and a blank flight recorder.
    ///
    /// # Errors
    /// When there is no place for the install lock.
    pub fn new(env: EnvKind, devices: &[MemoryStorage]) -> Result<Self> {
        let copies = if env == EnvKind::DiskSingle { 1 } else { 2 };
        let blank = vec![0xff; ENV_BYTES as usize * copies];
        let ring = vec![0xff; 2 * env.recorder_block() as usize];
        let (env_device, recorder) = match env {
            EnvKind::FlashPair => (
                MemoryStorage::nor(ENV, blank, ENV_BYTES),
                MemoryStorage::nor(RECORDER, ring, env.recorder_block()),
            ),
            EnvKind::DiskPair | EnvKind::DiskSingle => {
                (MemoryStorage::disk(ENV, blank), MemoryStorage::disk(RECORDER, ring))
            }
        };
        let all = devices.iter().chain([&env_device, &recorder]);
        let root = tempfile::tempdir().context("cannot make a root directory")?;
        let lock = Arc::new(InstallLock::acquire(root.path(), std::process::id())?);
        Ok(Self {
            devices: all.map(|one| (Arc::from(one.label()), Medium::new(one))).collect(),
            files: MemoryFiles::new(),
            env,
            journal: None,
            promises: Arc::default(),
            wrap: None,
            lock,
            root: Arc::new(root),
        })
    }

    /// The same board with one more device.
    #[must_use]
    pub fn with_device(mut self, device: Medium) -> Self {
        self.devices.insert(Arc::from(device.label()), device);
        self
    }

    /// The same board whose devices are wrapped when they are opened.
    #[must_use]
    pub const fn wrapped(mut self, wrap: Wrap) -> Self {
        self.wrap = Some(wrap);
        self
    }

    /// The same board for somebody who owns what he works with. It has no small files.
    #[must_use]
    pub fn twin(&self) -> Self {
        Self {
            devices: self.devices.clone(),
            files: MemoryFiles::new(),
            env: self.env,
            journal: self.journal.clone(),
            promises: Arc::clone(&self.promises),
            wrap: self.wrap,
            lock: Arc::clone(&self.lock),
            root: Arc::clone(&self.root),
        }
    }

    /// From now on everything durable is logged; returns the log.
    pub fn record(&mut self) -> Journal {
        let journal = Journal::new();
        self.journal = Some(journal.clone());
        self.lock_promises().clear();
        journal
    }

    /// Stops logging and tells what was promised when.
    pub fn stop_recording(&mut self) -> Vec<Promise> {
        self.journal = None;
        std::mem::take(&mut *self.lock_promises())
    }

    fn lock_promises(&self) -> MutexGuard<'_, Vec<Promise>> {
        // A panic elsewhere does not change what was promised, so the guard is taken over.
        self.promises.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A device as it lies there, behind the seam's back.
    #[must_use]
    pub fn medium(&self, name: &str) -> Option<&Medium> {
        self.devices.get(name)
    }

    /// The devices' names.
    pub fn device_names(&self) -> impl Iterator<Item = &str> {
        self.devices.keys().map(|name| &**name)
    }

    /// The small files.
    #[must_use]
    pub const fn tree(&self) -> &FileTree {
        self.files.tree()
    }

    /// Puts other small files in their place.
    pub fn set_tree(&mut self, tree: FileTree) {
        self.files = MemoryFiles::from(tree);
    }

    /// The sum over all devices and files.
    #[must_use]
    pub fn sum(&self) -> u128 {
        let devices = self.devices.values().zip(0_u32..);
        let sum = devices.fold(0_u128, |sum, (medium, at)| sum ^ medium.sum().rotate_left(at * 7));
        let mut text = Vec::new();
        for (path, content) in self.files.tree() {
            text.extend_from_slice(path.as_os_str().as_encoded_bytes());
            text.push(0);
            text.extend_from_slice(content);
            text.push(0);
        }
        sum ^ xxh3_128(&text)
    }

    /// What is on the board now.
    #[must_use]
    pub fn photo(&self) -> Photo {
        let marks = self.devices.values().map(Medium::mark).collect();
        Photo { marks, files: self.files.clone() }
    }

    /// Makes it again what it was then.
    pub fn put_back(&mut self, photo: &Photo) {
        for (medium, mark) in self.devices.values().zip(&photo.marks) {
            medium.roll_back(*mark);
        }
        self.files.clone_from(&photo.files);
    }

    /// What is there now stays; older photos are worthless.
    pub fn keep(&self) {
        self.devices.values().for_each(Medium::keep);
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Makes a file below the root: configuration, which no operation writes.
    ///
    /// # Errors
    /// The file system's.
    #[expect(clippy::disallowed_methods, reason = "configuration has nothing to be durable")]
    pub fn configure(&self, on_board: &str, content: &str) -> Result<()> {
        let path = self.root.path().join(on_board.trim_start_matches('/'));
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
        Ok(std::fs::write(path, content)?)
    }

    /// The install lock.
    #[must_use]
    pub fn install_lock(&self) -> &InstallLock {
        &self.lock
    }

    /// Opens a device through the seam.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn open_device(&self, name: &str) -> Result<Box<dyn Storage>, StorageError> {
        let medium = self.devices.get(name).cloned();
        let medium = medium.ok_or_else(|| StorageError::Absent { label: name.to_owned() })?;
        let device: Box<dyn Storage> = match &self.journal {
            Some(journal) => Box::new(Recording::new(medium, journal.clone())),
            None => Box::new(medium),
        };
        Ok(match self.wrap {
            Some(wrap) => wrap(device),
            None => device,
        })
    }

    /// Does something with the small files, and with a view of the board that can open devices.
    ///
    /// # Errors
    /// Those of `act`.
    pub fn with_files<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Files, &Self) -> Result<T>,
    ) -> Result<T> {
        let files = std::mem::take(&mut self.files);
        match self.journal.clone() {
            None => {
                let mut files = files;
                let done = act(&mut files, self);
                self.files = files;
                done
            }
            Some(journal) => {
                let mut files = RecordingFiles::new(files, journal);
                let done = act(&mut files, self);
                self.files = files.into_inner();
                done
            }
        }
    }

    /// Does something with the small files where several own them.
    ///
    /// # Errors
    /// Those of `act`, or when it keeps some of them.
    pub fn with_shared_files<T>(
        &mut self,
        act: impl FnOnce(&SharedFiles, &Self) -> Result<T>,
    ) -> Result<T> {
        let files = std::mem::take(&mut self.files);
        let files = SharedFiles::new(files, self.journal.clone());
        let done = act(&files, self);
        self.files = files.into_inner()?;
        done
    }

    /// The environment in its place.
    ///
    /// # Errors
    /// Never with the devices that [`Board::new`] makes.
    pub fn env_store(&self) -> Result<EnvStore<Box<dyn Storage>>> {
        let copies = if self.env == EnvKind::DiskSingle { 1 } else { 2 };
        let place = |copy: u32| CopyPlace {
            device: PathBuf::from(ENV),
            offset: u64::from(copy * ENV_BYTES),
            env_bytes: ENV_BYTES,
            erase_bytes: ENV_BYTES,
            sectors: 1,
        };
        let open = |copy| Ok((self.open_device(ENV)?, place(copy)));
        let copies: Result<Vec<_>> = (0..copies).map(open).collect();
        Ok(EnvStore::open(copies?)?)
    }

    /// Linux' keeper of the boot state.
    ///
    /// # Errors
    /// As [`Board::env_store`].
    pub fn backend(&self) -> Result<Box<dyn BootBackend + Send>> {
        Ok(self.noting(UbootBackend::with_defaults(self.env_store()?, default_env())))
    }

    /// The same keeper, with each commit that returns noted.
    #[must_use]
    pub fn noting(&self, inner: impl BootBackend + Send + 'static) -> Box<dyn BootBackend + Send> {
        let (journal, promises) = (self.journal.clone(), Arc::clone(&self.promises));
        Box::new(Noting { inner, journal, promises })
    }

    /// Notes what is promised from now on.
    pub fn promise(&self, kept: Kept) {
        let acts = self.journal.as_ref().map_or(0, Journal::op_count);
        self.lock_promises().push(Promise { acts, kept });
    }

    /// Bytes of a block of the flight recorder's ring, which has two.
    #[must_use]
    pub const fn recorder_block(&self) -> u32 {
        self.env.recorder_block()
    }

    /// The numbers of all records, oldest first; none where the recorder cannot be read.
    #[must_use]
    pub fn records(&self) -> Vec<u64> {
        let records = self.recorder().ok().and_then(|recorder| recorder.entries().ok());
        records.unwrap_or_default().iter().map(|record| record.sequence.0).collect()
    }

    /// The flight recorder.
    ///
    /// # Errors
    /// When its region cannot be read.
    pub fn recorder(&self) -> Result<Recorder<Box<dyn Storage>>> {
        Ok(Recorder::open(self.open_device(RECORDER)?, self.env.recorder_block())?)
    }
}

impl Devices for Board {
    fn open(&self, device: &Path, _: Access) -> Result<Box<dyn Storage>, StorageError> {
        self.open_device(&device.to_string_lossy())
    }

    fn mounted_at(&self, _: &Path) -> Result<Option<PathBuf>, StorageError> {
        Ok(None)
    }
}

/// The defaults of the boot loader: what a lost environment is begun from.
#[must_use]
pub fn default_env() -> Env {
    let mut env = Env::new();
    // A name and a value without any odd byte are never refused.
    let _set = env.set("bootcmd", "run atomix_select");
    // As long as a real one: between BOOT_ORDER and the states, so that a change reaches sectors
    // far from each other.
    let _set = env.set("addr_many", &"0x02080000 ".repeat(130));
    env
}

/// The disk that every board's environment is bound to.
#[must_use]
pub const fn disk_id() -> PartUuid {
    PartUuid(uuid::Uuid::from_u128(0x6f1c_7d62_93a9_4ad2_8d9d_3c31_b2f7_a001))
}

/// The time of everything that is remembered.
#[must_use]
pub const fn now() -> Timestamp {
    Timestamp::from_unix(NOW)
}

/// Notes each commit that returned.
struct Noting<B> {
    inner: B,
    journal: Option<Journal>,
    promises: Arc<Mutex<Vec<Promise>>>,
}

impl<B: BootBackend> BootBackend for Noting<B> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn load(&mut self) -> Result<BootState, BackendError> {
        self.inner.load()
    }

    fn store(&mut self, old: &BootState, new: &BootState) -> Result<(), BackendError> {
        self.inner.store(old, new)?;
        let acts = self.journal.as_ref().map_or(0, Journal::op_count);
        let kept = Kept::State(Box::new(new.clone()));
        self.promises.lock().unwrap_or_else(PoisonError::into_inner).push(Promise { acts, kept });
        Ok(())
    }

    fn warnings(&self) -> Vec<String> {
        self.inner.warnings()
    }

    fn data_reset(&mut self) -> Result<DataReset, BackendError> {
        self.inner.data_reset()
    }

    fn set_data_reset(&mut self, wanted: DataReset) -> Result<(), BackendError> {
        self.inner.set_data_reset(wanted)
    }
}
