// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this a board with our own boot protocol, and if so, who may write its slots? There RAUC's
//! engine keeps the protocol: marks go through [`bootctl::BootControl`], installs through the
//! sealed `updater::Installer`. The board is opened anew for each act: a service lives long, and
//! others change the boot state too. That a board is none of ours is asked anew too, before
//! anything of it is changed: a bad read at the start of the service must not decide that.

use crate::boot_control::BootControl;
use crate::commands::install::{install_groups, seal_health, version_floor, with_installer};
use crate::context::{Context, Now};
use crate::failure::Failure;
use crate::settings::SettingsError;
use bootctl::{
    Activation, AtomixBoard, BoardCause, BoardKind, BundleId, EnvRead, NamedBoot, NamedError,
    NamedFailure, NamedMark, UbootChoice, choose_uboot,
};
use bootctl::{SlotId, SlotState};
use bundle::UnixTime;
use std::path::{Path, PathBuf};
use storage::Access;
use uboot::EnvError;
use updater::system::{SealedInstall, SealedJob};
use updater::{Bootloader, InstallError, InstallEvent, InstallReport, SealHealth, SystemConfig};

/// A variable that every environment of ours has.
const OWN_VARIABLE: &[u8] = b"atomix_env=1";

/// As much of a damaged copy is looked at; no environment is larger.
const MAX_RUIN_BYTES: u32 = 1024 * 1024;

/// A board of ours, as far as it has to be found again.
#[derive(Clone)]
pub struct OwnBoard {
    root: PathBuf,
    config: SystemConfig,
    clock: fn() -> UnixTime,
}

impl OwnBoard {
    /// The board below `root`, if it is one of ours. However little of it can be read, one that
    /// carries our settings is: the plain tools would break its protocol.
    #[must_use]
    pub fn find(root: &Path, config: &SystemConfig, clock: fn() -> UnixTime) -> Option<Self> {
        if config.system.bootloader != Bootloader::Uboot {
            return None;
        }
        let board = Self { root: root.to_owned(), config: config.clone(), clock };
        let context = board.context();
        let env = environment(&context);
        match choose_uboot(env, kind(&context, env)) {
            UbootChoice::Atomix => Some(board),
            UbootChoice::UbootTools => None,
        }
    }

    /// Whether the boot state says that the booted slot was marked good, by whomever. Our health
    /// service does that without this one.
    #[must_use]
    pub fn booted_is_good(&self) -> bool {
        let control = BootControl::open_by(&self.context(), &self.config, Access::ReadOnly);
        control.is_ok_and(|control| {
            let booted = control.booted().map(|slot| control.state().slot(slot).state);
            booted == Some(SlotState::Good)
        })
    }

    fn context(&self) -> Context {
        Context::host(&self.root, Now((self.clock)()))
    }
}

fn environment(context: &Context) -> EnvRead {
    match context.env_store(Access::ReadOnly).map(|store| store.load()) {
        Ok(Ok(loaded)) => EnvRead::of(&loaded.env),
        Ok(Err(EnvError::Lost { .. } | EnvError::BothCorrupt { .. })) => EnvRead::Lost,
        Ok(Err(_)) | Err(_) => EnvRead::Unreadable,
    }
}

/// Whose board this is: by its settings, by the selector that started this system, and where no
/// environment can be read, by what is left of one.
fn kind(context: &Context, env: EnvRead) -> BoardKind {
    let has_settings =
        !matches!(context.settings(), Err(Failure::Settings(SettingsError::Absent { .. })));
    let was_selected = context
        .cmdline()
        .is_ok_and(|line| line.has("atomix.selector") || line.has("atomix.reason"));
    // Beside a valid one, what an older copy says is over.
    let is_ruin = matches!(env, EnvRead::Lost | EnvRead::Unreadable) && has_ruin_of_ours(context);
    match has_settings || was_selected || is_ruin {
        true => BoardKind::Ours,
        false => BoardKind::Stranger,
    }
}

