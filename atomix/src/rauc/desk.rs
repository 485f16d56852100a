// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who has the engine? One thread owns it and does one job after the other. An install is refused
//! while another one goes on, and so is everything that needs the engine; what was last known can
//! be read all the time.
//!
//! Deviates: RAUC refuses `GetSlotStatus`, `GetArtifactStatus` and `GetPrimary` during an install.

use crate::rauc::answer::{Answer, pair};
use crate::rauc::engine::{Engine, Facts, InstallAsked, NotInstalled, Stop, Told, Updates, View};
use crate::rauc::hint::shown;
use bundle::http::shown_url;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the properties of the service say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progressing {
    /// `idle` or `installing`.
    pub operation: &'static str,
    /// Why the last install failed.
    pub last_error: String,
    /// How far the install is.
    pub progress: (i32, String, i32),
    /// What can be done about what failed last; or empty.
    pub hint: &'static str,
}

/// A property that changed, or the end of an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// `Operation`.
    Operation(&'static str),
    /// `LastError`.
    LastError(String),
    /// `Progress`.
    Progress((i32, String, i32)),
    /// The signal `Completed`.
    Completed(i32),
}

/// Nobody is installing.
pub const IDLE: &str = "idle";
/// Somebody is.
pub const INSTALLING: &str = "installing";

type Job = Box<dyn FnOnce(&mut dyn Engine) + Send>;
/// Told under the lock of the state, so that changes arrive in their order: it must not wait.
type Sink = Box<dyn Fn(Change) + Send>;
/// How an install ended.
pub type Ended = Result<Updates, NotInstalled>;
type Done = Box<dyn FnOnce(Ended) + Send>;
/// What can be asked at any time.
pub type Question = Box<dyn Fn() -> bool + Send>;
type Log = Box<dyn Fn(&Told) + Send + Sync>;

/// The desk before the engine.
pub struct Desk {
    facts: Facts,
    view: Arc<dyn View>,
    jobs: Mutex<Sender<Job>>,
    state: Mutex<Progressing>,
    /// The number of the install that is to end; 0 for none.
    to_cancel: AtomicU64,
    installs: AtomicU64,
    /// How often somebody called `Cancel`; a look at a bundle that began before is to end.
    cancels: AtomicU64,
    /// Looks that go on or wait.
    looks: AtomicU64,
    stopping: AtomicBool,
    /// The booted slot was marked good by this service.
    booted_is_good: AtomicBool,
    /// Whether somebody else did, where that can be known.
    good_elsewhere: Mutex<Question>,
    sink: Mutex<Sink>,
    log: Log,
}

impl Desk {
    /// Puts a desk before `engine`, on a thread of its own.
    pub fn open(engine: Box<dyn Engine>, log: Log) -> Arc<Self> {
        let (jobs, coming) = channel::<Job>();
        let desk = Arc::new(Self {
            facts: engine.facts(),
            view: engine.view(),
            jobs: Mutex::new(jobs),
            state: Mutex::new(Progressing {
                operation: IDLE,
                last_error: String::new(),
                progress: (0, String::new(), 0),
                hint: "",
            }),
            to_cancel: AtomicU64::new(0),
            installs: AtomicU64::new(0),
            cancels: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            booted_is_good: AtomicBool::new(false),
            good_elsewhere: Mutex::new(Box::new(|| false)),
            sink: Mutex::new(Box::new(|_| {})),
            log,
        });
        std::thread::spawn(move || work(engine, &coming));
        desk
    }

    /// Whoever should hear of changes, from now on.
    pub fn tell(&self, sink: Sink) {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = sink;
    }

    /// What never changes.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// What was last known.
    #[must_use]
    pub fn view(&self) -> &dyn View {
        &*self.view
    }

    fn state(&self) -> MutexGuard<'_, Progressing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the properties say.
    #[must_use]
    pub fn progressing(&self) -> Progressing {
        self.state().clone()
    }

