// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which operations are cut?

use crate::board::{EnvKind, disk_id};
use crate::disk_scenario::{Before, Data, DiskScenario, Identities};
use crate::engine::Seals;
use crate::rauc_scenario::RaucScenario;
use crate::scenario::Scenario;
use crate::slot_scenario::{Act, SlotScenario};
use crate::systems::{Signer, SlotSizes, System};
use anyhow::Result;
use bootctl::{
    AttemptsLeft, BootState, BundleId, Command, Force, PerSlot, SlotId, SlotRecord, SlotState,
};
use bundle::BundleFormat;

/// Every operation. A new one is a [`Scenario`] and a line here; what is done of it, what its cuts
/// leave and how they are judged follows from that.
///
/// # Errors
/// When the bundles cannot be made.
pub fn catalogue(sizes: SlotSizes) -> Result<Vec<Box<dyn Scenario>>> {
    let small = SlotSizes::BOUNDED;
    let mut all: Vec<Box<dyn Scenario>> = Vec::new();
    let slots = environments(small)
        .into_iter()
        .chain(marks(small))
        .chain(comings_up(small))
        .chain(files_and_records(small));
    for scenario in slots.chain(installs(sizes)?) {
        all.push(Box::new(scenario));
    }
    all.push(Box::new(RaucScenario::new("rauc-install", sizes)?));
    for (name, before, identities, data) in [
        ("first-boot", Before::Flashed, Identities::Same, Data::Fat),
        ("first-boot-new-ids", Before::Flashed, Identities::New, Data::Fat),
        ("first-boot-f2fs", Before::Flashed, Identities::Same, Data::F2fs),
        ("repair-table", Before::PrimaryTorn, Identities::Same, Data::Fat),
    ] {
        all.push(Box::new(DiskScenario::new(name, before, identities, data)?));
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
pub fn on_two_good_slots(name: &'static str, act: Act, sizes: SlotSizes) -> SlotScenario {
    SlotScenario {
        name,
        env: EnvKind::FlashPair,
        state: both_good(),
        booted: SlotId::A,
        sizes,
        systems: PerSlot { a: Some(System::new(1, sizes)), b: Some(System::new(2, sizes)) },
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

fn environments(sizes: SlotSizes) -> Vec<SlotScenario> {
    let commits =
        |name, env| SlotScenario { env, ..on_two_good_slots(name, three_commits(), sizes) };
    let single = EnvKind::DiskSingle;
    vec![
        commits("env-flash-pair", EnvKind::FlashPair),
        commits("env-disk-pair", EnvKind::DiskPair),
        SlotScenario { may_lose_env: true, ..commits("env-disk-single", single) },
        on_two_good_slots("selector-saves", Act::Boots(3), sizes),
        SlotScenario {
            env: EnvKind::DiskPair,
            ..on_two_good_slots("selector-saves-disk", Act::Boots(3), sizes)
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

fn marks(sizes: SlotSizes) -> Vec<SlotScenario> {
    let staged = SlotRecord { attempts: AttemptsLeft::ZERO, ..b_on_trial().b };
    let staged = BootState { order: vec![SlotId::A], b: staged, ..both_good() };
    let mark = |name, command| on_two_good_slots(name, Act::Mark(command), sizes);
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

/// The primary has no attempts left, so the firmware leaves it, and Linux tells why.
fn comings_up(sizes: SlotSizes) -> Vec<SlotScenario> {
    let spent = |state: BootState| {
        let b = SlotRecord { attempts: AttemptsLeft::ZERO, ..state.b };
        BootState { order: vec![SlotId::B, SlotId::A], b, ..state }
    };
    let leaves = |name, state| SlotScenario {
        state: spent(state),
        ..on_two_good_slots(name, Act::ComesUp, sizes)
    };
    vec![
        leaves("fall-back", b_on_trial()),
        SlotScenario { env: EnvKind::DiskPair, ..leaves("fall-back-disk", b_on_trial()) },
        leaves("fall-back-from-good", both_good()),
    ]
}

fn files_and_records(sizes: SlotSizes) -> Vec<SlotScenario> {
    vec![
        on_two_good_slots("recorder-append", Act::Append(70), sizes),
        SlotScenario {
            env: EnvKind::DiskPair,
            ..on_two_good_slots("recorder-append-disk", Act::Append(40), sizes)
        },
        on_two_good_slots("status-file", Act::Status(3), sizes),
    ]
}

fn installs(sizes: SlotSizes) -> Result<Vec<SlotScenario>> {
    let signer = Signer::new()?;
    let install = |name, format, after: System| -> Result<SlotScenario> {
        let act = Act::Install(signer.bundle(format, &after.images())?);
        Ok(SlotScenario { after: Some(after), ..on_two_good_slots(name, act, sizes) })
    };
    let empty = BootState { order: vec![SlotId::A], b: SlotRecord::EMPTY, ..both_good() };
    let system = |tag| System::new(tag, sizes);
    let fresh = PerSlot { a: Some(system(1)), b: None };
    let plain = install("install-plain", BundleFormat::Plain, system(3))?;
    let fat = System::with_fat(4, sizes)?;
    Ok(vec![
        install("install-verity", BundleFormat::Verity, system(3))?,
        SlotScenario { state: empty, systems: fresh, env: EnvKind::DiskPair, ..plain },
        SlotScenario {
            systems: PerSlot { a: Some(system(1)), b: Some(System::with_fat(2, sizes)?) },
            ..install("install-fat", BundleFormat::Verity, fat)?
        },
        SlotScenario {
            env: EnvKind::DiskSingle,
            may_lose_env: true,
            ..install("install-env-single", BundleFormat::Verity, system(3))?
        },
        rauc_on_our_board("rauc-install-sealed", Seals::Kept, sizes)?,
    ])
}

/// An install under the name `rauc` on a board with our own boot protocol.
pub fn rauc_on_our_board(
    name: &'static str,
    seals: Seals,
    sizes: SlotSizes,
) -> Result<SlotScenario> {
    let after = System::new(3, sizes);
    let bundle = Signer::new()?.sign(BundleFormat::Plain, &after.images())?;
    let act = Act::RaucInstall(bundle, seals);
    Ok(SlotScenario { after: Some(after), ..on_two_good_slots(name, act, sizes) })
}
