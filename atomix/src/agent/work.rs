// SPDX-License-Identifier: MIT OR Apache-2.0
//! How does somebody follow an install that waits for a silent server? The install works on a thread
//! of its own; here its words are shown, and the watch is asked all the while.

use super::DeviceClock;
use super::fetch::{Fetch, Finality, Show, finality};
use super::stopping::Stopping;
use crate::context::{Context, Now};
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::InstallProgress;
use agents::Settings;
use agents::agent::{InstallEnding, Stop, Watch};
use bundle::http::ByteBudget;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use updater::InstallEvent;

/// A watch is asked so often, however much or little comes.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// As the main thread has it.
const STACK_BYTES: usize = 8 * 1024 * 1024;

/// What the thread is given: values, because a device that is open here cannot go along.
pub struct Work<'a> {
    /// Root of the device's files.
    pub root: &'a Path,
    /// The moment by which certificates are judged.
    pub now: Now,
    /// The agent's.
    pub settings: &'a Settings,
    /// Who wants it to end.
    pub stop: &'a Arc<Stopping>,
    /// What may be fetched, and what was.
    pub budget: &'a Arc<ByteBudget>,
}

impl Work<'_> {
    /// Does `act`, and has it watched.
    ///
    /// # Errors
    /// How it ended instead.
    pub fn watched<T: Send>(
        &self,
        clock: DeviceClock,
        watch: &mut dyn Watch,
        out: &mut Output<'_>,
        act: impl FnOnce(&Fetch<'_>, Show<'_>) -> Result<T, Failure> + Send,
    ) -> Result<T, InstallEnding> {
        let (root, now, settings) = (self.root, self.now, self.settings);
        let (stop, budget) = (self.stop, self.budget);
        let done = thread::scope(|scope| {
            let (sender, receiver) = channel();
            let work = move || {
                let context = Context::host(root, now);
                let fetch = Fetch { context: &context, settings, stop, budget };
                // Nobody listens any more only when this program ends.
                act(&fetch, &mut |event| drop(sender.send(event)))
            };
            let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work);
            let failed = |source| Failure::Io { act: "begin a thread for", path: place(), source };
            let worker = worker.map_err(failed)?;
            follow(&receiver, clock, watch, (stop, out));
            let lost = |_| failed(io::Error::other("it met a defect of this program"));
            worker.join().map_err(lost)?
        });
        done.map_err(|failure| ending(failure, stop))
    }
}

fn place() -> PathBuf {
    PathBuf::from("the install")
}

/// Until the thread says nothing more.
fn follow(
    events: &Receiver<InstallEvent>,
    clock: DeviceClock,
    watch: &mut dyn Watch,
    (stop, out): (&Stopping, &mut Output<'_>),
) {
    let mut progress = InstallProgress::new(out);
    let mut percent = 0;
    let mut asked: Option<Instant> = None;
    loop {
        match events.recv_timeout(ASK_EVERY) {
            Ok(event) => {
                if let InstallEvent::Bytes { done, total } = &event {
                    let part = done.get().saturating_mul(100).checked_div(total.get());
                    percent = u8::try_from(part.unwrap_or(0).min(100)).unwrap_or(100);
                }
                progress.show(&event);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            asked = Some(Instant::now());
            if let Some(who) = watch.written(percent, clock.now().0) {
                stop.end(who);
            }
        }
    }
    progress.finish();
}

fn ending(failure: Failure, stop: &Stopping) -> InstallEnding {
    if failure.stopped_by().is_some() {
        return InstallEnding::Stopped(stop.who().unwrap_or(Stop::Program));
    }
    match finality(&failure) {
        Finality::ForGood => InstallEnding::Refused(failure.into()),
        Finality::Now => {
            let retry_after = bundle::http::retry_after(&failure);
            InstallEnding::Interrupted { retry_after, source: failure.into() }
        }
        Finality::Own => InstallEnding::Failed(failure.into()),
    }
}
