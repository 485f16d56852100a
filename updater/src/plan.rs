// SPDX-License-Identifier: MIT OR Apache-2.0
//! May this bundle be installed, and what would be written where?
//!
//! Pure: configuration, manifest and facts in, a plan or a refusal out. Every refusal comes before
//! the first write, because a plan is the only way to an install. The booted group is never a
//! target (I2), the last good one neither (I8), and older, foreign or known bad bundles need an
//! explicit word (I3, I5).

use crate::{
    AfterInstall, BundleVersion, CompatibleRule, IndexRule, InstallGroup, InstallPolicy,
    OuterSteps, PlanInstallError, Slot, SlotAccess, SlotName, SystemConfig, UnsupportedSetting,
    VersionRule, image_kinds,
};
use bootctl::{
    Activation, BootState, BootedFrom, BundleId, Command, Force, Reason, SlotId, SlotState,
};
use bundle::{Image, Manifest, RaucVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use storage::{ByteLen, Digest};

/// The RAUC whose behaviour this is; a bundle that asks for a newer one is refused.
pub(crate) const RAUC_LEVEL: &str = "1.16";

/// Where the running system came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootedGroup {
    /// One of the two groups.
    Slot(SlotId),
    /// Neither: network, USB, a factory system.
    External,
}

impl BootedGroup {
    /// Finds the group that the kernel command line names: by bootname, by the name of one of its
    /// slots as RAUC's own boot scripts write it (`rauc.slot=boot.0`), or by that slot's device.
    /// `None` when it says nothing that the configuration knows; an install then has no target.
    #[must_use]
    pub fn resolve(said: &BootedFrom, config: &SystemConfig) -> Option<Self> {
        match said {
            BootedFrom::Slot(slot) => Some(Self::Slot(*slot)),
            BootedFrom::External => Some(Self::External),
            BootedFrom::NotSaid => None,
            BootedFrom::Named(name) => {
                let groups = config.install_groups().ok()?;
                let has = |group: &InstallGroup| {
                    let is = |slot: &Slot| {
                        slot.name.to_string() == *name || slot.device == Path::new(name)
                    };
                    group.members.iter().any(is)
                };
                groups.iter().find(|group| has(group)).map(|group| Self::Slot(group.slot_id))
            }
        }
    }

    /// As the boot state machine wants it.
    #[must_use]
    pub const fn slot(self) -> Option<SlotId> {
        match self {
            Self::Slot(slot) => Some(slot),
            Self::External => None,
        }
    }
}

/// Whether the first bytes of a group's boot slot are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealHealth {
    /// Some byte is not zero: the last install finished.
    Sealed,
    /// All zero: nothing there, or an install did not finish.
    Broken,
}

/// What must be known before anything is decided.
#[derive(Clone, Debug)]
pub struct InstallFacts {
    /// Where the running system came from.
    pub booted: BootedGroup,
    /// Why the firmware booted it.
    pub reason: Option<Reason>,
    /// The boot state, with what the recorder knows where the environment lost it
    /// ([`bootctl::recall`]).
    pub state: BootState,
    /// The bundle's identity.
    pub bundle: BundleId,
    /// Sizes of the target group's devices.
    pub slot_sizes: BTreeMap<SlotName, ByteLen>,
    /// The target group's seal.
    pub seal: SealHealth,
    /// This system's variant.
    pub variant: Option<String>,
    /// The oldest version this system accepts.
    pub version_floor: Option<BundleVersion>,
}

/// One image and its slot.
#[derive(Clone, Debug)]
pub struct PlannedImage {
    /// Where to.
    pub slot: Slot,
    /// What.
    pub image: Image,
    /// Its length by the manifest; of an index, once it was opened, that of the content.
    pub size: ByteLen,
    /// Its digest by the manifest.
    pub digest: Digest,
}