    /// Whether an install goes on.
    #[must_use]
    pub fn is_installing(&self) -> bool {
        self.state().operation == INSTALLING
    }

    /// Whether the service is ending.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// Whether the booted slot was marked good, as [`Self::note_mark`] was told, or as the boot
    /// state says where that tells a mark from a trial.
    #[must_use]
    pub fn booted_is_good(&self) -> bool {
        self.booted_is_good.load(Ordering::SeqCst)
            || (self.good_elsewhere.lock().unwrap_or_else(PoisonError::into_inner))()
    }

    /// From now on a mark counts that `question` knows of, too.
    pub fn believe(&self, question: Question) {
        *self.good_elsewhere.lock().unwrap_or_else(PoisonError::into_inner) = question;
    }

    /// Notes a mark that was made; built-in polling waits for one of the booted slot, by this very
    /// word, as in RAUC.
    pub fn note_mark(&self, state: &str, identifier: &str) {
        match (state, identifier) {
            ("good", "booted") => self.booted_is_good.store(true, Ordering::SeqCst),
            ("bad", "booted") => self.booted_is_good.store(false, Ordering::SeqCst),
            _ => {}
        }
    }

    fn change(&self, change: Change) {
        let mut state = self.state();
        match &change {
            Change::Operation(operation) => state.operation = operation,
            Change::LastError(error) if state.last_error == *error => return,
            Change::LastError(error) => state.last_error.clone_from(error),
            Change::Progress(progress) => state.progress.clone_from(progress),
            Change::Completed(_) => {}
        }
        self.announce(&state, change);
    }

    fn announce(&self, _held: &MutexGuard<'_, Progressing>, change: Change) {
        (self.sink.lock().unwrap_or_else(PoisonError::into_inner))(change);
    }

    /// RAUC's order: `Completed`, then `idle`; nothing of a next install comes between them.
    fn complete(&self, result: i32) {
        let mut state = self.state();
        state.operation = IDLE;
        self.announce(&state, Change::Completed(result));
        self.announce(&state, Change::Operation(IDLE));
    }

    /// Keeps the way out of what failed last, and logs it.
    pub fn note_hint(&self, hint: Option<&'static str>) {
        self.state().hint = hint.unwrap_or_default();
        if let Some(hint) = hint {
            self.log(&Told::Note(shown(hint)));
        }
    }

    /// A line for the log.
    pub fn log(&self, told: &Told) {
        (self.log)(told);
    }

