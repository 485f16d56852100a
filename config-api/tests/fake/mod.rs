// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pipeline without a device: it has a text in force, and does what the test wants.

#![allow(dead_code, reason = "every test uses its part of this")]

use config_api::helper::{ApplyOrder, Exported, Input, Pipeline, PipelineError};
use config_api::input::{Discard, Limits, read_input};
use config_api::jobs::{JobEvent, JobId, JobResult, ReportedFault, RollbackStatus};
use config_api::model::validate;
use config_api::protocol::{AuditEntry, Current, FailureCode, Origin, Outcome};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// A configuration for tests of the way, not of the content.
pub const CONFIG: &str = "version = 1 # ours\n\n[users.admin]\nisAdmin = true\n";

/// What is in force, and what happened.
#[derive(Default)]
pub struct State {
    /// The text in force; none on a device as delivered.
    pub text: Option<String>,
    /// The administrators' keys.
    pub signers: String,
    /// Where the device is on its LAN.
    pub gateway: Option<String>,
    /// The audit log.
    pub audit: Vec<AuditEntry>,
    /// How many inputs were looked into.
    pub read: usize,
    /// Who applied what.
    pub applied: Vec<(Origin, String)>,
    /// Whether changes wait.
    pub is_held: bool,
    /// Confirmed jobs.
    pub confirmed: Vec<JobId>,
    /// Whether a change panics.
    pub breaks: bool,
    /// Whether configurations are validated as on a device.
    pub is_strict: bool,
    /// Where a change that is done says that the device is.
    pub forwarding_url: Option<String>,
    /// Why the next changes fail.
    pub failure: Option<String>,
}

/// The pipeline; clones are the same one.
#[derive(Clone, Default)]
pub struct Fake {
    /// Its state.
    pub state: Arc<(Mutex<State>, Condvar)>,
}

impl Fake {
    /// A device as delivered.
    pub fn unprovisioned() -> Self {
        Self::default()
    }

    /// A device with a configuration and these administrators.
    pub fn provisioned(signers: &str) -> Self {
        let fake = Self::default();
        fake.with(|state| {
            state.text = Some(CONFIG.to_owned());
            state.signers = signers.to_owned();
            state.gateway = Some("127.0.0.1".to_owned());
        });
        fake
    }

    /// Looks at the state, or changes it.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let done = act(&mut self.state.0.lock().unwrap());
        self.state.1.notify_all();
        done
    }

    fn read(&self, input: Input) -> Result<String, PipelineError> {
        let is_strict = self.with(|state| {
            state.read += 1;
            state.is_strict
        });
        if is_strict { strict_text_of(input) } else { text_of(input) }
    }

    /// Lets changes wait until [`Fake::release`].
    pub fn hold(&self) {
        self.with(|state| state.is_held = true);
    }

    /// Lets changes go on.
    pub fn release(&self) {
        self.with(|state| state.is_held = false);
    }
}

/// The tag of a text.
pub fn etag(text: &str) -> String {
    hex::encode(&openssl::sha::sha256(text.as_bytes())[..8])
}

/// The keys of a `config.toml`, as lines.
fn admin_keys(text: &str) -> String {
    let values = text.lines().filter_map(|line| line.trim().strip_prefix("ssh_key = \""));
    values.map(|value| format!("{}\n", value.trim_end_matches('"'))).collect()
}

fn fault(problem: &str) -> PipelineError {
    let path = "users".to_owned();
    PipelineError::Invalid(vec![ReportedFault {
        line: 1,
        column: 1,
        path,
        problem: problem.to_owned(),
        hint: None,
    }])
}

/// The text of an input, validated as a device does it.
fn strict_text_of(input: Input) -> Result<String, PipelineError> {
    let bytes = match input {
        Input::Edited { text } => text.into_bytes(),
        Input::Upload { name, file } => {
            let (origin, limits) =
                (config_api::input::Origin::Upload(name.as_str()), Limits::default());
            let input = read_input(origin, file, &limits, &mut Discard::default());
            input.map_err(|error| fault(&error.to_string()))?.config_toml
        }
    };
    let report = |fault: &config_api::model::Fault| ReportedFault {
        line: u32::try_from(fault.line).unwrap(),
        column: u32::try_from(fault.column).unwrap(),
        path: fault.path.clone(),
        problem: fault.problem.clone(),
        hint: fault.hint.clone(),
    };
    match validate(&bytes) {
        Ok(_) => Ok(String::from_utf8(bytes).unwrap()),
        Err(faults) => Err(PipelineError::Invalid(faults.list().iter().map(report).collect())),
    }
}

