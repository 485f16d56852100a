// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot state with its keeper and its memory, while other programs change it too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use bootctl::{
    AttemptsLeft, BootBackend, BootControl, BootState, Command, ControlParts, Entry, LateFallback,
    Reason, Recorder, SlotId, SlotState, Timestamp, UbootBackend, transition,
};
use std::path::PathBuf;
use storage::{MemoryStorage, Shared, Storage};
use uboot::{CopyPlace, Env, EnvStore};

type Flash = Shared<MemoryStorage>;

fn backend(flash: &Flash) -> UbootBackend<Flash> {
    let place = |offset| CopyPlace {
        device: PathBuf::from("/dev/mtd0"),
        offset,
        env_bytes: 0x2000,
        erase_bytes: 0x1000,
        sectors: 2,
    };
    let copies = [0, 0x2000].map(|offset| (flash.clone(), place(offset)));
    UbootBackend::with_defaults(EnvStore::open(copies.into()).unwrap(), Env::new())
}

/// What a boot leaves whose selector turned B bad: it is still in the order.
fn b_was_left() -> BootState {
    let disk = "11111111-2222-3333-4444-555555555555".parse().unwrap();
    let mut state = BootState::factory(disk);
    state.order = vec![SlotId::B, SlotId::A];
    state.a.attempts = AttemptsLeft::ONE;
    state.b.state = SlotState::Bad;
    state
}

/// The control of a boot from A, which has loaded that state.
fn begun(flash: &Flash) -> BootControl {
    let mut keeper = backend(flash);
    let lost = keeper.load().unwrap();
    keeper.store(&lost, &b_was_left()).unwrap();
    let memory: Box<dyn Storage> = Box::new(MemoryStorage::nor("log", vec![0xff; 0x4000], 0x1000));
    let control = BootControl::load(ControlParts {
        backend: Box::new(backend(flash)),
        recorder: Ok(Recorder::open(memory, 0x1000).unwrap()),
        booted: Some(SlotId::A),
        late_fallback: LateFallback::Allowed,
        at: Timestamp::UNKNOWN,
    });
    control.unwrap()
}

/// Another program stores a change after the control loaded the state.
fn meanwhile(flash: &Flash, command: &Command) -> BootState {
    let mut keeper = backend(flash);
    let seen = keeper.load().unwrap();
    let next = transition(&seen, Some(SlotId::A), command).unwrap();
    keeper.store(&seen, &next).unwrap();
    next
}

fn flash() -> Flash {
    Shared::new(MemoryStorage::nor("spi", vec![0xff; 0x4000], 0x1000))
}

fn fell_back(control: &mut BootControl) -> usize {
    let told = control.history();
    told.iter().filter(|record| matches!(record.entry, Entry::FellBack { .. })).count()
}

#[test]
fn a_boot_is_put_down_on_top_of_what_was_stored_meanwhile() {
    let flash = flash();
    let mut control = begun(&flash);
    meanwhile(&flash, &Command::RestoreAttempts { slot: SlotId::A });
    control.reconcile(Some(Reason::Fallback)).unwrap();
    let stored = backend(&flash).load().unwrap();
    assert_eq!(stored.order, [SlotId::A], "what the selector turned bad leaves the order");
    assert_eq!(stored.a.attempts, AttemptsLeft::DEFAULT, "the other program's change is undone");
    assert_eq!((&stored, fell_back(&mut control)), (control.state(), 1));
}

#[test]
fn an_install_that_began_meanwhile_is_not_taken_for_a_fallback() {
    let flash = flash();
    let mut control = begun(&flash);
    let install = meanwhile(&flash, &Command::BeginInstall { target: SlotId::B });
    control.reconcile(Some(Reason::Fallback)).unwrap();
    assert_eq!(backend(&flash).load().unwrap(), install);
    // Nothing was stored, and nothing is remembered of a change that did not happen.
    assert_eq!(fell_back(&mut control), 0);
}
