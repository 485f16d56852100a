// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in force, as the helper says, asked for at most once a second: whoever floods this
//! process does not flood root's.

use super::{HelperClient, HelperError, HostRule};
use crate::auth::AdminSigners;
use crate::protocol::{Current, Reply, Request};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer is good for.
const FRESH: Duration = Duration::from_secs(1);

/// The answer, and what follows from it.
pub struct InForce {
    /// The answer.
    pub current: Current,
    /// The administrators.
    pub signers: AdminSigners,
    /// The device's names.
    pub hosts: HostRule,
}

/// Keeps the last answer.
pub struct CurrentCache {
    helper: HelperClient,
    last: Mutex<Option<(Instant, Arc<InForce>)>>,
}

impl CurrentCache {
    pub(super) fn new(helper: HelperClient) -> Self {
        Self { helper, last: Mutex::new(None) }
    }

    /// What is in force, or was a second ago.
    pub(super) async fn get(&self) -> Result<Arc<InForce>, HelperError> {
        let mut last = self.last.lock().await;
        if let Some((asked, answer)) = last.as_ref()
            && asked.elapsed() < FRESH
        {
            return Ok(Arc::clone(answer));
        }
        let Reply::Current { current } = self.helper.ask(Request::Current {}).await? else {
            return Err(HelperError::Unexpected);
        };
        let signers = AdminSigners::parse(&current.admin_signers);
        let hosts = HostRule::new(&current.names);
        let answer = Arc::new(InForce { current, signers, hosts });
        *last = Some((Instant::now(), Arc::clone(&answer)));
        Ok(answer)
    }

    /// Whatever is kept is old.
    pub(super) async fn forget(&self) {
        *self.last.lock().await = None;
    }
}