/// Everything an install will do.
#[derive(Clone, Debug)]
pub struct InstallPlan {
    /// The group to be written.
    pub group: InstallGroup,
    /// What goes where, the sealed slot last.
    pub images: Vec<PlannedImage>,
    /// The bundle's identity.
    pub bundle: BundleId,
    /// The bundle's version text.
    pub version: Option<String>,
    /// Whether the target becomes the primary.
    pub activation: Activation,
    /// The boot state while the target is written.
    pub writing: BootState,
    /// The boot state afterwards.
    pub after: BootState,
}

/// The group that an install would write: the one not booted. With neither booted, one that does
/// not hold the system that would boot next.
#[must_use]
pub fn choose_target(booted: BootedGroup, state: &BootState) -> SlotId {
    match booted {
        BootedGroup::Slot(slot) => slot.other(),
        BootedGroup::External => match (state.a.state, state.b.state) {
            (SlotState::Good, SlotState::Good) => state.primary().map_or(SlotId::B, SlotId::other),
            (SlotState::Good, _) => SlotId::B,
            (_, SlotState::Good) => SlotId::A,
            _ => state.primary().map_or(SlotId::A, SlotId::other),
        },
    }
}

/// Decides an install.
///
/// # Errors
/// [`PlanInstallError`]; nothing was touched.
pub fn plan_install(
    config: &SystemConfig,
    manifest: &Manifest,
    facts: &InstallFacts,
    policy: &InstallPolicy,
) -> Result<InstallPlan, PlanInstallError> {
    check_supported(config, manifest, policy.outer)?;
    check_bundle(config, manifest, facts, policy)?;
    let target = choose_target(facts.booted, &facts.state);
    check_unconfirmed(facts, target)?;
    let group = config
        .install_groups()
        .map_err(|source| PlanInstallError::Groups { source })?
        .into_iter()
        .find(|group| group.slot_id == target)
        .ok_or(PlanInstallError::NoGroup { target })?;
    let images = assign_images(&group, manifest, facts, policy.indexes)?;
    check_seal(&group, &images, facts)?;
    let activation = policy.activation.unwrap_or(match config.system.after_install {
        AfterInstall::Activate => Activation::Activate,
        AfterInstall::Leave => Activation::Stage,
    });
    let refused = |source| PlanInstallError::BootState { target, source };
    let booted = facts.booted.slot();
    let begin = Command::BeginInstall { target };
    let writing = bootctl::transition(&facts.state, booted, &begin).map_err(refused)?;
    let finish = Command::FinishInstall { target, bundle: facts.bundle, activation };
    let after = bootctl::transition(&writing, booted, &finish).map_err(refused)?;
    Ok(InstallPlan {
        group,
        images,
        bundle: facts.bundle,
        version: manifest.update.version.clone(),
        activation,
        writing,
        after,
    })
}

