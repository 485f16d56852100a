// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which mistakes must the harness find? Each is our own operation with one thing done wrong: acts
//! in another order or left out, a selector that asks less, a board that has less, code that does
//! not look. Production code has no switches for them.

use crate::believing::believe_every_copy;
use crate::board::EnvKind;
use crate::catalogue::{b_on_trial, on_two_good_slots, rauc_on_our_board, three_commits};
use crate::disk_scenario::{Before, DISK, Data, DiskScenario, Identities};
use crate::engine::Seals;
use crate::firmware::Selector;
use crate::forgetful::forget_a_sector;
use crate::loader::VARIABLES;
use crate::rauc_scenario::{RaucScenario, STATUS};
use crate::recorded::Order;
use crate::scenario::Scenario;
use crate::slot_scenario::{Act, SlotScenario};
use crate::systems::{Signer, SlotSizes, System};
use anyhow::Result;
use bootctl::{Command, Force, SlotId};
use bundle::BundleFormat;
use std::path::Path;
use storage::{FileStep, Op, OpKind};

const BOOT: &str = "/dev/boot-b";
const ROOTFS: &str = "/dev/rootfs-b";
const ENV: &str = crate::board::ENV;
const RECORDER: &str = crate::board::RECORDER;
const SIZES: SlotSizes = SlotSizes::BOUNDED;

/// Whether a mistake does harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// It does: some image must be a brick.
    Bricks,
    /// A power cut cannot make harm of it, because of this.
    None(&'static str),
}

/// A mistake.
pub struct Mutation {
    /// In words.
    pub what: &'static str,
    /// The operation that has it.
    pub scenario: Box<dyn Scenario>,
    /// Which acts are done, in which order.
    pub order: fn(&[Op]) -> Order,
    /// The selector.
    pub selector: Selector,
    /// What is expected of it.
    pub harm: Harm,
}

fn mistake(
    what: &'static str,
    scenario: impl Scenario + 'static,
    order: fn(&[Op]) -> Order,
) -> Mutation {
    Mutation {
        what,
        scenario: Box::new(scenario),
        order,
        selector: Selector::Ours,
        harm: Harm::Bricks,
    }
}

/// Every mistake.
///
/// # Errors
/// When a scenario cannot be made.
pub fn mutations() -> Result<Vec<Mutation>> {
    let mut all = installs()?;
    all.extend(environments());
    all.extend(marks());
    all.extend(small());
    all.extend(disks()?);
    all.extend(rauc()?);
    Ok(all)
}

fn installs() -> Result<Vec<Mutation>> {
    let signer = Signer::new()?;
    let after = System::new(3, SIZES);
    let bundle = signer.bundle(BundleFormat::Verity, &after.images())?;
    let install = || SlotScenario {
        after: Some(after.clone()),
        ..on_two_good_slots("install-verity", Act::Install(bundle.clone()), SIZES)
    };
    let mut all = orders_of_the_slot(&install);
    all.extend(orders_of_the_environment(&install));
    let unread = SlotScenario { wrap: Some(forget_a_sector), ..install() };
    all.push(mistake("what was written is not read back from a bad medium", unread, all_of));
    for (what, selector) in [
        ("the selector trusts BOOT_x_LEFT alone", Selector::CountersAlone),
        ("the selector does not save that an attempt is spent", Selector::PaysNothing),
    ] {
        all.push(Mutation { selector, ..mistake(what, install(), all_of) });
    }
    let single = SlotScenario { env: EnvKind::DiskSingle, ..install() };
    all.push(mistake("an install keeps one copy of the environment", single, all_of));
    Ok(all)
}

