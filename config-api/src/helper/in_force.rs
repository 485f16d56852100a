// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is in force? Read only, from the promotion record and the generation that it names, so
//! that neither a look nor an export ever waits for a change or changes anything itself.

use super::{Exported, PipelineError};
use crate::promote::{Generation, Next, RECORD, Record, Rollback, Seeds, State};
use crate::protocol::{Current, FailureCode};
use serde::Deserialize;
use std::path::Path;
use storage::tree::Trees;
use storage::{ByteLen, FilesError, chain};

/// Far above what a generation's own files have.
const MAX_FILE_BYTES: ByteLen = ByteLen::new(4 << 20);

/// What is read of `lan-settings.json`.
#[derive(Deserialize)]
struct LanSettings {
    gateway_ip: String,
    domain: String,
    gateway_aliases: Vec<String>,
}

/// The state that the record names; a device without a record has no configuration.
pub(super) fn read_state(data: &dyn Trees) -> Result<State, PipelineError> {
    Ok(read_record(data)?.state)
}

fn read_record(data: &dyn Trees) -> Result<Record, PipelineError> {
    match read(data, Path::new(RECORD))? {
        None => Ok(Record::new(State::Unprovisioned { rollback: None }, Seeds::default())),
        // Whether somebody owns the device is then not known, so nobody may claim it.
        Some(bytes) => Record::parse(&bytes).map_err(|error| broken(&error)),
    }
}

/// What is in force.
pub(super) fn read_current(data: &dyn Trees) -> Result<Current, PipelineError> {
    let Record { state, seeds, .. } = read_record(data)?;
    let mut current = Current {
        provisioned: state.is_provisioned(),
        unproven: state.next() != Next::Rest,
        seeds,
        ..Current::default()
    };
    let Some(generation) = state.shown() else { return Ok(current) };
    let own = |name: &str| read(data, &generation.path().join(name));
    let signers = own("admin-signers")?.unwrap_or_default();
    current.admin_signers = String::from_utf8_lossy(&signers).into_owned();
    if let Some(bytes) = own("lan-settings.json")? {
        let lan: LanSettings = serde_json::from_slice(&bytes).map_err(|error| broken(&error))?;
        current.names = names(&lan);
        current.gateway_ip = Some(lan.gateway_ip);
    }
    if let Some(text) = own("config.toml")? {
        current.etag = Some(etag(generation, &text));
    }
    Ok(current)
}

/// The `config.toml` in force.
pub(super) fn read_export(data: &dyn Trees) -> Result<Exported, PipelineError> {
    let text = match read_state(data)?.shown() {
        Some(generation) => {
            read(data, &generation.path().join("config.toml"))?.map(|text| (generation, text))
        }
        None => None,
    };
    let (generation, text) = text.ok_or_else(|| PipelineError::Refused {
        code: FailureCode::NotProvisioned,
        message: "the device has no configuration".to_owned(),
    })?;
    Ok(Exported { etag: etag(generation, &text), text })
}

/// Another one after every change, also of the files alone: each makes a generation of its own.
fn etag(generation: Generation, text: &[u8]) -> String {
    let digest = openssl::sha::sha256(text);
    let short: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{generation}-{short}")
}

/// The device's names as its own name server tells them.
fn names(lan: &LanSettings) -> Vec<String> {
    let mut names = Vec::new();
    for alias in &lan.gateway_aliases {
        names.push(alias.clone());
        if !alias.contains('.') {
            names.push(format!("{alias}.{}", lan.domain));
        }
    }
    names
}

/// How the last promotion ended, as a job tells it.
pub(super) fn rollback_of(state: &State) -> crate::jobs::RollbackStatus {
    use crate::jobs::RollbackStatus;
    let ended = match state {
        State::Unprovisioned { rollback } | State::Committed { rollback, .. } => *rollback,
        State::Pending { .. } | State::Reverting { .. } => Some(Rollback::Failed),
    };
    match ended {
        Some(Rollback::Completed) => RollbackStatus::Completed,
        Some(Rollback::Failed) => RollbackStatus::Failed,
        Some(Rollback::Discarded) => RollbackStatus::Discarded,
        Some(Rollback::Skipped) | None => RollbackStatus::Skipped,
    }
}

fn read(data: &dyn Trees, path: &Path) -> Result<Option<Vec<u8>>, PipelineError> {
    data.read(path, MAX_FILE_BYTES).map_err(|error: FilesError| broken(&error))
}

/// Something of ours cannot be read.
pub(super) fn broken(error: &dyn std::error::Error) -> PipelineError {
    PipelineError::Refused { code: FailureCode::Internal, message: chain(error) }
}
