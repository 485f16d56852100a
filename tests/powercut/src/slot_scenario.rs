// SPDX-License-Identifier: MIT OR Apache-2.0
//! Operations on a board with two slots: commits of the environment, marks, installs, the flight
//! recorder and the status file.

use crate::board::{Board, EnvKind, Kept, Wrap, disk_id, now};
use crate::engine::{self, Seals};
use crate::firmware::{Booted, Selector, read_env};
use crate::linux::{come_up, control};
use crate::medium::sum_of;
use crate::scenario::{Cost, End, Scenario, Seen, without_counters};
use crate::systems::{SignedBundle, SlotSizes, System, has_seal};
use crate::violation::Invariant::{I1, I7};
use crate::violation::{OrBreaks, Violation};
use anyhow::{Context, Result};
use bootctl::{BootState, Command, Entry, Mark, PerSlot, Record, SlotId, SlotState, Snapshot};
use bundle::VerifiedBundle;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use storage::MemoryStorage;
use updater::{
    BootedGroup, InstallOptions, InstallPolicy, Installer, SlotName, SlotStatus, SlotStatusFile,
    SystemConfig,
};

const SYSTEM_CONF: &str = "[system]\ncompatible=rock64\nbootloader=uboot\n\
    statusfile=/data/rauc/status.raucs\n\
    [slot.boot.0]\ndevice=/dev/boot-a\ntype=vfat\nbootname=A\n\
    [slot.boot.1]\ndevice=/dev/boot-b\ntype=vfat\nbootname=B\n\
    [slot.rootfs.0]\ndevice=/dev/rootfs-a\nparent=boot.0\n\
    [slot.rootfs.1]\ndevice=/dev/rootfs-b\nparent=boot.1\n";

const STATUS: &str = "/data/rauc/status.raucs";

/// So many of these records a block of the recorder's ring holds at least: the smallest has room for
/// sixteen, of which the snapshot, a torn one and those of two boots in between can be nine.
const RECORDS_KEPT: usize = 6;

/// What is done.
pub enum Act {
    /// These states are committed, one after the other.
    Commits(Vec<BootState>),
    /// The firmware selects and saves so many times, as when nothing comes up.
    Boots(u64),
    /// The board is turned on and Linux comes up.
    ComesUp,
    /// A boot-state verb.
    Mark(Command),
    /// A bundle is installed into the other slot.
    Install(Arc<VerifiedBundle>),
    /// The same by RAUC's engine, under the name `rauc`.
    RaucInstall(Arc<SignedBundle>, Seals),
    /// So many entries are appended to the flight recorder.
    Append(u64),
    /// The status file is replaced so many times.
    Status(u64),
}

/// An operation on a board with two slots.
pub struct SlotScenario {
    /// Its name.
    pub name: &'static str,
    /// How the environment is kept.
    pub env: EnvKind,
    /// The boot state before it.
    pub state: BootState,
    /// The slot that runs.
    pub booted: SlotId,
    /// How large the slots are.
    pub sizes: SlotSizes,
    /// What the slots hold; nothing where there is none.
    pub systems: PerSlot<Option<System>>,
    /// What slot B may hold after the operation as well.
    pub after: Option<System>,
    /// The operation.
    pub act: Act,
    /// The devices' wrapping.
    pub wrap: Option<Wrap>,
    /// Whether a lost environment breaks no promise.
    pub may_lose_env: bool,
}

/// The device of a slot.
fn device(part: &str, slot: SlotId) -> String {
    format!("/dev/{part}-{}", slot.boot_name().to_lowercase())
}

/// The entry that is appended as number `step`: of many lengths, so that blocks end anywhere.
fn entry(step: u64) -> Entry {
    match step % 3 {
        0 => Entry::Marked { slot: SlotId::B, mark: Mark::Bad },
        1 => Entry::DeadEnd {
            slot: SlotId::B,
            cause: "x".repeat(usize::try_from(step * 13 % 120).unwrap_or(0)),
        },
        _ => Entry::FellBack { from: SlotId::B, to: SlotId::A, cause: format!("cause {step}") },
    }
}

