// SPDX-License-Identifier: MIT OR Apache-2.0
//! Is this a board with our own boot protocol, and if so, who may write its slots? There RAUC's
//! engine keeps the protocol: marks go through [`bootctl::BootControl`], installs through the
//! sealed `updater::Installer`. The board is opened anew for each act: a service lives long, and
//! others change the boot state too.

use crate::boot_control::BootControl;
use crate::commands::install::{install_groups, seal_health, version_floor, with_installer};
use crate::context::{Context, Now};
use crate::failure::Failure;
use crate::settings::SettingsError;
use bootctl::SlotId;
use bootctl::{AtomixBoard, BoardCause, BoardKind, EnvRead, UbootChoice, choose_uboot};
use bundle::UnixTime;
use std::path::{Path, PathBuf};
use storage::Access;
use uboot::EnvError;
use updater::system::{SealedInstall, SealedJob};
use updater::{
    Bootloader, CompatibleRule, InstallError, InstallEvent, InstallOptions, InstallPolicy,
    InstallReport, OuterSteps, SealHealth, SystemConfig,
};

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
        let kind = match context.settings() {
            Err(Failure::Settings(SettingsError::Absent { .. })) => BoardKind::Stranger,
            _ => BoardKind::Ours,
        };
        match choose_uboot(environment(&context), kind) {
            UbootChoice::Atomix => Some(board),
            UbootChoice::UbootTools => None,
        }
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
        let options = InstallOptions {
            booted,
            reason: context.cmdline().map_err(opening)?.reason(),
            variant: job.variant.map(str::to_owned),
            version_floor: version_floor(&context, job.config).map_err(opening)?,
            policy: InstallPolicy {
                versions: job.versions,
                // Compared already, or left to the bundle's own check.
                compatible: CompatibleRule::Ignore,
                outer: OuterSteps::Done,
                ..InstallPolicy::default()
            },
        };
        with_installer(&context, job.config, progress, |installer| {
            installer.install_until(job.lock, job.bundle, &options, job.stop)
        })
        .map_err(opening)?
    }
}
