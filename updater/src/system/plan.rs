// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which image goes where? One image per slot class of the manifest, by variant, into the target
//! of its class; artifacts into their repositories. And is everything there for it? Nothing is
//! written here.

use super::target::TargetGroup;
use super::{InstallationError, SystemFacts};
use crate::slot_handlers::{HandlerKind, InstallHook, Machine, handler_for};
use crate::{AfterInstall, Slot, SlotAccess, SystemConfig};
use bootctl::Activation;
use bundle::{BundleError, Image, Manifest, SlotHook, VerifiedBundle};
use std::path::Path;
use storage::StorageError;

/// An image and its slot.
#[derive(Clone, Debug)]
pub(super) struct PlannedSlot {
    pub slot: Slot,
    pub image: Image,
    pub handler: HandlerKind,
    /// What becomes of the boot order in the end; only of the slot that stands in it.
    pub activation: Option<Activation>,
}

/// An artifact and its repository.
#[derive(Clone, Debug)]
pub(super) struct PlannedArtifact {
    pub repository: String,
    pub image: Image,
}

/// Everything to be done.
#[derive(Clone, Debug, Default)]
pub(super) struct SystemPlan {
    pub slots: Vec<PlannedSlot>,
    pub artifacts: Vec<PlannedArtifact>,
    /// The slot that is taken out of the boot order and put back into it; none where the bundle
    /// has nothing for one.
    pub boot_slot: Option<Slot>,
}

impl SystemPlan {
    /// How many things are installed.
    pub fn len(&self) -> u64 {
        (self.slots.len() + self.artifacts.len()) as u64
    }
}

/// Whether an image runs this hook.
pub(super) fn has_hook(image: &Image, hook: SlotHook) -> bool {
    image.hooks.contains(&hook)
}

/// The images of the slot classes, each for this system's variant, in the manifest's order.
pub(super) fn choose_images<'m>(
    manifest: &'m Manifest,
    facts: &SystemFacts,
) -> Result<Vec<&'m Image>, InstallationError> {
    let mut chosen: Vec<&Image> = Vec::new();
    let of_slots = || manifest.images.iter().filter(|image| image.artifact.is_none());
    for first in of_slots() {
        if chosen.iter().any(|image| image.class == first.class) {
            continue;
        }
        let of_class = || of_slots().filter(|image| image.class == first.class);
        // What is not known must not be taken for "none".
        if facts.variant_failure().is_some() && of_class().any(|image| image.variant.is_some()) {
            return Err(InstallationError::NoVariant { class: first.class.clone() });
        }
        let wanted = facts.variant();
        let fits = wanted
            .and_then(|wanted| of_class().find(|image| image.variant.as_deref() == Some(wanted)));
        let image = fits.or_else(|| of_class().find(|image| image.variant.is_none()));
        chosen.push(
            image.ok_or_else(|| InstallationError::NoVariant { class: first.class.clone() })?,
        );
    }
    Ok(chosen)
}

/// Decides.
pub(super) fn make_plan(
    config: &SystemConfig,
    manifest: &Manifest,
    targets: &TargetGroup,
    facts: &SystemFacts,
) -> Result<SystemPlan, InstallationError> {
    let mut plan = SystemPlan::default();
    for image in choose_images(manifest, facts)? {
        plan.slots.push(plan_slot(config, image, targets)?);
    }
    for image in manifest.images.iter().filter(|image| image.artifact.is_some()) {
        if !config.artifacts.contains_key(&image.class) {
            return Err(InstallationError::NoRepository {
                repository: image.class.clone(),
                artifact: image.artifact.clone().unwrap_or_default(),
            });
        }
        let (repository, image) = (image.class.clone(), image.clone());
        plan.artifacts.push(PlannedArtifact { repository, image });
    }
    if plan.len() == 0 {
        return Err(InstallationError::NoImage);
    }
    let activation = match config.system.after_install {
        AfterInstall::Activate => Activation::Activate,
        AfterInstall::Leave => Activation::Stage,
    };
    for planned in &mut plan.slots {
        let slot = &planned.slot;
        if slot.parent.is_some() || slot.bootname.is_none() {
            continue;
        }
        if let Some(first) = &plan.boot_slot {
            return Err(InstallationError::TwoBootSlots {
                first: first.name.clone(),
                second: slot.name.clone(),
            });
        }
        plan.boot_slot = Some(slot.clone());
        planned.activation = Some(activation);
    }
    Ok(plan)
}

