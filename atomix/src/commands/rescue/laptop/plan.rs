// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which variables have to change for what was asked? Pure. The rules are those of the boot state
//! machine; what it refuses is refused here, unless a person insists.

use super::command::{Command, Literal, NotLiteral};
use super::found::{DATA_RESET, Found, ROOT_LOGIN, STATE_VARIABLES};
use crate::failure::Failure;
use bootctl::{AttemptsLeft, BootState, Force, SlotId, SlotState, transition};
use uboot::Env;

/// What is set at U-Boot's prompt, in words and as commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One line for each variable: its name, its value before, its value then.
    pub changes: Vec<String>,
    /// The commands.
    pub commands: Vec<Command>,
    /// The variables and their values then; an empty one is not set.
    pub wanted: Vec<(&'static str, String)>,
}

/// What makes `slot` boot next.
///
/// # Errors
/// [`Failure::BootState`] or [`Failure::Refused`] for a slot that is no good, without force.
pub fn plan_boot(found: &Found, slot: SlotId, force: Force) -> Result<Plan, Failure> {
    let before = found.believed();
    let active = bootctl::Command::MarkActive { slot };
    let after = match (transition(&before, None, &active), force) {
        (Ok(after), _) => after,
        (Err(refused), Force::No) => return Err(refused.into()),
        (Err(_), Force::Yes) => insisted(&before, slot),
    };
    if !*found.loads.get(slot) && force == Force::No {
        return Err(Failure::Refused {
            what: format!(
                "slot {slot} would not load: its boot partition has no readable boot.scr"
            ),
            hint: "install a bundle into it from the other slot, or flash the board anew",
        });
    }
    let mut plan = plan_state(found, &after)?;
    if found.is_foreign() {
        // What was asked of the other disk's board must not be done to this one.
        plan.set(&found.env, ROOT_LOGIN, "")?;
        plan.set(&found.env, DATA_RESET, "")?;
    }
    Ok(plan)
}

/// A slot of which nobody knows whether it works: the selector tries it and claims nothing.
fn insisted(before: &BootState, slot: SlotId) -> BootState {
    let mut after = before.clone();
    after.order.retain(|other| *other != slot);
    after.order.insert(0, slot);
    let record = after.slot_mut(slot);
    record.state = SlotState::Unknown;
    record.attempts = AttemptsLeft::DEFAULT;
    after
}

/// What asks for one root login. An environment of another disk becomes this one's with it: the
/// selector would forget the request with the other disk's states.
///
/// # Errors
/// [`NotLiteral`], never for these values.
pub fn plan_root_login(found: &Found) -> Result<Plan, NotLiteral> {
    let mut plan = Plan::default();
    if found.is_foreign() {
        plan = plan_state(found, &found.believed())?;
        plan.set(&found.env, DATA_RESET, "")?;
    }
    plan.set(&found.env, ROOT_LOGIN, "1")?;
    Ok(plan)
}

/// What makes the environment say `after`.
///
/// # Errors
/// [`NotLiteral`], never for a value that our own encoder made.
pub fn plan_state(found: &Found, after: &BootState) -> Result<Plan, NotLiteral> {
    let mut wanted = Env::new();
    let mut plan = Plan::default();
    // The names are ours and the values have no NUL.
    if after.write_to(&mut wanted).is_ok() {
        for name in STATE_VARIABLES {
            plan.set(&found.env, name, wanted.get(name).unwrap_or_default())?;
        }
    }
    Ok(plan)
}

