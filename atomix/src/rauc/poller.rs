// SPDX-License-Identifier: MIT OR Apache-2.0
//! Built-in polling beside the desk: one thread owns [`updater::Poller`], tells it the time and
//! does what it says. Fetches and the reboot command run on threads of their own and installs at
//! the desk, so that whoever asks for a poll is answered at once, whatever goes on.

use crate::rauc::answer::{Answer, Giver, pair};
use crate::rauc::desk::Desk;
use crate::rauc::dict::Dict;
use crate::rauc::engine::{InstallAsked, NotInstalled, Stop, Told};
use crate::rauc::poller_dict::poll_dict;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use storage::Digest;
use updater::{BootTime, Fetched, PollAct, PollInstall, PollQuestions, Poller};
use zbus::block_on;

/// What polling does to the world.
pub trait PollHands: Send + Sync {
    /// Looks at the bundle behind the URL: who signed it, and its manifest. `headers` are for the
    /// first request.
    fn look(
        &self,
        headers: Vec<(String, String)>,
        if_none_match: Option<String>,
        stop: Stop,
    ) -> Fetched;

    /// Runs the reboot command.
    ///
    /// # Errors
    /// Why it could not be run, in words.
    fn reboot(&self, argv: &[String], stop: Stop) -> Result<(), String>;

    /// The time.
    fn now(&self) -> BootTime;
}

/// What polling goes by.
pub struct Polling {
    /// The states, with the rules of the configuration.
    pub poller: Poller,
    /// Where the bundle is.
    pub url: String,
    /// Nothing is polled while one of these exists.
    pub inhibit_files: Vec<PathBuf>,
    /// What it does to the world.
    pub hands: Arc<dyn PollHands>,
}

/// A property of the interface that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PollChange {
    /// `Status`.
    Status(Dict),
    /// `NextPoll`.
    NextPoll(i64),
}

enum Event {
    Poll(Giver<()>),
    Fetched(Fetched, Option<KnownFailed>),
    Installed(PollInstall),
    Rebooted(Result<(), String>),
}

/// Of which bundle it was asked whether it failed here before, and the answer.
type KnownFailed = (Digest, Result<bool, String>);

type Sink = Box<dyn Fn(PollChange) + Send>;

/// What others see of polling.
pub struct PollDesk {
    shown: Mutex<(Dict, i64)>,
    sink: Mutex<Sink>,
    events: Mutex<Sender<Event>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each is set as a whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shown(poller: &Poller) -> (Dict, i64) {
    let next = i64::try_from(poller.next_poll().as_micros()).unwrap_or(i64::MAX);
    (poll_dict(poller.status()), next)
}

impl PollDesk {
    /// Polls for `desk`, on a thread of its own, from now until the service ends.
    pub fn open(polling: Polling, desk: &Arc<Desk>) -> Arc<Self> {
        let (events, arriving) = channel();
        let poll_desk = Arc::new(Self {
            shown: Mutex::new(shown(&polling.poller)),
            sink: Mutex::new(Box::new(|_| {})),
            events: Mutex::new(events.clone()),
        });
        let mut worker = Worker {
            polling,
            desk: Arc::clone(desk),
            poll_desk: Arc::clone(&poll_desk),
            events,
            known_failed: None,
        };
        worker.tell_messages();
        std::thread::spawn(move || worker.run(&arriving));
        poll_desk
    }

    /// Whoever should hear of changes, from now on.
    pub fn tell(&self, sink: Sink) {
        *lock(&self.sink) = sink;
    }

    /// The property `Status`.
    #[must_use]
    pub fn status(&self) -> Dict {
        lock(&self.shown).0.clone()
    }

    /// The property `NextPoll`.
    #[must_use]
    pub fn next_poll(&self) -> i64 {
        lock(&self.shown).1
    }

    /// Asks for a poll soon; answered when the next time is known.
    pub fn poll_soon(&self) -> Answer<()> {
        let (giver, answer) = pair();
        // Where the thread has ended, whoever waits hears that.
        let _ = lock(&self.events).send(Event::Poll(giver));
        answer
    }

    /// Shows the poller's state: first what was found, then the next time, since clients wait for
    /// the time to change and then read what was found.
    fn publish(&self, poller: &Poller) {
        let (status, next) = shown(poller);
        let before = {
            let mut held = lock(&self.shown);
            std::mem::replace(&mut *held, (status.clone(), next))
        };
        let sink = lock(&self.sink);
        if before.0 != status {
            sink(PollChange::Status(status));
        }
        if before.1 != next {
            sink(PollChange::NextPoll(next));
        }
    }
}

/// The thread.
struct Worker {
    polling: Polling,
    desk: Arc<Desk>,
    poll_desk: Arc<PollDesk>,
    events: Sender<Event>,
    known_failed: Option<KnownFailed>,
}

/// Answers to the poller's questions; none of them waits.
struct Answers<'a> {
    desk: &'a Desk,
    inhibit_files: &'a [PathBuf],
    known_failed: Option<&'a KnownFailed>,
}