fn orders_of_the_slot(install: &dyn Fn() -> SlotScenario) -> Vec<Mutation> {
    vec![
        mistake("rootfs is not flushed", install(), |ops| {
            without(ops, |_, op| is_flush(op, ROOTFS))
        }),
        mistake("boot is not flushed at all", install(), |ops| {
            without(ops, |_, op| is_flush(op, BOOT))
        }),
        mistake("seal is not zeroed first", install(), |ops| {
            let rootfs = first(ops, |op| is(op, ROOTFS));
            without(ops, |at, op| at < rootfs && is(op, BOOT))
        }),
        mistake("seal is zeroed after rootfs is written", install(), |ops| {
            let rootfs = first(ops, |op| is(op, ROOTFS));
            moved(ops, |at, op| at < rootfs && is(op, BOOT), last(ops, |op| is(op, ROOTFS)))
        }),
        mistake("zeros of the seal are not flushed", install(), |ops| {
            let rootfs = first(ops, |op| is(op, ROOTFS));
            without(ops, |at, op| at < rootfs && is_flush(op, BOOT))
        }),
        mistake("seal before rootfs", install(), |ops| {
            moved(ops, |_, op| is(op, ROOTFS), last(ops, |op| is(op, BOOT)))
        }),
        mistake("the seal's sectors are not flushed one by one", install(), |ops| {
            let seal = last(ops, |op| is(op, ROOTFS));
            without(ops, |at, op| at > seal && is_flush(op, BOOT))
        }),
        Mutation {
            harm: Harm::None(
                "the seal's sectors are flushed one by one, and the first of those flushes, which \
                 comes before the first sector is written, makes the boot image durable too",
            ),
            ..mistake("boot is not flushed before its seal is", install(), |ops| {
                let image = first(ops, |op| is_long_write(op, BOOT));
                let flush = first_from(ops, image, |op| is_flush(op, BOOT));
                without(ops, |at, _| at == flush)
            })
        },
    ]
}

fn orders_of_the_environment(install: &dyn Fn() -> SlotScenario) -> Vec<Mutation> {
    vec![
        mistake("`trying` is committed before the seal", install(), |ops| {
            let (begin, _) = commit(ops, 1);
            moved(ops, |at, op| at >= begin && is(op, ENV), last(ops, |op| is(op, ROOTFS)))
        }),
        mistake("`trying` is committed before rootfs", install(), |ops| {
            let (begin, _) = commit(ops, 1);
            let before = first(ops, |op| is(op, ROOTFS)).saturating_sub(1);
            moved(ops, |at, op| at >= begin && is(op, ENV), before)
        }),
        mistake("`writing` is not committed", install(), |ops| {
            let (begin, end) = commit(ops, 0);
            without(ops, |at, op| (begin..end).contains(&at) && is(op, ENV))
        }),
    ]
}

fn environments() -> Vec<Mutation> {
    let commits =
        |env| SlotScenario { env, ..on_two_good_slots("environment", three_commits(), SIZES) };
    let named = |name, env| SlotScenario { name, ..commits(env) };
    vec![
        mistake(
            "one copy of the environment instead of two",
            named("env-disk-single", EnvKind::DiskSingle),
            all_of,
        ),
        mistake(
            "the environment is not flushed",
            named("env-disk-pair", EnvKind::DiskPair),
            |ops| without(ops, |_, op| is_flush(op, ENV)),
        ),
        mistake(
            "the old copy's flag is cleared before the new copy is there",
            named("env-flash-pair", EnvKind::FlashPair),
            |ops| {
                let flag = first(ops, is_flag);
                let before = first(ops, |op| is(op, ENV));
                moved_before(ops, |at, _| at == flag, before)
            },
        ),
        mistake(
            "the old copy's flag is never cleared",
            named("env-flash-pair", EnvKind::FlashPair),
            |ops| without(ops, |_, op| is_flag(op)),
        ),
        mistake(
            "the copy is not erased before it is programmed",
            named("env-flash-pair", EnvKind::FlashPair),
            |ops| without(ops, |_, op| is_erase(op, ENV)),
        ),
        mistake(
            "a half erased or half programmed copy is believed",
            SlotScenario {
                wrap: Some(believe_every_copy),
                ..named("env-flash-pair", EnvKind::FlashPair)
            },
            all_of,
        ),
        mistake(
            "the only copy of the environment is not flushed",
            SlotScenario { may_lose_env: true, ..named("env-disk-single", EnvKind::DiskSingle) },
            |ops| without(ops, |_, op| is_flush(op, ENV)),
        ),
    ]
}

fn marks() -> Vec<Mutation> {
    let gives_up = Act::Mark(Command::MarkBad { slot: SlotId::A, force: Force::Yes });
    let trial = SlotScenario {
        state: b_on_trial(),
        booted: SlotId::B,
        ..on_two_good_slots("mark-bad", gives_up, SIZES)
    };
    vec![mistake("the last good slot is marked bad", trial, all_of)]
}