/// Whether a copy of the environment holds variables of ours, whatever its checksum says.
fn has_ruin_of_ours(context: &Context) -> bool {
    let Ok(config) = context.fw_env_config() else { return false };
    config.copies.iter().any(|place| {
        let Ok(storage) = context.devices.open(&place.device, Access::ReadOnly) else {
            return false;
        };
        let length = place.env_bytes.min(MAX_RUIN_BYTES);
        let mut image = vec![0; usize::try_from(length).unwrap_or(0)];
        let is_read = storage.read_at(place.offset, &mut image).is_ok();
        is_read && image.windows(OWN_VARIABLE.len()).any(|bytes| bytes == OWN_VARIABLE)
    })
}

/// The boot loader of a board that is none of ours, and that must still be none before anything
/// of it is changed.
pub struct StrangersBoot {
    boot: Box<dyn NamedBoot>,
    is_ours: Box<dyn Fn() -> bool + Send>,
}

impl StrangersBoot {
    /// `boot`, unless the board below `root` is found to be one of ours after all.
    #[must_use]
    pub fn new(boot: Box<dyn NamedBoot>, root: &Path, config: &SystemConfig) -> Self {
        let (root, config) = (root.to_owned(), config.clone());
        let is_ours = move || OwnBoard::find(&root, &config, || UnixTime(0)).is_some();
        Self { boot, is_ours: Box::new(is_ours) }
    }

    fn still(&mut self) -> Result<&mut dyn NamedBoot, NamedError> {
        if (self.is_ours)() {
            let source = "this is a board with sealed slots, which could not be seen before; \
                          restart the rauc service";
            let failure = NamedFailure::Own { source: source.into() };
            return Err(NamedError::new(self.boot.name(), failure));
        }
        Ok(&mut *self.boot)
    }
}

impl NamedBoot for StrangersBoot {
    fn name(&self) -> &'static str {
        self.boot.name()
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        self.boot.current()
    }

    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        self.boot.is_good(bootname)
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        self.boot.primary()
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        self.still()?.set_state(bootname, mark)
    }

    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        self.still()?.set_primary(bootname)
    }

    fn begin_install(&mut self, bootname: &str) -> Result<(), NamedError> {
        self.still()?.begin_install(bootname)
    }

    fn finish_install(
        &mut self,
        bootname: &str,
        bundle: BundleId,
        activation: Activation,
    ) -> Result<(), NamedError> {
        self.still()?.finish_install(bootname, bundle, activation)
    }

    fn prevents_late_fallback(&self) -> bool {
        self.boot.prevents_late_fallback()
    }

    fn is_known_failed(&mut self, bundle: &BundleId) -> Result<bool, NamedError> {
        self.boot.is_known_failed(bundle)
    }

    fn warnings(&mut self) -> Vec<String> {
        self.boot.warnings()
    }
}

fn cause(failure: Failure) -> BoardCause {
    Box::new(failure)
}

impl AtomixBoard for OwnBoard {
    fn open(&mut self, access: Access) -> Result<bootctl::BootControl, BoardCause> {
        BootControl::open_by(&self.context(), &self.config, access)
            .map(BootControl::into_inner)
            .map_err(cause)
    }

    fn require_seal(&mut self, slot: SlotId) -> Result<(), BoardCause> {
        let context = self.context();
        let groups = install_groups(&self.config).map_err(cause)?;
        let group = groups.iter().find(|group| group.slot_id == slot);
        let group = group.ok_or_else(|| format!("system.conf has no install group {slot}"))?;
        match seal_health(&context, group).map_err(cause)? {
            SealHealth::Sealed => Ok(()),
            SealHealth::Broken => {
                Err(format!("slot {slot} holds no complete system: its seal is broken").into())
            }
        }
    }
}