fn plan_slot(
    config: &SystemConfig,
    image: &Image,
    targets: &TargetGroup,
) -> Result<PlannedSlot, InstallationError> {
    let class = image.class.clone();
    let filename = image.filename.clone().unwrap_or_default();
    let slot = targets.get(&class).and_then(|name| config.slots.get(name));
    let Some(slot) = slot else {
        return Err(InstallationError::NoTarget { class, image: filename });
    };
    if slot.access == SlotAccess::ReadOnly {
        return Err(InstallationError::ReadOnly { class, image: filename });
    }
    let hook =
        if has_hook(image, SlotHook::Install) { InstallHook::Present } else { InstallHook::Absent };
    let handler = handler_for(slot.slot_type, image.image_type, hook).ok_or_else(|| {
        InstallationError::TypeMismatch {
            image_type: image.image_type.map_or_else(|| "(null)".to_owned(), |t| t.to_string()),
            slot_type: slot.slot_type.to_string(),
        }
    })?;
    Ok(PlannedSlot { slot: slot.clone(), image: image.clone(), handler, activation: None })
}

/// Whether everything is there: files in the bundle, devices, and nobody who uses them.
pub(super) fn check_plan(
    plan: &SystemPlan,
    config: &SystemConfig,
    bundle: &VerifiedBundle,
    machine: &dyn Machine,
) -> Result<(), InstallationError> {
    for planned in &plan.slots {
        check_source(bundle, &planned.image)?;
        let slot = &planned.slot;
        if machine.real_path(&slot.device).is_err() {
            return Err(InstallationError::DeviceMissing {
                device: slot.device.clone(),
                slot: slot.name.clone(),
            });
        }
        let mounted = match machine.devices().mounted_at(&slot.device) {
            Ok(place) => place.is_some(),
            Err(StorageError::Absent { .. }) => false,
            Err(source) => {
                let slot = slot.name.clone();
                return Err(InstallationError::Slot { slot, source: Box::new(source) });
            }
        };
        if mounted && !(slot.allow_mounted && planned.handler == HandlerKind::InstallHook) {
            let device = slot.device.clone();
            return Err(if slot.allow_mounted {
                InstallationError::MountedNeedsHook { device }
            } else {
                InstallationError::Mounted { device }
            });
        }
    }
    for planned in &plan.artifacts {
        check_source(bundle, &planned.image)?;
        let path = config.artifacts.get(&planned.repository).map(|found| found.path.clone());
        let path = path.unwrap_or_default();
        if machine.real_path(&path).is_err() {
            let repository = planned.repository.clone();
            return Err(InstallationError::RepositoryMissing { path, repository });
        }
    }
    Ok(())
}

/// Whether the bundle has the image's file. What was made of it stands in for it, and may be a
/// directory.
fn check_source(bundle: &VerifiedBundle, image: &Image) -> Result<(), InstallationError> {
    let failed = |cause: BundleError| InstallationError::Bundle { cause: Box::new(cause) };
    let files = bundle.files().map_err(failed)?;
    let own = image.filename.iter().filter(|_| image.converted.is_empty());
    for name in own.chain(&image.converted) {
        if files.facts(Path::new(name)).is_none() {
            return Err(InstallationError::SourceMissing { image: name.clone() });
        }
    }
    Ok(())
}
