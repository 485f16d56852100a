// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search with played sources and a played helper, and sticks as they come.

use super::*;
use crate::jobs::{JobEvent, JobResult, RollbackStatus};
use crate::plain_text::COLUMNS;
use crate::promote::{Generation, Seed, SeedOutcome};
use crate::protocol::{Current, Grounds, HostAddress, Outcome};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use storage::Digest;

const GOOD: &str = include_str!("../../tests/fixtures/001-minimal/input.toml");

fn other() -> String {
    format!("{GOOD}\n# another one\n")
}

#[derive(Default)]
struct World {
    seed: Vec<(&'static str, Vec<u8>)>,
    sticks: BTreeMap<Volume, Vec<(&'static str, Vec<u8>)>>,
    current: Current,
    /// What fails, by content.
    sick: Vec<Vec<u8>>,
    /// Whether the helper is gone.
    is_down: bool,
    applied: Vec<(String, bool)>,
    noted: Vec<String>,
    looks: usize,
}

#[derive(Clone, Default)]
struct Played(Rc<RefCell<World>>);

fn look_of(files: &[(&'static str, Vec<u8>)]) -> Look {
    let files = files.iter().map(|(name, content)| (*name, Found::judge(name, content)));
    Look { filesystem: Some(FileSystem::Vfat), files: files.collect(), trouble: None }
}

impl Sources for Played {
    fn seed(&mut self) -> Look {
        Look { filesystem: None, ..look_of(&self.0.borrow().seed) }
    }

    fn volumes(&mut self) -> Result<Vec<Volume>, String> {
        Ok(self.0.borrow().sticks.keys().cloned().collect())
    }

    fn look(&mut self, volume: &Volume) -> Look {
        self.0.borrow_mut().looks += 1;
        self.0.borrow().sticks.get(volume).map(|files| look_of(files)).unwrap_or_default()
    }

    fn read(&mut self, volume: Option<&Volume>, name: &'static str) -> Result<Vec<u8>, String> {
        let world = self.0.borrow();
        let files = volume.map_or(Some(&world.seed), |volume| world.sticks.get(volume));
        let found = files.into_iter().flatten().find(|(own, _)| *own == name);
        found.map(|(_, content)| content.clone()).ok_or_else(|| "gone".to_owned())
    }
}

impl Door for Played {
    fn current(&mut self) -> Result<Current, DoorError> {
        if self.0.borrow().is_down {
            return Err(DoorError::Unexpected);
        }
        Ok(self.0.borrow().current.clone())
    }

    fn apply(
        &mut self,
        _: &str,
        content: &[u8],
        grounds: Grounds,
        tell: &mut dyn FnMut(JobEvent),
    ) -> Result<Outcome, DoorError> {
        let mut world = self.0.borrow_mut();
        let Grounds::FirstBoot { place, asked } = grounds else {
            return Err(DoorError::Unexpected);
        };
        world.applied.push((place.clone(), asked));
        tell(JobEvent::step("promote"));
        let digest = Digest::from_bytes(openssl::sha::sha256(content));
        let is_sick = world.sick.iter().any(|sick| sick == content);
        let outcome = if is_sick { SeedOutcome::Failed } else { SeedOutcome::Succeeded };
        let seed = Seed { outcome, ..Seed::new(digest, &place, 0, Generation::FIRST) };
        let before = world.current.seeds.list().to_vec();
        world.current.seeds = before.into_iter().chain([seed]).collect();
        world.current.provisioned = !is_sick;
        Ok(if is_sick {
            let error = "web.service: it is down".to_owned();
            Outcome::Failed { error, faults: Vec::new(), rollback: RollbackStatus::Discarded }
        } else {
            Outcome::Succeeded { result: JobResult::default() }
        })
    }

    fn note_refused(&mut self, place: &str, _: &str) -> Result<(), DoorError> {
        self.0.borrow_mut().noted.push(place.to_owned());
        Ok(())
    }
}

struct Bench {
    world: Played,
    search: Search<Played, Played>,
    now: u64,
    said: String,
}

impl Bench {
    fn new() -> Self {
        let world = Played::default();
        let search = Search::new(world.clone(), world.clone());
        Self { world, search, now: 0, said: String::new() }
    }

    fn plug(&self, name: &str, content: &str) -> Volume {
        let volume = Volume::new(name, 0, name, "1");
        let files = vec![("config.toml", content.as_bytes().to_vec())];
        self.world.0.borrow_mut().sticks.insert(volume.clone(), files);
        volume
    }

    fn turn(&mut self) -> Turn {
        self.now += 1;
        let said = &mut self.said;
        self.search.turn(self.now, &mut |words| said.push_str(words))
    }

    fn hear(&mut self, line: &str) {
        let said = &mut self.said;
        self.search.hear(line, self.now, &mut |words| said.push_str(words));
    }

    fn applied(&self) -> Vec<String> {
        self.world.0.borrow().applied.iter().map(|(place, _)| place.clone()).collect()
    }

    fn check_screen(&self) {
        for line in self.said.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
    }
}

#[test]
fn a_device_that_has_its_configuration_looks_at_nothing() {
    let mut bench = Bench::new();
    bench.plug("sdb", GOOD);
    bench.world.0.borrow_mut().current.provisioned = true;
    assert_eq!(bench.turn(), Turn::Finished);
    assert_eq!((bench.world.0.borrow().looks, bench.applied()), (0, vec![]));
}

#[test]
fn while_one_is_tried_nothing_else_is_and_its_failure_lets_the_search_go_on() {
    let mut bench = Bench::new();
    bench.plug("sdb", GOOD);
    let set = |bench: &Bench, provisioned, unproven| {
        let mut world = bench.world.0.borrow_mut();
        (world.current.provisioned, world.current.unproven) = (provisioned, unproven);
    };
    set(&bench, true, true);
    assert_eq!((bench.turn(), bench.turn()), (Turn::Waiting, Turn::Waiting));
    assert!(bench.applied().is_empty());
    set(&bench, false, false);
    assert_eq!(bench.turn(), Turn::Waiting);
    assert_eq!(bench.applied(), ["sdb config.toml"]);
    assert_eq!(bench.turn(), Turn::Finished);
}

#[test]
fn a_bad_seed_is_told_with_its_faults_and_the_next_source_is_taken() {
    let mut bench = Bench::new();
    bench.world.0.borrow_mut().seed = vec![("config.toml", b"version = 2\nwhat = 1\n".to_vec())];
    bench.turn();
    assert_eq!(bench.turn(), Turn::Waiting, "it is no dead end");
    assert!(bench.applied().is_empty());
    assert!(bench.said.contains("config.toml:1:11: version"), "{}", bench.said);
    assert!(bench.said.contains("config.toml:2:1: what"), "{}", bench.said);
    assert_eq!(bench.world.0.borrow().noted, ["/boot config.toml"], "once");
    // A stick that comes late.
    bench.plug("sdb", GOOD);
    bench.turn();
    assert_eq!(bench.applied(), ["sdb config.toml"]);
    assert_eq!(bench.turn(), Turn::Finished);
    bench.check_screen();
}

#[test]
fn the_seed_comes_before_sticks_and_sticks_in_their_order() {
    let mut bench = Bench::new();
    bench.plug("sdc", GOOD);
    bench.plug("sdb", &other());
    bench.world.0.borrow_mut().sick = vec![other().into_bytes()];
    bench.turn();
    assert_eq!(bench.applied(), ["sdb config.toml"]);
    assert!(bench.said.contains("sdb config.toml comes first of 2."), "{}", bench.said);
    bench.turn();
    assert_eq!(bench.applied()[1..], ["sdc config.toml"]);
    bench.check_screen();
    let mut bench = Bench::new();
    bench.plug("sdb", &other());
    bench.world.0.borrow_mut().seed =
        vec![("config.tgz", vec![0x1f, 0x8b]), ("config.toml", GOOD.into())];
    bench.turn();
    assert_eq!(bench.applied(), ["/boot config.toml"]);
}

#[test]
fn what_failed_is_not_tried_again_but_when_a_person_asks_or_it_changed() {
    let mut bench = Bench::new();
    bench.world.0.borrow_mut().sick = vec![GOOD.into()];
    let stick = bench.plug("sdb", GOOD);
    for _ in 0..200 {
        assert_eq!(bench.turn(), Turn::Waiting);
    }
    assert_eq!(bench.applied().len(), 1, "also after the time of its rest");
    assert_eq!(bench.said.matches("was taken and did not prove itself").count(), 1);
    bench.hear("again");
    bench.turn();
    assert_eq!(bench.world.0.borrow().applied[1..], [("sdb config.toml".to_owned(), true)]);
    // Pulled out, changed, and put in again.
    bench.world.0.borrow_mut().sticks.remove(&stick);
    bench.turn();
    assert!(bench.said.contains("sdb is gone."));
    bench.plug("sdb", &other());
    bench.turn();
    assert_eq!(bench.turn(), Turn::Finished);
}

#[test]
fn a_stick_that_changes_under_the_search_is_looked_at_anew() {
    let mut bench = Bench::new();
    bench.world.0.borrow_mut().is_down = true;
    assert_eq!((bench.turn(), bench.turn()), (Turn::Waiting, Turn::Waiting));
    assert_eq!(bench.said.matches("cannot ask what is in force").count(), 1);
    bench.world.0.borrow_mut().is_down = false;
    let stick = bench.plug("sdb", "version = 1");
    bench.turn();
    assert!(bench.applied().is_empty());
    let content = vec![("config.toml", GOOD.as_bytes().to_vec())];
    bench.world.0.borrow_mut().sticks.insert(stick, content);
    // The same insertion was looked at: the kernel tells of no new medium.
    bench.turn();
    assert!(bench.applied().is_empty());
}

#[test]
fn a_technician_pastes_sees_all_faults_and_pastes_again() {
    let mut bench = Bench::new();
    bench.turn();
    for line in ["paste", "version = 2", "what = 1", "."] {
        bench.hear(line);
    }
    assert!(bench.said.contains("version") && bench.said.contains("what"), "{}", bench.said);
    assert!(bench.said.contains("Nothing was taken"));
    bench.hear("paste");
    assert!(bench.search.is_pasting());
    for line in GOOD.lines() {
        bench.hear(line);
    }
    bench.hear(".");
    assert_eq!(bench.world.0.borrow().applied, [("console".to_owned(), true)]);
    bench.hear("status");
    assert!(bench.said.contains("taken: console"), "{}", bench.said);
    assert_eq!(bench.turn(), Turn::Finished);
    bench.check_screen();
}

#[test]
fn a_configuration_that_is_pasted_without_the_word_is_told_once() {
    let mut bench = Bench::new();
    bench.turn();
    bench.said.clear();
    for line in GOOD.lines() {
        bench.hear(line);
    }
    assert_eq!(bench.said.matches("paste before a configuration").count(), 1, "{}", bench.said);
    bench.now += 2;
    bench.hear("stauts");
    assert!(
        bench
            .said
            .ends_with("stauts: no word of mine; send help, or paste before a configuration\n")
    );
}

#[test]
fn a_helper_that_is_away_is_told_with_the_way_out() {
    let mut bench = Bench::new();
    bench.world.0.borrow_mut().is_down = true;
    bench.turn();
    bench.turn();
    assert_eq!(bench.said.matches("systemctl status").count(), 1, "{}", bench.said);
}

#[test]
fn where_the_device_is_reached_is_told_as_soon_as_it_is_known_and_when_it_changes() {
    let mut bench = Bench::new();
    let set = |bench: &Bench, last: &[u8]| {
        let place = |last: &u8| HostAddress {
            interface: "eth0".to_owned(),
            address: std::net::Ipv4Addr::new(192, 168, 1, *last),
        };
        bench.world.0.borrow_mut().current.addresses = last.iter().map(place).collect();
    };
    bench.turn();
    assert!(bench.said.contains("http://ADDRESS:8080"), "{}", bench.said);
    bench.said.clear();
    set(&bench, &[20]);
    bench.turn();
    bench.turn();
    assert_eq!(bench.said, "Its pages for browsers:\n  http://192.168.1.20:8080 (eth0)\n");
    bench.said.clear();
    bench.hear("help");
    assert!(bench.said.contains("  http://192.168.1.20:8080 (eth0)\n"), "{}", bench.said);
    assert!(!bench.said.contains("ADDRESS"), "{}", bench.said);
    bench.check_screen();
    bench.said.clear();
    set(&bench, &[]);
    bench.turn();
    assert_eq!(bench.said, "This device has no address now.\n");
    bench.said.clear();
    bench.hear("status");
    assert!(bench.said.starts_with("This device has no address now.\n"), "{}", bench.said);
}
