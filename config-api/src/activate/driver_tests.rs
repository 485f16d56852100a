// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole activations on virtual time: what fails goes back with its services, what is interrupted
//! goes on.

use super::*;
use crate::promote::{
    BootId, Command, Content, Generation, Item, Moment, Owner, Owners, PromoteError, Rollback,
    Source, State, Store,
};
use std::collections::BTreeMap;
use std::path::Path;
use storage::tree::{MemoryTrees, TreeImage, scan};
use verifier::{ActiveState, UnitStatus};

const OWNERS: Owners = Owners { root: (0, 0), app_service: (970, 970) };

struct Given;

impl Source for Given {
    fn each(
        &mut self,
        put: &mut dyn FnMut(Item<'_>) -> Result<(), PromoteError>,
    ) -> Result<(), PromoteError> {
        let policy = r#"{"required": ["web"], "timeout_seconds": 60, "settle_seconds": 5,
            "restart": ["web"], "allow_degraded": [], "allow_degraded_configured": false,
            "strategy": "rollback"}"#;
        let units = r#"{"app_user": "appsvc", "rootless_network": "pasta", "units": [{"name": "web",
            "filename": "web.container", "service": "web.service", "mode": "rootless"},
            {"name": "extra", "filename": "extra.container", "service": "extra.service",
             "mode": "rootful"}]}"#;
        for (name, text) in [("activation-policy.json", policy), ("quadlet-runtime.json", units)] {
            let content = Content::Bytes(text.as_bytes());
            put(Item { path: Path::new(name), owner: Owner::Root, mode: 0o600, content })?;
        }
        Ok(())
    }
}

/// A system in which each generation's service comes up so many seconds after it was applied, or
/// never.
#[derive(Default)]
struct World {
    now: u64,
    comes_up_after: BTreeMap<Generation, u64>,
    applied: Option<(Generation, u64)>,
    log: Vec<String>,
    confirmed_at: Option<u64>,
    broken: Option<(Generation, ApplyStep)>,
    extra_is_down: bool,
}

impl Services for World {
    fn apply(
        &mut self,
        step: ApplyStep,
        generation: Generation,
        _: Moment,
    ) -> Result<(), ServiceError> {
        self.log.push(format!("{} {generation}", step.name()));
        if self.broken == Some((generation, step)) {
            return Err(ServiceError::new("nft refuses it", "syntax error"));
        }
        self.applied = Some((generation, self.now));
        Ok(())
    }

    fn discard(&mut self) -> Result<(), ServiceError> {
        self.log.push("discard".to_owned());
        Ok(())
    }

    fn restart(&mut self, unit: &ServiceUnit) -> Result<(), ServiceError> {
        self.log.push(format!("restart {}", unit.name));
        Ok(())
    }

    fn status(&mut self, unit: &ServiceUnit) -> Result<UnitStatus, ServiceError> {
        if unit.name == "extra.service" && self.extra_is_down {
            return Err(ServiceError::new("no answer", "gone"));
        }
        let up = self.applied.and_then(|(generation, at)| {
            self.comes_up_after.get(&generation).map(|after| at + after)
        });
        let is_up = up.is_some_and(|up| self.now >= up);
        let active = if is_up { ActiveState::Active } else { ActiveState::Activating };
        let sub = "x".to_owned();
        Ok(UnitStatus { exists: true, active, was_started: true, sub, restarts: 0 })
    }

    fn is_confirmed(&mut self) -> bool {
        self.confirmed_at.is_some_and(|at| self.now >= at)
    }

    fn now(&mut self) -> Moment {
        Moment(self.now)
    }

    fn wait_until(&mut self, until: Moment) {
        self.now = self.now.max(until.0);
    }
}

const FIRST: Generation = Generation::FIRST;
const SECOND: Generation = Generation::new(2);

fn open(image: TreeImage, boot: &str, now: u64) -> Store {
    let trees: MemoryTrees = image.into();
    let boot = BootId(boot.to_owned());
    Store::recover(Box::new(trees), OWNERS, &boot, Moment(now)).unwrap().store
}

fn begin(store: &mut Store, world: &World) {
    let to = store.write(&mut Given).unwrap();
    let boot = BootId("one".to_owned());
    let now = Moment(world.now);
    store.apply(&Command::Promote { to, window_secs: 60, confirm_secs: None, boot, now }).unwrap();
}

fn run(store: &mut Store, world: &mut World, confirm_secs: Option<u64>) -> Report {
    let mut driver = Driver { store, services: world, confirm_secs, progress: &mut |_| {} };
    driver.run().unwrap()
}

/// A device that runs the first generation.
fn running() -> (Store, World) {
    let mut store = open(TreeImage::new(), "one", 0);
    let mut world = World::default();
    world.comes_up_after.insert(FIRST, 2);
    begin(&mut store, &world);
    let report = run(&mut store, &mut world, None);
    assert_eq!(report, Report::default());
    world.log.clear();
    (store, world)
}

fn committed(store: &Store) -> Option<(Generation, Option<Rollback>)> {
    match store.state() {
        State::Committed { generation, rollback } => Some((*generation, *rollback)),
        State::Unprovisioned { .. } | State::Pending { .. } | State::Reverting { .. } => None,
    }
}