impl SealedInstall for OwnBoard {
    fn install(
        &mut self,
        job: &SealedJob<'_>,
        progress: &mut dyn FnMut(InstallEvent),
    ) -> Result<InstallReport, InstallError> {
        let opening = |failure: Failure| InstallError::Board { source: Box::new(failure) };
        let context = self.context();
        let booted = context.booted_group(job.config).map_err(opening)?;
        let booted = booted.ok_or_else(|| opening(Failure::NotBootedFromSlot))?;
        let reason = context.cmdline().map_err(opening)?.reason();
        let floor = version_floor(&context, job.config).map_err(opening)?;
        let options = job.options(booted, reason, floor);
        with_installer(&context, job.config, progress, |installer| {
            installer.install_from(job.lock, (job.bundle, job.images), &options, job.stop)
        })
        .map_err(opening)?
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};

    const CONF: &str = "[system]\ncompatible=x\nbootloader=uboot\n";

    /// A board without our settings, with one copy of an environment in `env.bin`.
    fn board(env: &[u8], cmdline: &str) -> (tempfile::TempDir, SystemConfig) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for below in ["etc", "proc"] {
            create_dir_all(root.join(below)).unwrap();
        }
        write(root.join("etc/fw_env.config"), "/env.bin 0x0 0x4000\n").unwrap();
        write(root.join("env.bin"), env).unwrap();
        write(root.join("proc/cmdline"), cmdline).unwrap();
        (dir, SystemConfig::parse(CONF, Path::new("/")).unwrap())
    }

    fn is_ours(root: &Path, config: &SystemConfig) -> bool {
        OwnBoard::find(root, config, || UnixTime(0)).is_some()
    }

    fn ruin(variables: &[u8]) -> Vec<u8> {
        let mut image = vec![0x5a; 4];
        image.extend_from_slice(variables);
        image.resize(0x4000, 0);
        image
    }

    #[test]
    fn a_board_without_settings_is_known_by_what_is_left_of_it() {
        let (dir, config) = board(&ruin(b"BOOT_ORDER=A B\0atomix_env=1\0"), "quiet\n");
        assert!(is_ours(dir.path(), &config), "a copy with a wrong checksum");
        let (dir, config) = board(&[0xff; 0x4000], "rauc.slot=A atomix.selector=1\n");
        assert!(is_ours(dir.path(), &config), "a blank copy, and our selector ran");
        let (dir, config) = board(&ruin(b"BOOT_ORDER=A B\0"), "rauc.slot=A\n");
        assert!(!is_ours(dir.path(), &config), "a stranger's copy with a wrong checksum");
    }

    #[test]
    fn nothing_is_changed_once_the_board_is_seen_to_be_ours() {
        struct Plain;
        impl NamedBoot for Plain {
            fn name(&self) -> &'static str {
                "uboot"
            }
            fn current(&mut self) -> Result<Option<String>, NamedError> {
                Ok(None)
            }
            fn is_good(&mut self, _: &str) -> Result<bool, NamedError> {
                Ok(true)
            }
            fn primary(&mut self) -> Result<Option<String>, NamedError> {
                Ok(None)
            }
            fn set_state(&mut self, _: &str, _: NamedMark) -> Result<(), NamedError> {
                Ok(())
            }
            fn set_primary(&mut self, _: &str) -> Result<(), NamedError> {
                Ok(())
            }
        }
        let (dir, config) = board(&[0xff; 0x4000], "quiet\n");
        let mut boot = StrangersBoot::new(Box::new(Plain), dir.path(), &config);
        boot.begin_install("A").unwrap();
        write(dir.path().join("env.bin"), ruin(b"atomix_env=1\0")).unwrap();
        let refused = boot.begin_install("A").unwrap_err().to_string();
        assert!(refused.contains("sealed slots"), "{refused}");
        assert!(boot.set_primary("A").is_err() && boot.is_good("A").unwrap());
    }
}
