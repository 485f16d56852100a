// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every refusal of the plan, each with its class and its words; and what a plan holds.

use crate::support::{SYSTEM_CONF, config, disk};
use bootctl::{BootState, BundleId, Force, Reason, SlotId, SlotState};
use bundle::{BundleFormat, Handler, Image, ImageType, Manifest, SlotHook, Update};
use storage::{ByteLen, Digest, StorageError};
use updater::{
    BootedGroup, CompatibleRule, ErrorClass, InstallError, InstallFacts, InstallPlan,
    InstallPolicy, PlanInstallError, SealHealth, SlotType, VersionRule, accepts, choose_target,
    plan_install,
};

/// Everything a plan is made from; the default is one that is allowed.
struct Case {
    conf: String,
    manifest: Manifest,
    facts: InstallFacts,
    policy: InstallPolicy,
}

fn slot_image(class: &str, kind: ImageType) -> Image {
    Image {
        class: class.to_owned(),
        filename: Some(format!("{class}.img")),
        image_type: Some(kind),
        sha256: Some(Digest::from_bytes([1; 32])),
        size: Some(ByteLen::kib(64)),
        ..Image::default()
    }
}

fn case() -> Case {
    let mut state = BootState::factory(disk());
    state.b = state.a;
    state.order = SlotId::ALL.to_vec();
    let sizes = ["boot.0", "boot.1", "rootfs.0", "rootfs.1"];
    Case {
        conf: SYSTEM_CONF.to_owned(),
        manifest: Manifest {
            update: Update {
                compatible: "rock64".to_owned(),
                version: Some("26.1".to_owned()),
                ..Update::default()
            },
            format: BundleFormat::Verity,
            images: vec![
                slot_image("boot", ImageType::Vfat),
                slot_image("rootfs", ImageType::Squashfs),
            ],
            ..Manifest::default()
        },
        facts: InstallFacts {
            booted: BootedGroup::Slot(SlotId::A),
            reason: None,
            state,
            bundle: BundleId::from_bytes([9; 16]),
            slot_sizes: sizes
                .iter()
                .map(|name| (name.parse().unwrap(), ByteLen::kib(64)))
                .collect(),
            seal: SealHealth::Sealed,
            variant: None,
            version_floor: None,
        },
        policy: InstallPolicy::default(),
    }
}

impl Case {
    fn plan(&self) -> Result<InstallPlan, PlanInstallError> {
        plan_install(&config(&self.conf), &self.manifest, &self.facts, &self.policy)
    }

    fn set_conf(&mut self, section: &str, line: &str) {
        self.conf = self.conf.replace(section, &format!("{section}\n{line}"));
    }
}

#[test]
fn allowed_bundle_goes_to_the_other_group_with_the_sealed_slot_last() {
    let plan = case().plan().unwrap();
    assert_eq!(plan.group.slot_id, SlotId::B);
    let order: Vec<String> = plan.images.iter().map(|i| i.slot.name.to_string()).collect();
    assert_eq!(order, ["rootfs.1", "boot.1"]);
    assert_eq!(plan.writing.b.state, SlotState::Writing);
    assert_eq!(plan.after.order[0], SlotId::B);
}

type Change = fn(&mut Case);