    /// Has the engine do something; `None` comes back when it is gone.
    pub fn ask<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut dyn Engine) -> T + Send + 'static,
    ) -> Answer<T> {
        let (giver, answer) = pair();
        self.send(Box::new(move |engine| giver.give(act(engine))));
        answer
    }

    fn send(&self, job: Job) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        // Where the engine is gone the job is dropped, and whoever waits for it hears that.
        let _ = jobs.send(job);
    }

    /// Begins an install.
    ///
    /// # Errors
    /// RAUC's line when one goes on already.
    pub fn install(self: &Arc<Self>, asked: InstallAsked) -> Result<(), &'static str> {
        self.install_then(asked, Box::new(|_| {}))
    }

    /// As [`Self::install`]; `done` is told how it ended after everybody else was.
    ///
    /// # Errors
    /// RAUC's line when one goes on already; `done` is told nothing then.
    pub fn install_then(
        self: &Arc<Self>,
        asked: InstallAsked,
        done: Done,
    ) -> Result<(), &'static str> {
        {
            let mut state = self.state();
            if state.operation == INSTALLING || self.stopping.load(Ordering::SeqCst) {
                return Err("Already processing a different method");
            }
            state.operation = INSTALLING;
            // Taken before anybody can know that this install runs, and cancel it.
            let number = self.installs.fetch_add(1, Ordering::SeqCst) + 1;
            self.announce(&state, Change::Operation(INSTALLING));
            let desk = Arc::clone(self);
            self.send(Box::new(move |engine| done(desk.run(number, &asked, engine))));
        }
        Ok(())
    }

    fn run(self: &Arc<Self>, number: u64, asked: &InstallAsked, engine: &mut dyn Engine) -> Ended {
        let desk = Arc::clone(self);
        let stop = Arc::new(move || {
            let is_cancelled = desk.to_cancel.load(Ordering::SeqCst) == number;
            let is_stopping = desk.stopping.load(Ordering::SeqCst);
            is_cancelled.then_some("Cancel").or(is_stopping.then_some("SIGTERM"))
        });
        self.note_hint(None);
        self.change(Change::LastError(String::new()));
        let mut tell = |told: Told| match told {
            Told::Progress { percent, text, depth } => {
                self.change(Change::Progress((percent, text, depth)));
            }
            told @ (Told::Note(_) | Told::Warning(_) | Told::Line(_)) => self.log(&told),
        };
        let ended = engine.install(asked, &mut tell, stop);
        let source = shown_url(&asked.source);
        let hint = ended.is_err().then(|| engine.hint()).flatten();
        let result = match &ended {
            Ok(_) => {
                self.log(&Told::Note(format!("installing `{source}` succeeded")));
                0
            }
            Err(failure) => {
                let error = failure.line();
                self.log(&Told::Note(format!("installing `{source}` failed: {error}")));
                // Before anybody can hear of the end, and ask.
                self.note_hint(hint);
                self.change(Change::LastError(error.to_owned()));
                1
            }
        };
        self.complete(result);
        ended
    }

    /// Has the engine look at a bundle; `Cancel` and the end of the service end that.
    pub fn look<T: Send + 'static>(
        self: &Arc<Self>,
        act: impl FnOnce(&mut dyn Engine, Stop) -> T + Send + 'static,
    ) -> Answer<T> {
        let (desk, begun) = (Arc::clone(self), self.cancels.load(Ordering::SeqCst));
        self.looks.fetch_add(1, Ordering::SeqCst);
        self.ask(move |engine| {
            let asked = Arc::clone(&desk);
            let stop = Arc::new(move || {
                let is_cancelled = asked.cancels.load(Ordering::SeqCst) != begun;
                let is_stopping = asked.stopping.load(Ordering::SeqCst);
                is_cancelled.then_some("Cancel").or(is_stopping.then_some("SIGTERM"))
            });
            let done = act(engine, stop);
            desk.looks.fetch_sub(1, Ordering::SeqCst);
            done
        })
    }

    /// Asks the install that goes on to end, and looks at bundles.
    ///
    /// # Errors
    /// When nothing goes on.
    pub fn cancel(&self) -> Result<(), &'static str> {
        let state = self.state();
        let has_looks = self.looks.load(Ordering::SeqCst) > 0;
        self.cancels.fetch_add(1, Ordering::SeqCst);
        if state.operation != INSTALLING {
            return if has_looks { Ok(()) } else { Err("no installation is running") };
        }
        self.to_cancel.store(self.installs.load(Ordering::SeqCst), Ordering::SeqCst);
        Ok(())
    }

    /// Begins no further install, asks the one that goes on to end and waits as long as that for
    /// it and for all that was asked of the engine before: a mark is not left half made.
    pub fn close(&self, patience: Duration) {
        {
            // Under the lock: an install has its job in the queue, or is refused from now on.
            let _state = self.state();
            self.stopping.store(true, Ordering::SeqCst);
        }
        let (done, all_done) = channel();
        self.send(Box::new(move |_| {
            let _ = done.send(());
        }));
        let _ended = all_done.recv_timeout(patience);
    }
}

fn work(mut engine: Box<dyn Engine>, coming: &Receiver<Job>) {
    for job in coming {
        job(&mut *engine);
    }
}

#[cfg(test)]
#[path = "desk_tests.rs"]
pub(crate) mod tests;
