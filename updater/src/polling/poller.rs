// SPDX-License-Identifier: MIT OR Apache-2.0
//! The poller's states and its one next time.

use super::rules::{PollCheckError, PollingRules};
use super::time::Told;
use super::{BootTime, Fetched, PollInstall, PollStatus};
use crate::split_shell_words;
use std::path::PathBuf;
use std::time::Duration;
use storage::Digest;

/// How often [`Poller::tick`] is to be called. A timer set for the whole delay would not count the
/// time a device is suspended.
const TICK: Duration = Duration::from_secs(10);

/// After something spoke against a poll, after somebody asked for one, and after an install.
const SHORT_DELAY: Duration = Duration::from_secs(30);

/// What only the service can answer.
pub trait PollQuestions {
    /// Whether an install or another method is running.
    fn is_busy(&mut self) -> bool;

    /// Whether the booted slot was marked good through this service.
    fn booted_slot_is_good(&mut self) -> bool;

    /// The first of `inhibit-files` that exists.
    fn inhibitor(&mut self) -> Option<PathBuf>;

    /// Whether the bundle of that manifest was installed here before and did not prove itself.
    ///
    /// # Errors
    /// Why that cannot be told, in words: nothing is installed then, and the poll has failed.
    fn is_known_failed(&mut self, hash: &Digest) -> Result<bool, String>;
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollAct {
    /// Look at the bundle behind the URL, with the usual headers; then [`Poller::fetched`].
    Fetch {
        /// Sent as `If-None-Match`.
        if_none_match: Option<String>,
    },
    /// Install from the URL the bundle of that manifest and no other; then [`Poller::installed`].
    Install {
        /// The manifest's digest.
        hash: Digest,
    },
    /// Run this; then [`Poller::rebooted`].
    Reboot {
        /// Program and arguments.
        argv: Vec<String>,
    },
}

/// Polling cannot be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PollerSetupError {
    /// Versions cannot be compared with nothing.
    #[error("failed to set up polling: system version not provided via system-info handler")]
    NoSystemVersion,
}

impl PollerSetupError {
    /// The way out.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoSystemVersion => {
                Some("let the system-info handler print RAUC_SYSTEM_VERSION=…")
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    Fetching,
    Installing {
        /// What was tried before.
        before: Option<Digest>,
    },
    Rebooting,
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delay {
    Normal,
    Short,
    /// The whole delay.
    Initial(Duration),
}

/// RAUC's built-in polling.
#[derive(Clone, Debug)]
pub struct Poller {
    rules: PollingRules,
    system_version: String,
    phase: Phase,
    next: BootTime,
    /// Somebody asked for a poll while one was running.
    asked: bool,
    must_reboot: bool,
    /// What spoke against the last poll that was due.
    held_by: Option<String>,
    status: PollStatus,
    messages: Vec<String>,
}

impl Poller {
    /// A poller whose first poll comes after 10 to 90 % of its interval, by `random`: devices that
    /// got their power back together must not ask together.
    ///
    /// # Errors
    /// [`PollerSetupError`].
    pub fn new(
        rules: PollingRules,
        system_version: Option<&str>,
        random: u16,
        now: BootTime,
    ) -> Result<Self, PollerSetupError> {
        let version = system_version.ok_or(PollerSetupError::NoSystemVersion)?;
        let tenth = rules.interval / 10;
        let share = (tenth * 8 / u32::from(u16::MAX)).saturating_mul(u32::from(random));
        let mut poller = Self {
            rules,
            system_version: version.to_owned(),
            phase: Phase::Waiting,
            next: now,
            asked: false,
            must_reboot: false,
            held_by: None,
            status: PollStatus::default(),
            messages: Vec::new(),
        };
        poller.reschedule(now, Delay::Initial(tenth + share));
        poller.messages.push("polling enabled".to_owned());
        Ok(poller)
    }

    /// How often [`Self::tick`] is to be called.
    #[must_use]
    pub fn tick_interval(&self) -> Duration {
        self.rules.speedup.of(TICK)
    }