/// What is changed, the class of the refusal, and words of its message.
const REFUSALS: [(Change, ErrorClass, &str); 30] = [
    (
        |c| c.manifest.update.compatible = "rockpro64".into(),
        ErrorClass::Refused,
        "compatible \"rock64\" is wanted, the bundle is for \"rockpro64\"",
    ),
    (
        |c| c.manifest.images.push(slot_image("appfs", ImageType::Raw)),
        ErrorClass::Refused,
        "image for slot class appfs, and install group B has no such slot",
    ),
    (|c| c.manifest.images.clear(), ErrorClass::Refused, "holds no image"),
    (
        |c| c.manifest.images[0].variant = Some("v2".into()),
        ErrorClass::Refused,
        "no image for slot class boot fits variant \"\"",
    ),
    (
        |c| c.manifest.images.push(slot_image("boot", ImageType::Raw)),
        ErrorClass::Refused,
        "two images for slot class boot fit equally",
    ),
    (
        |c| c.manifest.images[1].size = Some(ByteLen::new(65_537)),
        ErrorClass::Refused,
        "image rootfs.img of 64.0 KiB (65537 bytes) does not fit slot rootfs.1 of 64.0 KiB (65536 bytes)",
    ),
    (|c| c.manifest.images[1].size = None, ErrorClass::Refused, "no size, digest or type"),
    (|c| c.manifest.images[1].sha256 = None, ErrorClass::Refused, "no size, digest or type"),
    (
        |c| c.manifest.images[0].image_type = Some(ImageType::Squashfs),
        ErrorClass::Refused,
        "an image of type squashfs cannot go to slot boot.1 of type vfat",
    ),
    (
        |c| c.manifest.images[0].image_type = Some(ImageType::Tar),
        ErrorClass::Refused,
        "images of type tar, which this version does not support",
    ),
    (
        |c| c.manifest.images[1].image_type = Some(ImageType::RawCaibx),
        ErrorClass::Refused,
        "images of type raw-caibx",
    ),
    (
        |c| c.set_conf("[slot.rootfs.1]", "type=nand"),
        ErrorClass::Refused,
        "cannot go to slot rootfs.1 of type nand",
    ),
    (
        |c| c.set_conf("[slot.rootfs.1]", "readonly=true"),
        ErrorClass::Refused,
        "slot rootfs.1 (/dev/rootfs-b) is configured read-only",
    ),
    (
        |c| {
            c.set_conf("[slot.boot.1]", "readonly=true");
            c.manifest.images.remove(0);
        },
        ErrorClass::Refused,
        "slot boot.1 (/dev/boot-b) is configured read-only",
    ),
    (
        |c| {
            c.facts.slot_sizes.clear();
        },
        ErrorClass::Failed,
        "size of slot rootfs.1 is not known",
    ),
    (
        |c| {
            c.facts.seal = SealHealth::Broken;
            c.manifest.images.remove(1);
        },
        ErrorClass::Refused,
        "slot B holds no finished install, and the bundle has no image for rootfs.1",
    ),
    (
        |c| {
            c.facts.state.b.state = SlotState::Writing;
            c.manifest.images.remove(0);
        },
        ErrorClass::Refused,
        "the bundle has no image for boot.1",
    ),
    (
        |c| {
            c.facts.state.b.state = SlotState::Unknown;
            c.manifest.images.remove(0);
        },
        ErrorClass::Refused,
        "the bundle has no image for boot.1",
    ),
    (
        // Environment and recorder were lost under a trial; the kernel still knows that it is one.
        |c| {
            c.facts.reason = Some(Reason::Trying);
            c.facts.state.a.state = SlotState::Unknown;
            c.facts.state.b.state = SlotState::Unknown;
            c.policy.force = Force::Yes;
        },
        ErrorClass::Refused,
        "slot A is booted on trial, and slot B may hold the last good system",
    ),
    (
        |c| c.facts.state.a.state = SlotState::Trying,
        ErrorClass::Refused,
        "slot A is booted and not confirmed, and slot B holds the last good system",
    ),
    (
        |c| {
            c.facts.state.a.state = SlotState::Trying;
            c.policy.force = Force::Yes;
        },
        ErrorClass::Refused,
        "slot A is booted and not confirmed",
    ),
    (
        |c| c.facts.state.failed.push(BundleId::from_bytes([9; 16])),
        ErrorClass::Refused,
        "was installed before and did not become healthy",
    ),
    (
        |c| c.facts.version_floor = Some("26.2".parse().unwrap()),
        ErrorClass::Refused,
        "bundle version 26.1 is older than 26.2",
    ),
    (|c| c.set_conf("[system]", "min-bundle-version=27"), ErrorClass::Refused, "older than 27"),
    (
        |c| {
            c.set_conf("[system]", "min-bundle-version=1");
            c.manifest.update.version = None;
        },
        ErrorClass::Refused,
        "version 1 or newer is wanted and the bundle's version \"\"",
    ),
    (
        |c| c.set_conf("[system]", "bundle-formats=-verity"),
        ErrorClass::Refused,
        "format verity are not allowed",
    ),
    (
        |c| c.manifest.handler = Some(Handler { filename: "x".into(), args: None }),
        ErrorClass::Refused,
        "custom install handler",
    ),
    (
        |c| c.manifest.images[0].hooks.push(SlotHook::PostInstall),
        ErrorClass::Refused,
        "slot hooks for boot",
    ),
    (
        |c| c.manifest.update.min_rauc_version = Some("99.0".into()),
        ErrorClass::Refused,
        "RAUC 99.0 or newer",
    ),
    (
        |c| c.conf.push_str("[handlers]\npre-install=/x\n"),
        ErrorClass::Usage,
        "pre-install in [handlers] is not supported",
    ),
];

