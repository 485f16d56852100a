// SPDX-License-Identifier: MIT OR Apache-2.0
//! An engine whose every install and mark is remembered in the audit log.

use crate::audit_trail::{AuditTrail, InstallNote};
use crate::rauc::dict::Dict;
use crate::rauc::engine::{
    Access, Engine, Facts, Inspected, InstallAsked, NotInstalled, Opened, Slots, Stop, Told,
    Updates, View,
};
use bundle::UnixTime;
use bundle::http::shown_url;
use std::sync::Arc;
use storage::Digest;

/// The engine.
pub struct Audited<E> {
    /// It.
    pub inner: E,
    /// The log.
    pub trail: AuditTrail,
    /// The time.
    pub clock: fn() -> UnixTime,
    /// Where lines go that belong to no install.
    pub log: fn(&Told),
}

impl<E: Engine> Audited<E> {
    fn note(&self, asked: &InstallAsked, ended: Result<(), &NotInstalled>) -> Option<String> {
        let opened = self.inner.opened();
        // A URL may hold a password.
        let source = shown_url(&asked.source).to_string();
        let (bundle, version) = match &opened {
            Some(Opened { digest, version }) => (digest.to_string(), version.clone()),
            None => (source, String::new()),
        };
        let booted = self.inner.facts().boot_slot;
        let slot = if booted.is_empty() { String::new() } else { format!("not {booted}") };
        let note = InstallNote {
            bundle: &bundle,
            version: &version,
            slot: &slot,
            failure: ended.err().map(NotInstalled::line),
        };
        self.trail.installed((self.clock)(), &note)
    }
}

impl<E: Engine> Engine for Audited<E> {
    fn facts(&self) -> Facts {
        self.inner.facts()
    }

    fn view(&self) -> Arc<dyn View> {
        self.inner.view()
    }

    fn install(
        &mut self,
        asked: &InstallAsked,
        tell: &mut dyn FnMut(Told),
        stop: Stop,
    ) -> Result<Updates, NotInstalled> {
        let ended = self.inner.install(asked, tell, stop);
        if let Some(warning) = self.note(asked, ended.as_ref().map(drop)) {
            tell(Told::Warning(warning));
        }
        ended
    }

    fn info_headers(&mut self) -> Vec<(String, String)> {
        self.inner.info_headers()
    }

    fn is_known_failed(&mut self, manifest: Digest) -> Result<bool, String> {
        self.inner.is_known_failed(manifest)
    }

    fn hint(&self) -> Option<&'static str> {
        self.inner.hint()
    }

    fn opened(&self) -> Option<Opened> {
        self.inner.opened()
    }

    fn inspect(&mut self, source: &str, access: &Access, stop: Stop) -> Result<Inspected, String> {
        self.inner.inspect(source, access, stop)
    }

    fn mark(&mut self, state: &str, identifier: &str) -> Result<(String, String), String> {
        let marked = self.inner.mark(state, identifier)?;
        if let Some(warning) = self.trail.marked((self.clock)(), (&marked.0, state), "D-Bus") {
            (self.log)(&Told::Warning(warning));
        }
        Ok(marked)
    }

    fn slots(&mut self) -> Result<Slots, String> {
        self.inner.slots()
    }

    fn artifacts(&mut self) -> Result<Vec<Dict>, String> {
        self.inner.artifacts()
    }

    fn primary(&mut self) -> Result<String, String> {
        self.inner.primary()
    }
}