    /// The property `NextPoll`; zero when there is none any more.
    #[must_use]
    pub const fn next_poll(&self) -> BootTime {
        self.next
    }

    /// What the property `Status` is made from.
    #[must_use]
    pub const fn status(&self) -> &PollStatus {
        &self.status
    }

    /// What happened since the last time it was asked, for the log.
    pub fn take_messages(&mut self) -> Vec<String> {
        std::mem::take(&mut self.messages)
    }

    /// Looks whether it is time.
    pub fn tick(&mut self, now: BootTime, ask: &mut dyn PollQuestions) -> Option<PollAct> {
        if self.phase != Phase::Waiting || now < self.next {
            return None;
        }
        let against = if ask.is_busy() {
            Some("the service is busy".to_owned())
        } else if !ask.booted_slot_is_good() {
            Some("the booted slot is not marked good yet".to_owned())
        } else {
            ask.inhibitor().map(|path| format!("inhibited by {}", path.display()))
        };
        if against.is_some() {
            // Told once and not twice a minute, for as long as it lasts.
            let told = self.messages.len();
            self.tell(format!("not now: {}", against.as_deref().unwrap_or_default()));
            self.reschedule(now, Delay::Short);
            if self.held_by == against {
                self.messages.truncate(told);
            }
            self.held_by = against;
            return None;
        }
        self.held_by = None;
        if self.must_reboot {
            return self.begin_reboot(now);
        }
        self.phase = Phase::Fetching;
        self.status.last_attempt_time = now;
        self.status.attempt_count += 1;
        let etag = self.status.bundle.as_ref().and_then(|bundle| bundle.served.etag.clone());
        Some(PollAct::Fetch { if_none_match: etag })
    }

    /// Somebody asked for a poll (the method `Poll`): it comes after the short delay, which keeps
    /// anybody who may ask from making it many.
    pub fn poll_soon(&mut self, now: BootTime) {
        match self.phase {
            Phase::Waiting => self.reschedule(now, Delay::Short),
            Phase::Fetching | Phase::Installing { .. } => self.asked = true,
            Phase::Rebooting | Phase::Stopped => {}
        }
    }

    /// The fetch came to an end.
    pub fn fetched(
        &mut self,
        now: BootTime,
        found: Fetched,
        ask: &mut dyn PollQuestions,
    ) -> Option<PollAct> {
        if self.phase != Phase::Fetching {
            return None;
        }
        self.phase = Phase::Waiting;
        let before = self.status.attempted_hash;
        self.status.summary = None;
        self.status.update_available = false;
        let act = match self.judge(found, ask) {
            Ok(act) => {
                self.status.last_error_message = None;
                self.status.recent_error_count = 0;
                self.status.last_success_time = now;
                act
            }
            Err(why) => {
                self.tell(format!("failed: {why}"));
                self.status.last_error_message = Some(why);
                self.status.recent_error_count = self.status.recent_error_count.saturating_add(1);
                None
            }
        };
        if act.is_some() {
            self.phase = Phase::Installing { before };
        } else {
            let asked = std::mem::take(&mut self.asked);
            self.reschedule(now, if asked { Delay::Short } else { Delay::Normal });
        }
        act
    }

