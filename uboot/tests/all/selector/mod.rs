// SPDX-License-Identifier: MIT OR Apache-2.0
//! The generated selector, run by a model of U-Boot's shell over many environments.

mod slot_script;

use crate::hush::{End, Firmware};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use uboot::{
    ButtonFacts, Env, MassStorageFacts, SelectorFacts, TEMPORARIES, TRAIL, WatchdogFacts,
    selector_script, selector_variables,
};

const DISK: &str = "0f0e0d0c-0b0a-4908-8706-050403020100";

fn facts() -> SelectorFacts {
    SelectorFacts {
        interface: "mmc".to_owned(),
        device: 0,
        boot_labels: ["boot-a".to_owned(), "boot-b".to_owned()],
        script_path: "boot.scr".to_owned(),
        script_address: 0x0050_0000,
        watchdog: Some(WatchdogFacts {
            name: "watchdog@ff1a0000".to_owned(),
            timeout_millis: 120_000,
        }),
        button: Some(ButtonFacts { pin: "100".to_owned(), hold_secs: 5 }),
        mass_storage: Some(MassStorageFacts { controller: 0 }),
    }
}

/// A whole board with this environment in storage.
fn board(variables: &[(&str, &str)]) -> Firmware {
    let defaults: BTreeMap<String, String> = selector_variables(&facts()).into_iter().collect();
    let labels = BTreeSet::from(["boot-a".to_owned(), "boot-b".to_owned()]);
    let mut saved = defaults.clone();
    for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
        saved.insert((*name).to_owned(), (*value).to_owned());
    }
    Firmware {
        saved: Some(saved),
        defaults,
        partitions: ["boot-a", "rootfs-a", "boot-b", "rootfs-b"]
            .map(|label| (label.to_owned(), DISK.to_owned()))
            .to_vec(),
        sealed: labels.clone(),
        starts: labels,
        save_works: true,
        ..Firmware::default()
    }
}

/// A known board: order, attempts and states of A and B.
fn known(order: &str, a: (&str, &str), b: (&str, &str)) -> Firmware {
    board(&[
        ("atomix_env", "1"),
        ("atomix_disk", DISK),
        ("BOOT_ORDER", order),
        ("BOOT_A_LEFT", a.1),
        ("BOOT_B_LEFT", b.1),
        ("atomix_state_A", a.0),
        ("atomix_state_B", b.0),
    ])
}

fn started(slot: &str, reason: &str) -> End {
    let args = format!("rauc.slot={slot} atomix.reason={reason} atomix.selector=1");
    End::Started { slot: slot.to_owned(), args }
}

fn saved<'a>(board: &'a Firmware, name: &str) -> &'a str {
    board.saved.as_ref().and_then(|env| env.get(name)).map_or("", String::as_str)
}

#[test]
fn a_good_slot_starts_and_its_attempt_is_saved_first() {
    let mut board = known("A B", ("good", "3"), ("empty", ""));
    assert_eq!(board.power_on(), started("A", "normal"));
    assert_eq!((saved(&board, "BOOT_A_LEFT"), board.saves), ("2", 1));
    assert_eq!(saved(&board, "atomix_last"), "A");
    assert_eq!(saved(&board, "atomix_reason"), "normal");
}

#[test]
fn an_update_that_never_confirms_is_left_after_its_attempts() {
    let mut board = known("B A", ("good", "3"), ("trying", "3"));
    for left in ["2", "1", "0"] {
        assert_eq!(board.power_on(), started("B", "trying"));
        assert_eq!(saved(&board, "BOOT_B_LEFT"), left);
    }
    assert_eq!(board.power_on(), started("A", "fallback"));
    assert_eq!(saved(&board, "atomix_state_B"), "bad");
    assert_eq!(saved(&board, "BOOT_A_LEFT"), "2");
}