impl Plan {
    fn set(&mut self, now: &Env, name: &'static str, value: &str) -> Result<(), NotLiteral> {
        let before = now.get(name).unwrap_or_default();
        self.wanted.push((name, value.to_owned()));
        if before == value {
            return Ok(());
        }
        let shown =
            |value: &str| if value.is_empty() { "-".to_owned() } else { format!("{value:?}") };
        self.changes.push(format!("{name}: {} becomes {}", shown(before), shown(value)));
        self.commands.push(match value {
            "" => Command::Unset(name),
            _ => Command::Set(name, Literal::new(value)?),
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootctl::{PerSlot, SlotRecord};

    fn found(a: SlotState, b: SlotState) -> Found {
        let record =
            |state| SlotRecord { state, attempts: AttemptsLeft::new(1).unwrap(), bundle: None };
        let state = BootState {
            order: vec![SlotId::A],
            a: record(a),
            b: record(b),
            disk: "11111111-2222-3333-4444-555555555555".parse().ok(),
            ..BootState::lost()
        };
        let mut env = Env::new();
        state.write_to(&mut env).unwrap();
        let loads = PerSlot { a: true, b: true };
        Found { env, has_selector: true, has_table: true, disk: state.disk, loads, is_lost: false }
    }

    fn typed(plan: &Plan) -> Vec<String> {
        plan.commands.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_differs_is_set() {
        let plan =
            plan_boot(&found(SlotState::Good, SlotState::Good), SlotId::B, Force::No).unwrap();
        assert_eq!(typed(&plan), ["setenv BOOT_ORDER B A", "setenv BOOT_B_LEFT 3"]);
        assert_eq!(plan.changes[0], "BOOT_ORDER: \"A\" becomes \"B A\"");
        let again = plan_root_login(&found(SlotState::Good, SlotState::Good)).unwrap();
        assert_eq!(typed(&again), ["setenv _RUT_OH_ 1"]);
    }

    #[test]
    fn a_slot_that_holds_no_whole_system_needs_force_and_is_then_claimed_to_be_nothing() {
        for state in [SlotState::Empty, SlotState::Writing, SlotState::Bad] {
            let found = found(SlotState::Good, state);
            let refused = plan_boot(&found, SlotId::B, Force::No).unwrap_err();
            assert!(matches!(refused, Failure::BootState(_)), "{refused}");
            let typed = typed(&plan_boot(&found, SlotId::B, Force::Yes).unwrap());
            assert!(typed.contains(&"setenv atomix_state_B unknown".to_owned()), "{typed:?}");
        }
    }

    #[test]
    fn a_slot_that_does_not_load_needs_force() {
        let mut found = found(SlotState::Good, SlotState::Good);
        found.loads.b = false;
        let refused = plan_boot(&found, SlotId::B, Force::No).unwrap_err();
        assert!(matches!(refused, Failure::Refused { .. }), "{refused}");
        assert!(plan_boot(&found, SlotId::B, Force::Yes).is_ok());
    }

    /// The selector believes no environment of another disk: setting the order alone would do
    /// nothing, and the other disk's states are not this one's.
    #[test]
    fn what_was_asked_of_another_disk_is_not_done_to_this_one() {
        let mut found = found(SlotState::Good, SlotState::Good);
        for name in [ROOT_LOGIN, DATA_RESET] {
            found.env.set(name, "1").unwrap();
        }
        let cleared = |plan: &Plan| {
            [ROOT_LOGIN, DATA_RESET].map(|name| plan.wanted.contains(&(name, String::new())))
        };
        let own = plan_boot(&found, SlotId::B, Force::No).unwrap();
        assert_eq!(cleared(&own), [false, false]);
        found.disk = "99999999-2222-3333-4444-555555555555".parse().ok();
        let foreign = plan_boot(&found, SlotId::B, Force::No).unwrap();
        assert_eq!(cleared(&foreign), [true, true]);
        let login = plan_root_login(&found).unwrap();
        assert_eq!(cleared(&login), [false, true]);
        assert!(login.wanted.contains(&(ROOT_LOGIN, "1".to_owned())));
        let disk = found.disk.unwrap().to_string();
        assert!(login.wanted.contains(&("atomix_disk", disk)), "{login:?}");
    }

    #[test]
    fn on_a_foreign_or_lost_environment_the_whole_state_is_set() {
        let mut found = found(SlotState::Good, SlotState::Empty);
        found.disk = "99999999-2222-3333-4444-555555555555".parse().ok();
        let foreign = plan_boot(&found, SlotId::B, Force::No).unwrap();
        found.env = Env::new();
        let lost = plan_boot(&found, SlotId::B, Force::No).unwrap();
        // A lost one has no requests of another disk.
        assert_eq!(foreign.wanted[..lost.wanted.len()], lost.wanted);
        let typed = typed(&lost);
        for command in [
            "setenv atomix_env 1",
            "setenv BOOT_ORDER B A",
            "setenv atomix_state_A unknown",
            "setenv atomix_disk 99999999-2222-3333-4444-555555555555",
        ] {
            assert!(typed.contains(&command.to_owned()), "{typed:?}");
        }
    }
}
