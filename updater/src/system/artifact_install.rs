// SPDX-License-Identifier: MIT OR Apache-2.0
//! Installs artifacts into their repositories, and says what is in them.
//!
//! In a repository that the bundle has anything for, artifacts that the bundle does not name are
//! deactivated; other repositories stay as they are. What nobody refers to is removed once the
//! whole install got that far.

use super::bundle_files::BundleTree;
use super::install::Install;
use super::plan::PlannedArtifact;
use super::progress::{StepEnd, Steps};
use super::{BoxedError, InstallationError, System};
use crate::event_log::Event;
use crate::{
    ArtifactContent, ArtifactError, ArtifactImage, ArtifactOutcome, ArtifactRepository,
    RepositoryStatus, RepositoryType,
};
use bundle::{Image, Manifest, VerifiedBundle};
use std::collections::BTreeSet;
use std::path::PathBuf;
use storage::chain;

/// Parts of an artifact's step that are its check, and its copying.
const CHECK_WEIGHT: u64 = 1;
const COPY_WEIGHT: u64 = 9;
/// RAUC's converters: an archive as a directory, and the archive as it is.
const EXTRACTED: &str = "tar-extract";
const KEPT: &str = "keep";

impl System {
    /// Installs one artifact.
    pub(super) fn install_artifact(
        &mut self,
        planned: &PlannedArtifact,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), InstallationError> {
        let name = &planned.repository;
        let artifact = planned.image.artifact.clone().unwrap_or_default();
        steps.begin_weighted(&format!("Checking repo '{name}'"), 0, CHECK_WEIGHT);
        let opened = self.open_repository(name, install.bundle.manifest(), steps);
        steps.end(StepEnd::from(&opened));
        let mut repository = opened?;
        self.log(&Event::updating_artifact(&artifact, name), steps);
        let text = format!("Copying artifact image to repo '{name}'");
        steps.begin_weighted(&text, 0, COPY_WEIGHT);
        let copied = self.copy_artifact(&mut repository, planned, install, steps);
        steps.end(StepEnd::from(&copied));
        match copied {
            Ok(ArtifactOutcome::Reused) => {
                steps.note(format!("Reusing artifact image in repo '{name}'"));
            }
            Ok(ArtifactOutcome::Installed) => {}
            Err(source) => return Err(artifact_failed(planned, artifact, source)),
        }
        steps.message(format!("Updating artifact '{artifact}' in repo '{name}' done"));
        Ok(())
    }

    fn open_repository(
        &self,
        name: &str,
        manifest: &Manifest,
        steps: &mut Steps<'_>,
    ) -> Result<ArtifactRepository, InstallationError> {
        let failed = |source: ArtifactError| InstallationError::Repository {
            repository: name.to_owned(),
            source: Box::new(source),
        };
        let section = self.config.artifacts.get(name).ok_or_else(|| {
            let (repository, artifact) = (name.to_owned(), String::new());
            InstallationError::NoRepository { repository, artifact }
        })?;
        let mut repository = ArtifactRepository::open(name, section).map_err(failed)?;
        repository.notes().iter().for_each(|note| steps.note(note));
        let of_repository = |image: &&Image| image.class == name;
        let named: BTreeSet<&str> = manifest
            .images
            .iter()
            .filter(of_repository)
            .filter_map(|image| image.artifact.as_deref())
            .collect();
        for note in repository.keep_only(&named).map_err(failed)? {
            steps.note(note);
        }
        Ok(repository)
    }

    fn copy_artifact(
        &mut self,
        repository: &mut ArtifactRepository,
        planned: &PlannedArtifact,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<ArtifactOutcome, BoxedError> {
        let image = &planned.image;
        let (Some(size), Some(digest)) = (image.size, image.sha256) else {
            return Err("the manifest gives no size or digest".into());
        };
        let name = image.artifact.clone().unwrap_or_default();
        let described = ArtifactImage { name, size, digest };
        let section = self.config.artifacts.get(&planned.repository);
        let kind = section.map_or(RepositoryType::Files, |section| section.repository_type);
        let mut passed = 0_u64;
        let mut tell = |bytes: u64| {
            passed = passed.saturating_add(bytes);
            let percent = passed.saturating_mul(100).checked_div(size.get()).unwrap_or(0);
            steps.percent(percent.min(99));
        };
        let machine = &mut *self.parts.machine;
        if let (RepositoryType::Trees, Some(root)) = (kind, converted(image, EXTRACTED)) {
            let mut tree = BundleTree { files: install.bundle.files()?, root: PathBuf::from(root) };
            let content = ArtifactContent::Tree(&mut tree);
            return Ok(repository.install(
                &described,
                content,
                machine,
                install.stop,
                &mut tell,
            )?);
        }
        let mut stream = open_stream(install.bundle, image)?;
        let content = ArtifactContent::Stream(&mut *stream);
        Ok(repository.install(&described, content, machine, install.stop, &mut tell)?)
    }

    /// What is in every repository.
    pub(super) fn repository_reports(&mut self, steps: &mut Steps<'_>) -> Vec<RepositoryStatus> {
        let mut reports = Vec::new();
        for (name, section) in &self.config.artifacts {
            match ArtifactRepository::open(name, section) {
                Ok(repository) => reports.push(repository.status()),
                Err(error) => steps.warn(format!(
                    "Failed to initialize artifact repo '{name}': {}",
                    chain(&error)
                )),
            }
        }
        reports
    }

    /// Removes what nobody refers to, in every repository; one that cannot be used is told of.
    pub(super) fn prune_artifacts(&mut self, steps: &mut Steps<'_>) {
        for (name, section) in &self.config.artifacts {
            let pruned = ArtifactRepository::open(name, section)
                .and_then(|mut repository| repository.prune());
            match pruned {
                Ok(notes) => notes.into_iter().for_each(|note| steps.note(note)),
                Err(error) => steps.warn(format!(
                    "old artifacts stay in the repository '{name}': {}",
                    chain(&error)
                )),
            }
        }
    }
}

/// What a converter made of the image's file.
fn converted<'i>(image: &'i Image, method: &str) -> Option<&'i str> {
    let at = image.convert.iter().position(|known| known == method)?;
    image.converted.get(at).map(String::as_str)
}

/// The image's file, or what was kept of it beside what was made of it.
fn open_stream<'b>(
    bundle: &'b VerifiedBundle,
    image: &Image,
) -> Result<Box<dyn std::io::Read + 'b>, BoxedError> {
    match converted(image, KEPT) {
        Some(kept) => Ok(Box::new(bundle.files()?.open_file(kept)?)),
        None => Ok(Box::new(bundle.open_image(image)?)),
    }
}

fn artifact_failed(
    planned: &PlannedArtifact,
    artifact: String,
    source: BoxedError,
) -> InstallationError {
    match source.downcast_ref::<ArtifactError>() {
        Some(ArtifactError::Stopped { by }) => InstallationError::Stopped { by },
        _ => {
            InstallationError::Artifact { artifact, repository: planned.repository.clone(), source }
        }
    }
}