fn text_of(input: Input) -> Result<String, PipelineError> {
    let text = match input {
        Input::Edited { text } => text,
        Input::Upload { mut file, .. } => {
            let mut text = String::new();
            file.read_to_string(&mut text).map_err(|_| fault("no text"))?;
            text
        }
    };
    if text.contains("bad") { Err(fault("bad")) } else { Ok(text) }
}

impl Pipeline for Fake {
    fn current(&self) -> Result<Current, PipelineError> {
        Ok(self.with(|state| Current {
            provisioned: state.text.is_some(),
            admin_signers: state.signers.clone(),
            gateway_ip: state.gateway.clone(),
            names: vec!["atomixos".to_owned(), "atomixos.local".to_owned()],
            etag: state.text.as_deref().map(etag),
            ..Current::default()
        }))
    }

    fn export(&self) -> Result<Exported, PipelineError> {
        let text = self.with(|state| state.text.clone());
        let text = text.ok_or_else(|| PipelineError::Refused {
            code: FailureCode::NotProvisioned,
            message: "there is no configuration".to_owned(),
        })?;
        Ok(Exported { etag: etag(&text), text: text.into_bytes() })
    }

    fn validate(&self, input: Input) -> Result<Vec<String>, PipelineError> {
        self.read(input).map(|_| vec!["a warning".to_owned()])
    }

    fn apply(
        &self,
        order: &ApplyOrder<'_>,
        input: Input,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Outcome {
        tell(JobEvent::step("validate"));
        let text = match self.read(input) {
            Ok(text) => text,
            Err(PipelineError::Invalid(faults)) => {
                let error = "not valid".to_owned();
                return Outcome::Failed { error, faults, rollback: RollbackStatus::Skipped };
            }
            Err(error) => panic!("{error:?}"),
        };
        if let Some(url) = self.with(|state| state.forwarding_url.clone()) {
            let message = Some(format!("the device will answer at {url}"));
            tell(JobEvent { message, ..JobEvent::step("write-candidate") });
        }
        let held = self.state.0.lock().unwrap();
        let mut state = self.state.1.wait_while(held, |state| state.is_held).unwrap();
        assert!(!state.breaks, "as the test wants");
        if let Some(error) = state.failure.clone() {
            let rollback = RollbackStatus::Discarded;
            return Outcome::Failed { error, faults: Vec::new(), rollback };
        }
        state.applied.push((order.origin.clone(), text.clone()));
        let before = state.text.replace(text.clone());
        let reapply = Some(before.is_some());
        let forwarding_url = state.forwarding_url.clone();
        if state.signers.is_empty() {
            // The first configuration's administrators.
            state.signers = admin_keys(&text);
        }
        drop(state);
        tell(JobEvent::step("promote"));
        let unit = |status: &str| JobEvent {
            service: Some("web.service".to_owned()),
            message: Some("active (running)".to_owned()),
            status: Some(status.to_owned()),
            ..JobEvent::step("service-status")
        };
        if text.contains("[containers.") {
            tell(unit("running"));
        }
        if text.contains("unhealthy") {
            self.with(|state| state.text = before);
            let error = "web.service: failed (exit-code)".to_owned();
            return Outcome::Failed {
                error,
                faults: Vec::new(),
                rollback: RollbackStatus::Completed,
            };
        }
        if let Some(secs) = order.confirm_secs {
            tell(JobEvent::step("confirm"));
            let wait = Duration::from_secs(secs.into());
            let held = self.state.0.lock().unwrap();
            let is_missing = |state: &mut State| !state.confirmed.contains(&order.job);
            let (mut state, late) =
                self.state.1.wait_timeout_while(held, wait, is_missing).unwrap();
            if late.timed_out() {
                state.text = before;
                let error = "confirmation: nobody confirmed it in time".to_owned();
                let rollback = RollbackStatus::Completed;
                return Outcome::Failed { error, faults: Vec::new(), rollback };
            }
        }
        Outcome::Succeeded { result: JobResult { reapply, forwarding_url, ..JobResult::default() } }
    }

    fn recover(&self, _job: JobId) -> Result<Option<RollbackStatus>, PipelineError> {
        Ok(Some(RollbackStatus::Completed))
    }

    fn confirm(&self, job: JobId, _origin: &Origin) -> Result<(), PipelineError> {
        self.with(|state| state.confirmed.push(job));
        Ok(())
    }

    fn audit(&self, entry: &AuditEntry) -> Result<(), PipelineError> {
        self.with(|state| state.audit.push(entry.clone()));
        Ok(())
    }
}
