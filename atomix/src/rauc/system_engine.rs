// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine behind the service: `updater::system::System`, with bundles opened as the
//! configuration and the caller say.

use crate::rauc::dict::Dict;
use crate::rauc::engine::{
    Access, Engine, Facts, Inspected, InstallAsked, NotInstalled, Opened, Slots, Stop, Told,
    Updates, View,
};
use crate::rauc::env::RaucEnv;
use crate::rauc::error::{RaucError, chain_of};
use crate::rauc::hint::hint_of;
use crate::rauc::opening::{Content, Judging, Verify, open, resolve};
use crate::rauc::session::{Keys, http_options};
use crate::rauc::system_dict::{LatestView, repositories_of, slots_of};
use crate::rauc::trust::Expiry;
use bundle::http::{HttpNotice, HttpOptions, Patience};
use bundle::{Notice, UnixTime, VerifiedBundle};
use std::ffi::OsStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use storage::Digest;
use updater::system::{
    BoxedError, InstallRequest, MarkState, OpeningFacts, Steps, StoreOptions, System, SystemError,
    SystemEvent, VersionLimit,
};
use updater::{ArtifactRepository, CompatibleRule, StopQuestion, SystemConfig};

/// A look at a bundle takes no longer, however slow its server drips: others wait for the engine.
const LONGEST_LOOK: Duration = Duration::from_secs(120);

/// The engine of a configured system.
pub struct SystemEngine {
    /// It.
    pub system: System,
    /// How it reaches the chunk store of an install.
    pub store: StoreAccess,
    /// The environment.
    pub env: RaucEnv,
    /// Secrets, and the keyring of the command line.
    pub keys: Keys,
    /// `--handler-args`.
    pub handler_args: Option<String>,
    /// The time.
    pub clock: fn() -> UnixTime,
    /// Where lines go that belong to no install.
    pub log: fn(&Told),
    /// The way out of what failed last.
    pub hint: Option<&'static str>,
    /// The bundle of the last install.
    pub opened: Option<Opened>,
}

impl SystemEngine {
    /// Why an install failed; the way out is kept for who asks.
    fn not_installed(&mut self, error: SystemError) -> NotInstalled {
        self.hint = self.hint.or_else(|| hint_of(&error));
        if error.is_busy() {
            return NotInstalled::Busy(error.text());
        }
        NotInstalled::Failed(error.text())
    }
}

/// How the server of a chunk store is spoken to in the install that goes on.
#[derive(Clone, Default)]
pub struct StoreAccess(Arc<Mutex<HttpOptions>>);

impl StoreAccess {
    /// For the system.
    #[must_use]
    pub fn options(&self) -> StoreOptions {
        let current = Arc::clone(&self.0);
        Box::new(move || current.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn set(&self, options: HttpOptions) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = options;
    }
}

/// What a system tells, as the service tells it on.
#[must_use]
pub fn told_of(event: SystemEvent) -> Told {
    match event {
        SystemEvent::Progress { percent, text, depth } => Told::Progress {
            percent: i32::from(percent),
            text,
            depth: i32::try_from(depth).unwrap_or(i32::MAX),
        },
        SystemEvent::Message(text) | SystemEvent::Note(text) => Told::Note(text),
        SystemEvent::Warning(text) => Told::Warning(text),
        SystemEvent::HandlerLine(text) => Told::Line(format!("# {text}")),
    }
}

/// What it takes to open a bundle, apart from the system.
struct Opener<'a> {
    config: &'a SystemConfig,
    keys: &'a Keys,
    http: HttpOptions,
    now: UnixTime,
}

impl Opener<'_> {
    fn open(
        self,
        source: &str,
        note: &mut dyn FnMut(&Notice),
    ) -> Result<VerifiedBundle, RaucError> {
        let place = resolve(OsStr::new(source))?;
        let judging = Judging {
            config: self.config,
            keyring: self.keys.keyring(),
            key: None,
            access: self.keys.access(),
            http: self.http,
            verify: Verify::Yes,
            expiry: Expiry::Judged,
            now: self.now,
        };
        match open(&place, &judging, note)?.content {
            Content::Verified(bundle) => Ok(*bundle),
            Content::Claimed(_) => Err(RaucError::refused("the bundle was not verified")),
        }
    }
}

/// Lines about a transfer wait here: they come from threads of their own.
type Lines = Arc<Mutex<Vec<String>>>;

fn waiting(lines: &Lines) -> Vec<String> {
    std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner))
}

fn noting(lines: &Lines) -> bundle::http::HttpNotices {
    let lines = Arc::clone(lines);
    Arc::new(move |notice: &HttpNotice| {
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(notice.to_string());
    })
}

impl Engine for SystemEngine {
    fn facts(&self) -> Facts {
        let facts = self.system.facts();
        Facts {
            compatible: self.system.config().system.compatible.clone(),
            variant: facts.variant().unwrap_or_default().to_owned(),
            system_version: facts.version.clone().unwrap_or_default(),
            boot_slot: facts.booted_from.clone().unwrap_or_default(),
        }
    }

    fn view(&self) -> Arc<dyn View> {
        Arc::new(LatestView(self.system.view()))
    }

