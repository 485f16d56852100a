// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does a board with this image come up in a whole slot? Says so with our own readers of partition
//! table, environment and boot state, and with the model of the selector; boots nothing.
//!
//! Held for each image: both tables agree or one is whole; one copy of the environment is valid;
//! what can be loaded is complete, byte by byte; and the slot that the selector would take, with
//! this environment and with none at all, is one of those. The slot that ran when the record began
//! is whole because nothing was ever written to it ([`Judge::untouched`]). During a first boot
//! there may be no environment yet, and no other slot.

use super::content::{Content, place_of, range};
use super::extents::Extent;
use super::image::CrashImage;
use super::write_log::WriteLog;
use crate::board::QEMU;
use anyhow::{Context as _, Result, bail, ensure};
use board_rock64::Role;
use bootctl::{BootState, FirmwareFacts, PerSlot, SlotId, SlotState, select};
use storage::Storage;
use uboot::{EnvError, EnvStore};

/// What firmware reads first to know a file system.
const FIRST_BYTES: usize = 512;

/// What was found in an image that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The slot that the selector takes.
    pub boots: SlotId,
    /// State of the target; nothing when there is no environment.
    pub state: Option<SlotState>,
    /// Whether that slot can be loaded.
    pub loads: bool,
}

/// Looks at images of one record.
pub struct Judge {
    target: SlotId,
    /// What an install puts into the target.
    content: Option<Content>,
    /// Which ranges the last hashed slot had, and what they came to: most images share it.
    known: Option<(Vec<Extent>, bool)>,
}

impl Judge {
    /// For a record of an install into `target`, which could not be loaded before.
    #[must_use]
    pub fn of_install(target: SlotId, content: Content) -> Self {
        Self { target, content: Some(content), known: None }
    }

    /// For a record of a first boot, which makes slot B and leaves it empty.
    #[must_use]
    pub fn of_first_boot() -> Self {
        Self { target: SlotId::B, content: None, known: None }
    }

    /// The slot that ran was never written, not even with what it held already.
    ///
    /// # Errors
    /// When it was; with the first act that did.
    pub fn untouched(&self, log: &WriteLog) -> Result<()> {
        for role in [Role::Boot(self.target.other()), Role::Rootfs(self.target.other())] {
            let (start, end) = range(role)?;
            if let Some((number, act)) = log.touching(start, end).next() {
                bail!("act {number} writes to the running slot: {act:?}");
            }
        }
        Ok(())
    }

