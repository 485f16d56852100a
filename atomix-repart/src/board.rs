// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where are a board's settings, disk, environment and recorder, and how are they opened? The one
//! answer for both programs; decides nothing.

use crate::reset::DiskInFront;
use crate::{Failure, Settings};
use bootctl::{EnvLock, Recorder, Timestamp, UbootBackend};
use repart::Table;
use std::path::{Path, PathBuf};
use storage::{Access, ByteLen, Devices, Files, HostFiles, PartUuid, Storage, View};
use uboot::{Env, EnvStore, FwEnvConfig};

/// Where the environment's place is described.
pub const FW_ENV_CONFIG_PATH: &str = "/etc/fw_env.config";

/// The boot loader's default environment, where libubootenv looks for it too.
pub const INITIAL_ENV_PATH: &str = "/etc/u-boot-initial-env";

/// Where the lock of the environment lies, which `fw_setenv` takes too (its `/var/lock` is a link
/// to here). The directory is resolved and the file is not: where everybody may write, a link of
/// somebody else's must not choose what is opened, nor a loop of links stop every change.
const ENV_LOCK_DIR: &str = "/run/lock";

/// Its name there.
const ENV_LOCK_FILE: &str = "fw_printenv.lock";

/// Longest configuration file that is read; they are written by hand and a few KiB long.
const MAX_CONFIG: ByteLen = ByteLen::kib(256);

/// Where `/data` lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataHome {
    /// On the partition of the disk, once it is mounted.
    Partition,
    /// In a directory, always: a virtual board.
    Directory,
}

/// The flight recorder in its place.
pub type BoardRecorder = Recorder<Box<dyn Storage>>;

/// A board's files and devices.
#[derive(Clone, Copy)]
pub struct Board<'a> {
    /// Small files below the root.
    pub files: &'a HostFiles,
    /// Devices as configuration names them.
    pub devices: &'a dyn Devices,
    /// Where `/data` lives.
    pub data: DataHome,
    /// Seconds since 1970, as far as the board knows.
    pub unix_time: i64,
}