#[test]
fn a_slow_configuration_is_committed() {
    let (mut store, mut world) = running();
    world.comes_up_after.insert(SECOND, 50);
    begin(&mut store, &world);
    run(&mut store, &mut world, None);
    assert_eq!(committed(&store), Some((SECOND, None)));
    assert_eq!(
        world.log,
        [
            "apply-users gen-2",
            "apply-network gen-2",
            "apply-firewall gen-2",
            "apply-quadlets gen-2",
            "apply-updates gen-2",
            "restart web.service"
        ]
    );
}

#[test]
fn one_that_does_not_come_up_goes_back_with_its_services() {
    let (mut store, mut world) = running();
    begin(&mut store, &world);
    let report = run(&mut store, &mut world, None);
    assert_eq!(report.rollback, Some(Rollback::Completed));
    assert!(report.failures[0].why.contains("when its time was over"), "{report:?}");
    assert_eq!(committed(&store), Some((FIRST, Some(Rollback::Completed))));
    assert!(world.log.contains(&"apply-quadlets gen-1".to_owned()), "{:?}", world.log);
}

#[test]
fn a_part_that_cannot_be_applied_goes_back_at_once() {
    let (mut store, mut world) = running();
    world.comes_up_after.insert(SECOND, 1);
    world.broken = Some((SECOND, ApplyStep::Firewall));
    let before = world.now;
    begin(&mut store, &world);
    let report = run(&mut store, &mut world, None);
    assert_eq!(report.failures[0].why, "nft refuses it: syntax error");
    assert_eq!(committed(&store), Some((FIRST, Some(Rollback::Completed))));
    assert!(world.now - before < 15);
}

#[test]
fn when_the_one_before_does_not_come_up_either_that_is_said() {
    let (mut store, mut world) = running();
    world.comes_up_after.clear();
    begin(&mut store, &world);
    let report = run(&mut store, &mut world, None);
    assert_eq!(report.rollback, Some(Rollback::Failed));
    assert_eq!(committed(&store), Some((FIRST, Some(Rollback::Failed))));
}

#[test]
fn a_first_configuration_that_fails_leaves_nobodys_device() {
    let mut store = open(TreeImage::new(), "one", 0);
    let mut world = World::default();
    begin(&mut store, &world);
    let report = run(&mut store, &mut world, None);
    assert_eq!(report.rollback, Some(Rollback::Discarded));
    assert!(!store.state().is_provisioned());
    assert_eq!(world.log.last().map(String::as_str), Some("discard"));
}

#[test]
fn without_a_confirmation_it_goes_back_and_with_one_it_stays() {
    for (confirmed_at, wanted) in [(None, FIRST), (Some(30), SECOND)] {
        let (mut store, mut world) = running();
        world.comes_up_after.insert(SECOND, 1);
        world.confirmed_at = confirmed_at.map(|after| world.now + after);
        begin(&mut store, &world);
        run(&mut store, &mut world, Some(60));
        assert_eq!(committed(&store).unwrap().0, wanted, "{confirmed_at:?}");
    }
}

#[test]
fn a_service_that_is_restarted_in_the_middle_goes_on() {
    let (mut store, mut world) = running();
    world.comes_up_after.insert(SECOND, 20);
    begin(&mut store, &world);
    let image = scan(store.trees()).unwrap();
    // The same boot, twenty seconds later: the rest of its time is enough.
    world.now += 20;
    let mut again = open(image.clone(), "one", world.now);
    run(&mut again, &mut world, None);
    assert_eq!(committed(&again), Some((SECOND, None)));
    // Another boot: the one before, and whatever starts at boot starts its services.
    let other = open(image.clone(), "two", 3);
    assert_eq!(committed(&other), Some((FIRST, Some(Rollback::Skipped))));
    // The same boot, too late: back, with its services.
    let mut late = open(image, "one", world.now + 600);
    world.log.clear();
    run(&mut late, &mut world, None);
    assert_eq!(committed(&late), Some((FIRST, Some(Rollback::Completed))));
    assert!(world.log.contains(&"apply-quadlets gen-1".to_owned()));
}

#[test]
fn at_boot_a_part_that_fails_keeps_no_other_from_being_applied() {
    let (mut store, mut world) = running();
    world.broken = Some((FIRST, ApplyStep::Network));
    let mut driver = Driver {
        store: &mut store,
        services: &mut world,
        confirm_secs: None,
        progress: &mut |_| {},
    };
    let failures = driver.apply_at_boot(&ApplyStep::ALL, 60);
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].unit, "apply-network");
    assert_eq!(world.log.len(), 5, "{:?}", world.log);
    assert_eq!(committed(&store), Some((FIRST, None)), "it still counts");
}

#[test]
fn a_service_that_nobody_requires_is_told_when_it_is_down_and_fails_nothing() {
    let (mut store, mut world) = running();
    world.comes_up_after.insert(SECOND, 1);
    world.extra_is_down = true;
    begin(&mut store, &world);
    let report = run(&mut store, &mut world, None);
    assert_eq!(report.degraded.len(), 1, "{report:?}");
    assert_eq!(report.degraded[0].unit, "extra.service");
    assert_eq!(committed(&store), Some((SECOND, None)));
}
