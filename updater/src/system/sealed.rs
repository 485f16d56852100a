// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does RAUC's install go on a board whose slots are sealed?
//!
//! There our own protocol rules (`docs/commit-protocol.md`): the environment says `writing` before
//! the first byte, the seal is zeroed first and written last, everything is read back, and only
//! then the boot order names the slot. [`super::System`] does everything around that, and hands
//! the rest over to a [`SealedInstall`], which is [`crate::Installer`]. It never asks the
//! [`bootctl::NamedBoot`] to begin or finish an install there.

use crate::{
    BootedGroup, BundleVersion, CompatibleRule, ImageOpener, IndexRule, InstallError, InstallEvent,
    InstallLock, InstallOptions, InstallPolicy, InstallReport, Installer, OuterSteps, StopQuestion,
    SystemConfig, VersionRule,
};
use bootctl::{BootBackend, Reason, Recorder, Timestamp};
use bundle::VerifiedBundle;
use storage::{Devices, Files, Storage};

/// One install on sealed slots. The checks of the bundle are done; hooks and handlers that
/// surround it are the system's business.
pub struct SealedJob<'a> {
    /// The lock that is held.
    pub lock: &'a InstallLock,
    /// The configuration.
    pub config: &'a SystemConfig,
    /// The bundle.
    pub bundle: &'a VerifiedBundle,
    /// This system's variant.
    pub variant: Option<&'a str>,
    /// RAUC's identity of this install, for the status.
    pub transaction: &'a str,
    /// Whether an older version was allowed by a person.
    pub versions: VersionRule,
    /// Opens the images, also indexes of images.
    pub images: &'a dyn ImageOpener,
    /// Now.
    pub at: Timestamp,
    /// Asked all the time.
    pub stop: StopQuestion<'a>,
}

impl SealedJob<'_> {
    /// How [`Installer`] does this job on a board that was booted from `booted` for `reason` and
    /// accepts no version below `version_floor`.
    #[must_use]
    pub fn options(
        &self,
        booted: BootedGroup,
        reason: Option<Reason>,
        version_floor: Option<BundleVersion>,
    ) -> InstallOptions {
        let policy = InstallPolicy {
            versions: self.versions,
            // Compared already, or left to the bundle's own check.
            compatible: CompatibleRule::Ignore,
            outer: OuterSteps::Done,
            indexes: IndexRule::Open,
            ..InstallPolicy::default()
        };
        let variant = self.variant.map(str::to_owned);
        InstallOptions { booted, reason, variant, version_floor, policy }
    }
}

/// Installs into sealed slots.
pub trait SealedInstall: Send {
    /// Installs, from the plan to the boot order.
    ///
    /// # Errors
    /// [`InstallError`].
    fn install(
        &mut self,
        job: &SealedJob<'_>,
        progress: &mut dyn FnMut(InstallEvent),
    ) -> Result<InstallReport, InstallError>;
}

/// [`SealedInstall`] by [`Installer`] on parts that it owns.
pub struct OwnedInstaller {
    /// Opens the slots.
    pub devices: Box<dyn Devices + Send>,
    /// Small files: the status.
    pub files: Box<dyn Files>,
    /// The boot state.
    pub backend: Box<dyn BootBackend + Send>,
    /// The flight recorder, where the board has one.
    pub recorder: Option<Recorder<Box<dyn Storage>>>,
    /// Where the running system came from.
    pub booted: BootedGroup,
    /// Why the firmware booted it.
    pub reason: Option<Reason>,
    /// The oldest version this system accepts.
    pub version_floor: Option<BundleVersion>,
}

impl SealedInstall for OwnedInstaller {
    fn install(
        &mut self,
        job: &SealedJob<'_>,
        progress: &mut dyn FnMut(InstallEvent),
    ) -> Result<InstallReport, InstallError> {
        let options = job.options(self.booted, self.reason, self.version_floor.clone());
        let mut installer = Installer {
            config: job.config,
            devices: &*self.devices,
            files: &mut *self.files,
            backend: &mut *self.backend,
            recorder: self.recorder.as_mut(),
            at: job.at,
            progress,
        };
        installer.install_from(job.lock, (job.bundle, job.images), &options, job.stop)
    }
}