#[test]
fn a_good_slot_that_runs_out_with_no_other_is_given_its_attempts_back() {
    let mut board = known("A", ("good", "0"), ("empty", "3"));
    assert_eq!(board.power_on(), started("A", "attempts-reset"));
    assert_eq!((saved(&board, "BOOT_A_LEFT"), saved(&board, "atomix_state_A")), ("2", "good"));
}

#[test]
fn a_good_slot_outside_the_order_comes_before_a_bad_one() {
    let mut board = known("A", ("bad", "0"), ("good", "0"));
    assert_eq!(board.power_on(), started("B", "attempts-reset"));
}

#[test]
fn a_lost_environment_tries_both_slots_and_remembers_it() {
    let mut board = board(&[]);
    board.saved = None;
    for (slot, left) in [("A", "2"), ("A", "1"), ("A", "0"), ("B", "2"), ("B", "1"), ("B", "0")] {
        assert_eq!(board.power_on(), started(slot, "env-lost"));
        assert_eq!(saved(&board, &format!("BOOT_{slot}_LEFT")), left);
    }
    assert_eq!(saved(&board, "atomix_disk"), DISK);
    assert_eq!(board.power_on(), started("A", "last-resort"));
}

#[test]
fn an_environment_of_another_disk_is_not_believed() {
    let mut board = known("B", ("bad", "0"), ("good", "3"));
    board.saved.as_mut().unwrap().insert("atomix_disk".to_owned(), DISK.replace('0', "1"));
    assert_eq!(board.power_on(), started("A", "foreign-disk"));
    assert_eq!(saved(&board, "BOOT_ORDER"), "A B");
    assert_eq!(saved(&board, "atomix_state_B"), "unknown");
}

/// Otherwise the data of another board's disk would be wiped when it is put into this one.
#[test]
fn what_was_asked_of_another_disk_is_not_done_to_this_one() {
    for (disk, kept) in [(DISK.to_owned(), "1"), (DISK.replace('0', "1"), "")] {
        let mut board = known("A", ("good", "3"), ("empty", ""));
        let env = board.saved.as_mut().unwrap();
        env.insert("atomix_disk".to_owned(), disk);
        for name in ["_RUT_OH_", "atomix_reset_data"] {
            env.insert(name.to_owned(), "1".to_owned());
        }
        board.power_on();
        for name in ["_RUT_OH_", "atomix_reset_data"] {
            assert_eq!(saved(&board, name), kept, "{name}");
        }
    }
}

/// A stale environment of another U-Boot, in which nothing is ours.
#[test]
fn addresses_of_a_foreign_environment_are_forgotten_and_those_of_ours_are_kept() {
    for (marker, kept) in [("", ""), ("1", "0x1fffffff")] {
        let mut board = known("A", ("good", "3"), ("empty", ""));
        let env = board.saved.as_mut().unwrap();
        for name in ["fdt_high", "initrd_high", "bootm_low", "bootm_size", "bootm_mapsize"] {
            env.insert(name.to_owned(), "0x1fffffff".to_owned());
        }
        env.insert("ethaddr".to_owned(), "02:00:00:00:00:01".to_owned());
        if marker.is_empty() {
            env.remove("atomix_env");
        }
        board.power_on();
        for name in ["fdt_high", "initrd_high", "bootm_low", "bootm_size", "bootm_mapsize"] {
            assert_eq!(saved(&board, name), kept, "{name}");
        }
        assert_eq!(saved(&board, "ethaddr"), "02:00:00:00:00:01");
    }
}

#[test]
fn an_unreadable_partition_table_makes_nothing_forgotten() {
    let mut board = known("A B", ("good", "3"), ("bad", "0"));
    board.partitions.clear();
    let before = board.saved.clone();
    assert_eq!(board.power_on(), End::Reset);
    assert_eq!((board.saved, board.saves), (before, 0));
}

#[test]
fn when_nothing_can_be_saved_a_trying_slot_is_never_started() {
    let mut board = known("B A", ("good", "3"), ("trying", "3"));
    board.save_works = false;
    assert_eq!(board.power_on(), started("A", "env-unwritable"));
    let mut board = known("B", ("bad", "0"), ("trying", "3"));
    board.save_works = false;
    assert_eq!(board.power_on(), started("A", "env-unwritable"));
}