impl PollQuestions for Answers<'_> {
    fn is_busy(&mut self) -> bool {
        self.desk.is_installing()
    }

    fn booted_slot_is_good(&mut self) -> bool {
        self.desk.booted_is_good()
    }

    fn inhibitor(&mut self) -> Option<PathBuf> {
        self.inhibit_files.iter().find(|path| path.exists()).cloned()
    }

    fn is_known_failed(&mut self, hash: &Digest) -> Result<bool, String> {
        match self.known_failed {
            Some((asked, answer)) if asked == hash => answer.clone(),
            _ => Err("nobody can tell whether it failed here before".to_owned()),
        }
    }
}

impl Worker {
    fn run(mut self, arriving: &Receiver<Event>) {
        let interval = self.polling.poller.tick_interval();
        let mut due = Instant::now() + interval;
        while !self.desk.is_stopping() {
            let event = arriving.recv_timeout(due.saturating_duration_since(Instant::now()));
            // Not only when nothing arrives: calls without end must not keep the time from being
            // looked at.
            if Instant::now() >= due {
                due = Instant::now() + interval;
                self.step(|poller, now, answers| poller.tick(now, answers));
            }
            match event {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Poll(giver) => {
                self.step(|poller, now, _| {
                    poller.poll_soon(now);
                    None
                });
                giver.give(());
            }
            Event::Fetched(found, known_failed) => {
                self.known_failed = known_failed;
                self.step(|poller, now, answers| poller.fetched(now, found, answers));
            }
            Event::Installed(install) => self.installed(&install),
            Event::Rebooted(asked) => self.step(|poller, now, _| {
                poller.rebooted(now, asked);
                None
            }),
        }
    }

    fn installed(&mut self, install: &PollInstall) {
        self.step(|poller, now, _| {
            poller.installed(now, install);
            None
        });
    }

    /// One step of the poller: what is shown, what is logged, what is done next.
    fn step(
        &mut self,
        act: impl FnOnce(&mut Poller, BootTime, &mut dyn PollQuestions) -> Option<PollAct>,
    ) {
        let Polling { poller, inhibit_files, hands, .. } = &mut self.polling;
        let known_failed = self.known_failed.as_ref();
        let mut answers = Answers { desk: &self.desk, inhibit_files, known_failed };
        let next = act(poller, hands.now(), &mut answers);
        self.tell_messages();
        self.poll_desk.publish(&self.polling.poller);
        match next {
            Some(PollAct::Fetch { if_none_match }) => self.fetch(if_none_match),
            Some(PollAct::Install { hash }) => self.install(hash),
            Some(PollAct::Reboot { argv }) => self.reboot(argv),
            None => {}
        }
    }

    fn tell_messages(&mut self) {
        for line in self.polling.poller.take_messages() {
            self.desk.log(&Told::Note(line));
        }
    }

    fn stop(&self) -> Stop {
        let desk = Arc::clone(&self.desk);
        Arc::new(move || desk.is_stopping().then_some("SIGTERM"))
    }

    fn fetch(&self, if_none_match: Option<String>) {
        let (desk, hands) = (Arc::clone(&self.desk), Arc::clone(&self.polling.hands));
        let known = self.polling.poller.status().bundle.as_ref().map(|bundle| bundle.hash);
        let (events, stop) = (self.events.clone(), self.stop());
        std::thread::spawn(move || {
            let headers = block_on(desk.ask(|engine| engine.info_headers())).unwrap_or_default();
            let found = hands.look(headers, if_none_match, stop);
            let hash = match &found {
                Fetched::Bundle(bundle) => Some(bundle.hash),
                Fetched::NotModified => known,
                Fetched::NoContent | Fetched::Failed(_) => None,
            };
            let failed = hash.map(|hash| {
                let answer = block_on(desk.ask(move |engine| engine.is_known_failed(hash)));
                (hash, answer.unwrap_or_else(|| Err("the service is ending".to_owned())))
            });
            // Nobody is there to hear it when the service ends.
            let _ = events.send(Event::Fetched(found, failed));
        });
    }

    fn install(&mut self, hash: Digest) {
        let asked = InstallAsked {
            source: self.polling.url.clone(),
            require_manifest_hash: Some(hash.to_string()),
            ..InstallAsked::default()
        };
        let events = self.events.clone();
        let begun = self.desk.install_then(
            asked,
            Box::new(move |ended| {
                let install = match ended {
                    Ok(updates) => {
                        PollInstall::Done { slots: updates.slots, artifacts: updates.artifacts }
                    }
                    Err(NotInstalled::Busy(_)) => PollInstall::Busy,
                    Err(NotInstalled::Failed(why)) => PollInstall::Failed { why },
                };
                let _ = events.send(Event::Installed(install));
            }),
        );
        if begun.is_err() {
            self.installed(&PollInstall::Busy);
        }
    }

    fn reboot(&self, argv: Vec<String>) {
        let (hands, events) = (Arc::clone(&self.polling.hands), self.events.clone());
        let stop = self.stop();
        std::thread::spawn(move || {
            let _ = events.send(Event::Rebooted(hands.reboot(&argv, stop)));
        });
    }
}

#[cfg(test)]
#[path = "poller_tests.rs"]
mod tests;