    /// What follows from what was found.
    fn judge(
        &mut self,
        found: Fetched,
        ask: &mut dyn PollQuestions,
    ) -> Result<Option<PollAct>, String> {
        match found {
            Fetched::Failed(why) => return Err(why),
            Fetched::NoContent => {
                self.tell("no bundle available".to_owned());
                self.status.bundle = None;
            }
            Fetched::NotModified => self.tell("bundle not modified".to_owned()),
            Fetched::Bundle(bundle) => self.status.bundle = Some(*bundle),
        }
        let Some(bundle) = &self.status.bundle else {
            self.status.summary = Some("no update bundle available".to_owned());
            return Ok(None);
        };
        let hash = bundle.hash;
        // RAUC's service dies of it. Nothing compares with no version, and every system would be
        // different from it for ever.
        let version = bundle.manifest.update.version.clone();
        let version = version.ok_or_else(|| "polled bundle has no version".to_owned())?;
        let words = |error: PollCheckError| error.to_string();
        let Some(summary) = self.rules.candidate(&version, &self.system_version).map_err(words)?
        else {
            self.status.summary = Some("no update candidate available".to_owned());
            self.tell("bundle is not a candidate".to_owned());
            return Ok(None);
        };
        if ask.is_known_failed(&hash)? {
            let failed = "update candidate was installed here before and failed";
            self.status.summary = Some(failed.to_owned());
            self.tell(format!("version '{version}' failed here before, skipping installation"));
            return Ok(None);
        }
        self.status.summary = Some(summary.to_owned());
        self.status.update_available = true;
        let Some(why) = self.rules.install(&version, &self.system_version).map_err(words)? else {
            self.tell("candidate needs to be explicitly confirmed".to_owned());
            return Ok(None);
        };
        self.tell(why.to_owned());
        if self.status.attempted_hash == Some(hash) {
            self.tell("manifest is unchanged, skipping installation".to_owned());
            return Ok(None);
        }
        self.tell(format!("starting installation of version '{version}'"));
        self.status.attempted_hash = Some(hash);
        Ok(Some(PollAct::Install { hash }))
    }

    /// The install came to an end.
    pub fn installed(&mut self, now: BootTime, install: &PollInstall) {
        let Phase::Installing { before } = self.phase else { return };
        self.phase = Phase::Waiting;
        self.asked = false;
        match install {
            PollInstall::Done { .. } => self.tell("installation succeeded".to_owned()),
            PollInstall::Failed { why } => self.tell(format!("installation failed: {why}")),
            PollInstall::Busy => {
                self.tell("another installation is running".to_owned());
                self.status.attempted_hash = before;
            }
        }
        if self.rules.reboots_after(install) {
            self.must_reboot = true;
        }
        self.reschedule(now, Delay::Short);
    }

    fn begin_reboot(&mut self, now: BootTime) -> Option<PollAct> {
        let argv = match split_shell_words(&self.rules.reboot_command) {
            Ok(argv) if !argv.is_empty() => argv,
            Ok(_) => return self.cannot_reboot(now, "the command is empty"),
            Err(error) => return self.cannot_reboot(now, &error.to_string()),
        };
        self.phase = Phase::Rebooting;
        Some(PollAct::Reboot { argv })
    }

    fn cannot_reboot(&mut self, now: BootTime, why: &str) -> Option<PollAct> {
        let command = &self.rules.reboot_command;
        let told = format!("reboot failed: failed to run reboot command ('{command}'): {why}");
        self.tell(told);
        self.reschedule(now, Delay::Short);
        None
    }

    /// The reboot was asked for, or could not be. After it nothing is polled any more: this system
    /// is about to end.
    pub fn rebooted(&mut self, now: BootTime, asked: Result<(), String>) {
        if self.phase != Phase::Rebooting {
            return;
        }
        match asked {
            Ok(()) => {
                self.phase = Phase::Stopped;
                self.next = BootTime::default();
            }
            Err(why) => {
                self.phase = Phase::Waiting;
                self.cannot_reboot(now, &why);
            }
        }
    }

    fn tell(&mut self, what: String) {
        self.messages.push(format!("polling: {what}"));
    }

    fn reschedule(&mut self, now: BootTime, delay: Delay) {
        let errors = self.status.recent_error_count;
        let (delay, kind) = match delay {
            Delay::Initial(delay) => (delay, "initial delay".to_owned()),
            Delay::Short => (SHORT_DELAY, "short delay".to_owned()),
            Delay::Normal if errors == 0 => (self.rules.interval, "normal delay".to_owned()),
            Delay::Normal => {
                let times = u32::try_from(errors).unwrap_or(u32::MAX).saturating_add(1);
                let delay = self.rules.interval.saturating_mul(times);
                (delay, format!("backoff due to {errors} recent error(s)"))
            }
        };
        let delay = self.rules.speedup.of(delay.min(self.rules.max_interval));
        self.next = now.after(delay);
        self.messages.push(format!("scheduled next poll in no less than {} ({kind})", Told(delay)));
    }
}