fn status(step: u64) -> SlotStatusFile {
    let mut file = SlotStatusFile::default();
    for index in ["0", "1"] {
        let name = SlotName { class: "rootfs".to_owned(), index: index.to_owned() };
        let version = Some(format!("26.{step}"));
        // Longer than a sector.
        let description = Some(format!("release {step} ").repeat(60));
        file.slots.insert(name, SlotStatus { version, description, ..SlotStatus::default() });
    }
    file
}

impl SlotScenario {
    fn commit(&self, board: &Board, states: &[BootState]) -> Result<()> {
        let mut backend = board.backend()?;
        for state in states {
            let old = backend.load()?;
            backend.store(&old, state)?;
        }
        // After a cut the recorder learns it from the next boot.
        let mut recorder = board.recorder()?;
        let state = states.last().unwrap_or(&self.state);
        recorder.append(now(), &Entry::States(Snapshot::from(state)))?;
        Ok(())
    }

    fn install(&self, board: &mut Board, booted: SlotId, bundle: &VerifiedBundle) -> Result<()> {
        let config = SystemConfig::parse(SYSTEM_CONF, Path::new("/etc/rauc"))?;
        let options = InstallOptions {
            booted: BootedGroup::Slot(booted),
            reason: None,
            variant: None,
            version_floor: None,
            policy: InstallPolicy::default(),
        };
        board.with_files(|files, board| {
            let mut backend = board.backend()?;
            let mut recorder = board.recorder()?;
            let mut installer = Installer {
                config: &config,
                devices: board,
                files,
                backend: &mut *backend,
                recorder: Some(&mut recorder),
                at: now(),
                progress: &mut |_| {},
            };
            installer.install(board.install_lock(), bundle, &options)?;
            Ok(())
        })
    }

    fn append(board: &Board, count: u64) -> Result<()> {
        let mut recorder = board.recorder()?;
        for step in 1..=count {
            let sequence = recorder.append(now(), &entry(step))?;
            board.promise(Kept::Step(sequence.0));
        }
        Ok(())
    }

    fn replace(board: &mut Board, count: u64) -> Result<()> {
        board.with_files(|files, board| {
            for step in 1..=count {
                status(step).store(files, Path::new(STATUS))?;
                board.promise(Kept::Step(step));
            }
            Ok(())
        })
    }

    /// I1: a slot that loads holds the system that its record speaks of: what was good before must
    /// not vouch for what was written since.
    fn inspect_record(&self, board: &Board) -> Result<(), Violation> {
        let state = read_env(board).or_breaks(I1, "read the environment")?;
        let other = self.booted.other();
        let Some(record) = state.map(|state| *state.slot(other)) else { return Ok(()) };
        let speaks = match record.state {
            SlotState::Trying | SlotState::Good | SlotState::Bad => true,
            SlotState::Empty | SlotState::Writing | SlotState::Unknown => false,
        };
        let old = record.bundle == self.state.slot(other).bundle;
        let system = if old { self.systems.get(other) } else { &self.after };
        let sum = system.as_ref().map(group_sum);
        if speaks && *self.loads(board).get(other) && sum != Some(self.group(board, other)) {
            let what = format!("slot {other} is {} and holds another system", record.state);
            return Err(Violation::new(I1, what));
        }
        Ok(())
    }

    /// I7: the newest acknowledged record is there, and those before it as far as the ring goes.
    fn inspect_ring(&self, board: &Board, seen: &Seen<'_>) -> Result<(), Violation> {
        let recorder = board.recorder().or_breaks(I7, "open the recorder")?;
        let records = recorder.entries().or_breaks(I7, "read the recorder")?;
        let found: BTreeSet<u64> = records.iter().map(|record| record.sequence.0).collect();
        // A recovery appends records of its own, which push the oldest out as well. Numbers are not
        // all given: they go on behind what a lost block can have held.
        let known: BTreeSet<u64> = seen.records.iter().copied().chain(seen.all_steps()).collect();
        if let Some(missing) =
            known.iter().rev().take(RECORDS_KEPT).find(|one| !found.contains(one))
        {
            let what = format!("record {missing} of {:?} is gone", known.last());
            return Err(Violation::new(I7, what));
        }
        let disk = recorder.facts().snapshot().map(|known| known.disk);
        if disk != Some(self.state.disk) {
            return Err(Violation::new(I7, "the slots' states are gone from the recorder"));
        }
        Ok(())
    }

