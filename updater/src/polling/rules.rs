// SPDX-License-Identifier: MIT OR Apache-2.0
//! By which rules of `[polling]` is a bundle a candidate, installed, and followed by a reboot?

use super::{PollInstall, Speedup};
use crate::system::Updated;
use crate::{BundleVersion, PollingSection};
use std::time::Duration;

/// What makes a bundle a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateRule {
    /// Its version is higher than the system's.
    HigherSemver,
    /// Its version is another one.
    DifferentVersion,
}

/// What makes a candidate be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstallRule {
    /// That it is one.
    Always,
    /// Its version is higher than the system's.
    HigherSemver,
    /// Its version is another one.
    DifferentVersion,
}

/// What makes the system reboot after an install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RebootRule {
    /// It wrote slots.
    UpdatedSlots,
    /// It wrote artifacts.
    UpdatedArtifacts,
    /// It failed.
    FailedUpdate,
}

/// A word of a criteria list that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{word}\" is not a criterion of {key}")]
pub struct UnknownCriterion {
    key: &'static str,
    word: String,
}

/// Two versions could not be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{act} criteria check failed: Failed to parse semantic version for comparison: {why}")]
pub struct PollCheckError {
    act: &'static str,
    why: String,
}

/// The rules of `[polling]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PollingRules {
    pub(super) interval: Duration,
    pub(super) max_interval: Duration,
    pub(super) speedup: Speedup,
    pub(super) reboot_command: String,
    candidate: Vec<CandidateRule>,
    install: Vec<InstallRule>,
    reboot: Vec<RebootRule>,
}

fn words<T: Copy>(
    key: &'static str,
    list: &[String],
    known: &[(&str, T)],
) -> Result<Vec<T>, UnknownCriterion> {
    let known = |word: &String| known.iter().find(|(name, _)| name == word).map(|(_, rule)| *rule);
    list.iter()
        .map(|word| known(word).ok_or_else(|| UnknownCriterion { key, word: word.clone() }))
        .collect()
}

impl PollingRules {
    /// The rules of a section that was read.
    ///
    /// # Errors
    /// [`UnknownCriterion`].
    pub fn new(section: &PollingSection, speedup: Speedup) -> Result<Self, UnknownCriterion> {
        let candidate = [
            ("higher-semver", CandidateRule::HigherSemver),
            ("different-version", CandidateRule::DifferentVersion),
        ];
        let install = [
            ("always", InstallRule::Always),
            ("higher-semver", InstallRule::HigherSemver),
            ("different-version", InstallRule::DifferentVersion),
        ];
        let reboot = [
            ("updated-slots", RebootRule::UpdatedSlots),
            ("updated-artifacts", RebootRule::UpdatedArtifacts),
            ("failed-update", RebootRule::FailedUpdate),
        ];
        Ok(Self {
            interval: Duration::from_secs(section.interval_secs),
            max_interval: Duration::from_secs(section.max_interval_secs),
            speedup,
            reboot_command: section.reboot_cmd.clone(),
            candidate: words("candidate-criteria", &section.candidate_criteria, &candidate)?,
            install: words("install-criteria", &section.install_criteria, &install)?,
            reboot: words("reboot-criteria", &section.reboot_criteria, &reboot)?,
        })
    }

    /// Why `version` is a candidate on a system of version `system`, as a summary; `None` where it
    /// is none.
    pub(super) fn candidate(
        &self,
        version: &str,
        system: &str,
    ) -> Result<Option<&'static str>, PollCheckError> {
        if self.candidate.contains(&CandidateRule::HigherSemver)
            && is_higher("candidate", version, system)?
        {
            return Ok(Some("update candidate found: higher semantic version"));
        }
        let different =
            self.candidate.contains(&CandidateRule::DifferentVersion) && version != system;
        Ok(different.then_some("update candidate found: different version"))
    }

    /// Why a candidate is installed, for the log; `None` where somebody has to ask for it.
    pub(super) fn install(
        &self,
        version: &str,
        system: &str,
    ) -> Result<Option<&'static str>, PollCheckError> {
        if self.install.contains(&InstallRule::HigherSemver)
            && is_higher("installation", version, system)?
        {
            return Ok(Some("automatic installation: higher semantic version"));
        }
        if self.install.contains(&InstallRule::DifferentVersion) && version != system {
            return Ok(Some("automatic installation: different version"));
        }
        let always = self.install.contains(&InstallRule::Always);
        Ok(always.then_some("automatic installation"))
    }

    /// Whether the system reboots after an install. One that failed counts for nothing but the
    /// rule about failures.
    pub(super) fn reboots_after(&self, install: &PollInstall) -> bool {
        let has = |rule| self.reboot.contains(&rule);
        match install {
            PollInstall::Failed { .. } => has(RebootRule::FailedUpdate),
            PollInstall::Done { slots, artifacts } => {
                (has(RebootRule::UpdatedSlots) && *slots == Updated::Yes)
                    || (has(RebootRule::UpdatedArtifacts) && *artifacts == Updated::Yes)
            }
            PollInstall::Busy => false,
        }
    }
}

fn is_higher(act: &'static str, version: &str, system: &str) -> Result<bool, PollCheckError> {
    let parse = |text: &str| {
        let parsed = text.parse::<BundleVersion>();
        parsed.map_err(|error| PollCheckError { act, why: error.to_string() })
    };
    Ok(parse(system)?.is_older_than(&parse(version)?))
}