impl Board<'_> {
    /// The time of this run, for the flight recorder.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        timestamp(self.unix_time)
    }

    /// Our settings.
    ///
    /// # Errors
    /// [`Failure::Settings`].
    pub fn settings(&self) -> Result<Settings, Failure> {
        Ok(Settings::read(self.files)?)
    }

    /// Reads a text file of at most `limit`; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Failure::Files`] or [`Failure::NotText`].
    pub fn read_text(&self, path: &Path, limit: ByteLen) -> Result<Option<String>, Failure> {
        match self.files.read(path, limit)? {
            None => Ok(None),
            Some(bytes) => String::from_utf8(bytes)
                .map(Some)
                .map_err(|_| Failure::NotText { path: path.to_owned() }),
        }
    }

    /// The place of the environment.
    ///
    /// # Errors
    /// [`Failure::FileAbsent`] or [`Failure::FwEnvConfig`].
    pub fn fw_env_config(&self) -> Result<FwEnvConfig, Failure> {
        let path = Path::new(FW_ENV_CONFIG_PATH);
        let text = self.read_text(path, MAX_CONFIG)?.ok_or(Failure::FileAbsent {
            path: path.to_owned(),
            hint: "write it with the board's values; `atomix doctor` compares them",
        })?;
        FwEnvConfig::parse(&text)
            .map_err(|source| Failure::FwEnvConfig { path: path.to_owned(), source })
    }

    /// The environment in its place.
    ///
    /// # Errors
    /// As [`Board::fw_env_config`], [`Failure::Storage`] or [`Failure::Environment`].
    pub fn env_store(&self, access: Access) -> Result<EnvStore<Box<dyn Storage>>, Failure> {
        let mut copies = Vec::new();
        for place in self.fw_env_config()?.copies {
            copies.push((self.devices.open(&place.device, beside(access))?, place));
        }
        Ok(EnvStore::open(copies)?)
    }

    /// The right to change the environment, for as long as it is held.
    ///
    /// # Errors
    /// [`Failure::Files`] or [`Failure::Backend`].
    pub fn env_lock(&self) -> Result<EnvLock, Failure> {
        Ok(EnvLock::acquire(&self.env_lock_path()?)?)
    }

    fn env_lock_path(&self) -> Result<PathBuf, Failure> {
        Ok(self.files.resolve(Path::new(ENV_LOCK_DIR))?.join(ENV_LOCK_FILE))
    }

    /// The boot loader's own defaults, from which a lost environment is begun anew; `None` when
    /// the system does not carry them.
    ///
    /// # Errors
    /// [`Failure::Files`], [`Failure::NotText`] or [`Failure::Usage`].
    pub fn initial_env(&self) -> Result<Option<Env>, Failure> {
        let Some(text) = self.read_text(Path::new(INITIAL_ENV_PATH), MAX_CONFIG)? else {
            return Ok(None);
        };
        let env = Env::parse_text(&text).map_err(|cause| Failure::Usage {
            what: format!("{INITIAL_ENV_PATH} is wrong: {cause}"),
            hint: "put the u-boot-initial-env of this board's U-Boot build there",
        })?;
        Ok(Some(env))
    }

    /// The boot state in U-Boot's environment.
    ///
    /// # Errors
    /// As [`Board::env_store`] and [`Board::initial_env`].
    pub fn uboot_backend(&self, access: Access) -> Result<UbootBackend<Box<dyn Storage>>, Failure> {
        let store = self.env_store(access)?;
        let backend = match self.initial_env()? {
            Some(defaults) => UbootBackend::with_defaults(store, defaults),
            None => UbootBackend::new(store),
        };
        Ok(backend.locked_by(self.env_lock_path()?))
    }

    /// The flight recorder.
    ///
    /// # Errors
    /// [`Failure::Storage`], [`Failure::RecorderPlace`] or [`Failure::Recorder`].
    pub fn recorder(&self, settings: &Settings, access: Access) -> Result<BoardRecorder, Failure> {
        let place = &settings.recorder;
        let device = self.devices.open(&place.device, beside(access))?;
        let label = format!("flight recorder on {}", place.device.display());
        let ring = View::new(device, label, place.offset, place.len())
            .map_err(|source| Failure::RecorderPlace { source })?;
        let ring: Box<dyn Storage> = Box::new(ring);
        Ok(Recorder::open(ring, place.block_bytes)?)
    }

    /// The disk's partition table.
    ///
    /// # Errors
    /// [`Failure::Storage`] or [`Failure::Table`].
    pub fn table(&self, disk: &Path) -> Result<Table, Failure> {
        let device = self.devices.open(disk, Access::ReadOnly)?;
        repart::read_table(&device)
            .map_err(|source| Failure::Table { disk: disk.to_owned(), source })
    }

    /// The identity of the disk that is in the board, which one that was just flashed has not yet;
    /// nothing where its table cannot be read.
    #[must_use]
    pub fn disk_in_front(&self, settings: &Settings) -> Option<Option<PartUuid>> {
        let table = self.table(&settings.disk.device).ok()?;
        Some(DiskInFront::new(&settings.disk, &table).identity)
    }
}

/// A time as the flight recorder keeps it; a clock before 2020 is no clock.
#[must_use]
pub fn timestamp(unix_time: i64) -> Timestamp {
    const YEAR_2020: u64 = 1_577_836_800;
    match u64::try_from(unix_time) {
        Ok(secs) if secs >= YEAR_2020 => Timestamp::from_unix(secs),
        Ok(_) | Err(_) => Timestamp::UNKNOWN,
    }
}

/// Environment and flight recorder lie on disks whose partitions are mounted.
const fn beside(access: Access) -> Access {
    if access.writes() { Access::WriteBeside } else { Access::ReadOnly }
}
