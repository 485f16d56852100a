// SPDX-License-Identifier: MIT OR Apache-2.0
//! In which ways could a selector be wrong? Changes of its text, each of which must be noticed.

use board_rock64::Board;
use uboot::Env;

/// One way to break the selector: a text in it, and what stands there instead.
#[derive(Clone, Copy, Debug)]
pub struct Mutation {
    /// What is wrong then.
    pub name: &'static str,
    /// The script that is changed.
    pub script: &'static str,
    /// What is replaced in it.
    pub from: &'static str,
    /// By what.
    pub to: &'static str,
    /// The edge on which it is seen.
    pub shown_by: &'static str,
}

const fn broken(
    name: &'static str,
    script: &'static str,
    from: &'static str,
    to: &'static str,
    shown_by: &'static str,
) -> Mutation {
    Mutation { name, script, from, to, shown_by }
}

/// Ways to break it.
pub const MUTATIONS: [Mutation; 34] = [
    broken(
        "an attempt is not spent",
        "atomix_spend",
        "x3; then setenv atomix_next 2",
        "x3; then setenv atomix_next 3",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "the last attempt is spent twice",
        "atomix_spend",
        "x1; then setenv atomix_next 0",
        "x1; then setenv atomix_next 1",
        "attempts/A/\"trying\"/\"1\"",
    ),
    broken(
        "nothing can be spent at 9",
        "atomix_spend",
        "if test \"x${atomix_left}\" = x9; then setenv atomix_next 8; elif",
        "if",
        "attempts/A/\"trying\"/\"9\"",
    ),
    broken(
        "nothing is saved",
        "atomix_commit",
        "if saveenv",
        "if true",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "a failed save does not matter",
        "atomix_commit",
        "else run atomix_unsaved; fi",
        "fi",
        "save/Refused/(Starts, Starts)/normal",
    ),
    broken(
        "a trying slot starts without its attempt",
        "atomix_unsaved",
        "atomix_want good",
        "atomix_want trying",
        "save/Refused/(Starts, Starts)/normal",
    ),
    broken(
        "an unknown slot does not start unsaved",
        "atomix_unsaved",
        "atomix_want unknown",
        "atomix_want good",
        "save/Refused/(Starts, Starts)/unknown",
    ),
    broken(
        "the order is read backwards",
        "atomix_word",
        "setenv atomix_order A B",
        "setenv atomix_order B A",
        "attempts/A/\"trying\"/\"0\"",
    ),
    broken(
        "attempts alone permit",
        "atomix_try",
        "if test \"x${atomix_state}\" = xgood",
        "if test x = x -o \"x${atomix_state}\" = xgood",
        "attempts/B/\"empty\"/\"0\"",
    ),
    broken(
        "state alone permits",
        "atomix_try",
        "if test \"x${atomix_next}\" != x; then",
        "if true; then",
        "attempts/A/\"trying\"/\"0\"",
    ),
    broken(
        "an exhausted trying slot stays trying",
        "atomix_try",
        "setenv atomix_state_${atomix_s} bad",
        "true",
        "attempts/A/\"trying\"/\"0\"",
    ),
    broken(
        "an exhausted good slot turns bad",
        "atomix_try",
        "elif test \"x${atomix_state}\" = xtrying",
        "elif true",
        "attempts/A/\"good\"/\"0\"",
    ),
    broken(
        "the attempt is taken from the other slot",
        "atomix_try",
        "BOOT_${atomix_s}_LEFT",
        "BOOT_A_LEFT",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "a fallback is called normal",
        "atomix_name",
        "atomix_base fallback",
        "atomix_base normal",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "another reason is printed",
        "atomix_start",
        "echo atomix: slot ${atomix_slot}, ${atomix_cause}",
        "echo atomix: slot ${atomix_slot}, normal",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "the kernel is told the other slot",
        "atomix_start",
        "rauc.slot=${atomix_slot}",
        "rauc.slot=A",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "the slot last taken is forgotten",
        "atomix_try",
        "setenv atomix_last ${atomix_s}; ",
        "",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "the good slots keep their empty counters",
        "atomix_renew",
        "setenv BOOT_${atomix_s}_LEFT 3",
        "true",
        "pairs/\"good\"/\"good\"/\"A B\"",
    ),
    broken(
        "a reset attempt is not spent",
        "atomix_renew",
        "BOOT_${atomix_slot}_LEFT 2",
        "BOOT_${atomix_slot}_LEFT 3",
        "attempts/B/\"good\"/\"\"",
    ),
    broken(
        "a last resort starts an empty slot",
        "atomix_resort",
        "!= xempty",
        "!= xnothing",
        "pairs/\"empty\"/\"empty\"/\"A B\"",
    ),
    broken(
        "a last resort starts a half-written slot",
        "atomix_resort",
        "!= xwriting",
        "!= xnothing",
        "pairs/\"empty\"/\"writing\"/\"A B\"",
    ),
    broken(
        "a last resort does not take turns",
        "atomix_past",
        "xA; then setenv atomix_turn B A",
        "xA; then setenv atomix_turn A B",
        "last/both/\"A\"",
    ),
    broken(
        "a last resort does not slow down",
        "atomix_past",
        "x2; then setenv atomix_step 3",
        "x2; then setenv atomix_step 2",
        "last/both/\"A 2\"",
    ),
    broken(
        "a last resort waits too little",
        "atomix_delay",
        "atomix_pause 120",
        "atomix_pause 12",
        "last/both/\"B 3\"",
    ),
    broken(
        "another disk is believed",
        "atomix_identify",
        "setenv atomix_why foreign-disk",
        "true",
        "disk/NoBootB/\"11111111-2222-3333-4444-555555abcdef\"",
    ),
    broken(
        "a lost environment is believed",
        "atomix_identify",
        "else setenv atomix_why env-lost",
        "else true",
        "mark/\"\"",
    ),
    broken(
        "what another disk asked for is done",
        "atomix_identify",
        "setenv atomix_reset_data",
        "true",
        "beside/foreign/atomix_reset_data",
    ),
    broken(
        "addresses of another U-Boot stay",
        "atomix_forget",
        "setenv fdt_high",
        "true",
        "beside/foreign/fdt_high",
    ),
    broken(
        "a failed start is not noted",
        "atomix_start",
        "setenv atomix_reason load-failed; setenv",
        "setenv",
        "disk/NoBootB/\"\"",
    ),
    broken(
        "a decision leaves no trail",
        "atomix_commit",
        "run atomix_remember; ",
        "",
        "attempts/A/\"empty\"/\"0\"",
    ),
    broken(
        "the trail says nothing of a failed start",
        "atomix_start",
        "setenv atomix_trail ${atomix_trail}.load-failed; ",
        "",
        "disk/NoBootB/\"\"",
    ),
    broken(
        "blanks around a number do not matter",
        "atomix_get_A",
        "\"${BOOT_A_LEFT}\"",
        "${BOOT_A_LEFT}",
        "attempts/A/\"good\"/\" 3\"",
    ),
    broken(
        "blanks around a state do not matter",
        "atomix_get_B",
        "\"${atomix_state_B}\"",
        "${atomix_state_B}",
        "attempts/B/\" good\"/\"1\"",
    ),
    broken(
        "blanks around a reason do not matter",
        "atomix_identify",
        "\"${atomix_reason}\"",
        "${atomix_reason}",
        "reason/trying/\"load-failed \"",
    ),
];

/// The selector as variables that run from a stored environment by `run atomix_select`: without
/// the steps that fetch it from the built-in one. `None`: the mutation changes nothing.
#[must_use]
pub fn runnable(board: &Board, mutation: Option<&Mutation>) -> Option<Env> {
    let mut env = Env::new();
    let mut changed = mutation.is_none();
    let selector = board.selector();
    for (name, script) in selector.lines().filter_map(|line| line.split_once('=')) {
        let steps: Vec<&str> =
            script.split("; ").filter(|step| !step.starts_with("env default ")).collect();
        let mut script = steps.join("; ");
        if let Some(Mutation { from, to, .. }) = mutation.filter(|one| one.script == name) {
            changed |= script.contains(from);
            script = script.replacen(from, to, 1);
        }
        env.set(name, &script).ok()?;
    }
    changed.then_some(env)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::SANDBOX;

    #[test]
    fn every_mutation_changes_the_selector() {
        for mutation in &MUTATIONS {
            assert!(runnable(&SANDBOX, Some(mutation)).is_some(), "{}", mutation.name);
        }
    }
}
