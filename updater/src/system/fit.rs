// SPDX-License-Identifier: MIT OR Apache-2.0
//! May this bundle be installed on this system? Format, manifest hash and encryption first; later,
//! once its programs can run, the bundle's own check or the compatible, and the versions.

use super::hooks::run_install_check;
use super::install::Install;
use super::progress::Steps;
use super::{InstallRequest, System, SystemError, VersionLimit};
use crate::plan::{RAUC_LEVEL, is_within_rauc_level};
use crate::{BundleVersion, CompatibleRule};
use bundle::{BundleFormat, BundleHook, VerifiedBundle};

impl System {
    /// The checks that ask nobody.
    pub(super) fn check_bundle(
        &self,
        request: &InstallRequest,
        bundle: &VerifiedBundle,
    ) -> Result<(), SystemError> {
        if !self.config.system.bundle_formats.contains(&bundle.format()) {
            let format = bundle.format().to_string();
            return Err(SystemError::FormatNotAllowed { format });
        }
        if bundle.refuse_unencrypted_crypt().is_err() {
            return Err(SystemError::CryptUnencrypted);
        }
        if let Some(expected) = &request.require_manifest_hash {
            if bundle.format() == BundleFormat::Plain {
                return Err(SystemError::PlainWithHash);
            }
            let found = bundle.manifest_digest();
            if *expected != found.to_string() {
                return Err(SystemError::OtherHash { expected: expected.clone(), found });
            }
        }
        Ok(())
    }

    /// May this bundle be installed on this system?
    pub(super) fn check_fit(
        &mut self,
        install: &Install<'_>,
        steps: &mut Steps<'_>,
    ) -> Result<(), SystemError> {
        let manifest = install.bundle.manifest();
        let update = &manifest.update;
        let hook = install.hook_program();
        if let (true, Some(hook)) = (manifest.hooks.hooks.contains(&BundleHook::InstallCheck), hook)
        {
            let variables = self.program_facts(install).for_check();
            let machine = &mut *self.parts.machine;
            run_install_check(machine, &hook, variables, steps, install.stop)?;
        } else if install.request.compatible == CompatibleRule::MustMatch
            && update.compatible != self.config.system.compatible
        {
            return Err(SystemError::Compatible {
                expected: self.config.system.compatible.clone(),
                found: update.compatible.clone(),
            });
        }
        check_rauc_level(update.min_rauc_version.as_deref())?;
        let Some(minimum) = &self.config.system.min_bundle_version else { return Ok(()) };
        if install.request.version_limit == VersionLimit::Ignore {
            steps.note("Explicitly ignoring bundle version limit check.");
            return Ok(());
        }
        check_minimum(minimum, update.version.as_deref())
    }
}

fn check_rauc_level(wanted: Option<&str>) -> Result<(), SystemError> {
    match wanted.filter(|wanted| !is_within_rauc_level(wanted)) {
        Some(wanted) => {
            Err(SystemError::NeedsNewer { wanted: wanted.to_owned(), level: RAUC_LEVEL })
        }
        None => Ok(()),
    }
}

fn check_minimum(minimum: &BundleVersion, found: Option<&str>) -> Result<(), SystemError> {
    let minimum_text = minimum.to_string();
    let Some(text) = found else {
        return Err(SystemError::NoVersion { minimum: minimum_text });
    };
    let Ok(version) = text.parse::<BundleVersion>() else {
        let found = text.to_owned();
        return Err(SystemError::VersionUnreadable { found, minimum: minimum_text });
    };
    if version.is_older_than(minimum) {
        return Err(SystemError::TooOld { minimum: minimum_text, found: text.to_owned() });
    }
    Ok(())
}
