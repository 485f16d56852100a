// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which scenarios does a run play? Pure.
//!
//! [`CI_SET`] is the one place that says what `cargo xtask e2e` plays without names. Every other
//! test of the crate carries `#[ignore]`, and the two are compared before each run: a scenario is
//! in the set or says that it is not, and none is skipped in silence.

/// What is played without names, in this order.
pub const CI_SET: [&str; 40] = [
    // The whole chain, in the guest.
    "rauc_slots_are_seen_and_named",
    "a_flashed_board_makes_its_other_slot_and_data_at_first_boot",
    "an_image_of_a_recipe_boots_makes_its_partitions_and_is_confirmed",
    "an_image_of_a_recipe_for_the_rock64_has_what_the_board_starts_with",
    "rauc_update_is_tried_and_confirmed_there_and_back_and_there_again",
    "rauc_rollback_by_hand_boots_the_slot_before_and_stays_there",
    "rauc_confirm_is_the_verifiers_word_and_nothing_else",
    "the_service_rauc_installs_over_dbus_and_its_marks_keep_the_last_good_slot",
    "the_agents_unit_fetches_installs_and_restarts_and_the_verifier_confirms",
    "an_update_that_panics_is_left_explained_and_not_installed_again",
    "what_is_old_foreign_or_tampered_with_is_refused_and_changes_nothing",
    "rauc_watchdog_resets_a_frozen_systemd_and_three_resets_are_a_rollback",
    // Power cuts and storage that fails.
    "rauc_power_loss_is_survived_in_every_phase_of_a_boards_life",
    "no_crash_image_of_a_recorded_install_is_a_dead_board",
    "what_cannot_be_read_back_is_not_started_and_its_place_is_named",
    "an_install_that_systemd_stops_says_so_and_the_next_one_works",
    // U-Boot alone: the selector against the model of it.
    "real_uboot_does_as_the_model_says_on_a_sample_of_edges",
    "real_uboot_chooses_as_the_model_does_on_an_erased_card",
    "real_uboot_reads_odd_values_as_the_model_does",
    // U-Boot alone: its prompt, and what a stored environment can do about it.
    "a_stored_hash_does_not_replace_the_built_in_one",
    "no_stored_environment_keeps_real_uboot_from_its_selector",
    "the_stop_text_opens_the_prompt_and_nothing_else_does",
    // U-Boot's sandbox build: the firmware agrees.
    "agreement::every_broken_selector_is_seen_to_disagree",
    "agreement::the_sandbox_does_as_the_model_says_boot_after_boot",
    "agreement::the_sandbox_does_as_the_model_says_on_every_edge",
    // The same: NOR flash and the watchdog.
    "a_save_that_fails_in_the_middle_never_starts_a_trying_slot",
    "a_slot_that_hangs_is_reset_by_the_watchdog_and_left_after_its_attempts",
    "cuts::a_power_cut_in_the_first_saves_on_an_erased_flash_forgets_nothing_that_was_known",
    "cuts::a_power_cut_in_uboots_save_leaves_the_old_or_the_new_environment",
    "cuts::uboot_reads_what_a_cut_commit_of_linux_leaves_as_linux_does",
    "linux_and_uboot_write_the_flash_by_turns_and_read_each_other",
    "the_watchdog_is_armed_before_the_slot_and_its_absence_stops_nothing",
    "trail::the_sandbox_clears_away_what_somebody_left_in_the_trail",
    "trail::the_sandbox_leaves_the_trail_that_the_model_leaves",
    "two_bad_slots_take_turns_with_growing_pauses_over_resets",
    "uboot_does_not_notice_that_a_write_protected_chip_kept_nothing",
    "usb_mass_storage_without_a_host_ends_by_itself",
    // Debian's own U-Boot.
    "stock_uboot_chooses_as_the_model_does",
    // The technician's laptop on U-Boot's serial line.
    "status_shows_the_state_of_the_board_and_changes_nothing",
    "the_slot_asked_for_boots_and_one_without_a_whole_system_is_refused",
];