#[test]
fn both_bad_slots_alternate_with_a_growing_pause() {
    let mut board = known("A B", ("bad", "0"), ("trying", "0"));
    let mut pauses = Vec::new();
    for slot in ["A", "B", "A", "B", "A", "B"] {
        board.trace.clear();
        assert_eq!(board.power_on(), started(slot, "last-resort"));
        pauses.extend(board.trace.iter().filter(|act| act.starts_with("sleep")).cloned());
    }
    let expected = ["10", "30", "60", "120", "300", "300"].map(|secs| format!("sleep {secs}"));
    assert_eq!(pauses, expected);
    assert_eq!(saved(&board, "atomix_last"), "B 5");
}

#[test]
fn last_resort_skips_what_is_not_sealed_and_ends_in_recovery() {
    let mut board = known("A B", ("bad", "0"), ("bad", "0"));
    board.sealed.remove("boot-a");
    assert_eq!(board.power_on(), started("B", "last-resort"));
    assert_eq!(board.power_on(), started("B", "last-resort"));
    board.sealed.clear();
    board.trace.clear();
    assert_eq!(board.power_on(), End::Reset);
    assert_eq!(board.trace, ["ums 0 mmc 0"]);
}

#[test]
fn a_kernel_that_does_not_load_is_the_next_attempt_with_its_reason() {
    let mut board = known("B A", ("good", "3"), ("trying", "1"));
    board.starts.remove("boot-b");
    assert_eq!(board.power_on(), End::Reset);
    assert_eq!(saved(&board, "atomix_reason"), "load-failed");
    assert_eq!(board.power_on(), started("A", "load-failed"));
    assert_eq!(saved(&board, "atomix_reason"), "fallback");
    assert_eq!(board.power_on(), started("A", "fallback"));
}

#[test]
fn the_watchdog_is_armed_after_the_attempt_is_saved() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    board.power_on();
    assert_eq!(board.trace, ["saveenv", "wdt dev watchdog@ff1a0000", "wdt start 120000"]);
}

#[test]
fn a_held_button_and_a_request_lead_to_recovery_once() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    board.button = vec![true, true, false, false];
    assert_eq!(board.power_on(), End::Reset);
    assert_eq!(board.trace, ["sleep 5", "sleep 3", "sleep 3", "ums 0 mmc 0"]);
    board.button = vec![true, false];
    assert_eq!(board.power_on(), started("A", "normal"));

    board.saved.as_mut().unwrap().insert("START_UMS".to_owned(), "1".to_owned());
    board.trace.clear();
    assert_eq!(board.power_on(), End::Reset);
    assert_eq!(board.trace, ["saveenv", "ums 0 mmc 0"]);
    assert_eq!(board.power_on(), started("A", "normal"));

    board.saved.as_mut().unwrap().insert("START_UMS".to_owned(), "1".to_owned());
    board.save_works = false;
    assert_eq!(board.power_on(), started("A", "env-unwritable"), "it could not be cleared");
}

#[test]
fn only_a_button_pressed_twice_opens_the_prompt_and_nothing_is_saved_then() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    board.button = vec![true, true, false, true];
    assert_eq!(board.power_on(), End::Prompt);
    assert_eq!(
        (board.trace.as_slice(), board.saves),
        (["sleep 5", "sleep 3", "sleep 3"].map(str::to_owned).as_slice(), 0)
    );
    // A prompt is for this time only, also when the person saved the environment there.
    board.saved.as_mut().unwrap().insert("atomix_stay".to_owned(), "1".to_owned());
    assert_eq!(board.power_on(), started("A", "normal"));
}