    /// The status file is one of the two whole ones, or still what a first cut left.
    fn inspect_status(board: &Board, seen: &Seen<'_>) -> Result<(), Violation> {
        let path = Path::new(STATUS);
        let content = board.tree().get(path).map_or(&[][..], Vec::as_slice);
        let found = SlotStatusFile::parse(content).or_breaks(I7, "read the status")?;
        let done = seen.steps();
        let left = seen.earlier.filter(|_| done == 0).and_then(|earlier| earlier.files.get(path));
        // Done again it begins at the first, so before that returns nothing but what was left may
        // be there, and that one.
        let before = seen.earlier.is_none() || done > 0;
        let legal = [done, done + 1].into_iter().filter(|step| before || *step == 1);
        if left.is_some_and(|left| left == content) || legal.map(status).any(|one| one == found) {
            return Ok(());
        }
        Err(Violation::new(I7, format!("the status is neither {done} nor the next")))
    }
}

/// The last fallback on record: from, to, cause.
fn last_left(records: &[Record]) -> Option<(SlotId, SlotId, String)> {
    records.iter().rev().find_map(|record| {
        if let Entry::FellBack { from, to, cause } = &record.entry {
            Some((*from, *to, cause.clone()))
        } else {
            None
        }
    })
}

/// The sum of a group that holds this system.
fn group_sum(system: &System) -> u128 {
    let [boot, rootfs] = system.slots();
    sum_of(&boot) ^ sum_of(&rootfs).rotate_left(1)
}

/// The status without RAUC's counters, which count a repeat, and without its transaction, which is
/// noted when the slot boots next already: nobody repeats that.
fn without_counts(content: &[u8]) -> Vec<u8> {
    let Ok(mut file) = SlotStatusFile::parse(content) else { return content.to_vec() };
    for status in file.slots.values_mut() {
        (status.installed_count, status.activated_count) = (0, 0);
        status.transaction = None;
    }
    file.encode().into_bytes()
}

impl Scenario for SlotScenario {
    fn name(&self) -> &str {
        self.name
    }

    fn cost(&self) -> Cost {
        match self.act {
            Act::Install(_) => Cost::High,
            Act::RaucInstall(..) => Cost::Again,
            Act::Commits(_)
            | Act::Boots(_)
            | Act::ComesUp
            | Act::Mark(_)
            | Act::Append(_)
            | Act::Status(_) => Cost::Low,
        }
    }

    fn board(&self) -> Result<Board> {
        let mut devices = Vec::new();
        for slot in SlotId::ALL {
            let contents = match self.systems.get(slot) {
                Some(system) => system.slots(),
                None => [vec![0; self.sizes.boot], vec![0; self.sizes.rootfs]],
            };
            for (part, content) in ["boot", "rootfs"].into_iter().zip(contents) {
                devices.push(MemoryStorage::disk(device(part, slot), content));
            }
        }
        let mut board = Board::new(self.env, &devices)?;
        // Two commits: the second copy counts, and the first one is older and different.
        self.commit(&board, &[BootState::factory(disk_id()), self.state.clone()])?;
        if let Act::Status(_) = self.act {
            board.with_files(|files, _| Ok(status(0).store(files, Path::new(STATUS))?))?;
        }
        board.keep();
        Ok(match self.wrap {
            Some(wrap) => board.wrapped(wrap),
            None => board,
        })
    }

    fn booted(&self) -> SlotId {
        self.booted
    }