/// A test as its program lists it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scenario {
    /// The test's name.
    pub name: String,
    /// The program that holds it.
    pub program: String,
    /// Whether it carries `#[ignore]`.
    pub long: bool,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The set for CI.
    Ci,
    /// Everything.
    All,
    /// What these names stand for.
    Named(Vec<String>),
}

/// The scenarios of a test program, from its `--list` and from its `--list --ignored`.
pub fn read_list(program: &str, listed: &str, ignored: &str) -> Vec<Scenario> {
    let names = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect()
    };
    let long = names(ignored);
    let of = |name: String| {
        let long = long.contains(&name);
        Scenario { name, program: program.to_owned(), long }
    };
    names(listed).into_iter().map(of).collect()
}

/// Where the set and the marks in the sources differ, one sentence each.
pub fn violations(all: &[Scenario]) -> Vec<String> {
    let mut found = Vec::new();
    for scenario in all {
        let name = &scenario.name;
        match (CI_SET.contains(&name.as_str()), scenario.long) {
            (true, true) => found.push(format!("{name} is in CI_SET and carries #[ignore]")),
            (false, false) => found.push(format!(
                "{name} is not in CI_SET: add it, or mark it #[ignore = \"long: cargo xtask e2e --all\"]"
            )),
            (true, false) | (false, true) => {}
        }
    }
    let gone = CI_SET.iter().filter(|name| !all.iter().any(|scenario| scenario.name == **name));
    found.extend(gone.map(|name| format!("{name} of CI_SET is no test")));
    found
}

/// What is played; a name that stands for nothing is the error.
pub fn select(all: &[Scenario], wanted: &Wanted) -> Result<Vec<Scenario>, String> {
    match wanted {
        Wanted::All => Ok(all.to_vec()),
        Wanted::Ci => {
            let find = |name: &&str| all.iter().find(|scenario| scenario.name == **name).cloned();
            Ok(CI_SET.iter().filter_map(find).collect())
        }
        Wanted::Named(names) => {
            let mut chosen = Vec::new();
            for name in names {
                let hits = named(all, name);
                if hits.is_empty() {
                    return Err(name.clone());
                }
                chosen.extend(hits);
            }
            chosen.dedup();
            Ok(chosen)
        }
    }
}

/// The original suite's name if it is one, else every test with the text in its name or program.
fn named(all: &[Scenario], name: &str) -> Vec<Scenario> {
    let text = name.replace('-', "_");
    let original = format!("rauc_{text}_");
    let hits = |of: &dyn Fn(&Scenario) -> bool| -> Vec<Scenario> {
        all.iter().filter(|scenario| of(scenario)).cloned().collect()
    };
    let found = hits(&|scenario| scenario.name.starts_with(&original));
    if found.is_empty() {
        return hits(&|scenario| scenario.name.contains(&text) || scenario.program == text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Scenario> {
        let listed = "rauc_update_works: test\nan_update_fails: test\nlate: test\n\n3 tests\n";
        read_list("chain", listed, "late: test\n")
    }

    #[test]
    fn a_list_is_read_with_its_marks() {
        let read = all();
        assert_eq!(read.len(), 3);
        assert!(read[2].long && !read[0].long && read[1].name == "an_update_fails");
    }

    #[test]
    fn the_original_suites_name_means_its_test_and_other_text_every_match() {
        let names = |name: &str| {
            let wanted = Wanted::Named(vec![name.to_owned()]);
            let chosen = select(&all(), &wanted)?;
            Ok::<_, String>(chosen.into_iter().map(|one| one.name).collect::<Vec<_>>())
        };
        assert_eq!(names("update").unwrap(), ["rauc_update_works"]);
        assert_eq!(names("an-update").unwrap(), ["an_update_fails"]);
        assert_eq!(names("chain").unwrap().len(), 3);
        assert_eq!(names("nothing").unwrap_err(), "nothing");
    }

    #[test]
    fn a_test_that_is_neither_in_the_set_nor_marked_is_a_violation() {
        let found = violations(&all());
        assert!(found.iter().any(|text| text.starts_with("an_update_fails is not in CI_SET")));
        assert!(!found.iter().any(|text| text.starts_with("late ")), "{found:?}");
        assert!(found.iter().any(|text| text.ends_with("is no test")));
    }
}