/// USB mass storage tells by its status whether a host ejected the disk or nobody was there.
#[test]
fn a_stuck_button_delays_the_boot_and_does_not_prevent_it() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    board.button = vec![true; 10];
    board.failing.insert("ums".to_owned());
    // What an earlier boot left in the environment is not this one's answer.
    board.saved.as_mut().unwrap().insert("atomix_ok".to_owned(), "1".to_owned());
    assert_eq!(board.power_on(), started("A", "normal"));
    assert_eq!(board.trace[..3], ["sleep 5", "sleep 3", "ums 0 mmc 0"]);
}

#[test]
fn an_environment_without_bootcmd_or_with_a_foreign_one_boots_the_same() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    board.saved.as_mut().unwrap().remove("bootcmd");
    assert_eq!(board.power_on(), started("A", "normal"));
    board.saved.as_mut().unwrap().insert("bootcmd".to_owned(), "ums 0 mmc 0".to_owned());
    assert_eq!(board.power_on(), started("A", "normal"));
}

#[test]
fn a_button_held_until_the_host_ejects_opens_the_prompt_and_one_let_go_resets() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    for (after, end) in [(true, End::Prompt), (false, End::Reset)] {
        board.button = vec![true, true, true, after];
        board.trace.clear();
        assert_eq!(board.power_on(), end);
        assert_eq!(board.trace, ["sleep 5", "sleep 3", "ums 0 mmc 0"]);
        assert_eq!(board.saves, 0);
    }
}

/// Nobody came for ten minutes: the board boots, and the request does not come back.
#[test]
fn a_request_for_mass_storage_that_nobody_serves_costs_one_reset() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    board.saved.as_mut().unwrap().insert("START_UMS".to_owned(), "1".to_owned());
    board.failing.insert("ums".to_owned());
    assert_eq!(board.power_on(), End::Reset);
    assert_eq!(board.trace, ["saveenv", "ums 0 mmc 0"], "cleared before it is obeyed");
    assert_eq!(board.power_on(), started("A", "normal"));
}

#[test]
fn a_watchdog_that_cannot_be_armed_does_not_keep_a_slot_from_booting() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    board.failing.insert("wdt".to_owned());
    assert_eq!(board.power_on(), started("A", "normal"));
    assert_eq!(board.trace, ["saveenv", "wdt dev watchdog@ff1a0000", "wdt start 120000"]);
}

/// A pause of minutes with a watchdog that runs would be cut short, for ever.
#[test]
fn the_watchdog_is_armed_after_the_pause_of_a_last_resort() {
    let mut board = known("A B", ("bad", "0"), ("bad", "0"));
    for (slot, pause) in ["A", "B", "A", "B", "A", "B"].into_iter().zip([10, 30, 60, 120, 300, 300])
    {
        board.trace.clear();
        assert_eq!(board.power_on(), started(slot, "last-resort"));
        let acts: Vec<&str> = board.trace.iter().map(String::as_str).collect();
        let pause = format!("sleep {pause}");
        assert_eq!(acts, ["saveenv", &pause, "wdt dev watchdog@ff1a0000", "wdt start 120000"]);
    }
}

#[test]
fn scripts_in_a_stored_environment_are_not_run() {
    let mut board = known("A", ("good", "3"), ("empty", ""));
    for (name, value) in board.saved.as_mut().unwrap() {
        if name.starts_with("atomix_") && !name.starts_with("atomix_state") && value.len() > 40 {
            *value = "reset".to_owned();
        }
    }
    board.saved.as_mut().unwrap().insert("atomix_disk".to_owned(), DISK.to_owned());
    board.saved.as_mut().unwrap().insert("atomix_s".to_owned(), "B".to_owned());
    assert_eq!(board.power_on(), started("A", "normal"));
}