fn small() -> Vec<Mutation> {
    let status = || on_two_good_slots("status-file", Act::Status(3), SIZES);
    vec![
        mistake(
            "a new block of the recorder begins without the slots' states",
            // Until the block is recycled in which the states were committed.
            on_two_good_slots("recorder-append", Act::Append(140), SIZES),
            |ops| {
                let follows =
                    |at: usize| at > 1 && ops.get(at - 2).is_some_and(|op| is_erase(op, RECORDER));
                without(ops, |at, _| follows(at))
            },
        ),
        mistake(
            "the recorder's records are not flushed",
            SlotScenario {
                env: EnvKind::DiskPair,
                ..on_two_good_slots("recorder-append-disk", Act::Append(40), SIZES)
            },
            |ops| without(ops, |_, op| is_flush(op, RECORDER)),
        ),
        mistake("the status is renamed before it is synced", status(), |ops| {
            let sync = first(ops, |op| matches!(op.kind, OpKind::File(FileStep::SyncFile { .. })));
            moved(ops, |at, _| at == sync, sync + 1)
        }),
        mistake("the status file's directory is not synced", status(), |ops| {
            without(ops, |_, op| matches!(op.kind, OpKind::File(FileStep::SyncDir { .. })))
        }),
    ]
}

fn disks() -> Result<Vec<Mutation>> {
    let boot = || DiskScenario::new("first-boot", Before::Flashed, Identities::Same, Data::Fat);
    Ok(vec![
        mistake("the primary table before the backup", boot()?, |ops| {
            let (backup, primary, end) = table(ops);
            moved(ops, |at, op| (backup..primary).contains(&at) && is(op, DISK), end - 1)
        }),
        mistake("both tables under one flush", boot()?, |ops| {
            let (_, primary, _) = table(ops);
            without(ops, |at, _| at + 1 == primary)
        }),
        mistake("heads are wiped after the table", boot()?, |ops| {
            let (backup, _, end) = table(ops);
            moved(ops, |at, op| at < backup && is(op, DISK), end - 1)
        }),
        Mutation {
            harm: Harm::None(
                "the same disk is flushed before the backup table counts, and before the \
                 primary names a partition",
            ),
            ..mistake("the wiped heads are not flushed before the backup is", boot()?, |ops| {
                let (backup, _, _) = table(ops);
                without(ops, |at, op| at < backup && is_flush(op, DISK))
            })
        },
        mistake("the environment is bound after the table", boot()?, |ops| {
            let (_, _, end) = table(ops);
            moved(ops, |_, op| is(op, ENV) || is(op, RECORDER), end - 1)
        }),
        mistake("a file system's first sector before the rest of it", boot()?, |ops| {
            let (_, _, end) = table(ops);
            without(ops, |at, op| at >= end && is_flush(op, DISK))
        }),
        mistake("the directory of the marker is not synced", boot()?, |ops| {
            without(ops, |_, op| matches!(op.kind, OpKind::File(FileStep::SyncDir { .. })))
        }),
        mistake("the first boot is over before its file systems are there", boot()?, |ops| {
            let (_, _, end) = table(ops);
            moved(ops, |at, op| at >= end && is(op, DISK), ops.len())
        }),
    ])
}

fn rauc() -> Result<Vec<Mutation>> {
    let install = || RaucScenario::new("rauc-install", SIZES);
    let bypass = rauc_on_our_board("rauc-bypass", Seals::Bypassed, SIZES)?;
    Ok(vec![
        mistake("RAUC's own sequence writes slots that have seals", bypass, all_of),
        mistake("RAUC's target is not marked bad first", install()?, |ops| {
            let slots = first(ops, |op| is(op, BOOT) || is(op, ROOTFS));
            without(ops, |at, op| at < slots && is_step_of(op, VARIABLES))
        }),
        mistake("RAUC's target becomes primary before its rootfs", install()?, |ops| {
            let slots = first(ops, |op| is(op, ROOTFS));
            moved_before(ops, |at, op| at > slots && is_step_of(op, VARIABLES), slots)
        }),
        mistake("RAUC's rootfs is not flushed", install()?, |ops| {
            without(ops, |_, op| is_flush(op, ROOTFS))
        }),
        mistake("RAUC's status calls a slot ok while it is written", install()?, |ops| {
            let slots = first(ops, |op| is(op, BOOT) || is(op, ROOTFS));
            without(ops, |at, op| at < slots && is_step_of(op, STATUS))
        }),
    ])
}

