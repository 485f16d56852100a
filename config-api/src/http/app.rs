// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all requests share: the helper, the jobs, the nonces, and how many of each thing may be
//! under way at once.

use super::current::{CurrentCache, InForce};
use super::denials::Denials;
use super::job_task::settle;
use super::upload::Purpose;
use super::{ApiError, HelperClient, HelperError, upload};
use crate::auth::{DeviceId, NonceStore, Uptime};
use crate::jobs::{Job, JobChange, JobError, JobId, JobStore};
use crate::protocol::Request;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use storage::HostFiles;
use tokio::sync::{Semaphore, watch};

/// Uploads at once that are to be applied, and as many more that are only to be judged, so that these
/// leave room for those: each has a file of at most 32 MiB in the spool.
const MAX_UPLOADS: usize = 2;
/// Requests at once whose body was refused and is read away.
const MAX_DRAINS: usize = 64;
/// Forms of the pages at once, from their beginning until their answer is read.
const MAX_FORMS: usize = 8;
/// Watchers of jobs at once.
const MAX_WATCHERS: usize = 32;

/// Where the service finds its things.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which device this is.
    pub device: DeviceId,
    /// The helper's socket.
    pub helper: PathBuf,
    /// Where jobs are kept and bodies spooled: `jobs` and `spool` below it.
    pub state: PathBuf,
    /// The port.
    pub port: u16,
    /// Where a device without a configuration listens.
    pub unclaimed: IpAddr,
}

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The jobs cannot be read.
    #[error("cannot read the jobs")]
    Jobs(#[from] JobError),
    /// The spool cannot be made.
    #[error("cannot make the spool {}", path.display())]
    Spool {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// The service; clones are the same one.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    helper: HelperClient,
    cache: CurrentCache,
    nonces: Mutex<NonceStore>,
    denials: Mutex<Denials>,
    jobs: Mutex<JobStore<HostFiles>>,
    changed: watch::Sender<u64>,
    begun: Instant,
    changes: Arc<Semaphore>,
    validations: Arc<Semaphore>,
    drains: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    forms: Arc<Semaphore>,
}

impl App {
    /// Starts: what was under way when the last service ended is settled with the helper, and the
    /// spool is emptied.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        upload::empty_spool(&settings.state)?;
        // The jobs' directory is below the state's, which is this machine's.
        let jobs = JobStore::load(HostFiles::new("/"), &settings.state.join("jobs"))?;
        let helper = HelperClient::new(&settings.helper);
        let unsettled = jobs.unsettled();
        let app = Self {
            inner: Arc::new(Inner {
                cache: CurrentCache::new(helper.clone()),
                helper,
                settings,
                nonces: Mutex::default(),
                denials: Mutex::default(),
                jobs: Mutex::new(jobs),
                changed: watch::Sender::new(0),
                begun: Instant::now(),
                changes: Arc::new(Semaphore::new(MAX_UPLOADS)),
                validations: Arc::new(Semaphore::new(MAX_UPLOADS)),
                drains: Arc::new(Semaphore::new(MAX_DRAINS)),
                watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
                forms: Arc::new(Semaphore::new(MAX_FORMS)),
            }),
        };
        for job in unsettled {
            settle(&app, job).await?;
        }
        Ok(app)
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(super) fn helper(&self) -> &HelperClient {
        &self.inner.helper
    }

    pub(super) fn spool(&self) -> PathBuf {
        upload::spool_dir(&self.inner.settings.state)
    }

    pub(super) async fn in_force(&self) -> Result<Arc<InForce>, HelperError> {
        self.inner.cache.get().await
    }

    /// Seconds on a clock that nobody sets.
    pub(super) fn now(&self) -> Uptime {
        Uptime(self.inner.begun.elapsed().as_secs())
    }

    pub(super) fn nonces(&self) -> MutexGuard<'_, NonceStore> {
        // Nothing that holds these locks can leave them half-changed by a panic.
        self.inner.nonces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn jobs(&self) -> MutexGuard<'_, JobStore<HostFiles>> {
        self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn uploads(&self, purpose: Purpose) -> Arc<Semaphore> {
        Arc::clone(match purpose {
            Purpose::Change => &self.inner.changes,
            Purpose::Validation => &self.inner.validations,
        })
    }

    pub(super) fn drains(&self) -> &Semaphore {
        &self.inner.drains
    }

    pub(super) fn watchers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.inner.watchers)
    }

    pub(super) fn forms(&self) -> Arc<Semaphore> {
        Arc::clone(&self.inner.forms)
    }

    /// Told whenever a job changed.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    pub(super) fn job(&self, id: &JobId) -> Option<Job> {
        self.jobs().get(id).cloned()
    }

    pub(super) fn running_job(&self) -> Option<JobId> {
        self.jobs().unsettled().into_iter().next()
    }

    pub(super) fn submit_job(&self) -> Result<JobId, ApiError> {
        let id = JobId::new(random()?);
        self.jobs().submit(id)?;
        Ok(id)
    }

    /// Changes a job and tells those who watch it.
    pub(super) async fn change_job(&self, id: &JobId, change: JobChange) -> Result<(), JobError> {
        let done = self.jobs().change(id, change);
        self.inner.changed.send_modify(|number| *number += 1);
        if self.job(id).is_some_and(|job| job.state.is_final()) {
            self.inner.cache.forget().await;
        }
        done
    }

    /// Has a denial written down; the answer to the client does not wait for it.
    pub(super) fn note_denial(&self, client: IpAddr, target: &str, code: &str) {
        let entries = self.inner.denials.lock().unwrap_or_else(PoisonError::into_inner).note(
            &client.to_string(),
            target,
            code,
            self.now(),
        );
        for entry in entries {
            let helper = self.helper().clone();
            tokio::spawn(async move {
                // The helper logs what it cannot write; there is nobody else to tell.
                let _ = helper.ask(Request::Audit { entry }).await;
            });
        }
    }
}

/// Random bytes of the kernel's.
pub(super) fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| ApiError::internal("no random numbers"))?;
    Ok(bytes)
}

/// Where the state's parts are.
pub(super) fn below(state: &Path, name: &str) -> PathBuf {
    state.join(name)
}