    fn install(
        &mut self,
        asked: &InstallAsked,
        tell: &mut dyn FnMut(Told),
        stop: Stop,
    ) -> Result<Updates, NotInstalled> {
        (self.hint, self.opened) = (None, None);
        // Whoever asks during the install is told this; nothing is mounted or asked then.
        let known = self.system.status(&mut |event| tell(told_of(event))).map(drop);
        known.map_err(|error| self.not_installed(error))?;
        let request = InstallRequest {
            location: asked.source.clone(),
            compatible: if asked.ignore_compatible {
                CompatibleRule::Ignore
            } else {
                CompatibleRule::MustMatch
            },
            version_limit: if asked.ignore_version_limit {
                VersionLimit::Ignore
            } else {
                VersionLimit::Keep
            },
            transaction: asked.transaction.clone(),
            require_manifest_hash: asked.require_manifest_hash.clone(),
            handler_args: self.handler_args.clone(),
        };
        let config = self.system.config().clone();
        let (env, keys, now) = (&self.env, &self.keys, (self.clock)());
        let transfer = Lines::default();
        let http = HttpOptions {
            stop: Some(Arc::clone(&stop)),
            notices: Some(noting(&transfer)),
            ..http_options(&config, env, &asked.access)
        };
        self.store.set(http.clone());
        let (mut hint, mut bundle) = (None, None);
        let mut opener = |facts: &OpeningFacts, steps: &mut Steps<'_>, _: StopQuestion<'_>| {
            let http = HttpOptions { info_headers: facts.info_headers.clone(), ..http.clone() };
            let opener = Opener { config: &config, keys, http, now };
            let opened = opener.open(&asked.source, &mut |notice| steps.warn(notice.to_string()));
            waiting(&transfer).into_iter().for_each(|line| steps.note(line));
            bundle = opened.as_ref().ok().map(|bundle| Opened {
                digest: bundle.manifest_digest(),
                version: bundle.manifest().update.version.clone().unwrap_or_default(),
            });
            opened.map_err(|error| {
                hint = hint_of(&error);
                BoxedError::from(error.chain())
            })
        };
        let question = || stop();
        let done = self.system.install(
            &request,
            &mut opener,
            &mut |event| {
                waiting(&transfer).into_iter().for_each(|line| tell(Told::Note(line)));
                tell(told_of(event));
            },
            &question,
        );
        (self.hint, self.opened) = (hint, bundle);
        let outcome = done.map_err(|error| self.not_installed(error))?;
        Ok(Updates { slots: outcome.slots, artifacts: outcome.artifacts })
    }

    fn info_headers(&mut self) -> Vec<(String, String)> {
        self.system.info_headers(None)
    }

    fn hint(&self) -> Option<&'static str> {
        self.hint
    }

    fn is_known_failed(&mut self, manifest: Digest) -> Result<bool, String> {
        self.system.is_known_failed(manifest).map_err(|error| chain_of(&error))
    }

    fn opened(&self) -> Option<Opened> {
        self.opened.clone()
    }

    fn inspect(&mut self, source: &str, access: &Access, stop: Stop) -> Result<Inspected, String> {
        let config = self.system.config();
        let transfer = Lines::default();
        let known = http_options(config, &self.env, access);
        let http = HttpOptions {
            info_headers: self.system.info_headers(None),
            notices: Some(noting(&transfer)),
            patience: Patience { total: Some(LONGEST_LOOK), ..known.patience },
            stop: Some(stop),
            ..known
        };
        let opener = Opener { config, keys: &self.keys, http, now: (self.clock)() };
        let log = self.log;
        let opened = opener.open(source, &mut |notice| log(&Told::Warning(notice.to_string())));
        waiting(&transfer).into_iter().for_each(|line| log(&Told::Note(line)));
        let bundle = opened.map_err(|error| error.chain())?;
        let (manifest, digest) = (bundle.manifest().clone(), bundle.manifest_digest());
        Ok(Inspected { manifest, digest })
    }

    fn mark(&mut self, state: &str, identifier: &str) -> Result<(String, String), String> {
        let state = MarkState::from_name(state).map_err(|error| error.to_string())?;
        let log = self.log;
        let marked = self.system.mark(state, identifier, &mut |event| log(&told_of(event)));
        self.hint = marked.as_ref().err().and_then(|error| hint_of(error));
        let outcome = marked.map_err(|error| error.text())?;
        Ok((outcome.slots, outcome.message))
    }

    fn slots(&mut self) -> Result<Slots, String> {
        let log = self.log;
        let status = self.system.status(&mut |event| log(&told_of(event)));
        Ok(slots_of(&status.map_err(|error| error.text())?))
    }

    fn artifacts(&mut self) -> Result<Vec<Dict>, String> {
        let repositories = self.system.config().artifacts.iter();
        let read = |(name, section): (&String, _)| match ArtifactRepository::open(name, section) {
            Ok(repository) => Ok(repository.status()),
            Err(error) => Err(format!("Failed to initialize artifact repo '{name}': {error}")),
        };
        repositories.map(read).collect::<Result<_, _>>().map(repositories_of)
    }

    fn primary(&mut self) -> Result<String, String> {
        self.system.primary().map(|name| name.to_string()).map_err(|error| error.text())
    }
}