/// The acts as they are.
pub fn all_of(ops: &[Op]) -> Order {
    (0..ops.len()).collect()
}

/// The acts without those.
pub fn without(ops: &[Op], left_out: impl Fn(usize, &Op) -> bool) -> Order {
    ops.iter().enumerate().filter(|(at, op)| !left_out(*at, op)).map(|(at, _)| at).collect()
}

/// Those acts are done after the act `place`.
fn moved(ops: &[Op], chosen: impl Fn(usize, &Op) -> bool, place: usize) -> Order {
    let is_chosen = |at: &usize| ops.get(*at).is_some_and(|op| chosen(*at, op));
    let (late, rest): (Order, Order) = (0..ops.len()).partition(is_chosen);
    let (before, after): (Order, Order) = rest.into_iter().partition(|at| *at <= place);
    [before, late, after].concat()
}

/// Those acts are done before the act `place`.
fn moved_before(ops: &[Op], chosen: impl Fn(usize, &Op) -> bool, place: usize) -> Order {
    let is_chosen = |at: &usize| ops.get(*at).is_some_and(|op| chosen(*at, op));
    let (early, rest): (Order, Order) = (0..ops.len()).partition(is_chosen);
    let (before, after): (Order, Order) = rest.into_iter().partition(|at| *at < place);
    [before, early, after].concat()
}

fn first(ops: &[Op], wanted: impl Fn(&Op) -> bool) -> usize {
    ops.iter().position(wanted).unwrap_or(ops.len())
}

fn first_from(ops: &[Op], from: usize, wanted: impl Fn(&Op) -> bool) -> usize {
    ops.iter().enumerate().position(|(at, op)| at >= from && wanted(op)).unwrap_or(ops.len())
}

fn last(ops: &[Op], wanted: impl Fn(&Op) -> bool) -> usize {
    ops.iter().rposition(wanted).unwrap_or(0)
}

fn is(op: &Op, device: &str) -> bool {
    &*op.device == device
}

fn is_flush(op: &Op, device: &str) -> bool {
    is(op, device) && op.kind == OpKind::Flush
}

fn is_erase(op: &Op, device: &str) -> bool {
    is(op, device) && matches!(op.kind, OpKind::Erase { .. })
}

fn is_long_write(op: &Op, device: &str) -> bool {
    is(op, device) && matches!(&op.kind, OpKind::Write { data, .. } if data.len() > 4096)
}

/// A step of this small file's directory, in which nothing else lies.
fn is_step_of(op: &Op, path: &str) -> bool {
    let OpKind::File(step) = &op.kind else { return false };
    let changed = match step {
        FileStep::WriteTemp { temp, .. } => temp,
        FileStep::SyncFile { file } | FileStep::Remove { file } => file,
        FileStep::Rename { to, .. } => to,
        FileStep::MakeDir { dir } | FileStep::SyncDir { dir } => dir,
    };
    Path::new(path).parent().is_some_and(|dir| changed.starts_with(dir))
}

/// The clearing of a flag: one byte, the only write of its length.
fn is_flag(op: &Op) -> bool {
    is(op, ENV) && matches!(&op.kind, OpKind::Write { data, .. } if data.len() == 1)
}

/// Where the acts of commit `number` of an environment on flash begin and end.
fn commit(ops: &[Op], number: usize) -> (usize, usize) {
    let begins: Vec<usize> = (0..ops.len())
        .filter(|at| ops.get(*at).is_some_and(|op| is_erase(op, ENV)))
        .chain([ops.len()])
        .collect();
    let begin = begins.get(number).copied().unwrap_or(ops.len());
    (begin, begins.get(number + 1).copied().unwrap_or(ops.len()))
}

/// Where the backup's and the primary's acts begin, and where they end.
fn table(ops: &[Op]) -> (usize, usize, usize) {
    // The array of a table's copy: 128 entries of 128 bytes.
    let is_array = |op: &Op| {
        is(op, DISK) && matches!(&op.kind, OpKind::Write { data, .. } if data.len() == 16384)
    };
    let backup = first(ops, is_array);
    let primary = first_from(ops, backup + 1, is_array);
    (backup, primary, first_from(ops, primary, |op| is_flush(op, DISK)) + 1)
}
