// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the service need of whatever installs? The seam between D-Bus and `updater::system`:
//! the language of D-Bus is tested against a fake that installs nothing.

use crate::rauc::dict::Dict;
use bundle::Manifest;
use std::sync::Arc;
use storage::Digest;
use updater::system::Updated;

/// How a bundle on a server is reached.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Client certificate: a file or a `pkcs11:` URI.
    pub tls_cert: Option<String>,
    /// Its key.
    pub tls_key: Option<String>,
    /// Whom to believe that it is the server.
    pub tls_ca: Option<String>,
    /// The server's certificate is not verified.
    pub tls_no_verify: bool,
    /// Headers of every request.
    pub http_headers: Vec<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Headers and URIs carry secrets.
        f.debug_struct("Access").field("tls_no_verify", &self.tls_no_verify).finish_non_exhaustive()
    }
}

/// An install that somebody asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallAsked {
    /// Path or URL of the bundle.
    pub source: String,
    /// How it is reached.
    pub access: Access,
    /// A bundle for another board is taken too.
    pub ignore_compatible: bool,
    /// A bundle that is too old is taken too.
    pub ignore_version_limit: bool,
    /// The identity of the install.
    pub transaction: Option<String>,
    /// The only manifest that is taken.
    pub require_manifest_hash: Option<String>,
}

/// What is told while something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// How far it is.
    Progress {
        /// Per cent.
        percent: i32,
        /// What is done.
        text: String,
        /// How deep that lies in the whole.
        depth: i32,
    },
    /// For the log.
    Note(String),
    /// For the log, and to be seen.
    Warning(String),
    /// A line of a program, for the standard output.
    Line(String),
}

/// Says who wants the work to end, for as long as it goes on.
pub type Stop = Arc<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// What never changes while the service runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Match string of the system.
    pub compatible: String,
    /// Its variant, or empty.
    pub variant: String,
    /// Its version, or empty.
    pub system_version: String,
    /// What it was booted from, or empty.
    pub boot_slot: String,
}

/// Slots by name, as `GetSlotStatus` shows them.
pub type Slots = Vec<(String, Dict)>;

/// What was last known, for those who ask while an install has the engine.
pub trait View: Send + Sync {
    /// As `GetSlotStatus`.
    fn slots(&self) -> Slots;
    /// As `GetArtifactStatus`.
    fn artifacts(&self) -> Vec<Dict>;
    /// As `GetPrimary`.
    ///
    /// # Errors
    /// Why nobody knows.
    fn primary(&self) -> Result<String, String>;
}

/// What was inspected.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The manifest.
    pub manifest: Manifest,
    /// SHA-256 of its text.
    pub digest: Digest,
}

/// What an install changed; built-in polling asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Updates {
    /// Whether it wrote slots.
    pub slots: Updated,
    /// Whether it wrote artifacts.
    pub artifacts: Updated,
}

/// Why nothing, or not everything, was installed: the line for `LastError`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotInstalled {
    /// Another program installs.
    Busy(String),
    /// It failed.
    Failed(String),
}

impl NotInstalled {
    /// The line for `LastError`.
    #[must_use]
    pub fn line(&self) -> &str {
        match self {
            Self::Busy(line) | Self::Failed(line) => line,
        }
    }
}

/// The bundle that was opened for the last install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// SHA-256 of its manifest's text.
    pub digest: Digest,
    /// Its version, or nothing.
    pub version: String,
}

/// Installs, marks and tells. Errors are lines in RAUC's words.
pub trait Engine: Send {
    /// What never changes.
    fn facts(&self) -> Facts;

    /// What was last known.
    fn view(&self) -> Arc<dyn View>;

    /// Installs a bundle.
    ///
    /// # Errors
    /// [`NotInstalled`].
    fn install(
        &mut self,
        asked: &InstallAsked,
        tell: &mut dyn FnMut(Told),
        stop: Stop,
    ) -> Result<Updates, NotInstalled>;

    /// Headers for the first request to a server.
    fn info_headers(&mut self) -> Vec<(String, String)>;

    /// Whether the bundle of that manifest was installed here before and did not prove itself.
    ///
    /// # Errors
    /// Why nobody can tell.
    fn is_known_failed(&mut self, manifest: Digest) -> Result<bool, String>;

    /// The way out of what failed last, where there is one to name.
    fn hint(&self) -> Option<&'static str> {
        None
    }

    /// The bundle that was opened for the last install, if it was true.
    fn opened(&self) -> Option<Opened> {
        None
    }

    /// Opens a bundle and says what is in it.
    ///
    /// # Errors
    /// Why it is not true.
    fn inspect(&mut self, source: &str, access: &Access, stop: Stop) -> Result<Inspected, String>;

    /// Marks a slot; its name, and what was done.
    ///
    /// # Errors
    /// Why not.
    fn mark(&mut self, state: &str, identifier: &str) -> Result<(String, String), String>;

    /// The slots as they are now.
    ///
    /// # Errors
    /// Why they cannot be told.
    fn slots(&mut self) -> Result<Slots, String>;

    /// The artifact repositories as they are now.
    ///
    /// # Errors
    /// Why they cannot be told.
    fn artifacts(&mut self) -> Result<Vec<Dict>, String>;

    /// The slot that boots next.
    ///
    /// # Errors
    /// Why nobody knows.
    fn primary(&mut self) -> Result<String, String>;
}
