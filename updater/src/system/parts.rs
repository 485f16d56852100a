// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a [`super::System`] acts with, and what it is asked to do: values and seams that the
//! program hands in. Clock, random identities, environment and paths all come from outside.

use super::sealed::SealedInstall;
use super::{BoxedError, ImageSources, Steps};
use crate::event_log::EventLog;
use crate::slot_handlers::Machine;
use crate::{CompatibleRule, StopQuestion};
use bootctl::{NamedBoot, Timestamp};
use bundle::VerifiedBundle;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use storage::Files;

/// Everything a system acts with.
pub struct SystemParts {
    /// Small files: status, variant.
    pub files: Box<dyn Files>,
    /// Programs, mounts and devices.
    pub machine: Box<dyn Machine>,
    /// The boot loader.
    pub boot: Box<dyn NamedBoot>,
    /// What is around this process.
    pub surroundings: Surroundings,
    /// Now.
    pub clock: Box<dyn Fn() -> Timestamp + Send>,
    /// A new transaction identity: a random UUID as text, or why there is none.
    pub ids: Box<dyn Fn() -> Result<String, BoxedError> + Send>,
    /// On a board whose slots are sealed, the engine that keeps the seals. While it is given,
    /// nothing else writes slots or their boot state in an install.
    pub sealed: Option<Box<dyn SealedInstall>>,
    /// Where the content of images comes from.
    pub sources: Box<dyn ImageSources>,
    /// Told what happens.
    pub log: EventLog,
}

/// What is around this process.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Path of `system.conf`, for handlers.
    pub config_path: PathBuf,
    /// The kernel command line, or `RAUC_TEST_CMDLINE`.
    pub cmdline: Option<String>,
    /// `--override-boot-slot`.
    pub override_boot_slot: Option<String>,
    /// `/run/rauc`, or `RAUC_TEST_RUNTIME_DIRECTORY`.
    pub runtime_dir: PathBuf,
    /// The root below which the install lock lies.
    pub lock_root: PathBuf,
    /// This process, as others are told who hold the lock.
    pub pid: u32,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: Option<String>,
    /// Names of the variables this process has: programs inherit them, and what the system-info
    /// handler told does not replace them.
    pub inherited: BTreeSet<OsString>,
}

/// What is done about a bundle that is older than `min-bundle-version`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VersionLimit {
    /// It is refused.
    #[default]
    Keep,
    /// A person knows better (`--ignore-version-limit`).
    Ignore,
}

/// One install.
#[derive(Clone, Debug, Default)]
pub struct InstallRequest {
    /// Where the bundle is, as the person said; for messages only.
    pub location: String,
    /// `--ignore-compatible`.
    pub compatible: CompatibleRule,
    /// `--ignore-version-limit`.
    pub version_limit: VersionLimit,
    /// `--transaction-id`; otherwise a new one.
    pub transaction: Option<String>,
    /// `--require-manifest-hash`.
    pub require_manifest_hash: Option<String>,
    /// `--handler-args`, quoted as for a shell.
    pub handler_args: Option<String>,
}

/// What whoever opens the bundle should know.
#[derive(Clone, Debug, Default)]
pub struct OpeningFacts {
    /// This install's identity.
    pub transaction: String,
    /// Headers that the first request to a server carries, names with `RAUC-`.
    pub info_headers: Vec<(String, String)>,
}

/// Fetches and verifies the bundle, as a step of the install: its failure is told and logged as
/// the install's.
pub trait OpenBundle {
    /// Opens it. Called once.
    ///
    /// # Errors
    /// Whatever went wrong; the whole chain is shown.
    fn open(
        &mut self,
        facts: &OpeningFacts,
        steps: &mut Steps<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<VerifiedBundle, BoxedError>;
}

impl<F> OpenBundle for F
where
    F: FnMut(&OpeningFacts, &mut Steps<'_>, StopQuestion<'_>) -> Result<VerifiedBundle, BoxedError>,
{
    fn open(
        &mut self,
        facts: &OpeningFacts,
        steps: &mut Steps<'_>,
        stop: StopQuestion<'_>,
    ) -> Result<VerifiedBundle, BoxedError> {
        self(facts, steps, stop)
    }
}

/// What an install did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallOutcome {
    /// Its identity.
    pub transaction: String,
    /// Whether a slot was updated; polling asks.
    pub slots: Updated,
    /// Whether an artifact was updated; polling asks.
    pub artifacts: Updated,
}

/// Whether something was updated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Updated {
    /// It was.
    Yes,
    /// It was not.
    #[default]
    No,
}
