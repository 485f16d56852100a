// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's questions and marks on a board with our own boot protocol: what is read, what is refused,
//! and what is in both copies of the environment before a slot may be written.

use bootctl::{
    Activation, AtomixBoard, AtomixNamed, AttemptsLeft, BoardCause, BootBackend, BootControl,
    BootState, BundleId, ControlParts, LateFallback, NamedBoot, NamedMark, SlotId, SlotRecord,
    SlotState, Timestamp, UbootBackend,
};
use std::path::PathBuf;
use storage::{Access, MemoryStorage, Shared, Storage};
use uboot::{CopyPlace, Env, EnvStore};

type Flash = Shared<MemoryStorage>;

const COPY: u32 = 0x2000;
const SECOND: u64 = 0x2000;
const BUNDLE: BundleId = BundleId::from_bytes([7; 16]);

fn env_store(flash: &Flash) -> EnvStore<Flash> {
    let place = |offset| CopyPlace {
        device: PathBuf::from("/dev/mtd0"),
        offset,
        env_bytes: COPY,
        erase_bytes: 0x1000,
        sectors: 2,
    };
    let copies = [0, SECOND].map(|offset| (flash.clone(), place(offset)));
    EnvStore::open(copies.into()).unwrap()
}

fn stored(flash: &Flash) -> BootState {
    UbootBackend::new(env_store(flash)).load().unwrap()
}

fn flash(state: &BootState) -> Flash {
    let flash = Shared::new(MemoryStorage::nor("spi", vec![0xff; 0x4000], 0x1000));
    let mut keeper = UbootBackend::with_defaults(env_store(&flash), Env::new());
    let lost = keeper.load().unwrap();
    keeper.store(&lost, state).unwrap();
    keeper.store(state, state).unwrap();
    flash
}

/// A booted from A, with B as given.
fn booted_a(b: SlotRecord, order: &[SlotId]) -> BootState {
    let disk = "11111111-2222-3333-4444-555555555555".parse().unwrap();
    BootState { b, order: order.to_vec(), ..BootState::factory(disk) }
}

fn trying(attempts: AttemptsLeft) -> SlotRecord {
    SlotRecord { state: SlotState::Trying, attempts, bundle: Some(BUNDLE) }
}

struct Board {
    flash: Flash,
    seal: Result<(), &'static str>,
}

impl AtomixBoard for Board {
    fn open(&mut self, _access: Access) -> Result<BootControl, BoardCause> {
        Ok(BootControl::load(ControlParts {
            backend: Box::new(UbootBackend::new(env_store(&self.flash))),
            recorder: Err("no recorder".to_owned()),
            booted: Some(SlotId::A),
            late_fallback: LateFallback::Allowed,
            at: Timestamp::UNKNOWN,
        })?)
    }

    fn require_seal(&mut self, _slot: SlotId) -> Result<(), BoardCause> {
        self.seal.map_err(Into::into)
    }
}

fn named(flash: &Flash, seal: Result<(), &'static str>) -> AtomixNamed {
    AtomixNamed::new(Box::new(Board { flash: flash.clone(), seal }))
}

#[test]
fn an_update_on_trial_reads_good_while_it_has_attempts_and_is_in_the_order() {
    let both = [SlotId::B, SlotId::A];
    let flash_of = |b, order: &[SlotId]| flash(&booted_a(b, order));
    let mut boot = named(&flash_of(trying(AttemptsLeft::DEFAULT), &both), Ok(()));
    assert!(boot.is_good("B").unwrap() && boot.is_good("A").unwrap());
    assert_eq!(boot.primary().unwrap().as_deref(), Some("B"));
    assert_eq!(boot.current().unwrap().as_deref(), Some("A"));
    let mut boot = named(&flash_of(trying(AttemptsLeft::ZERO), &both), Ok(()));
    assert!(!boot.is_good("B").unwrap());
    assert_eq!(boot.primary().unwrap().as_deref(), Some("A"));
    let mut boot = named(&flash_of(trying(AttemptsLeft::ZERO), &[SlotId::A]), Ok(()));
    assert!(!boot.is_good("B").unwrap(), "staged");
    assert!(
        boot.is_good("rescue").unwrap_err().to_string().starts_with("uboot backend: \"rescue\"")
    );
}

