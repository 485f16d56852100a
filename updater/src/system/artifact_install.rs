// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs artifacts into their repositories.

use super::install::Install;
use super::plan::PlannedArtifact;
use super::progress::Steps;
use super::{InstallationError, RepositoryReport, System};

impl System {
    pub(super) fn install_artifact(
        &mut self,
        planned: &PlannedArtifact,
        _install: &Install<'_>,
        _steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        let _ = &self.config;
        Err(InstallationError::Artifact {
            artifact: planned.image.artifact.clone().unwrap_or_default(),
            repository: planned.repository.clone(),
            source: "artifact repositories are not carried out yet".into(),
        })
    }

    pub(super) fn repository_reports(&mut self, _steps: &mut Steps<'_>) -> Vec<RepositoryReport> {
        Vec::new()
    }

    pub(super) fn prune_artifacts(
        &mut self,
        _steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        Ok(())
    }
}
