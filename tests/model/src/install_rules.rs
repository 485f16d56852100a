// SPDX-License-Identifier: MIT OR Apache-2.0
//! The updater's own plan, asked for the model's bundles: two images each, for a board of two
//! groups, all of a fitting version and size. What is left is what the boot state decides.

use crate::protocol::ModelError;
use crate::world::System;
use bootctl::{BootState, BundleId, Force, SlotId};
use bundle::{BundleFormat, Image, ImageType, Manifest, Update};
use std::collections::BTreeMap;
use std::path::Path;
use storage::{ByteLen, Digest};
use updater::{
    BootedGroup, InstallFacts, InstallPlan, InstallPolicy, PlanInstallError, SealHealth, SlotName,
    SystemConfig, plan_install,
};

const SYSTEM_CONF: &str = "[system]\ncompatible=model\nbootloader=uboot\n\
    [slot.boot.0]\ndevice=/dev/boot-a\ntype=vfat\nbootname=A\n\
    [slot.boot.1]\ndevice=/dev/boot-b\ntype=vfat\nbootname=B\n\
    [slot.rootfs.0]\ndevice=/dev/rootfs-a\nparent=boot.0\n\
    [slot.rootfs.1]\ndevice=/dev/rootfs-b\nparent=boot.1\n";

const SIZE: ByteLen = ByteLen::kib(64);

/// A board's configuration and a bundle for it.
pub struct InstallRules {
    config: SystemConfig,
    manifest: Manifest,
    sizes: BTreeMap<SlotName, ByteLen>,
}

impl InstallRules {
    /// # Errors
    /// [`ModelError`] when the configuration is refused.
    pub fn new() -> Result<Self, ModelError> {
        let config = SystemConfig::parse(SYSTEM_CONF, Path::new("/"))?;
        let sizes = config.slots.keys().map(|name| (name.clone(), SIZE)).collect();
        let update = Update { compatible: "model".to_owned(), ..Update::default() };
        let images = vec![image("boot", ImageType::Vfat), image("rootfs", ImageType::Squashfs)];
        let manifest =
            Manifest { update, format: BundleFormat::Verity, images, ..Manifest::default() };
        Ok(Self { config, manifest, sizes })
    }

    /// What `atomix install` would do.
    ///
    /// # Errors
    /// [`PlanInstallError`].
    pub fn plan(
        &self,
        state: BootState,
        booted: SlotId,
        system: System,
        force: Force,
    ) -> Result<InstallPlan, PlanInstallError> {
        let facts = InstallFacts {
            booted: BootedGroup::Slot(booted),
            reason: None,
            state,
            bundle: system.bundle().unwrap_or(BundleId::from_bytes([0; 16])),
            slot_sizes: self.sizes.clone(),
            // A bundle with all images may be installed over anything.
            seal: SealHealth::Broken,
            variant: None,
            version_floor: None,
        };
        let policy = InstallPolicy { force, ..InstallPolicy::default() };
        plan_install(&self.config, &self.manifest, &facts, &policy)
    }
}

fn image(class: &str, kind: ImageType) -> Image {
    Image {
        class: class.to_owned(),
        filename: Some(format!("{class}.img")),
        image_type: Some(kind),
        sha256: Some(Digest::from_bytes([1; 32])),
        size: Some(SIZE),
        ..Image::default()
    }
}
