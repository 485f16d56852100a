// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's install on a board whose boot loader is not ours: raw slots, one status file, and slots
//! that are left alone when the status says that they hold the image (`install-same=false`), so
//! that a status that lies makes a system of two halves.

use crate::board::{Board, EnvKind};
use crate::engine;
use crate::loader::{self, VARIABLES, Variables};
use crate::medium::sum_of;
use crate::scenario::{Cost, End, Foreign, Scenario, Seen};
use crate::systems::{SignedBundle, Signer, SlotSizes, System};
use crate::violation::Invariant::I7;
use crate::violation::{OrBreaks, Violation};
use anyhow::{Context, Result};
use bootctl::{PerSlot, SlotId};
use bundle::BundleFormat;
use std::path::Path;
use std::sync::Arc;
use storage::{Digest, MemoryStorage};
use updater::system::MarkState;
use updater::{SlotName, SlotStatus, SlotStatusFile, SlotStatusState};

const SYSTEM_CONF: &str = "[system]\ncompatible=rock64\nbootloader=uboot\n\
    statusfile=/data/rauc/status.raucs\n\
    [slot.boot.0]\ndevice=/dev/boot-a\ntype=vfat\nbootname=A\ninstall-same=false\n\
    [slot.boot.1]\ndevice=/dev/boot-b\ntype=vfat\nbootname=B\ninstall-same=false\n\
    [slot.rootfs.0]\ndevice=/dev/rootfs-a\nparent=boot.0\ninstall-same=false\n\
    [slot.rootfs.1]\ndevice=/dev/rootfs-b\nparent=boot.1\ninstall-same=false\n";

/// The status file.
pub const STATUS: &str = "/data/rauc/status.raucs";

const RUNNING: SlotId = SlotId::A;
const PARTS: [&str; 2] = ["boot", "rootfs"];

/// An image of one part and what its slot holds then.
struct Content {
    part: &'static str,
    image: Digest,
    sum: u128,
}

/// The install of one system over another.
pub struct RaucScenario {
    name: &'static str,
    running: System,
    /// What slot B holds before and after it.
    systems: [System; 2],
    contents: Vec<Content>,
    bundle: Arc<SignedBundle>,
}

fn device(part: &str, slot: SlotId) -> String {
    format!("/dev/{part}-{}", slot.boot_name().to_lowercase())
}

fn slot_name(part: &str, slot: SlotId) -> SlotName {
    let index = if slot == SlotId::A { "0" } else { "1" };
    SlotName { class: part.to_owned(), index: index.to_owned() }
}

fn contents(system: &System, bundle: &SignedBundle) -> Result<Vec<Content>> {
    let verified = bundle.verify()?;
    let mut all = Vec::new();
    for (part, slot) in PARTS.into_iter().zip(system.slots()) {
        let images = &verified.manifest().images;
        let image = images.iter().find(|image| image.class == part).context("no such image")?;
        let image = image.sha256.context("an image without a digest")?;
        all.push(Content { part, image, sum: sum_of(&slot) });
    }
    Ok(all)
}

impl RaucScenario {
    /// An install over an older good slot.
    ///
    /// # Errors
    /// When the bundles cannot be made.
    pub fn new(name: &'static str, sizes: SlotSizes) -> Result<Self> {
        let signer = Signer::new()?;
        let systems = [System::new(2, sizes), System::new(3, sizes)];
        let [old, new] = &systems;
        let before = signer.sign(BundleFormat::Plain, &old.images())?;
        let bundle = signer.sign(BundleFormat::Plain, &new.images())?;
        let mut all = contents(old, &before)?;
        all.extend(contents(new, &bundle)?);
        Ok(Self { name, running: System::new(1, sizes), systems, contents: all, bundle })
    }

    fn sum(board: &Board, part: &str, slot: SlotId) -> u128 {
        board.medium(&device(part, slot)).map_or(0, crate::medium::Medium::sum)
    }

    /// The status before it: B was installed once, and what is said of it is true.
    fn status(&self) -> SlotStatusFile {
        let mut file = SlotStatusFile::default();
        for Content { part, image, .. } in self.contents.iter().take(PARTS.len()) {
            let status = SlotStatus {
                state: Some(SlotStatusState::Ok),
                sha256: Some(*image),
                ..SlotStatus::default()
            };
            file.slots.insert(slot_name(part, RUNNING.other()), status);
        }
        file
    }

    /// Does something with RAUC's engine, as a process that was just started.
    fn with_engine(
        board: &mut Board,
        booted: SlotId,
        act: impl FnOnce(&mut updater::system::System) -> Result<()>,
    ) -> Result<()> {
        board.with_shared_files(|files, board| {
            let boot = loader::backend(files);
            act(&mut engine::start((board, files), SYSTEM_CONF, booted, boot, None)?)
        })
    }
}

