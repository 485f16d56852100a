// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a command works on: a device, a tree below `--root`, or a virtual board. Opens and reads;
//! decides nothing.

use crate::failure::Failure;
use crate::settings::Settings;
use atomix_repart::{Board, DataHome};
use bootctl::{
    BackendError, BootBackend, BootState, BootedFrom, CustomBackend, Entry, EnvLock, KernelCmdline,
    NoopBackend, SlotId, Timestamp,
};
use bundle::{Keyring, KeyringOptions, UnixTime};
use repart::Table;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use storage::{Access, ByteLen, Devices, Files, HostDevices, HostFiles, PartUuid, Storage};
use uboot::{Env, EnvStore, FwEnvConfig};
use updater::{BootedGroup, Bootloader, SystemConfig};

pub use atomix_repart::{BoardRecorder, FW_ENV_CONFIG_PATH, INITIAL_ENV_PATH};

/// Where RAUC looks for its configuration, in its order.
pub const SYSTEM_CONF_PATHS: [&str; 3] =
    ["/etc/rauc/system.conf", "/run/rauc/system.conf", "/usr/lib/rauc/system.conf"];

/// Longest configuration file that is read; they are written by hand and a few KiB long.
const MAX_CONFIG: ByteLen = ByteLen::kib(256);

/// Longest keyring: some hundred certificates and their CRLs.
const MAX_KEYRING: ByteLen = ByteLen::mib(4);

/// Longest kernel command line; Linux allows 4 KiB at most.
const MAX_CMDLINE: ByteLen = ByteLen::kib(16);

/// The time, as an argument of everything below.
#[derive(Clone, Copy, Debug)]
pub struct Now(pub UnixTime);

impl Now {
    /// The time as the flight recorder keeps it; a clock before 2020 is no clock.
    #[must_use]
    pub fn timestamp(self) -> Timestamp {
        atomix_repart::timestamp(self.0.0)
    }
}

/// What answers the probes of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The machine this runs on.
    Real,
    /// What the slots of a virtual board declare; see `virtual_board::system`.
    Virtual,
}

/// What a command works on.
pub struct Context {
    /// Root of all paths.
    pub root: PathBuf,
    /// Small files below the root.
    pub files: HostFiles,
    /// Devices as configuration names them.
    pub devices: Rc<dyn Devices>,
    /// The time this command began.
    pub now: Now,
    /// What answers the probes of a boot.
    pub machine: Machine,
}

impl Context {
    /// The device this runs on, or the tree below `root`.
    #[must_use]
    pub fn host(root: &Path, now: Now) -> Self {
        Self::with_devices(root, Box::new(HostDevices::new(root)), now)
    }

    /// Files below `root` and the given devices.
    #[must_use]
    pub fn with_devices(root: &Path, devices: Box<dyn Devices>, now: Now) -> Self {
        let files = HostFiles::new(root);
        Self { root: root.to_owned(), files, devices: devices.into(), now, machine: Machine::Real }
    }

    /// The same for a command that begins later.
    #[must_use]
    pub fn at(&self, now: Now) -> Self {
        let (files, devices) = (self.files.clone(), Rc::clone(&self.devices));
        Self { root: self.root.clone(), files, devices, now, machine: self.machine }
    }

