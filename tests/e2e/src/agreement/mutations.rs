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
}

const fn broken(
    name: &'static str,
    script: &'static str,
    from: &'static str,
    to: &'static str,
) -> Mutation {
    Mutation { name, script, from, to }
}

/// Ways to break it.
pub const MUTATIONS: [Mutation; 30] = [
    broken(
        "an attempt is not spent",
        "atomix_spend",
        "x3; then setenv atomix_next 2",
        "x3; then setenv atomix_next 3",
    ),
    broken(
        "the last attempt is spent twice",
        "atomix_spend",
        "x1; then setenv atomix_next 0",
        "x1; then setenv atomix_next 1",
    ),
    broken(
        "nothing can be spent at 9",
        "atomix_spend",
        "if test \"x${atomix_left}\" = x9; then setenv atomix_next 8; elif",
        "if",
    ),
    broken("nothing is saved", "atomix_commit", "if saveenv", "if true"),
    broken("a failed save does not matter", "atomix_commit", "else run atomix_unsaved; fi", "fi"),
    broken(
        "a trying slot starts without its attempt",
        "atomix_unsaved",
        "atomix_want good",
        "atomix_want trying",
    ),
    broken(
        "an unknown slot does not start unsaved",
        "atomix_unsaved",
        "atomix_want unknown",
        "atomix_want good",
    ),
    broken(
        "the order is read backwards",
        "atomix_word",
        "setenv atomix_order A B",
        "setenv atomix_order B A",
    ),
    broken(
        "a slot named twice is tried as the first",
        "atomix_word",
        "setenv atomix_first ${atomix_s}; elif",
        "setenv atomix_first ${atomix_s}; fi; if",
    ),
    broken(
        "attempts alone permit",
        "atomix_try",
        "if test \"x${atomix_state}\" = xgood",
        "if test x = x -o \"x${atomix_state}\" = xgood",
    ),
    broken(
        "state alone permits",
        "atomix_try",
        "if test \"x${atomix_next}\" != x; then",
        "if true; then",
    ),
    broken(
        "an exhausted trying slot stays trying",
        "atomix_try",
        "setenv atomix_state_${atomix_s} bad",
        "true",
    ),
    broken(
        "an exhausted good slot turns bad",
        "atomix_try",
        "elif test \"x${atomix_state}\" = xtrying",
        "elif true",
    ),
    broken(
        "the attempt is taken from the other slot",
        "atomix_try",
        "BOOT_${atomix_s}_LEFT",
        "BOOT_A_LEFT",
    ),
    broken(
        "a fallback is called normal",
        "atomix_name",
        "atomix_base fallback",
        "atomix_base normal",
    ),
    broken(
        "another reason is printed",
        "atomix_start",
        "echo atomix: slot ${atomix_slot}, ${atomix_cause}",
        "echo atomix: slot ${atomix_slot}, normal",
    ),
    broken(
        "the kernel is told the other slot",
        "atomix_start",
        "rauc.slot=${atomix_slot}",
        "rauc.slot=A",
    ),
    broken(
        "the slot last taken is forgotten",
        "atomix_try",
        "setenv atomix_last ${atomix_s}; ",
        "",
    ),
    broken(
        "the good slots keep their empty counters",
        "atomix_renew",
        "setenv BOOT_${atomix_s}_LEFT 3",
        "true",
    ),
    broken(
        "a reset attempt is not spent",
        "atomix_renew",
        "BOOT_${atomix_slot}_LEFT 2",
        "BOOT_${atomix_slot}_LEFT 3",
    ),
    broken("a last resort starts an empty slot", "atomix_resort", "!= xempty", "!= xnothing"),
    broken(
        "a last resort starts a half-written slot",
        "atomix_resort",
        "!= xwriting",
        "!= xnothing",
    ),
    broken(
        "a last resort does not take turns",
        "atomix_past",
        "xA; then setenv atomix_turn B A",
        "xA; then setenv atomix_turn A B",
    ),
    broken(
        "a last resort does not slow down",
        "atomix_past",
        "x2; then setenv atomix_step 3",
        "x2; then setenv atomix_step 2",
    ),
    broken("a last resort waits too little", "atomix_delay", "atomix_pause 120", "atomix_pause 12"),
    broken("another disk is believed", "atomix_identify", "setenv atomix_why foreign-disk", "true"),
    broken(
        "a lost environment is believed",
        "atomix_identify",
        "else setenv atomix_why env-lost",
        "else true",
    ),
    broken(
        "what another disk asked for is done",
        "atomix_identify",
        "setenv atomix_reset_data",
        "true",
    ),
    broken("addresses of another U-Boot stay", "atomix_forget", "setenv fdt_high", "true"),
    broken(
        "a failed start is not noted",
        "atomix_start",
        "setenv atomix_reason load-failed; saveenv",
        "saveenv",
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
