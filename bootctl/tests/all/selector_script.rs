// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generated selector script against its definition: both run over the same environments.
//!
//! The script is what boards run and `select` is what everything else believes; this comparison is
//! what makes them one transition system.

use crate::hush::{End, Firmware};
use bootctl::{
    BootState, FirmwareFacts, PerSlot, SelectStep, Selection, SlotId, read_trail, select,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uboot::{Env, SELECTOR_VERSION, SelectorFacts, TRAIL, selector_variables};

const DISK: &str = "0f0e0d0c-0b0a-4908-8706-050403020100";
const OTHER_DISK: &str = "1f0e0d0c-0b0a-4908-8706-050403020100";
const DIGEST: &str = "00112233445566778899aabbccddeeff";

const STATES: [&str; 10] =
    ["empty", "writing", "trying", "good", "bad", "unknown", "", "excellent", " good", "good "];
const LEFTS: [&str; 13] = [
    "",
    "0",
    "1",
    "2",
    "3",
    "9",
    "10",
    "a",
    "0x3",
    "03",
    " 3",
    "3 ",
    "3 x x x x x x x x x x x x x x",
];
const ORDERS: [&str; 13] = [
    "", "A", "B", "A B", "B A", "A A B", "C B A", "B C", "system0", "A B A B", " B\t A ", "B\nA",
    "B\rA",
];
const LASTS: [&str; 14] =
    ["", "A", "B", "A 1", "B 2", "A 4", "B 5", "A 9", "B x", "C", "1", "1 A", "A  2", "A end"];
/// Variables of the trail, in their order: new, within ten, before a change of the tens, beyond the
/// last number, and what somebody else may have left there.
const TRAILS: [[&str; 4]; 8] = [
    ["", "", "", ""],
    ["00.A2.normal", "", "0", "0"],
    ["10.B2.trying 11.B1.trying.load-failed", "09.A2.normal", "1", "1"],
    ["15.A2.normal 16.A1.normal 17.A0.normal 18.A.last-resort 19.B.last-resort", "x", "1", "9"],
    ["90.A2.normal", "89.A2.normal", "9", "9"],
    ["odd words", "", "x", "09"],
    ["", "", "", "7"],
    ["1 2 3 4 5 6 7 8 9 10 11 12 13", "", "3", "4"],
];
const REASONS: [&str; 5] = ["", "normal", "load-failed", "last-resort", " load-failed"];
const DISKS: [&str; 7] =
    [DISK, DISK, DISK, OTHER_DISK, "", "0F0E0D0C-0B0A-4908-8706-050403020100", "none"];

/// One environment and the board around it.
#[derive(Clone, Debug)]
struct Case {
    ours: bool,
    env_disk: &'static str,
    disk: Option<&'static str>,
    order: &'static str,
    states: [&'static str; 2],
    lefts: [&'static str; 2],
    last: &'static str,
    reason: &'static str,
    sealed: [bool; 2],
    save_works: bool,
    trail: [&'static str; 4],
}

impl Case {
    fn variables(&self) -> BTreeMap<String, String> {
        [
            ("atomix_env", if self.ours { "1" } else { "" }),
            ("atomix_disk", self.env_disk),
            ("BOOT_ORDER", self.order),
            ("atomix_state_A", self.states[0]),
            ("atomix_state_B", self.states[1]),
            ("BOOT_A_LEFT", self.lefts[0]),
            ("BOOT_B_LEFT", self.lefts[1]),
            ("atomix_digest_A", DIGEST),
            ("atomix_failed", DIGEST),
            ("atomix_last", self.last),
            ("atomix_reason", self.reason),
            ("atomix_returned", "B"),
            ("ethaddr", "02:00:00:00:00:01"),
        ]
        .into_iter()
        .chain(TRAIL.into_iter().zip(self.trail))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
    }

    fn model(&self) -> Selection {
        let state = BootState::from_env(&env_of(&self.variables())).ok();
        let facts = FirmwareFacts {
            disk: self.disk.map(|disk| disk.parse().unwrap()),
            save_works: self.save_works,
            loads: PerSlot { a: self.sealed[0], b: self.sealed[1] },
        };
        select(state.as_ref(), &facts)
    }

    fn board(&self, defaults: &BTreeMap<String, String>) -> Firmware {
        let mut saved = defaults.clone();
        saved.extend(self.variables());
        let labels = ["boot-a", "boot-b"].map(str::to_owned);
        let mut partitions = vec![("boot-a".to_owned(), OTHER_DISK.to_owned())];
        if let Some(disk) = self.disk {
            partitions.push(("boot-b".to_owned(), disk.to_owned()));
        }
        Firmware {
            saved: Some(saved),
            defaults: defaults.clone(),
            partitions,
            sealed: labels
                .iter()
                .zip(self.sealed)
                .filter(|(_, sealed)| *sealed)
                .map(|(label, _)| label.clone())
                .collect(),
            starts: BTreeSet::from(labels),
            save_works: self.save_works,
            ..Firmware::default()
        }
    }
}

fn env_of(variables: &BTreeMap<String, String>) -> Env {
    let mut env = Env::new();
    for (name, value) in variables {
        env.set(name, value).unwrap();
    }
    env
}

fn defaults() -> BTreeMap<String, String> {
    let facts = SelectorFacts {
        interface: "mmc".to_owned(),
        device: 0,
        boot_labels: ["boot-a".to_owned(), "boot-b".to_owned()],
        script_path: "boot.scr".to_owned(),
        script_address: 0x0050_0000,
        watchdog: None,
        button: None,
        mass_storage: None,
    };
    selector_variables(&facts).into_iter().collect()
}

/// Runs both and compares: which slot, with which arguments, and every variable saved.
fn compare(case: &Case, defaults: &BTreeMap<String, String>) {
    // A board without boot-b has nothing that could load from it.
    let mut case = case.clone();
    case.sealed[1] &= case.disk.is_some();
    let model = case.model();
    let mut board = case.board(defaults);
    let stored = board.saved.clone().unwrap();
    let end = board.power_on();
    let expected = match model.boots {
        Some(slot) => End::Started {
            slot: slot.to_string(),
            args: format!(
                "rauc.slot={slot} atomix.reason={} atomix.selector={SELECTOR_VERSION}",
                model.reason
            ),
        },
        None => End::Reset,
    };
    assert_eq!(end, expected, "{case:?}\nmodel: {model:?}\ntrace: {:?}", board.trace);
    let saved = board.saved.clone().unwrap();
    if model.save {
        let read = BootState::from_env(&env_of(&saved)).unwrap();
        assert_eq!(read, model.state, "{case:?}\nsteps: {:?}", model.steps);
        let mut modelled = env_of(&stored);
        model.write_to(&mut modelled).unwrap();
        for name in TRAIL {
            let saved = saved.get(name).map(String::as_str);
            assert_eq!(saved, modelled.get(name), "{name} of {case:?}");
        }
        assert_eq!(saved.get("ethaddr").map(String::as_str), Some("02:00:00:00:00:01"));
    } else {
        assert_eq!(saved, stored, "{case:?}: something was saved");
    }
    let pauses: Vec<&String> = board.trace.iter().filter(|act| act.starts_with("sleep")).collect();
    for step in &model.steps {
        if let (SelectStep::Paused { secs }, Some(_), true) = (step, model.boots, model.save) {
            assert_eq!(pauses, [&format!("sleep {secs}")], "{case:?}");
        }
    }
}

fn plain() -> Case {
    Case {
        ours: true,
        env_disk: DISK,
        disk: Some(DISK),
        order: "A B",
        states: ["good", "good"],
        lefts: ["3", "3"],
        last: "",
        reason: "",
        sealed: [true, true],
        save_works: true,
        trail: TRAILS[0],
    }
}

#[test]
fn script_and_model_agree_on_every_pair_of_states_at_the_edges() {
    let defaults = defaults();
    let mut cases = 0;
    for order in ["", "A", "B", "A B", "B A"] {
        for a in &STATES[..6] {
            for b in &STATES[..6] {
                for bits in 0..32 {
                    let bit = |index: u32| bits >> index & 1 == 1;
                    let left = |index| if bit(index) { "1" } else { "0" };
                    let case = Case {
                        order,
                        states: [a, b],
                        lefts: [left(0), left(1)],
                        sealed: [bit(2), bit(3)],
                        save_works: bit(4),
                        last: if bit(0) { "A" } else { "B 2" },
                        ..plain()
                    };
                    compare(&case, &defaults);
                    cases += 1;
                }
            }
        }
    }
    assert_eq!(cases, 5 * 36 * 32);
}

#[test]
fn script_and_model_agree_when_the_environment_is_lost_or_foreign() {
    let defaults = defaults();
    for ours in [true, false] {
        for env_disk in ["", DISK, OTHER_DISK] {
            for disk in [None, Some(DISK)] {
                for bits in 0..8 {
                    let bit = |index: u32| bits >> index & 1 == 1;
                    let case = Case {
                        ours,
                        env_disk,
                        disk,
                        order: "B A",
                        sealed: [bit(0), bit(1)],
                        save_works: bit(2),
                        reason: "load-failed",
                        ..plain()
                    };
                    compare(&case, &defaults);
                }
            }
        }
    }
}

#[test]
fn script_and_model_agree_on_a_board_that_is_left_alone() {
    let defaults = defaults();
    for states in [["good", "trying"], ["bad", "trying"], ["unknown", "unknown"], ["good", "bad"]] {
        for sealed in [[true, true], [true, false], [false, true]] {
            let case = Case { order: "B A", states, sealed, ..plain() };
            let mut board = case.board(&defaults);
            let mut state = BootState::from_env(&env_of(&case.variables())).unwrap();
            let mut modelled = env_of(&case.variables());
            for boot in 0..34 {
                let facts = FirmwareFacts {
                    disk: Some(DISK.parse().unwrap()),
                    save_works: true,
                    loads: PerSlot { a: sealed[0], b: sealed[1] },
                };
                let model = select(Some(&state), &facts);
                let slot = match board.power_on() {
                    End::Started { slot, .. } => Some(slot.parse::<SlotId>().unwrap()),
                    End::Reset => None,
                    End::Prompt => panic!("boot {boot} of {case:?} stands at the prompt"),
                };
                assert_eq!(slot, model.boots, "boot {boot} of {case:?}");
                model.write_to(&mut modelled).unwrap();
                if model.save {
                    state = model.state;
                }
                let saved = board.saved.clone().unwrap();
                let saved = env_of(&saved);
                assert_eq!(BootState::from_env(&saved).unwrap(), state, "boot {boot}");
                assert_eq!(read_trail(&saved), read_trail(&modelled), "boot {boot} of {case:?}");
            }
        }
    }
}

fn one_of<T: Clone + std::fmt::Debug + 'static>(
    values: impl IntoIterator<Item = T>,
) -> impl Strategy<Value = T> {
    prop::sample::select(values.into_iter().collect::<Vec<_>>())
}

fn any_case() -> impl Strategy<Value = Case> {
    let place = (
        prop::bool::weighted(0.9),
        one_of(DISKS),
        one_of([Some(DISK), Some(DISK), Some(DISK), None]),
    );
    let slots = (
        one_of(ORDERS),
        [one_of(STATES), one_of(STATES)],
        [one_of(LEFTS), one_of(LEFTS)],
        one_of(LASTS),
        one_of(REASONS),
        one_of(TRAILS),
    );
    (place, slots, any::<[bool; 2]>(), prop::bool::weighted(0.8)).prop_map(
        |((ours, env_disk, disk), slots, sealed, save_works)| {
            let (order, states, lefts, last, reason, trail) = slots;
            Case {
                ours,
                env_disk,
                disk,
                order,
                states,
                lefts,
                last,
                reason,
                sealed,
                save_works,
                trail,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn script_and_model_agree_on_any_environment(case in any_case()) {
        compare(&case, &defaults());
    }
}