/// Whether a bundle with this `min-rauc-version` may be installed by what takes RAUC's place here;
/// what cannot be read as a version may not.
pub(crate) fn is_within_rauc_level(wanted: &str) -> bool {
    match (wanted.parse::<RaucVersion>(), RAUC_LEVEL.parse()) {
        (Ok(wanted), Ok(level)) => wanted <= level,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// What is understood but not carried out stops the install; to leave it out would be a guess.
fn check_supported(
    config: &SystemConfig,
    manifest: &Manifest,
    outer: OuterSteps,
) -> Result<(), PlanInstallError> {
    let is_left =
        |setting: &UnsupportedSetting| outer == OuterSteps::NotDone || setting.group != "handlers";
    if let Some(setting) = config.unsupported().into_iter().find(is_left) {
        return Err(PlanInstallError::UnsupportedSetting {
            group: setting.group,
            key: setting.key,
        });
    }
    let unsupported = |what: &str| PlanInstallError::UnsupportedFeature { what: what.to_owned() };
    if manifest.handler.is_some() {
        return Err(unsupported("a custom install handler"));
    }
    let has_hooks = manifest.hooks.filename.is_some() || !manifest.hooks.hooks.is_empty();
    if outer == OuterSteps::NotDone && has_hooks {
        return Err(unsupported("hooks"));
    }
    let wanted = manifest.update.min_rauc_version.as_ref();
    if let Some(wanted) = wanted.filter(|_| outer == OuterSteps::NotDone)
        && !is_within_rauc_level(wanted)
    {
        return Err(unsupported(&format!("RAUC {wanted} or newer")));
    }
    for image in &manifest.images {
        if image.artifact.is_some() {
            return Err(unsupported(&format!("the artifact repository {}", image.class)));
        }
        if !image.hooks.is_empty() {
            return Err(unsupported(&format!("slot hooks for {}", image.class)));
        }
        if !image.convert.is_empty() {
            return Err(unsupported(&format!("artifact conversion for {}", image.class)));
        }
    }
    Ok(())
}

fn check_bundle(
    config: &SystemConfig,
    manifest: &Manifest,
    facts: &InstallFacts,
    policy: &InstallPolicy,
) -> Result<(), PlanInstallError> {
    if !config.system.bundle_formats.contains(&manifest.format) {
        return Err(PlanInstallError::FormatNotAllowed { format: manifest.format.to_string() });
    }
    let found = &manifest.update.compatible;
    if policy.compatible == CompatibleRule::MustMatch && *found != config.system.compatible {
        return Err(PlanInstallError::WrongCompatible {
            wanted: config.system.compatible.clone(),
            found: found.clone(),
        });
    }
    let minimum = config.system.min_bundle_version.as_ref();
    let floors = match policy.versions {
        VersionRule::RefuseOlder => [minimum, facts.version_floor.as_ref()],
        VersionRule::MinimumOnly => [minimum, None],
        VersionRule::AllowAny => [None, None],
    };
    for floor in floors.into_iter().flatten() {
        check_version(manifest.update.version.as_deref(), floor)?;
    }
    if facts.state.is_known_failed(&facts.bundle) && policy.force == Force::No {
        return Err(PlanInstallError::KnownFailed { bundle: facts.bundle });
    }
    Ok(())
}

fn check_version(found: Option<&str>, floor: &BundleVersion) -> Result<(), PlanInstallError> {
    let text = found.unwrap_or_default();
    match text.parse::<BundleVersion>() {
        Ok(found) if found.is_older_than(floor) => {
            Err(PlanInstallError::TooOld { found, floor: floor.clone() })
        }
        Ok(_) => Ok(()),
        Err(_) => Err(PlanInstallError::NoComparableVersion {
            found: text.to_owned(),
            floor: floor.clone(),
        }),
    }
}

/// I8: from an unconfirmed slot the last good one is not overwritten, forced or not. The way on
/// is to mark the booted one bad, boot the good one and install there.
fn check_unconfirmed(facts: &InstallFacts, target: SlotId) -> Result<(), PlanInstallError> {
    let BootedGroup::Slot(booted) = facts.booted else { return Ok(()) };
    let (running, other) = (facts.state.slot(booted).state, facts.state.slot(target).state);
    match (running, other) {
        (SlotState::Good, _) => Ok(()),
        (_, SlotState::Good) => Err(PlanInstallError::BootedUnconfirmed { booted, good: target }),
        // Both were lost under a running system; what the firmware chose it for cannot be.
        (SlotState::Unknown, SlotState::Unknown) if facts.reason == Some(Reason::Trying) => {
            Err(PlanInstallError::BootedOnTrial { booted, other: target })
        }
        _ => Ok(()),
    }
}

fn assign_images(
    group: &InstallGroup,
    manifest: &Manifest,
    facts: &InstallFacts,
    indexes: IndexRule,
) -> Result<Vec<PlannedImage>, PlanInstallError> {
    let classes: BTreeSet<&str> = manifest.images.iter().map(|i| i.class.as_str()).collect();
    if classes.is_empty() {
        return Err(PlanInstallError::NoImages);
    }
    if let Some(class) = classes.iter().find(|class| group.member(class).is_none()) {
        return Err(PlanInstallError::ClassMissing {
            class: (*class).to_owned(),
            target: group.slot_id,
        });
    }
    let mut planned = Vec::new();
    for slot in &group.members {
        if !classes.contains(slot.name.class.as_str()) {
            continue;
        }
        let image = choose_image(&slot.name.class, &manifest.images, facts.variant.as_deref())?;
        planned.push(assign(slot, image, facts, indexes)?);
    }
    Ok(planned)
}

/// The image of this system's variant, else the one without a variant.
fn choose_image<'a>(
    class: &str,
    images: &'a [Image],
    variant: Option<&str>,
) -> Result<&'a Image, PlanInstallError> {
    let fitting = |wanted: Option<&str>| -> Vec<&'a Image> {
        images.iter().filter(|i| i.class == class && i.variant.as_deref() == wanted).collect()
    };
    let mut found = if variant.is_some() { fitting(variant) } else { Vec::new() };
    if found.is_empty() {
        found = fitting(None);
    }
    match found.as_slice() {
        [image] => Ok(image),
        [] => Err(PlanInstallError::NoVariant {
            class: class.to_owned(),
            variant: variant.unwrap_or_default().to_owned(),
        }),
        _ => Err(PlanInstallError::ImageTwice { class: class.to_owned() }),
    }
}