#[test]
fn every_state_variable_at_its_longest_leaves_a_quarter_of_32_kib_free() {
    let mut env = Env::new();
    for (name, value) in selector_variables(&facts()) {
        env.set(&name, &value).unwrap();
    }
    let scripts = env.used_bytes();
    let digest = "f".repeat(32);
    let failed = vec![digest.clone(); 8].join(" ");
    for (name, value) in [
        ("BOOT_ORDER", "A B"),
        ("BOOT_A_LEFT", "9"),
        ("BOOT_B_LEFT", "9"),
        ("START_UMS", "1"),
        ("atomix_env", "1"),
        ("atomix_state_A", "unknown"),
        ("atomix_state_B", "unknown"),
        ("atomix_digest_A", &digest),
        ("atomix_digest_B", &digest),
        ("atomix_failed", &failed),
        ("atomix_last", "B 5"),
        ("atomix_disk", DISK),
        ("atomix_reason", "env-unwritable"),
        ("bootargs", &"x".repeat(512)),
    ] {
        env.set(name, value).unwrap();
    }
    for name in TEMPORARIES {
        env.set(name, &"x".repeat(64)).unwrap();
    }
    // As many words as U-Boot takes at once, each the longest there is.
    for name in TRAIL {
        env.set(name, &vec!["99.A2.attempts-reset.load-failed"; 14].join(" ")).unwrap();
    }
    // U-Boot's own defaults (addresses, boot targets, serial number) measured at about 3 KiB.
    let used = env.used_bytes() + 3 * 1024;
    assert!(scripts < 10 * 1024 && used < 32 * 1024 * 3 / 4, "scripts {scripts}, all {used}");
}

#[test]
fn each_variable_is_one_line_that_a_default_environment_can_hold() {
    let text = selector_script(&facts());
    let variables = selector_variables(&facts());
    assert_eq!(text.lines().count(), variables.len());
    let mut names = BTreeSet::new();
    for (name, value) in &variables {
        assert!(names.insert(name), "{name} is there twice");
        assert!(name == "bootcmd" || name.starts_with("atomix_"), "{name}");
        assert!(!TEMPORARIES.contains(&name.as_str()), "{name} is also a temporary");
        // CONFIG_SYS_CBSIZE of the smallest board: also typed at the prompt it must fit.
        assert!(value.len() < 1024, "{name} has {} bytes", value.len());
        assert!(!value.contains("setexpr") && !value.contains('\n') && value.is_ascii());
    }
}

fn states() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "empty", "writing", "trying", "good", "bad", "unknown", "?"])
}

fn lefts() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "0", "1", "2", "3", "9", "10", "a", "0x3"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_environment_starts_an_empty_or_writing_slot_or_stands_still(
        order in prop::sample::select(vec!["", "A", "B", "A B", "B A", "C B A", "B B A", "A; reset"]),
        state_a in states(), state_b in states(), left_a in lefts(), left_b in lefts(),
        last in prop::sample::select(vec!["", "A", "B", "A 1", "B 5"]),
        save_works: bool, sealed_a: bool, sealed_b: bool, starts_a: bool, starts_b: bool,
    ) {
        let mut board = known(order, (state_a, left_a), (state_b, left_b));
        if !last.is_empty() {
            board.saved.as_mut().unwrap().insert("atomix_last".to_owned(), last.to_owned());
        }
        board.save_works = save_works;
        for (label, sealed, starts) in
            [("boot-a", sealed_a, starts_a), ("boot-b", sealed_b, starts_b)]
        {
            if !sealed { board.sealed.remove(label); }
            if !starts { board.starts.remove(label); }
        }
        let end = board.power_on();
        prop_assert!(board.saves <= 2);
        if let End::Started { slot, args } = end {
            let (state, left) = if slot == "A" { (state_a, left_a) } else { (state_b, left_b) };
            prop_assert!(state != "empty" && state != "writing");
            let last_resort = args.contains("last-resort");
            prop_assert!(state != "bad" || last_resort || !save_works);
            if state == "trying" && !last_resort && save_works {
                let before: u8 = left.parse().unwrap();
                let after: u8 = saved(&board, &format!("BOOT_{slot}_LEFT")).parse().unwrap();
                prop_assert_eq!(after + 1, before);
            }
            prop_assert_eq!(save_works, !args.contains("env-unwritable"));
        }
    }
}