    /// Files and devices, as the initrd's program sees them too.
    #[must_use]
    pub fn board(&self) -> Board<'_> {
        Board {
            files: &self.files,
            devices: &*self.devices,
            data: match self.machine {
                Machine::Real => DataHome::Partition,
                Machine::Virtual => DataHome::Directory,
            },
            unix_time: self.now.0.0,
        }
    }

    /// Our settings.
    ///
    /// # Errors
    /// [`Failure::Settings`].
    pub fn settings(&self) -> Result<Settings, Failure> {
        Ok(self.board().settings()?)
    }

    /// Reads a text file of at most `limit`; `None` when it does not exist.
    ///
    /// # Errors
    /// [`Failure::Files`] or [`Failure::Disk`].
    pub fn read_text(&self, path: &Path, limit: ByteLen) -> Result<Option<String>, Failure> {
        Ok(self.board().read_text(path, limit)?)
    }

    /// RAUC's configuration.
    ///
    /// # Errors
    /// [`Failure::FileAbsent`] or [`Failure::SystemConf`].
    pub fn system_conf(&self) -> Result<SystemConfig, Failure> {
        for path in SYSTEM_CONF_PATHS.map(Path::new) {
            if let Some(text) = self.read_text(path, MAX_CONFIG)? {
                let base = path.parent().unwrap_or(Path::new("/"));
                return SystemConfig::parse(&text, base)
                    .map_err(|source| Failure::SystemConf { path: path.to_owned(), source });
            }
        }
        Err(Failure::FileAbsent {
            path: PathBuf::from(SYSTEM_CONF_PATHS[0]),
            hint: "restore it; on a laptop, name a board by --board DIR (atomix demo --keep)",
        })
    }

    /// The place of the environment.
    ///
    /// # Errors
    /// [`Failure::FileAbsent`] or [`Failure::Disk`].
    pub fn fw_env_config(&self) -> Result<FwEnvConfig, Failure> {
        Ok(self.board().fw_env_config()?)
    }

    /// The environment in its place.
    ///
    /// # Errors
    /// As [`Context::fw_env_config`], [`Failure::Storage`] or [`Failure::Environment`].
    pub fn env_store(&self, access: Access) -> Result<EnvStore<Box<dyn Storage>>, Failure> {
        Ok(self.board().env_store(access)?)
    }

    /// The right to change the environment, for as long as it is held.
    ///
    /// # Errors
    /// [`Failure::Files`] or [`Failure::Backend`].
    pub fn env_lock(&self) -> Result<EnvLock, Failure> {
        Ok(self.board().env_lock()?)
    }

    /// The boot state's keeper, as `system.conf` names it.
    ///
    /// # Errors
    /// As [`Context::env_store`]; [`Failure::Refused`] for boot loaders that are not supported.
    pub fn backend(
        &self,
        config: &SystemConfig,
        access: Access,
    ) -> Result<Box<dyn BootBackend>, Failure> {
        match config.system.bootloader {
            Bootloader::Uboot => Ok(Box::new(self.board().uboot_backend(access)?)),
            Bootloader::Custom => match &config.handlers.bootloader_custom_backend {
                Some(script) => Ok(Box::new(CustomBackend::new(self.files.resolve(script)?))),
                None => Err(Failure::Usage {
                    what: "bootloader=custom without handlers/bootloader-custom-backend".to_owned(),
                    hint: "name the script in system.conf",
                }),
            },
            Bootloader::Noop => Ok(Box::new(NoopBackend)),
            Bootloader::Barebox | Bootloader::Grub | Bootloader::Efi => Err(Failure::Refused {
                what: format!("boot loader {:?} is not supported", config.system.bootloader),
                hint: "use uboot, custom or noop",
            }),
        }
    }

    /// The boot loader's own defaults, from which a lost environment is begun anew; `None` when
    /// the system does not carry them.
    ///
    /// # Errors
    /// [`Failure::Files`], [`Failure::Disk`] or [`Failure::Usage`].
    pub fn initial_env(&self) -> Result<Option<Env>, Failure> {
        Ok(self.board().initial_env()?)
    }

    /// What brings a lost environment back; nothing where it is not lost.
    ///
    /// # Errors
    /// As [`Context::initial_env`].
    pub fn way_on_when_lost(
        &self,
        config: &SystemConfig,
        state: &BootState,
    ) -> Result<Option<String>, Failure> {
        if config.system.bootloader != Bootloader::Uboot || *state != BootState::lost() {
            return Ok(None);
        }
        Ok(Some(match self.initial_env()? {
            Some(_) => "the environment is lost; the next change of the boot state begins it anew"
                .to_owned(),
            None => Failure::Backend(BackendError::NoDefaults).as_warning(),
        }))
    }

    /// The kernel command line of the running system.
    ///
    /// # Errors
    /// [`Failure::Files`] or [`Failure::Disk`].
    pub fn cmdline(&self) -> Result<KernelCmdline, Failure> {
        let text = self.read_text(Path::new("/proc/cmdline"), MAX_CMDLINE)?.unwrap_or_default();
        Ok(KernelCmdline::parse(&text))
    }

    /// The slot that runs now. The command line knows, by bootname or by anything else that
    /// `system.conf` knows it by; where it says nothing, a boot loader's script is asked.
    ///
    /// # Errors
    /// As [`Context::cmdline`] and [`Context::booted_group`], and as [`Context::system_conf`]
    /// where only that knows the name.
    pub fn booted(&self) -> Result<Option<SlotId>, Failure> {
        let group = match self.cmdline()?.booted_from() {
            BootedFrom::Slot(slot) => return Ok(Some(slot)),
            BootedFrom::External => return Ok(None),
            BootedFrom::Named(_) => self.booted_group(&self.system_conf()?)?,
            // A laptop that flashes a card has no configuration, and so nobody to ask.
            BootedFrom::NotSaid => match self.system_conf() {
                Ok(config) => self.booted_group(&config)?,
                Err(_) => None,
            },
        };
        Ok(group.and_then(BootedGroup::slot))
    }

    /// Where the running system came from, as far as command line or boot loader know.
    ///
    /// # Errors
    /// As [`Context::cmdline`], [`Context::backend`] and [`Failure::Backend`].
    pub fn booted_group(&self, config: &SystemConfig) -> Result<Option<BootedGroup>, Failure> {
        let said = self.cmdline()?.booted_from();
        if said == BootedFrom::NotSaid && config.system.bootloader == Bootloader::Custom {
            let current = self.backend(config, Access::ReadOnly)?.booted()?;
            return Ok(current.map(BootedGroup::Slot));
        }
        Ok(BootedGroup::resolve(&said, config))
    }

    /// The boot state as the backend reads it, and as the recorder remembers it where that is lost.
    ///
    /// # Errors
    /// As [`Context::backend`], [`Context::booted`] and [`Failure::Backend`].
    pub fn boot_state(&self, config: &SystemConfig) -> Result<BootState, Failure> {
        let mut backend = self.backend(config, Access::ReadOnly)?;
        let stored = backend.load()?;
        if backend.copies() == 0 {
            return Ok(stored);
        }
        let recorder =
            self.settings().and_then(|settings| self.recorder(&settings, Access::ReadOnly));
        Ok(match recorder {
            Ok(mut recorder) => {
                if let Some(front) = self.disk_when_unnamed(&stored) {
                    recorder.of_disk(front);
                }
                bootctl::recall(&stored, self.booted()?, recorder.facts())
            }
            // An update must not depend on the memory of earlier ones; `atomix doctor` tells why.
            Err(_) => stored,
        })
    }

    /// The identity of the disk that is in the board, where an environment does not say whose it
    /// is; `None` as well where the disk cannot be read.
    #[must_use]
    pub fn disk_when_unnamed(&self, state: &BootState) -> Option<Option<PartUuid>> {
        if state.disk.is_some() {
            return None;
        }
        self.board().disk_in_front(&self.settings().ok()?)
    }

    /// The flight recorder.
    ///
    /// # Errors
    /// [`Failure::Storage`], [`Failure::Disk`] or [`Failure::Recorder`].
    pub fn recorder(&self, settings: &Settings, access: Access) -> Result<BoardRecorder, Failure> {
        Ok(self.board().recorder(settings, access)?)
    }

    /// Remembers what a person asked for; why that cannot be remembered, in words, stops nothing.
    #[must_use]
    pub fn note_asked(&self, what: String) -> Vec<String> {
        let settings = self.settings();
        // A laptop and a stranger's board have no recorder.
        if matches!(settings, Err(Failure::Settings(crate::settings::SettingsError::Absent { .. })))
        {
            return Vec::new();
        }
        let noted = settings.and_then(|settings| {
            let mut recorder = self.recorder(&settings, Access::ReadWrite)?;
            recorder.append(self.now.timestamp(), &Entry::Asked { what })?;
            Ok(())
        });
        noted.err().map(|failure| failure.as_warning()).into_iter().collect()
    }

    /// The disk's partition table.
    ///
    /// # Errors
    /// [`Failure::Storage`] or [`Failure::Disk`].
    pub fn table(&self, disk: &Path) -> Result<Table, Failure> {
        Ok(self.board().table(disk)?)
    }

    /// The keyring in `path` below the root, with RAUC's defaults.
    ///
    /// # Errors
    /// [`Failure::FileAbsent`] or [`Failure::Keyring`].
    pub fn keyring(&self, path: &Path, options: KeyringOptions) -> Result<Keyring, Failure> {
        let pem = self.files.read(path, MAX_KEYRING)?.ok_or_else(|| Failure::FileAbsent {
            path: path.to_owned(),
            hint: "without a keyring no bundle can be trusted; install the vendor's CA certificate",
        })?;
        Keyring::from_pem(&pem, options)
            .map_err(|source| Failure::Keyring { path: path.to_owned(), source })
    }
}