fn assign(
    slot: &Slot,
    image: &Image,
    facts: &InstallFacts,
    indexes: IndexRule,
) -> Result<PlannedImage, PlanInstallError> {
    if slot.access == SlotAccess::ReadOnly {
        return Err(read_only(slot));
    }
    let (Some(size), Some(digest), Some(image_type)) = (image.size, image.sha256, image.image_type)
    else {
        return Err(PlanInstallError::ImageUndescribed { class: image.class.clone() });
    };
    if !image_kinds::accepts(slot.slot_type, image_type) {
        return Err(PlanInstallError::TypeMismatch {
            image_type: image_type.to_string(),
            slot: slot.name.clone(),
            slot_type: slot.slot_type,
        });
    }
    if !slot.slot_type.takes_plain_images() {
        let what = format!("writing slots of type {}", slot.slot_type);
        return Err(PlanInstallError::UnsupportedFeature { what });
    }
    let is_opened = indexes == IndexRule::Open && image_kinds::is_blob_index(image_type);
    if !image_kinds::is_plain(image_type) && !is_opened {
        let what = format!("images of type {image_type}");
        return Err(PlanInstallError::UnsupportedFeature { what });
    }
    let room = *facts
        .slot_sizes
        .get(&slot.name)
        .ok_or_else(|| PlanInstallError::SizeUnknown { slot: slot.name.clone() })?;
    if size > room {
        return Err(PlanInstallError::TooLarge {
            image: image.filename.clone().unwrap_or_default(),
            slot: slot.name.clone(),
            size,
            room,
        });
    }
    Ok(PlannedImage { slot: slot.clone(), image: image.clone(), size, digest })
}

fn read_only(slot: &Slot) -> PlanInstallError {
    PlanInstallError::ReadOnlySlot { slot: slot.name.clone(), device: slot.device.clone() }
}

/// The seal is broken and made again by every install, also by one without a boot image; so its
/// slot must be writable, and a group that is incomplete needs every image.
fn check_seal(
    group: &InstallGroup,
    images: &[PlannedImage],
    facts: &InstallFacts,
) -> Result<(), PlanInstallError> {
    if let Some(slot) = group.seal_slot().filter(|slot| slot.access == SlotAccess::ReadOnly) {
        return Err(read_only(slot));
    }
    // Bytes alone do not prove a seal: a cut while it is written leaves a part of it.
    let is_finished = match facts.state.slot(group.slot_id).state {
        SlotState::Trying | SlotState::Good | SlotState::Bad => true,
        SlotState::Empty | SlotState::Writing | SlotState::Unknown => false,
    };
    if is_finished && facts.seal == SealHealth::Sealed {
        return Ok(());
    }
    let has_image = |slot: &Slot| images.iter().any(|planned| planned.slot.name == slot.name);
    match group.members.iter().find(|slot| !has_image(slot)) {
        Some(slot) => Err(PlanInstallError::PartialOnBroken {
            target: group.slot_id,
            missing: slot.name.clone(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
