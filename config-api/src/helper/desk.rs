// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which change is under way, and what became of the ones before? One at a time.

use crate::jobs::JobId;
use crate::protocol::Outcome;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// So many outcomes are remembered; the service asks for one only after it was started anew.
const MAX_OUTCOMES: usize = 8;

/// What the desk knows of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobFate {
    /// It is under way.
    Running,
    /// It ended like this.
    Ended(Outcome),
    /// Nothing: it was never begun, or by a helper that is gone.
    Unknown,
}

#[derive(Default)]
struct Book {
    running: Option<JobId>,
    ended: Vec<(JobId, Outcome)>,
}

/// The one place where changes begin and end.
#[derive(Default)]
pub struct Desk {
    book: Mutex<Book>,
}

impl Desk {
    /// Begins a change.
    ///
    /// # Errors
    /// The job that is under way. A job's name is good once: one that ended is not begun again.
    pub fn begin(&self, job: JobId) -> Result<(), JobId> {
        let mut book = self.book();
        if let Some(running) = book.running {
            return Err(running);
        }
        if book.ended.iter().any(|(ended, _)| *ended == job) {
            return Err(job);
        }
        book.running = Some(job);
        Ok(())
    }

    /// Ends the change that is under way.
    pub fn end(&self, job: JobId, outcome: Outcome) {
        let mut book = self.book();
        book.running = None;
        if book.ended.len() >= MAX_OUTCOMES {
            book.ended.remove(0);
        }
        book.ended.push((job, outcome));
    }

    /// The change that is under way.
    #[must_use]
    pub fn running(&self) -> Option<JobId> {
        self.book().running
    }

    /// What is known of a job.
    #[must_use]
    pub fn fate(&self, job: JobId) -> JobFate {
        let book = self.book();
        if book.running == Some(job) {
            return JobFate::Running;
        }
        let ended = book.ended.iter().find(|(ended, _)| *ended == job);
        ended.map_or(JobFate::Unknown, |(_, outcome)| JobFate::Ended(outcome.clone()))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change of the book is one assignment: a panic elsewhere leaves it whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