#[test]
fn the_last_good_slot_is_not_given_up_under_raucs_name_either() {
    let flash = flash(&booted_a(trying(AttemptsLeft::DEFAULT), &[SlotId::B, SlotId::A]));
    let before = stored(&flash);
    let refusal = named(&flash, Ok(())).set_state("A", NamedMark::Bad).unwrap_err();
    assert_eq!(refusal.to_string(), "uboot backend: slot A is the last good slot");
    assert!(refusal.hint().is_some());
    assert_eq!(stored(&flash), before);
    named(&flash, Ok(())).set_state("B", NamedMark::Bad).unwrap();
    assert_eq!(stored(&flash).b.state, SlotState::Bad);
    assert!(named(&flash, Ok(())).is_known_failed(&BUNDLE).unwrap());
}

#[test]
fn a_slot_without_a_system_stays_what_it_is_when_marked_bad_and_is_never_primary() {
    for state in [SlotState::Empty, SlotState::Writing] {
        let flash = flash(&booted_a(SlotRecord { state, ..SlotRecord::EMPTY }, &[SlotId::A]));
        let mut boot = named(&flash, Ok(()));
        boot.set_state("B", NamedMark::Bad).unwrap();
        assert_eq!(stored(&flash).b.state, state);
        assert!(boot.set_primary("B").unwrap_err().to_string().contains("no complete system"));
        assert!(boot.set_state("B", NamedMark::Good).is_err());
        assert_eq!(stored(&flash).order, [SlotId::A]);
    }
}

#[test]
fn an_install_is_begun_in_both_copies_so_that_none_speaks_of_the_old_content() {
    let b = SlotRecord { state: SlotState::Good, ..trying(AttemptsLeft::DEFAULT) };
    let flash = flash(&booted_a(b, &[SlotId::B, SlotId::A]));
    named(&flash, Ok(())).begin_install("B").unwrap();
    for lost in [0, SECOND] {
        let mut damaged = Shared::new(MemoryStorage::nor("spi", vec![0xff; 0x4000], 0x1000));
        let kept = SECOND - lost;
        let mut copy = vec![0; usize::try_from(COPY).unwrap()];
        flash.clone().read_at(kept, &mut copy).unwrap();
        damaged.write_at(kept, &copy).unwrap();
        let state = stored(&damaged);
        assert_eq!(state.b.state, SlotState::Writing, "with the copy at {lost:#x} lost");
        assert_eq!(state.order, [SlotId::A]);
    }
    let booted = named(&flash, Ok(())).begin_install("A").unwrap_err();
    assert_eq!(booted.to_string(), "uboot backend: slot A is booted and cannot be written");
}

#[test]
fn an_install_is_finished_only_with_its_seal() {
    let flash = flash(&booted_a(SlotRecord::EMPTY, &[SlotId::A]));
    named(&flash, Ok(())).begin_install("B").unwrap();
    let mut unsealed = named(&flash, Err("slot B has no seal"));
    let refusal = unsealed.finish_install("B", BUNDLE, Activation::Activate).unwrap_err();
    assert!(refusal.to_string().ends_with("slot B has no seal"), "{refusal}");
    assert_eq!(stored(&flash).b.state, SlotState::Writing);
    named(&flash, Ok(())).finish_install("B", BUNDLE, Activation::Activate).unwrap();
    let state = stored(&flash);
    assert_eq!((state.b.state, state.b.bundle), (SlotState::Trying, Some(BUNDLE)));
    assert_eq!(state.order, [SlotId::B, SlotId::A]);
    let mut unsealed = named(&flash, Err("slot B has no seal"));
    assert!(unsealed.set_primary("B").is_err(), "a state set by other tools is not believed");
}

#[test]
fn a_lost_environment_is_not_begun_from_a_mark() {
    let flash = Shared::new(MemoryStorage::nor("spi", vec![0xff; 0x4000], 0x1000));
    let mut boot = named(&flash, Ok(()));
    let text = boot.set_primary("B").unwrap_err().to_string();
    assert!(text.contains("lost and cannot be begun anew"), "{text}");
    assert!(!boot.warnings().is_empty(), "and it is told");
    let mut all = vec![0; 0x4000];
    flash.clone().read_at(0, &mut all).unwrap();
    assert!(all.iter().all(|byte| *byte == 0xff), "nothing was written");
}
