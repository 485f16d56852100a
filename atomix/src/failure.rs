// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way a command can fail, and the exit code of each. The text of `docs/exit-codes.md`
//! follows [`Class`]; a test holds the two together.

mod class;

use crate::settings::SettingsError;
pub use atomix_repart::Class;
use atomix_repart::{file_hint, files_hint};
use bootctl::BackendError;
use bundle::http::HttpError;
use class::{
    ask_class, bundle_class, class_of, fetch_class, hand_class, hawkbit_class, install_class,
    release_class, report_class,
};
use serde_json::{Value, json};
use std::io;
use std::path::PathBuf;
pub use storage::chain;
use storage::{FilesError, StorageError};
use uboot::EnvError;

/// A failed command.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The settings cannot be used.
    #[error("cannot use the settings")]
    Settings(#[from] SettingsError),
    /// A small file could not be read or written.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A device failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file that must be there is not.
    #[error("{path} does not exist", path = path.display())]
    FileAbsent {
        /// Which file.
        path: PathBuf,
        /// The way out.
        hint: &'static str,
    },
    /// `system.conf` is wrong.
    #[error("cannot use {path}", path = path.display())]
    SystemConf {
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: updater::SystemConfError,
    },
    /// The environment cannot be read or written.
    #[error("cannot use the U-Boot environment")]
    Environment(#[from] uboot::EnvError),
    /// The boot state cannot be read or written.
    #[error("cannot use the boot state")]
    Backend(#[from] bootctl::BackendError),
    /// The boot state does not allow the change.
    #[error("refused")]
    BootState(#[from] bootctl::Refused),
    /// The flight recorder failed.
    #[error("cannot use the flight recorder")]
    Recorder(#[from] bootctl::RecorderError),
    /// What an image is made of cannot be had.
    #[error(transparent)]
    Input(#[from] bundle::SourceError),
    /// Nobody can tell whether a slot would load.
    #[error("cannot read the seal of slot {slot} ({device})", device = device.display())]
    Seal {
        /// The slot.
        slot: updater::SlotName,
        /// Its device.
        device: PathBuf,
        /// Cause.
        #[source]
        source: StorageError,
    },
    /// A bundle is not what it should be.
    #[error("cannot use {bundle}", bundle = bundle.display())]
    Bundle {
        /// Which file.
        bundle: PathBuf,
        /// Cause.
        #[source]
        source: bundle::BundleError,
    },
    /// A bundle could not be made.
    #[error("cannot create {bundle}", bundle = bundle.display())]
    Create {
        /// Which file.
        bundle: PathBuf,
        /// Cause.
        #[source]
        source: bundle::CreateError,
    },
    /// The keyring cannot be used.
    #[error("cannot use the keyring {path}", path = path.display())]
    Keyring {
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: bundle::KeyringError,
    },
    /// The signer's certificate or key cannot be used.
    #[error("cannot sign with {cert}", cert = cert.display())]
    Signer {
        /// The certificate.
        cert: PathBuf,
        /// Cause.
        #[source]
        source: bundle::SignError,
    },
    /// A release is not what it should be, or does not count.
    #[error("cannot use {file}", file = file.display())]
    Release {
        /// Which file.
        file: PathBuf,
        /// Cause.
        #[source]
        source: agents::ReleaseError,
    },
    /// The agent's settings are none.
    #[error(transparent)]
    AgentSettings(agents::SettingsError),
    /// A key or token of the agent's may not be used.
    #[error("cannot use a key, a token or a certificate of the update agent")]
    Secret(#[source] agents::SecretError),
    /// The update server has no answer that can be used.
    #[error(transparent)]
    Ask(agents::agent::AskError),
    /// hawkBit has no answer or no action that can be used.
    #[error(transparent)]
    Hawkbit(agents::ddi::DdiTrouble),
    /// The agent could not do its part.
    #[error(transparent)]
    Hand(agents::agent::HandError),
    /// A bundle on a server cannot be had.
    #[error("cannot fetch the bundle")]
    Fetch(#[source] HttpError),
    /// An install failed or was refused.
    #[error("cannot install {bundle}", bundle = bundle.display())]
    Install {
        /// Which file.
        bundle: PathBuf,
        /// Cause.
        #[source]
        source: updater::InstallError,
    },
    /// The system's variant cannot be told.
    #[error("cannot tell the variant of this system")]
    Variant(#[source] updater::VariantError),
    /// The install lock is taken.
    #[error("cannot start an install")]
    Lock(#[from] updater::LockError),
    /// A bundle that is to be stored does not fit.
    #[error("/data has no room for {what}")]
    NoRoom {
        /// How much of it.
        what: String,
    },
    /// A slot's content cannot be judged.
    #[error("cannot check the slot")]
    SlotCheck(#[from] updater::SlotCheckError),
    /// The board's disk, or a file that says where its parts are, cannot be used.
    #[error(transparent)]
    Disk(atomix_repart::Failure),
    /// The probes are wrong.
    #[error("cannot use {path}", path = path.display())]
    HealthConfig {
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: verifier::HealthConfigError,
    },
    /// The verdict is unhealthy.
    #[error("this boot is not healthy: {reasons}")]
    Unhealthy {
        /// All reasons, joined.
        reasons: String,
    },
    /// A statement of the demo is not true.
    #[error("the demo cannot go on: {claim} does not hold")]
    Claim {
        /// The statement.
        claim: String,
    },
    /// An image could not be built.
    #[error("cannot build {image}", image = image.display())]
    Image {
        /// Which file.
        image: PathBuf,
        /// Cause.
        #[source]
        source: board_rock64::ImageError,
    },
    /// A recipe did not become an image.
    #[error(transparent)]
    Recipe(#[from] crate::recipe::RecipeError),
    /// A serial line failed.
    #[error(transparent)]
    Line(#[from] crate::serial_line::LineError),
    /// A board on a serial line did not do what was asked.
    #[error("{what}")]
    Board {
        /// What it did instead.
        what: String,
        /// The way out.
        hint: String,
    },
    /// A value cannot be typed at U-Boot's prompt.
    #[error(transparent)]
    NotLiteral(#[from] crate::commands::rescue::laptop::NotLiteral),
    /// The running system is not one of the slots.
    #[error(
        "the running system was not booted from a slot (rauc.slot= on its command line names none)"
    )]
    NotBootedFromSlot,
    /// An argument does not fit.
    #[error("{what}")]
    Usage {
        /// What is wrong with it.
        what: String,
        /// The way out.
        hint: &'static str,
    },
    /// The command does not apply here.
    #[error("{what}")]
    Refused {
        /// Why not.
        what: String,
        /// The way out.
        hint: &'static str,
    },
    /// Content differs from what was recorded.
    #[error("{what}")]
    NotVerified {
        /// What differs where.
        what: String,
        /// The way out.
        hint: &'static str,
    },
    /// A slot's content is not what was installed.
    #[error("{what}")]
    Content {
        /// What differs where.
        what: String,
    },
    /// A query's answer is no.
    #[error("{what}")]
    No {
        /// The answer in words.
        what: String,
    },
    /// A device, or the way to it, failed.
    #[error(transparent)]
    Device(#[from] crate::commands::config_device::DeviceError),
    /// A file of this machine could not be used.
    #[error("cannot {act} {path}", path = path.display())]
    Io {
        /// The verb.
        act: &'static str,
        /// Which file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A report cannot be made, or is not believed.
    #[error(transparent)]
    Report(agents::ReportError),
    /// There is no key to sign reports with.
    #[error(transparent)]
    ReportKey(agents::KeyError),
    /// Standard output is gone.
    #[error("cannot print")]
    Print(#[from] io::Error),
    /// A value could not be written as JSON.
    #[error("cannot print as JSON")]
    Json(#[from] serde_json::Error),
}

impl Failure {
    /// What the exit code of this failure means.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Settings(_)
            | Self::FileAbsent { .. }
            | Self::SystemConf { .. }
            | Self::HealthConfig { .. }
            | Self::Keyring { .. }
            | Self::Signer { .. }
            | Self::AgentSettings(_)
            | Self::Secret(_)
            | Self::Usage { .. } => Class::Usage,
            Self::Storage(StorageError::Busy { .. })
            | Self::Lock(updater::LockError::Busy { .. }) => Class::Busy,
            Self::BootState(_) | Self::NotBootedFromSlot | Self::Refused { .. } => Class::Refused,
            Self::Environment(source) => source.into(),
            Self::Backend(source) => source.into(),
            Self::Disk(source) => source.class(),
            Self::Line(source) => source.class(),
            Self::Recipe(source) => source.class(),
            Self::Device(source) => source.class(),
            Self::Report(source) => report_class(source),
            Self::Ask(source) => ask_class(source),
            Self::Hawkbit(source) => hawkbit_class(source),
            Self::Hand(source) => hand_class(source),
            Self::Bundle { source, .. } => bundle_class(source),
            Self::Release { source, .. } => release_class(source),
            Self::Install { source, .. } => install_class(source),
            Self::Fetch(source) => fetch_class(source),
            Self::SlotCheck(source) => class_of(source.class()),
            Self::Variant(source) => class_of(source.class()),
            Self::NotVerified { .. } | Self::Content { .. } => Class::NotVerified,
            Self::No { .. } => Class::No,
            Self::Files(_)
            | Self::Storage(_)
            | Self::Recorder(_)
            | Self::Input(_)
            | Self::Seal { .. }
            | Self::Create { .. }
            | Self::Lock(_)
            | Self::NoRoom { .. }
            | Self::Unhealthy { .. }
            | Self::Claim { .. }
            | Self::Image { .. }
            | Self::Board { .. }
            | Self::NotLiteral(_)
            | Self::Io { .. }
            | Self::ReportKey(_)
            | Self::Print(_)
            | Self::Json(_) => Class::Failed,
        }
    }

    /// The way out, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint: Option<&str> = match self {
            Self::FileAbsent { hint, .. }
            | Self::Usage { hint, .. }
            | Self::Refused { hint, .. }
            | Self::NotVerified { hint, .. } => Some(hint),
            Self::Board { hint, .. } => Some(hint),
            Self::Line(source) => Some(source.hint()),
            Self::Device(source) => Some(source.hint()),
            Self::Recipe(source) => source.hint(),
            Self::Environment(source) => environment_hint(source),
            Self::Backend(BackendError::Environment { source }) => environment_hint(source),
            Self::Backend(source) => source.hint(),
            Self::BootState(source) => source.hint(),
            Self::Disk(source) => source.hint(),
            Self::Bundle { source, .. } => source.hint(),
            Self::Release { source, .. } => Some(source.hint()),
            Self::Create { source, .. } => source.hint(),
            Self::Install { source, .. } => source.hint(),
            Self::Fetch(source) => source.hint(),
            Self::AgentSettings(source) => Some(source.hint()),
            Self::Ask(source) => Some(source.hint()),
            Self::Hawkbit(source) => Some(source.hint()),
            Self::Hand(source) => {
                return source.source.downcast_ref::<Self>().and_then(Self::hint);
            }
            Self::Secret(source) => Some(source.hint()),
            Self::Lock(source) => source.hint(),
            Self::Recorder(source) => source.hint(),
            Self::SlotCheck(source) => source.hint(),
            Self::Variant(source) => Some(source.hint()),
            Self::HealthConfig { source, .. } => source.hint(),
            Self::Image { source, .. } => source.hint(),
            Self::SystemConf { source, .. } => {
                source.hint().or(Some("correct the file; nothing was tried"))
            }
            Self::NoRoom { .. } => Some(
                "make room there; none is needed without keep_bundles, where the server has ranges",
            ),
            Self::Keyring { .. } => Some("the keyring has to hold CA certificates in PEM"),
            Self::Signer { .. } => {
                Some("give certificate and private key of one signer, both in PEM")
            }
            Self::Settings(source) => Some(source.hint()),
            Self::Content { .. } => Some("its content changed after the install: install it again"),
            Self::Files(source) => Some(files_hint(source)),
            Self::Io { source, .. } => Some(file_hint(source)),
            Self::Report(source) => source.hint(),
            Self::ReportKey(agents::KeyError::Files(source)) => Some(files_hint(source)),
            Self::NotBootedFromSlot => {
                Some("boot from a slot, or name one (A or B) where the command takes it")
            }
            Self::Input(_) => Some("give the path of a file that can be read"),
            Self::Storage(source) | Self::Seal { source, .. } => {
                source.hint().or_else(|| is_denied(source).then_some("run it as root"))
            }
            Self::Unhealthy { .. }
            | Self::ReportKey(_)
            | Self::NotLiteral(_)
            | Self::Claim { .. }
            | Self::No { .. }
            | Self::Print(_)
            | Self::Json(_) => None,
        };
        hint.map(str::to_owned)
    }

    /// The name of the signal that ended the work, where one did.
    #[must_use]
    pub const fn stopped_by(&self) -> Option<&'static str> {
        if let Self::Install { source: updater::InstallError::Stopped { by }, .. } = self {
            Some(by)
        } else if let Self::Device(source) = self {
            source.stopped_by()
        } else if let Self::Fetch(HttpError::Stopped { reason }) = self {
            Some(reason)
        } else {
            None
        }
    }

    /// The failure and its causes, joined by `: `, each said once.
    #[must_use]
    pub fn chain(&self) -> String {
        chain(self)
    }

    /// The failure with its way out in one line, where it does not stop the command.
    #[must_use]
    pub fn as_warning(&self) -> String {
        self.hint().map_or_else(|| self.chain(), |hint| format!("{}; {hint}", self.chain()))
    }

    /// The failure as the JSON object of `docs/exit-codes.md`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "version": 1,
            "error": {
                "code": self.class().exit_code(),
                "message": self.chain(),
                "hint": self.hint(),
            },
        })
    }
}

/// Whether this user may not open the device.
fn is_denied(error: &StorageError) -> bool {
    matches!(error, StorageError::Open { source, .. }
        if source.kind() == io::ErrorKind::PermissionDenied)
}

/// A medium that fails has its own way out: which copy it is.
fn environment_hint(error: &EnvError) -> Option<&'static str> {
    let fails = matches!(error, EnvError::Unreadable { .. } | EnvError::Write { .. });
    let way_out = "`atomix uenv check` shows which copy; replace the device if it fails again";
    error.hint().or(fails.then_some(way_out))
}