#[test]
fn every_refusal_says_what_and_is_of_its_class() {
    for (index, (change, class, words)) in REFUSALS.iter().enumerate() {
        let mut case = case();
        change(&mut case);
        let refusal = case.plan().expect_err(&format!("case {index}: {words}"));
        assert!(refusal.to_string().contains(words), "case {index}: {refusal}");
        assert_eq!(refusal.class(), *class, "case {index}: {refusal}");
        assert!(refusal.hint().is_some(), "case {index} leaves no way out: {refusal}");
    }
}

#[test]
fn hints_name_the_place_to_correct_and_the_command_to_run() {
    let hint = |change: Change| {
        let mut case = case();
        change(&mut case);
        case.plan().unwrap_err().hint().unwrap()
    };
    let read_only = hint(|c| c.set_conf("[slot.rootfs.1]", "readonly=true"));
    assert!(read_only.contains("readonly=true") && read_only.contains("system.conf"));
    let kind = hint(|c| c.set_conf("[slot.rootfs.1]", "type=nand"));
    assert!(kind.contains("type") && kind.contains("system.conf"), "{kind}");
    let unconfirmed = hint(|c| c.facts.state.a.state = SlotState::Trying);
    assert!(unconfirmed.contains("`atomix rollback --mark-bad`"), "{unconfirmed}");
    let groups = hint(|c| c.conf.push_str("[slot.boot.2]\ndevice=/dev/x\nparent=rootfs.1\n"));
    assert!(groups.contains("system.conf"), "{groups}");
}

#[test]
fn what_a_person_permits_is_allowed() {
    let allowed: [Change; 9] = [
        |c| {
            c.manifest.update.compatible = "rockpro64".into();
            c.policy.compatible = CompatibleRule::Ignore;
        },
        |c| {
            c.facts.version_floor = Some("27".parse().unwrap());
            c.policy.versions = VersionRule::MinimumOnly;
        },
        |c| {
            c.set_conf("[system]", "min-bundle-version=27");
            c.policy.versions = VersionRule::AllowAny;
        },
        |c| {
            c.facts.state.failed.push(BundleId::from_bytes([9; 16]));
            c.policy.force = Force::Yes;
        },
        // I8: updating does not depend on health as long as no good slot is lost.
        |c| {
            c.facts.state.a.state = SlotState::Trying;
            c.facts.state.b.state = SlotState::Bad;
        },
        // After the environment was lost both are unknown, and the booted one runs.
        |c| {
            c.facts.state.a.state = SlotState::Unknown;
            c.facts.state.b.state = SlotState::Unknown;
        },
        // A trial that proved itself is none, whatever the kernel was told when it began.
        |c| {
            c.facts.reason = Some(Reason::Trying);
            c.facts.state.b.state = SlotState::Unknown;
        },
        |c| {
            c.facts.reason = Some(Reason::Trying);
            c.facts.state.a.state = SlotState::Unknown;
            c.facts.state.b.state = SlotState::Bad;
        },
        |c| {
            c.facts.seal = SealHealth::Broken;
            c.facts.state.b.state = SlotState::Empty;
        },
    ];
    for (index, change) in allowed.iter().enumerate() {
        let mut case = case();
        change(&mut case);
        case.plan().unwrap_or_else(|refusal| panic!("case {index}: {refusal}"));
    }
}

