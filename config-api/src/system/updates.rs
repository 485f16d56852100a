// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent of updates on this machine: the one that the configuration names runs, with the
//! settings of now, and the other one does not.

use super::live::{Failed, LiveServices, MAX_FILE_BYTES};
use super::network::APPLIED;
use crate::activate::ServiceError;
use crate::appliers::{UnitMode, plan_agents};
use crate::promote::{Generation, Moment};
use std::path::Path;
use storage::tree::Trees;
use verifier::{ActiveState, UnitJob};

const SETTINGS: &str = "os-upgrade.json";

impl LiveServices {
    /// `None` stops both. No start is waited for: whether a server answers says nothing of a
    /// configuration, and one that waits for this very program at boot would wait for ever.
    pub(super) fn apply_updates(
        &mut self,
        generation: Option<Generation>,
        until: Moment,
    ) -> Result<(), ServiceError> {
        let act = "cannot read the configuration";
        let content = match generation {
            Some(generation) => {
                let path = generation.path().join(SETTINGS);
                self.parts.data.read(&path, MAX_FILE_BYTES).failed(act)?
            }
            None => None,
        };
        let plan = plan_agents(content.as_deref()).failed(act)?;
        for unit in &plan.stopped {
            // Also one that is not up: its start may be queued.
            if self.parts.manager.unit(unit).failed("no answer")?.exists {
                self.job(UnitMode::Rootful, UnitJob::Stop, unit, until)?;
            }
        }
        let stamp_path = Path::new(APPLIED).join("updates");
        let Some(wanted) = plan.wanted else { return self.forget_stamp(&stamp_path) };
        let status = self.parts.manager.unit(wanted.name).failed("no answer")?;
        if !status.exists {
            if wanted.is_required {
                let what =
                    format!("the image has no {}, which the configuration needs", wanted.name);
                return Err(ServiceError { what, source: None });
            }
            return self.forget_stamp(&stamp_path);
        }
        let stamp = self.parts.root.read(&stamp_path, MAX_FILE_BYTES);
        let stamp = stamp.failed("cannot read what is applied")?;
        let runs = !matches!(status.active, ActiveState::Inactive | ActiveState::Failed);
        let job = match (runs, stamp.as_deref() == Some(plan.stamp.as_bytes())) {
            (true, true) => return Ok(()),
            (true, false) => UnitJob::Restart,
            (false, _) => UnitJob::Start,
        };
        self.forget_stamp(&stamp_path)?;
        self.begin(UnitMode::Rootful, job, wanted.name)?;
        self.note_stamp(&stamp_path, &plan.stamp)
    }
}