    fn operate(&self, board: &mut Board, booted: SlotId) -> Result<()> {
        match &self.act {
            Act::Commits(states) => self.commit(board, states),
            Act::Boots(count) => {
                for _ in 0..*count {
                    Selector::Ours.start(board, self.loads(board), self.disk(board))?;
                }
                Ok(())
            }
            Act::ComesUp => {
                let booted = Selector::Ours.start(board, self.loads(board), self.disk(board))?;
                come_up(board, &booted)?;
                Ok(())
            }
            Act::Mark(command) => Ok(control(board, booted)?.apply(command)?),
            Act::Install(bundle) => self.install(board, booted, bundle),
            Act::RaucInstall(bundle, seals) => board.with_shared_files(|files, board| {
                let mut rauc = engine::start_ours((board, files), SYSTEM_CONF, booted, *seals)?;
                engine::install(&mut rauc, bundle)
            }),
            Act::Append(count) => Self::append(board, *count),
            Act::Status(count) => Self::replace(board, *count),
        }
    }

    fn loads(&self, board: &Board) -> PerSlot<bool> {
        let loads = |slot| has_seal(board.medium(&device("boot", slot)));
        PerSlot { a: loads(SlotId::A), b: loads(SlotId::B) }
    }

    fn is_whole(&self, board: &Board, slot: SlotId) -> bool {
        let found = self.group(board, slot);
        let after = self.after.as_ref().filter(|_| slot != self.booted);
        self.systems.get(slot).iter().chain(after).any(|system| group_sum(system) == found)
    }

    fn group(&self, board: &Board, slot: SlotId) -> u128 {
        let sum = |part| board.medium(&device(part, slot)).map_or(0, crate::medium::Medium::sum);
        sum("boot") ^ sum("rootfs").rotate_left(1)
    }

    fn may_lose_env(&self) -> bool {
        self.may_lose_env
    }

    fn inspect(&self, board: &Board, seen: Option<&Seen<'_>>) -> Result<(), Violation> {
        self.inspect_record(board)?;
        let Some(seen) = seen else { return Ok(()) };
        match self.act {
            Act::Append(_) => self.inspect_ring(board, seen),
            Act::Status(_) => Self::inspect_status(board, seen),
            Act::Commits(_)
            | Act::Boots(_)
            | Act::ComesUp
            | Act::Mark(_)
            | Act::Install(_)
            | Act::RaucInstall(..) => Ok(()),
        }
    }

    fn is_due(&self, booted: &Booted) -> bool {
        match self.act {
            // The new system runs: installed it is.
            Act::Install(_) | Act::RaucInstall(..) => booted.slot == self.booted,
            Act::Commits(_)
            | Act::Boots(_)
            | Act::ComesUp
            | Act::Mark(_)
            | Act::Append(_)
            | Act::Status(_) => true,
        }
    }

    fn end(&self, board: &Board) -> Result<End> {
        let state = read_env(board)?;
        let devices =
            board.device_names().filter(|name| name.contains("boot-") || name.contains("rootfs-"));
        let contents =
            devices.filter_map(|name| Some((name.to_owned(), board.medium(name)?.sum())));
        let files =
            board.tree().iter().filter(|(path, _)| path.extension() != Some("new".as_ref()));
        let recorder = board.recorder()?;
        let newest = recorder.entries()?.pop().map(|record| record.entry);
        let more = match self.act {
            Act::Append(_) => format!("{:?}", newest.context("the recorder is empty")?),
            // However often Linux came up: which slot was left last for which, and why.
            Act::ComesUp => format!("{:?}", last_left(&recorder.entries()?)),
            Act::Commits(_)
            | Act::Boots(_)
            | Act::Mark(_)
            | Act::Install(_)
            | Act::RaucInstall(..)
            | Act::Status(_) => String::new(),
        };
        Ok(End {
            state: state.as_ref().map(without_counters),
            contents: contents.collect(),
            files: files.map(|(path, content)| (path.clone(), without_counts(content))).collect(),
            known: recorder.facts().snapshot().cloned(),
            more,
        })
    }
}