impl Scenario for RaucScenario {
    fn name(&self) -> &str {
        self.name
    }

    fn cost(&self) -> Cost {
        Cost::Again
    }

    fn board(&self) -> Result<Board> {
        let mut devices = Vec::new();
        let [old, _] = &self.systems;
        for (slot, system) in [(RUNNING, &self.running), (RUNNING.other(), old)] {
            for (part, content) in PARTS.into_iter().zip(system.slots()) {
                devices.push(MemoryStorage::disk(device(part, slot), content));
            }
        }
        // Nothing of ours is kept on this board: environment and recorder stay blank.
        let mut board = Board::new(EnvKind::DiskSingle, &devices)?;
        let variables = Variables::of_two_good_slots().encode();
        let status = self.status();
        board.with_files(|files, _| {
            files.replace(Path::new(VARIABLES), &variables)?;
            Ok(status.store(files, Path::new(STATUS))?)
        })?;
        board.keep();
        Ok(board)
    }

    fn booted(&self) -> SlotId {
        RUNNING
    }

    fn operate(&self, board: &mut Board, booted: SlotId) -> Result<()> {
        Self::with_engine(board, booted, |rauc| engine::install(rauc, &self.bundle))
    }

    fn foreign(&self) -> Option<&dyn Foreign> {
        Some(self)
    }

    /// The boot loader asks its variables alone.
    fn loads(&self, board: &Board) -> PerSlot<bool> {
        let candidates = self.candidates(board);
        PerSlot { a: candidates.contains(&SlotId::A), b: candidates.contains(&SlotId::B) }
    }

    fn is_whole(&self, board: &Board, slot: SlotId) -> bool {
        let holds = |system: &System| {
            let slots = PARTS.into_iter().zip(system.slots());
            slots.into_iter().all(|(part, all)| Self::sum(board, part, slot) == sum_of(&all))
        };
        if slot == RUNNING { holds(&self.running) } else { self.systems.iter().any(holds) }
    }

    fn group(&self, board: &Board, slot: SlotId) -> u128 {
        let [boot, rootfs] = PARTS;
        Self::sum(board, boot, slot) ^ Self::sum(board, rootfs, slot).rotate_left(1)
    }

    /// I7: of a slot that the status calls ok it says the truth.
    fn inspect(&self, board: &Board, _: Option<&Seen<'_>>) -> Result<(), Violation> {
        let content = board.tree().get(Path::new(STATUS)).map_or(&[][..], Vec::as_slice);
        let file = SlotStatusFile::parse(content).or_breaks(I7, "read the status")?;
        for part in PARTS {
            let name = slot_name(part, RUNNING.other());
            let Some(status) = file.slots.get(&name) else { continue };
            if status.state != Some(SlotStatusState::Ok) {
                continue;
            }
            let sum = Self::sum(board, part, RUNNING.other());
            let is_true = |one: &&Content| {
                one.part == part && status.sha256 == Some(one.image) && one.sum == sum
            };
            if !self.contents.iter().any(|one| is_true(&one)) {
                return Err(Violation::new(I7, format!("{name} is called ok and is not")));
            }
        }
        Ok(())
    }

    fn end(&self, board: &Board) -> Result<End> {
        let names = board.device_names().filter(|name| PARTS.iter().any(|p| name.contains(p)));
        let contents = names.filter_map(|name| Some((name.to_owned(), board.medium(name)?.sum())));
        let content = board.tree().get(Path::new(STATUS)).context("no status")?;
        let mut file = SlotStatusFile::parse(content)?;
        for status in file.slots.values_mut() {
            // They count a repeat, and what is noted when the slot boots next already nobody
            // repeats.
            (status.installed_count, status.activated_count) = (0, 0);
            status.activated_at = None;
        }
        let variables = Variables::of(board).without_counters();
        Ok(End {
            state: None,
            contents: contents.collect(),
            files: [(STATUS.into(), file.encode().into_bytes())].into(),
            known: None,
            more: String::from_utf8_lossy(&variables.encode()).into_owned(),
        })
    }
}

impl Foreign for RaucScenario {
    fn candidates(&self, board: &Board) -> Vec<SlotId> {
        Variables::of(board).candidates()
    }

    fn boot(&self, board: &mut Board) -> Result<SlotId, Violation> {
        let slot = loader::turn_on(board)?;
        Self::with_engine(board, slot, |rauc| {
            rauc.mark(MarkState::Good, "booted", &mut |_| {})?;
            Ok(())
        })
        .or_breaks(I7, "mark the running slot good")?;
        Ok(slot)
    }
}