#[test]
fn image_of_the_variant_wins_over_the_one_without() {
    let mut case = case();
    let mut special = slot_image("boot", ImageType::Vfat);
    special.variant = Some("v2".into());
    special.filename = Some("special.vfat".into());
    case.manifest.images.push(special);
    let name = |case: &Case| case.plan().unwrap().images[1].image.filename.clone().unwrap();
    assert_eq!(name(&case), "boot.img");
    case.facts.variant = Some("v2".into());
    assert_eq!(name(&case), "special.vfat");
    case.facts.variant = Some("v3".into());
    assert_eq!(name(&case), "boot.img");
}

/// The selector turns a slot bad; the list of failed bundles is Linux's, which may not have come
/// so far. The install would wipe the only trace of the failure.
#[test]
fn bundle_of_a_slot_that_turned_bad_is_known_as_failed_without_the_list() {
    let mut case = case();
    case.facts.state.b.state = SlotState::Bad;
    case.facts.state.b.bundle = Some(case.facts.bundle);
    let refused = case.plan().unwrap_err();
    assert!(matches!(refused, PlanInstallError::KnownFailed { .. }), "{refused}");
    case.policy.force = Force::Yes;
    assert!(case.plan().is_ok());
}

#[test]
fn booted_group_is_never_the_target_in_any_state() {
    for a in SlotState::ALL {
        for b in SlotState::ALL {
            for booted in SlotId::ALL {
                let mut case = case();
                case.facts.booted = BootedGroup::Slot(booted);
                case.facts.state.a.state = a;
                case.facts.state.b.state = b;
                if let Ok(plan) = case.plan() {
                    assert_eq!(plan.group.slot_id, booted.other(), "{a} {b}");
                    assert!(
                        case.facts.state.slot(booted.other()).state != SlotState::Good
                            || case.facts.state.slot(booted).state == SlotState::Good
                    );
                }
            }
        }
    }
}

#[test]
fn external_system_never_overwrites_the_only_good_group() {
    let mut state = case().facts.state;
    for (a, b, target) in [
        (SlotState::Good, SlotState::Empty, SlotId::B),
        (SlotState::Bad, SlotState::Good, SlotId::A),
        (SlotState::Good, SlotState::Good, SlotId::B),
    ] {
        state.a.state = a;
        state.b.state = b;
        assert_eq!(choose_target(BootedGroup::External, &state), target, "{a} {b}");
    }
}

#[test]
fn rootfs_with_bootname_and_boot_child_is_sealed_at_the_boot_slot_too() {
    let mut case = case();
    case.conf = case
        .conf
        .replace("bootname=A\n", "parent=rootfs.0\n")
        .replace("bootname=B\n", "parent=rootfs.1\n")
        .replace("parent=boot.0", "bootname=A")
        .replace("parent=boot.1", "bootname=B");
    let plan = case.plan().unwrap();
    assert_eq!(plan.group.root.to_string(), "rootfs.1");
    assert_eq!(plan.group.seal.to_string(), "boot.1");
    assert_eq!(plan.images[1].slot.name.to_string(), "boot.1");
}

#[test]
fn image_table_is_raucs() {
    let count = |slot| ImageType::ALL.into_iter().filter(|image| accepts(slot, *image)).count();
    let counts: Vec<usize> = SlotType::ALL.into_iter().map(count).collect();
    // raw, ext4, vfat, ubifs, ubivol, nand, nor, boot-emmc, boot-mbr-, boot-gpt-switch, fallback
    assert_eq!(counts, [8, 8, 5, 6, 6, 2, 2, 1, 2, 3, 1]);
    assert!(!accepts(SlotType::Vfat, ImageType::Ext4));
}

/// A device that fails often turns itself read-only; so does one with a switch.
#[test]
fn a_device_that_turned_read_only_is_not_said_to_wear_out() {
    let hint = |kind: std::io::ErrorKind| {
        let label = "/dev/mmcblk1p4".to_owned();
        let source = StorageError::Write { label, offset: 0, len: 512, source: kind.into() };
        let failed = InstallError::Slot {
            act: "write",
            slot: "rootfs.1".parse().unwrap(),
            offset: 0,
            device: "/dev/mmcblk1p4".into(),
            source: source.into(),
        };
        failed.hint().unwrap()
    };
    assert!(hint(std::io::ErrorKind::ReadOnlyFilesystem).contains("turned read-only"));
    assert!(hint(std::io::ErrorKind::Other).contains("wearing out"));
}
