// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which operations are cut?

use crate::board::{EnvKind, disk_id};
use crate::disk_scenario::{Before, DiskScenario, Identities};
use crate::scenario::Scenario;
use crate::slot_scenario::{Act, SlotScenario};
use crate::systems::{Signer, System};
use anyhow::Result;
use bootctl::{
    AttemptsLeft, BootState, BundleId, Command, Force, PerSlot, SlotId, SlotRecord, SlotState,
};
use bundle::BundleFormat;

/// Every operation.
///
/// # Errors
/// When the bundles cannot be made.
pub fn catalogue() -> Result<Vec<Box<dyn Scenario>>> {
    let mut all: Vec<Box<dyn Scenario>> = Vec::new();
    for scenario in environments().into_iter().chain(marks()).chain(small()).chain(installs()?) {
        all.push(Box::new(scenario));
    }
    for (name, before, identities) in [
        ("first-boot", Before::Flashed, Identities::Same),
        ("first-boot-new-ids", Before::Flashed, Identities::New),
        ("repair-table", Before::PrimaryTorn, Identities::Same),
    ] {
        all.push(Box::new(DiskScenario::new(name, before, identities)?));
    }
    Ok(all)
}

/// A slot that has proved itself, written from a bundle of this tag.
const fn good(tag: u8) -> SlotRecord {
    let bundle = Some(BundleId::from_bytes([tag; 16]));
    SlotRecord { state: SlotState::Good, attempts: AttemptsLeft::DEFAULT, bundle }
}

/// A good, B good and older.
#[must_use]
pub fn both_good() -> BootState {
    let last = Some(SlotId::A);
    let order = SlotId::ALL.to_vec();
    BootState { order, a: good(1), b: good(2), last, ..BootState::factory(disk_id()) }
}

/// A scenario of one act on a board with two good slots that runs A.
#[must_use]
pub fn on_two_good_slots(name: &'static str, act: Act) -> SlotScenario {
    SlotScenario {
        name,
        env: EnvKind::FlashPair,
        state: both_good(),
        booted: SlotId::A,
        systems: PerSlot { a: Some(System::new(1)), b: Some(System::new(2)) },
        after: None,
        act,
        wrap: None,
        may_lose_env: false,
    }
}

/// Three states, so that each copy is the older one once.
#[must_use]
pub fn three_commits() -> Act {
    let failed = |tags: &[u8]| BootState {
        failed: tags.iter().map(|tag| BundleId::from_bytes([*tag; 16])).collect(),
        ..both_good()
    };
    Act::Commits(vec![failed(&[9]), failed(&[8, 9]), failed(&[7, 8, 9])])
}

fn environments() -> Vec<SlotScenario> {
    let commits = |name, env| SlotScenario { env, ..on_two_good_slots(name, three_commits()) };
    let single = EnvKind::DiskSingle;
    vec![
        commits("env-flash-pair", EnvKind::FlashPair),
        commits("env-disk-pair", EnvKind::DiskPair),
        SlotScenario { may_lose_env: true, ..commits("env-disk-single", single) },
        on_two_good_slots("selector-saves", Act::Boots(3)),
        SlotScenario {
            env: EnvKind::DiskPair,
            ..on_two_good_slots("selector-saves-disk", Act::Boots(3))
        },
    ]
}

/// B was installed and runs for the first time.
#[must_use]
pub fn b_on_trial() -> BootState {
    let b = SlotRecord { state: SlotState::Trying, ..good(3) };
    let last = Some(SlotId::B);
    BootState { order: vec![SlotId::B, SlotId::A], b, last, ..both_good() }
}

fn marks() -> Vec<SlotScenario> {
    let staged = SlotRecord { attempts: AttemptsLeft::ZERO, ..b_on_trial().b };
    let staged = BootState { order: vec![SlotId::A], b: staged, ..both_good() };
    let mark = |name, command| on_two_good_slots(name, Act::Mark(command));
    let (good, bad) = (
        Command::MarkGood { slot: SlotId::B },
        Command::MarkBad { slot: SlotId::B, force: Force::No },
    );
    let on_trial = |name, command| SlotScenario {
        state: b_on_trial(),
        booted: SlotId::B,
        ..mark(name, command)
    };
    vec![
        on_trial("mark-good", good),
        SlotScenario { env: EnvKind::DiskPair, ..on_trial("mark-good-disk", good) },
        mark("mark-bad", bad),
        on_trial("mark-bad-booted", bad),
        SlotScenario {
            state: staged,
            ..mark("mark-active", Command::MarkActive { slot: SlotId::B })
        },
    ]
}

fn small() -> Vec<SlotScenario> {
    vec![
        on_two_good_slots("recorder-append", Act::Append(70)),
        SlotScenario {
            env: EnvKind::DiskPair,
            ..on_two_good_slots("recorder-append-disk", Act::Append(24))
        },
        on_two_good_slots("status-file", Act::Status(3)),
    ]
}

fn installs() -> Result<Vec<SlotScenario>> {
    let signer = Signer::new()?;
    let install = |name, format, after: System| -> Result<SlotScenario> {
        let images: [(&str, &str, &[u8]); 2] =
            [("boot", "boot.vfat", &after.boot), ("rootfs", "rootfs.img", &after.rootfs)];
        let act = Act::Install(signer.bundle(format, &images)?);
        Ok(SlotScenario { after: Some(after), ..on_two_good_slots(name, act) })
    };
    let empty = BootState { order: vec![SlotId::A], b: SlotRecord::EMPTY, ..both_good() };
    let fresh = PerSlot { a: Some(System::new(1)), b: None };
    let plain = install("install-plain", BundleFormat::Plain, System::new(3))?;
    Ok(vec![
        install("install-verity", BundleFormat::Verity, System::new(3))?,
        SlotScenario { state: empty, systems: fresh, env: EnvKind::DiskPair, ..plain },
        SlotScenario {
            systems: PerSlot { a: Some(System::new(1)), b: Some(System::with_fat(2)?) },
            ..install("install-fat", BundleFormat::Verity, System::with_fat(4)?)?
        },
        SlotScenario {
            env: EnvKind::DiskSingle,
            may_lose_env: true,
            ..install("install-env-single", BundleFormat::Verity, System::new(3))?
        },
    ])
}
