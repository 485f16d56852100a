// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a generation says about its own activation, read from its files and checked again.

use super::services::ServiceUnit;
use crate::appliers::{ApplierError, RuntimeUnits, Unit, UnitMode, read_settings};
use crate::promote::Generation;
use serde::Deserialize;
use std::collections::BTreeSet;
use storage::tree::Trees;
use storage::{ByteLen, FilesError};

const MAX_FILE_BYTES: ByteLen = ByteLen::new(4 * 1024 * 1024);
const TIMEOUT_SECS: std::ops::RangeInclusive<u64> = 1..=3600;
const SETTLE_SECS: std::ops::RangeInclusive<u64> = 0..=300;

/// A generation whose activation is not told.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A file cannot be read.
    #[error("cannot read the configuration")]
    Files {
        /// Cause, which names the path.
        #[from]
        source: FilesError,
    },
    /// A file is missing or invalid.
    #[error("the configuration cannot be activated")]
    Settings {
        /// Cause.
        #[from]
        source: ApplierError,
    },
    /// It names a service that it does not have.
    #[error("{name} is in {key} and is no service of the configuration")]
    Unknown {
        /// The service.
        name: String,
        /// Where it is named.
        key: &'static str,
    },
    /// A number is out of its range.
    #[error("{key} is out of its range")]
    Range {
        /// Which one.
        key: &'static str,
    },
}

/// `activation-policy.json`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    required: Vec<String>,
    timeout_seconds: u64,
    settle_seconds: u64,
    restart: Vec<String>,
    allow_degraded: Vec<String>,
    allow_degraded_configured: bool,
    strategy: Strategy,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Strategy {
    Rollback,
}

/// What an activation watches, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationPlan {
    /// Services that must be up: the required ones and, where the configuration says which may be
    /// degraded, all others too.
    pub watched: BTreeSet<ServiceUnit>,
    /// All others: that one of them is down is told, and fails nothing.
    pub others: BTreeSet<ServiceUnit>,
    /// Services that are started anew once everything is applied.
    pub restart: Vec<ServiceUnit>,
    /// How long they may take.
    pub timeout_secs: u64,
    /// How long they must stay up.
    pub settle_secs: u64,
}

impl ActivationPlan {
    /// Reads the plan of a generation.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn read(trees: &dyn Trees, generation: Generation) -> Result<Self, PlanError> {
        let read = |name: &str| -> Result<Vec<u8>, PlanError> {
            let bytes = trees.read(&generation.path().join(name), MAX_FILE_BYTES)?;
            Ok(bytes.ok_or_else(|| ApplierError::Missing { name: name.to_owned() })?)
        };
        Self::parse(&read("activation-policy.json")?, &read("quadlet-runtime.json")?)
    }

    /// Reads a plan from the two files' contents.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn parse(policy: &[u8], units: &[u8]) -> Result<Self, PlanError> {
        let policy: Policy = read_settings("activation-policy.json", policy)?;
        let units: RuntimeUnits = read_settings("quadlet-runtime.json", units)?;
        let Strategy::Rollback = policy.strategy;
        if !TIMEOUT_SECS.contains(&policy.timeout_seconds) {
            return Err(PlanError::Range { key: "timeout_seconds" });
        }
        if !SETTLE_SECS.contains(&policy.settle_seconds) {
            return Err(PlanError::Range { key: "settle_seconds" });
        }
        let find = |key, name: &String| container(&units, name, key);
        let mut watched = BTreeSet::new();
        for name in &policy.required {
            watched.insert(find("required", name)?);
        }
        let mut degraded = BTreeSet::new();
        for name in &policy.allow_degraded {
            degraded.insert(find("allow_degraded", name)?);
        }
        if policy.allow_degraded_configured {
            let all = units.units.iter().filter(|unit| unit.filename.ends_with(".container"));
            for unit in all {
                let service = find("units", &unit.name)?;
                if !degraded.contains(&service) {
                    watched.insert(service);
                }
            }
        }
        let restart: Result<_, _> =
            policy.restart.iter().map(|name| find("restart", name)).collect();
        let all = units.units.iter().filter_map(|unit| Unit::parse(unit.mode, &unit.filename));
        let all = all.map(|unit| ServiceUnit { mode: unit.mode, name: unit.service() });
        Ok(Self {
            others: all.filter(|service| !watched.contains(service)).collect(),
            watched,
            restart: restart?,
            timeout_secs: policy.timeout_seconds,
            settle_secs: policy.settle_seconds,
        })
    }
}

/// The service of a container that the configuration declares.
fn container(
    units: &RuntimeUnits,
    name: &str,
    key: &'static str,
) -> Result<ServiceUnit, PlanError> {
    let file = format!("{name}.container");
    let found = units.units.iter().find(|unit| unit.filename == file);
    let unit = found.and_then(|unit| Unit::parse(unit.mode, &unit.filename));
    let unit = unit.ok_or_else(|| PlanError::Unknown { name: name.to_owned(), key })?;
    let mode: UnitMode = unit.mode;
    Ok(ServiceUnit { mode, name: unit.service() })
}
