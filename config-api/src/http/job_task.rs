// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a job in this process: asked for, watched, over. It goes on when its client leaves.

use super::upload::Spooled;
use super::{ApiError, App, HelperError};
use crate::jobs::{JobChange, JobError, JobEvent, JobId, RollbackStatus, seconds};
use crate::protocol::{Grounds, Outcome, Reply, Request, Source};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often the helper is asked for the end of a job that is no longer watched.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// How long the helper may be away (it is being started anew) before its job counts as lost.
const AWAY: Duration = Duration::from_secs(60);

/// What a job needs until it is over.
pub(super) struct Task {
    pub(super) source: Source,
    pub(super) grounds: Grounds,
    pub(super) if_match: Option<String>,
    /// How long the operator wants to have for his confirmation.
    pub(super) confirm_secs: Option<u32>,
    /// The body that the source names.
    pub(super) spooled: Option<Spooled>,
}

/// Begins a job; it runs on by itself.
pub(super) async fn begin(app: &App, task: Task) -> Result<JobId, ApiError> {
    let id = app.submit_job()?;
    app.change_job(&id, JobChange::Start).await?;
    let app = app.clone();
    tokio::spawn(async move {
        let begun = Instant::now();
        let change = watch(&app, id, task, begun).await;
        // A job whose end cannot be written is over in memory, and is told as interrupted later.
        let _ = app.change_job(&id, change).await;
    });
    Ok(id)
}

async fn watch(app: &App, id: JobId, task: Task, begun: Instant) -> JobChange {
    let Task { source, grounds, if_match, confirm_secs, spooled } = task;
    let (sender, mut steps) = mpsc::unbounded_channel::<JobEvent>();
    let request = Request::Apply { job: id, source, grounds, if_match, confirm_secs };
    let helper = app.helper().clone();
    let telling = app.clone();
    let told = tokio::spawn(async move {
        while let Some(event) = steps.recv().await {
            let _ = telling.change_job(&id, JobChange::Step(event)).await;
        }
    });
    // The store bounds how many are kept, and the helper how long each is.
    let done = helper.apply(request, move |event| drop(sender.send(event))).await;
    let _ = told.await;
    drop(spooled);
    match done {
        Ok(Ok(outcome)) => change_of(outcome, begun),
        Ok(Err(reply)) => not_begun(&reply, begun),
        // The helper is gone, or silent: what it says when it is back is what happened.
        Err(_) => follow(app, id, begun).await,
    }
}

fn elapsed(begun: Instant) -> f64 {
    seconds(u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX))
}

fn change_of(outcome: Outcome, begun: Instant) -> JobChange {
    let duration_seconds = elapsed(begun);
    match outcome {
        Outcome::Succeeded { result } => JobChange::Succeed { result, duration_seconds },
        Outcome::Failed { error, faults, rollback } => {
            JobChange::Fail { error, faults, rollback, duration_seconds }
        }
    }
}

fn not_begun(reply: &Reply, begun: Instant) -> JobChange {
    let error = if let Reply::Failed { message, .. } = reply {
        message.clone()
    } else {
        "the helper answered something else".to_owned()
    };
    let rollback = RollbackStatus::Skipped;
    JobChange::Fail { error, faults: Vec::new(), rollback, duration_seconds: elapsed(begun) }
}

/// Asks for the end of a job until there is one.
async fn follow(app: &App, id: JobId, begun: Instant) -> JobChange {
    let mut away_since = Instant::now();
    loop {
        match app.helper().ask(Request::Recover { job: id }).await {
            Ok(Reply::Running) => away_since = Instant::now(),
            Ok(Reply::Finished { outcome }) => return change_of(outcome, begun),
            Ok(Reply::Recovered { rollback }) => return JobChange::Interrupt { rollback },
            Ok(_) | Err(_) if away_since.elapsed() > AWAY => {
                return JobChange::Interrupt { rollback: RollbackStatus::Failed };
            }
            Ok(_) | Err(_) => {}
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Settles a job of the service before this one: at once when the helper knows its end, else by
/// following it.
pub(super) async fn settle(app: &App, id: JobId) -> Result<(), JobError> {
    let answer = app.helper().ask(Request::Recover { job: id }).await;
    let begun = Instant::now();
    match answer {
        Ok(Reply::Finished { outcome }) => {
            // A job that was accepted and not begun cannot have an end; begun it is, if it has one.
            let _ = app.change_job(&id, JobChange::Start).await;
            app.change_job(&id, change_of(outcome, begun)).await
        }
        Ok(Reply::Recovered { rollback }) => {
            app.change_job(&id, JobChange::Interrupt { rollback }).await
        }
        Ok(_) | Err(HelperError::Io(_) | HelperError::Silent) => {
            let app = app.clone();
            let _ = app.change_job(&id, JobChange::Start).await;
            tokio::spawn(async move {
                let change = follow(&app, id, begun).await;
                let _ = app.change_job(&id, change).await;
            });
            Ok(())
        }
        Err(HelperError::Frame(_) | HelperError::Unexpected) => {
            let rollback = RollbackStatus::Failed;
            app.change_job(&id, JobChange::Interrupt { rollback }).await
        }
    }
}
