// SPDX-License-Identifier: MIT OR Apache-2.0
//! What polling does on this machine: looks at the bundle on its server, and reboots. Of the bundle
//! only signature and manifest are fetched, by three requests or one that brings nothing new.

use crate::rauc::engine::{Access, Stop, Told};
use crate::rauc::env::RaucEnv;
use crate::rauc::error::{RaucError, chain_of};
use crate::rauc::machine::now;
use crate::rauc::opening::{Judging, Verify, find_in, judge};
use crate::rauc::poller::{PollHands, Polling};
use crate::rauc::serving::log;
use crate::rauc::session::{Keys, Session, http_options};
use crate::rauc::trust::Expiry;
use bundle::http::{HttpError, HttpNotice, HttpOptions, HttpSource, Patience, shown_url};
use bundle::{Limits, PayloadAlignment, Source};
use nix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use updater::{
    BootTime, Fetched, HostMachine, Machine, PolledBundle, Poller, PollingRules, ProgramCall,
    ServedBundle, Speedup, SystemConfig,
};

/// A look takes no longer, however slow the server drips: the next poll has to come.
const LONGEST_LOOK: Duration = Duration::from_secs(300);

/// A command that reboots comes back at once, or never.
const LONGEST_REBOOT: Duration = Duration::from_secs(300);

/// This machine.
struct HostHands {
    config: SystemConfig,
    env: RaucEnv,
    keys: Keys,
    url: String,
}

/// Polling as configured, if it is.
///
/// # Errors
/// [`RaucError`] in RAUC's words, where a system that is to poll cannot.
pub fn polling(
    session: &Session,
    system_version: Option<&str>,
) -> Result<Option<Polling>, RaucError> {
    let config = &session.loaded.config;
    let Some(section) = &config.polling else { return Ok(None) };
    let speedup = match &session.env.test_polling_speedup {
        None => Speedup::NONE,
        Some(text) => Speedup::parse(text).ok_or_else(|| {
            RaucError::refused(format!("Invalid RAUC_TEST_POLLING_SPEEDUP value '{text}'"))
        })?,
    };
    let rules = PollingRules::new(section, speedup).map_err(RaucError::below)?;
    let mut random = [0; 2];
    // Without random bytes many devices may ask at once; that is no reason not to ask.
    let _ = getrandom::fill(&mut random);
    let poller = Poller::new(rules, system_version, u16::from_ne_bytes(random), boot_time())
        .map_err(RaucError::below)?;
    Ok(Some(Polling {
        poller,
        url: section.url.clone(),
        inhibit_files: section.inhibit_files.clone(),
        hands: Arc::new(HostHands {
            config: config.clone(),
            env: session.env.clone(),
            keys: Keys::new(&session.env, session.request.path("keyring")),
            url: section.url.clone(),
        }),
    }))
}

/// The time since the boot, with the time that the device was suspended.
fn boot_time() -> BootTime {
    #[cfg(target_os = "linux")]
    const CLOCK: ClockId = ClockId::CLOCK_BOOTTIME;
    // No board has another system.
    #[cfg(not(target_os = "linux"))]
    const CLOCK: ClockId = ClockId::CLOCK_MONOTONIC;
    // Every kernel that this program runs on has this clock.
    let time = clock_gettime(CLOCK).map(Duration::from).unwrap_or_default();
    BootTime::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

impl HostHands {
    fn read(&self, source: &Arc<HttpSource>) -> Result<PolledBundle, RaucError> {
        let judging = Judging {
            config: &self.config,
            keyring: self.keys.keyring(),
            key: None,
            access: self.keys.access(),
            http: HttpOptions::default(),
            verify: Verify::Yes,
            expiry: Expiry::Judged,
            now: now(),
        };
        let limits = Limits {
            max_signature: self.config.system.max_bundle_signature_size,
            alignment: PayloadAlignment::Required,
            ..Limits::default()
        };
        let bytes: Arc<dyn Source> = Arc::<HttpSource>::clone(source);
        let mut note = |notice: &bundle::Notice| log(&Told::Warning(notice.to_string()));
        let opened = judge(find_in(bytes, &limits, &judging)?, &judging, &mut note)?;
        let modified = source.last_modified();
        Ok(PolledBundle {
            hash: opened.digest(),
            manifest: opened.manifest().clone(),
            served: ServedBundle {
                size: source.len().get(),
                // Everybody on the bus may read it.
                effective_url: Some(shown_url(&source.effective_url())),
                modified_time: modified.and_then(seconds_of).unwrap_or_default(),
                etag: source.etag().map(str::to_owned),
            },
        })
    }
}

/// The seconds since 1970 of a date as servers write it; one in another form is not worth failing.
fn seconds_of(date: &str) -> Option<u64> {
    let date = OffsetDateTime::parse(date, &Rfc2822).ok()?;
    u64::try_from(date.unix_timestamp()).ok()
}

impl PollHands for HostHands {
    fn look(
        &self,
        headers: Vec<(String, String)>,
        if_none_match: Option<String>,
        stop: Stop,
    ) -> Fetched {
        let known = http_options(&self.config, &self.env, &Access::default());
        let options = HttpOptions {
            info_headers: headers,
            if_none_match,
            patience: Patience { total: Some(LONGEST_LOOK), ..known.patience },
            stop: Some(stop),
            notices: Some(Arc::new(|notice: &HttpNotice| log(&Told::Note(notice.to_string())))),
            ..known
        };
        let read = match HttpSource::open(&self.url, &options) {
            Ok(source) => self.read(&Arc::new(source)),
            Err(HttpError::NoContent { .. }) => return Fetched::NoContent,
            Err(HttpError::NotModified { .. }) => return Fetched::NotModified,
            Err(failure) => Err(RaucError::below(failure)),
        };
        match read {
            Ok(bundle) => Fetched::Bundle(Box::new(bundle)),
            Err(failure) => Fetched::Failed(failure.chain()),
        }
    }

    fn reboot(&self, argv: &[String], stop: Stop) -> Result<(), String> {
        let (program, arguments) = argv.split_first().ok_or("the command is empty")?;
        let call = ProgramCall::new(program).args(arguments).timeout(LONGEST_REBOOT);
        let ended = HostMachine::new().run(call, &|| stop()).and_then(|end| end.check(program));
        ended.map(drop).map_err(|failure| chain_of(&failure))
    }

    fn now(&self) -> BootTime {
        boot_time()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests")]
#[path = "poller_hands_tests.rs"]
pub(crate) mod tests;
