// SPDX-License-Identifier: MIT OR Apache-2.0
//! The jobs of a device, on its disk. Written when a job is accepted and when it is over: steps in
//! between are told from memory, since flash wears and nobody asks a dead service for them.

use super::{Job, JobChange, JobId, OutOfTurn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use storage::{ByteLen, Files, FilesError};

/// So many jobs are kept, the newest.
pub const MAX_JOBS: usize = 64;

/// Largest file of a job: all its events and faults at their longest stay below.
const MAX_JOB_BYTES: ByteLen = ByteLen::new(8 << 20);

/// A job's file: `version` tells a later form of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    sequence: u64,
    job: Job,
}

const VERSION: u32 = 1;

/// Why a job could not be kept or changed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Another one is under way.
    #[error("another change is under way: job {running}")]
    Busy {
        /// Its name.
        running: JobId,
    },
    /// No job has this name.
    #[error("no job {id} is known")]
    Unknown {
        /// The name.
        id: JobId,
    },
    /// It cannot take this change.
    #[error("job {id} cannot be changed")]
    OutOfTurn {
        /// The job.
        id: JobId,
        /// Why.
        #[source]
        source: OutOfTurn,
    },
    /// Its file cannot be made.
    #[error("cannot encode job {id}")]
    Encode {
        /// The job.
        id: JobId,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The disk says no.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// The jobs.
pub struct JobStore<F> {
    files: F,
    dir: PathBuf,
    jobs: BTreeMap<JobId, (u64, Job)>,
    unreadable: Vec<String>,
}

impl<F: Files> JobStore<F> {
    /// Reads what is kept in `dir`. Jobs that were under way when their service ended are still
    /// [`JobStore::unsettled`]: whoever saw their end says so, or they are interrupted. A file that
    /// cannot be read as a job is removed and named in [`JobStore::unreadable`].
    ///
    /// # Errors
    /// [`JobError::Files`] when the directory cannot be read or written.
    pub fn load(files: F, dir: &Path) -> Result<Self, JobError> {
        let mut store =
            Self { files, dir: dir.to_owned(), jobs: BTreeMap::new(), unreadable: Vec::new() };
        for name in store.files.list(dir)? {
            let Some(record) = store.read(&name)? else {
                store.files.remove(&dir.join(&name))?;
                store.unreadable.push(name);
                continue;
            };
            store.jobs.insert(record.job.id, (record.sequence, record.job));
        }
        store.forget_oldest()?;
        Ok(store)
    }

    fn read(&self, name: &str) -> Result<Option<Record>, JobError> {
        let named = name.strip_suffix(".json").and_then(JobId::parse);
        let content = match self.files.read(&self.dir.join(name), MAX_JOB_BYTES) {
            Ok(content) => content.unwrap_or_default(),
            Err(FilesError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let record: Option<Record> = serde_json::from_slice(&content).ok();
        Ok(record.filter(|one| one.version == VERSION && Some(one.job.id) == named))
    }

    /// Files that were no jobs and are gone now.
    #[must_use]
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// Accepts a job under this name.
    ///
    /// # Errors
    /// [`JobError::Busy`] while another one is under way, [`JobError::Files`].
    pub fn submit(&mut self, id: JobId) -> Result<&Job, JobError> {
        if let Some(running) = self.open().next() {
            return Err(JobError::Busy { running });
        }
        let sequence = self.jobs.values().map(|(sequence, _)| *sequence).max().unwrap_or(0) + 1;
        let job = Job::new(id);
        self.write(sequence, &job)?;
        self.jobs.insert(id, (sequence, job));
        self.forget_oldest()?;
        self.get(&id).ok_or(JobError::Unknown { id })
    }

    /// Changes a job; its end is durable when this returns.
    ///
    /// # Errors
    /// [`JobError`]. A job whose end cannot be written is over all the same; a service that starts
    /// anew then tells it as interrupted.
    pub fn change(&mut self, id: &JobId, change: JobChange) -> Result<(), JobError> {
        let (sequence, job) = self.jobs.get_mut(id).ok_or(JobError::Unknown { id: *id })?;
        job.change(change).map_err(|source| JobError::OutOfTurn { id: *id, source })?;
        if job.state.is_final() {
            let (sequence, job) = (*sequence, job.clone());
            self.write(sequence, &job)?;
        }
        Ok(())
    }

    /// The job with this name.
    #[must_use]
    pub fn get(&self, id: &JobId) -> Option<&Job> {
        self.jobs.get(id).map(|(_, job)| job)
    }

    /// All jobs, the newest first.
    pub fn list(&self) -> impl Iterator<Item = &Job> {
        let mut jobs: Vec<&(u64, Job)> = self.jobs.values().collect();
        jobs.sort_by_key(|(sequence, _)| std::cmp::Reverse(*sequence));
        jobs.into_iter().map(|(_, job)| job)
    }

    /// Jobs that are not over.
    #[must_use]
    pub fn unsettled(&self) -> Vec<JobId> {
        self.open().collect()
    }

    fn open(&self) -> impl Iterator<Item = JobId> {
        self.jobs.values().filter(|(_, job)| !job.state.is_final()).map(|(_, job)| job.id)
    }

    fn write(&mut self, sequence: u64, job: &Job) -> Result<(), JobError> {
        let record = Record { version: VERSION, sequence, job: job.clone() };
        let content = serde_json::to_vec(&record)
            .map_err(|source| JobError::Encode { id: job.id, source })?;
        Ok(self.files.replace(&self.path(&job.id), &content)?)
    }

    fn forget_oldest(&mut self) -> Result<(), JobError> {
        while self.jobs.len() > MAX_JOBS {
            let over = self.jobs.values().filter(|(_, job)| job.state.is_final());
            let Some(oldest) = over.min_by_key(|(sequence, _)| *sequence).map(|(_, job)| job.id)
            else {
                break;
            };
            self.files.remove(&self.path(&oldest))?;
            self.jobs.remove(&oldest);
        }
        Ok(())
    }

    fn path(&self, id: &JobId) -> PathBuf {
        self.dir.join(format!("{id}.json"))
    }
}