    /// Looks at one image.
    ///
    /// # Errors
    /// What a board with this image would not survive.
    pub fn judge<B, L>(&mut self, image: &CrashImage<'_, B, L>) -> Result<Verdict>
    where
        B: Storage + Sync,
        L: Storage + Sync,
    {
        let table = repart::read_table(&image.disk()?).context("partition table")?;
        let boot_b = place_of(Role::Boot(SlotId::B))?;
        let disk = table.partitions.iter().find(|one| one.number == boot_b.number);
        let disk = disk.map(|one| one.part_uuid);
        let state = boot_state(image)?;
        if self.content.is_some() {
            ensure!(disk.is_some(), "slot B has no partition");
            ensure!(state.is_some(), "no copy of the environment is valid");
        }
        let loads = self.loads(image)?;
        if loads {
            ensure!(self.is_complete(image)?, "slot {} loads and is not complete", self.target);
        }
        let loads_of = |slot| slot != self.target || loads;
        let loads_each = PerSlot { a: loads_of(SlotId::A), b: loads_of(SlotId::B) };
        let firmware = FirmwareFacts { disk, save_works: true, loads: loads_each };
        let taken = |env: Option<&BootState>| {
            let slot = select(env, &firmware).boots;
            let slot = slot.with_context(|| format!("no slot is taken with {env:?}"))?;
            ensure!(loads_of(slot), "slot {slot} is taken and does not load: {env:?}");
            Ok(slot)
        };
        taken(None)?;
        let boots = taken(state.as_ref())?;
        Ok(Verdict { boots, state: state.map(|state| state.slot(self.target).state), loads })
    }

    /// Whether firmware would find an installed slot: its boot partition begins with anything but
    /// zeros and what it began with before. That errs on the strict side.
    fn loads<B, L>(&self, image: &CrashImage<'_, B, L>) -> Result<bool>
    where
        B: Storage + Sync,
        L: Storage + Sync,
    {
        let Some(_) = self.content else { return Ok(false) };
        let (start, _) = range(Role::Boot(self.target))?;
        let (mut first, mut before) = ([0; FIRST_BYTES], [0; FIRST_BYTES]);
        image.read_at(start, &mut first)?;
        image.base.read_at(start, &mut before)?;
        Ok(first != [0; FIRST_BYTES] && first != before)
    }

    fn is_complete<B, L>(&mut self, image: &CrashImage<'_, B, L>) -> Result<bool>
    where
        B: Storage + Sync,
        L: Storage + Sync,
    {
        let Some(content) = self.content else { return Ok(false) };
        let mut ranges = Vec::new();
        for (role, (len, _)) in content.parts(self.target) {
            let (start, _) = range(role)?;
            ranges.extend(image.extents.overlapping(start, start + len.get()));
        }
        if let Some((known, complete)) = &self.known
            && *known == ranges
        {
            return Ok(*complete);
        }
        let complete = content.is_in(image, self.target)?;
        self.known = Some((ranges, complete));
        Ok(complete)
    }
}

/// What the environment on the card says; nothing when no copy is valid.
fn boot_state<B, L>(image: &CrashImage<'_, B, L>) -> Result<Option<BootState>>
where
    B: Storage + Sync,
    L: Storage + Sync,
{
    let copies = QEMU.fw_env_config().copies.into_iter();
    let copies = copies.map(|place| Ok((image.card()?, place))).collect::<Result<Vec<_>>>()?;
    match EnvStore::open(copies)?.load() {
        Ok(loaded) => Ok(Some(BootState::from_env(&loaded.env).context("boot state")?)),
        Err(EnvError::Lost { .. } | EnvError::BothCorrupt { .. }) => Ok(None),
        Err(other) => Err(other).context("environment"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::write_log::tests::{Did, log_of};
    use super::super::{CrashImages, Effort, plan_cuts};
    use super::*;
    use crate::board::DISK_LEN;
    use bootctl::{AttemptsLeft, BundleId, SlotRecord};
    use repart::NewPartition;
    use storage::{
        ByteLen, Digest, FileStorage, Journal, Lba, MemoryStorage, OpKind, PartUuid, Recording,
        Shared, View,
    };
    use uuid::Uuid;

    const DISK: PartUuid = PartUuid(Uuid::from_u128(7));
    const SEAL: usize = 4096;
    const IMAGE: usize = 16 * SEAL;

    /// How an installer of these tests treats the medium.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Installer {
        /// As the commit protocol says.
        Honest,
        /// Writes the boot partition from its first byte on, before the rest is durable.
        WithoutSeal,
        /// Keeps the order of a seal and never waits for the medium.
        WithoutFlush,
        /// Lets the environment count before the seal is there.
        CommitsFirst,
        /// Writes more than the target.
        WritesTheRunningSlot,
    }

    /// A board with slot A alone.
    struct Board {
        base: FileStorage,
        journal: Journal,
        card: Shared<Recording<MemoryStorage>>,
        acts: Vec<Did>,
        _dir: tempfile::TempDir,
    }

    impl Board {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let card_len = QEMU.flash.size;
            let len = ByteLen::new(DISK_LEN.get() + card_len.get());
            let mut base = FileStorage::create_sparse(&dir.path().join("base"), len).unwrap();
            let partitions: Vec<NewPartition> = QEMU
                .partitions
                .iter()
                .filter(|one| one.size.is_some())
                .map(|one| NewPartition {
                    type_guid: one.type_guid,
                    part_uuid: match one.role {
                        Role::Boot(SlotId::B) => DISK,
                        Role::Boot(_) | Role::Rootfs(_) | Role::Data => {
                            PartUuid(Uuid::from_u128(u128::from(one.number) << 8))
                        }
                    },
                    label: one.label.to_owned(),
                    first_lba: Lba(one.start.get() / 512),
                    last_lba: Lba(one.end().unwrap().get() / 512 - 1),
                })
                .collect();
            let mut disk = View::new(&mut base, "disk", 0, DISK_LEN).unwrap();
            repart::create_table(&mut disk, DISK.0, &partitions).unwrap();

            let mut card = MemoryStorage::disk("card", vec![0; card_len.to_usize().unwrap()]);
            commit(&Shared::new(&mut card), &BootState::factory(DISK));
            for place in QEMU.fw_env_config().copies {
                let mut copy = vec![0; usize::try_from(place.env_bytes).unwrap()];
                card.read_at(place.offset, &mut copy).unwrap();
                base.write_at(DISK_LEN.get() + place.offset, &copy).unwrap();
            }
            let journal = Journal::new();
            let card = Shared::new(Recording::new(card, journal.clone()));
            Self { base, journal, card, acts: Vec::new(), _dir: dir }
        }

        /// One commit of the environment, sector by sector as a card takes it.
        fn commit(&mut self, state: &BootState) {
            let before = self.journal.op_count();
            commit(&self.card, state);
            for op in self.journal.ops().split_off(before) {
                let OpKind::Write { offset, data } = op.kind else { continue };
                for (number, sector) in (0..).zip(data.chunks(512)) {
                    let at = DISK_LEN.get() + offset + number * 512;
                    self.acts.push(Did::Write(at, sector.to_vec()));
                }
            }
        }

        fn write(&mut self, role: Role, offset: usize, data: &[u8]) {
            let start = range(role).unwrap().0 + offset as u64;
            self.acts.push(Did::Write(start, data.to_vec()));
        }

        fn install(&mut self, how: Installer) -> Content {
            let (boot, rootfs) = (Role::Boot(SlotId::B), Role::Rootfs(SlotId::B));
            let (kernel, root) = (image(1), image(2));
            let flush = |board: &mut Self| {
                if how != Installer::WithoutFlush {
                    board.acts.push(Did::Flush);
                }
            };
            let record = |state| SlotRecord {
                state,
                attempts: AttemptsLeft::DEFAULT,
                bundle: Some(BundleId::from_bytes([9; 16])),
            };
            let factory = BootState::factory(DISK);
            let b_tried = BootState {
                order: vec![SlotId::B, SlotId::A],
                b: record(SlotState::Trying),
                ..factory.clone()
            };
            self.commit(&BootState { b: record(SlotState::Writing), ..factory });
            if how == Installer::CommitsFirst {
                self.commit(&b_tried);
            }
            if how == Installer::WithoutSeal {
                self.write(boot, 0, &kernel);
                flush(self);
            }
            if how == Installer::WritesTheRunningSlot {
                self.write(Role::Rootfs(SlotId::A), 0, &root);
            }
            self.write(rootfs, 0, &root[..IMAGE / 2]);
            self.write(rootfs, IMAGE / 2, &root[IMAGE / 2..]);
            flush(self);
            if how != Installer::WithoutSeal {
                self.write(boot, SEAL, &kernel[SEAL..]);
                flush(self);
                for sector in (0..SEAL / 512).rev() {
                    let at = sector * 512;
                    self.write(boot, at, &kernel[at..at + 512]);
                    flush(self);
                }
            }
            if how != Installer::CommitsFirst {
                self.commit(&b_tried);
            }
            Content { boot: digest_of(&kernel), rootfs: digest_of(&root) }
        }
    }

    fn commit<S: Storage>(card: &Shared<S>, state: &BootState) {
        let mut env = uboot::Env::new();
        state.write_to(&mut env).unwrap();
        let copies = QEMU.fw_env_config().copies.into_iter();
        let mut store =
            EnvStore::open(copies.map(|place| (card.clone(), place)).collect()).unwrap();
        store.store_as_firmware(&env).unwrap();
    }

    /// No sector of it is zero.
    fn image(seed: usize) -> Vec<u8> {
        (0..IMAGE).map(|at| ((at / 512 * 7 + at + seed) % 251 + 1).to_le_bytes()[0]).collect()
    }

    fn digest_of(bytes: &[u8]) -> (ByteLen, Digest) {
        (ByteLen::new(bytes.len() as u64), Digest::from_bytes(openssl::sha::sha256(bytes)))
    }

    /// Verdicts over many cuts of an install, and the first fault.
    fn judge_all(how: Installer, consumer_sees_flushes: bool) -> Result<Vec<Verdict>> {
        let mut board = Board::new();
        let content = board.install(how);
        let data = log_of(&board.acts);
        let mut log = WriteLog::parse(&data).unwrap();
        if !consumer_sees_flushes {
            log.acts.retain(|act| *act != super::super::Act::Flush);
        }
        let mut judge = Judge::of_install(SlotId::B, content);
        judge.untouched(&log)?;
        let disk_bytes = DISK_LEN.get();
        let effort = Effort { between: 40, most: usize::MAX };
        let mut images = CrashImages::new(&board.base, &data, &log, disk_bytes);
        let cuts = plan_cuts(&log, disk_bytes, 1, effort);
        cuts.into_iter()
            .map(|cut| judge.judge(&images.image(cut)).with_context(|| cut.to_string()))
            .collect()
    }

    #[test]
    fn an_install_after_the_protocol_is_whole_at_every_cut() {
        let verdicts = judge_all(Installer::Honest, true).unwrap();
        let has =
            |boots, state, loads| verdicts.contains(&Verdict { boots, state: Some(state), loads });
        assert!(has(SlotId::A, SlotState::Empty, false));
        assert!(has(SlotId::A, SlotState::Writing, false));
        assert!(has(SlotId::A, SlotState::Writing, true));
        assert!(has(SlotId::B, SlotState::Trying, true));
    }

    #[test]
    fn an_install_that_breaks_the_protocol_is_found_out() {
        let fault = |how| format!("{:#}", judge_all(how, true).unwrap_err());
        assert!(fault(Installer::WithoutSeal).contains("slot B loads and is not complete"));
        assert!(fault(Installer::WithoutFlush).contains("slot B loads and is not complete"));
        assert!(fault(Installer::CommitsFirst).contains("no slot is taken"));
        assert!(fault(Installer::WritesTheRunningSlot).contains("writes to the running slot"));
    }

    #[test]
    fn flushes_are_what_makes_the_images_of_a_good_install_whole() {
        let fault = format!("{:#}", judge_all(Installer::Honest, false).unwrap_err());
        assert!(fault.contains("slot B loads and is not complete"), "{fault}");
    }
}
