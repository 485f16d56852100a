// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does the board's environment say, and what would the selector make of it? Pure: the answers
//! to a fixed list of commands in, the same boot state out that the board itself would show.

use super::asking::Answer;
use super::command::Command;
use bootctl::{BootState, FirmwareFacts, PerSlot, Reason, SlotId, describe_next, select};
use storage::PartUuid;
use uboot::Env;

/// Variables of the boot state; a test holds that these are all.
pub const STATE_VARIABLES: [&str; 13] = [
    "BOOT_ORDER",
    "BOOT_A_LEFT",
    "BOOT_B_LEFT",
    "atomix_env",
    "atomix_state_A",
    "atomix_state_B",
    "atomix_digest_A",
    "atomix_digest_B",
    "atomix_failed",
    "atomix_last",
    "atomix_disk",
    "atomix_reason",
    "atomix_returned",
];

/// Requests that a person left in the environment.
pub const REQUESTS: [&str; 3] = [ROOT_LOGIN, "START_UMS", DATA_RESET];

/// The request for one root login; the name is the original's.
pub const ROOT_LOGIN: &str = "_RUT_OH_";

/// The request for empty data.
pub const DATA_RESET: &str = "atomix_reset_data";

/// Partition UUID of boot-b, as the selector's own script finds it.
const DISK_NOW: &str = "atomix_disk_now";

/// What the board's U-Boot knows.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The variables that were read.
    pub env: Env,
    /// U-Boot said that no stored environment is whole.
    pub is_lost: bool,
    /// Our selector is built in.
    pub has_selector: bool,
    /// A partition table with boot partitions was read.
    pub has_table: bool,
    /// Partition UUID of boot-b.
    pub disk: Option<PartUuid>,
    /// Whether a slot's script loads.
    pub loads: PerSlot<bool>,
}

/// What to ask, in this order. Nothing of it is saved; the selector does the same at each boot.
#[must_use]
pub fn questions() -> Vec<Command> {
    let variables = STATE_VARIABLES.into_iter().chain(REQUESTS).map(Command::Print);
    // Taken from the defaults first: a stored script is not run.
    let facts = [
        Command::Default(&["atomix_find", "atomix_load_A", "atomix_load_B"]),
        Command::Run("atomix_find"),
        Command::Print("atomix_readable"),
        Command::Print(DISK_NOW),
        Command::Run("atomix_load_A"),
        Command::Print("atomix_ok"),
        Command::Run("atomix_load_B"),
        Command::Print("atomix_ok"),
    ];
    variables.chain(facts).collect()
}

/// The slot that a question loads the script of.
#[must_use]
pub fn loaded_slot(question: &Command) -> Option<SlotId> {
    let Command::Run(script) = question else { return None };
    SlotId::ALL.into_iter().find(|slot| *script == format!("atomix_load_{slot}"))
}

/// The value that `printenv` showed; a value with line ends keeps them, and is odd.
#[must_use]
pub fn value_of(name: &str, answer: &Answer) -> Option<String> {
    let whole = answer.lines.join("\n");
    let value = whole.strip_prefix(name)?.strip_prefix('=')?;
    (answer.status == 0).then(|| value.to_owned())
}

impl Found {
    /// Takes the answer to one of the [`questions`].
    pub fn take(&mut self, question: &Command, answer: &Answer, asked_for: Option<SlotId>) {
        match question {
            Command::Default(_) => self.has_selector = answer.status == 0,
            Command::Print("atomix_readable") => {
                self.has_table = value_of("atomix_readable", answer).as_deref() == Some("1");
            }
            Command::Print(DISK_NOW) => {
                self.disk = value_of(DISK_NOW, answer).and_then(|text| text.parse().ok());
            }
            Command::Print("atomix_ok") => {
                let loads = value_of("atomix_ok", answer).as_deref() == Some("1");
                if let Some(slot) = asked_for {
                    *self.loads.get_mut(slot) = loads;
                }
            }
            Command::Print(name) => {
                if let Some(value) = value_of(name, answer) {
                    // A name of ours and a value without NUL are always taken.
                    let _ = self.env.set(name, &value.replace('\0', "?"));
                }
            }
            Command::DefaultAll
            | Command::Set(..)
            | Command::Unset(_)
            | Command::Save
            | Command::Load
            | Command::Run(_) => {}
        }
    }

    /// The boot state as the board shows it, with what is odd in it.
    #[must_use]
    pub fn state(&self) -> (BootState, Vec<String>) {
        match BootState::from_env_warned(&self.env) {
            Ok((state, warnings)) => (state, warnings.iter().map(ToString::to_string).collect()),
            Err(lost) => (BootState::lost(), vec![lost.to_string()]),
        }
    }

    /// Whether the environment is one of ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        BootState::from_env(&self.env).is_ok()
    }

    /// Whether the environment is one of ours and of another disk.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        let stored = BootState::from_env(&self.env);
        self.has_table && stored.is_ok_and(|state| state.disk != self.disk)
    }

    /// What the selector begins with: the state, or that of a lost environment on this disk.
    #[must_use]
    pub fn believed(&self) -> BootState {
        match BootState::from_env(&self.env) {
            Ok(state) if state.disk == self.disk => state,
            Ok(_) | Err(_) => BootState { disk: self.disk, ..BootState::lost() },
        }
    }

    /// What the selector would boot, and why.
    #[must_use]
    pub fn next(&self) -> (Option<SlotId>, String) {
        if !self.has_selector {
            return (None, "this U-Boot carries no selector of ours".to_owned());
        }
        if !self.has_table {
            return (None, "no partition table with boot partitions can be read".to_owned());
        }
        let facts = FirmwareFacts { disk: self.disk, save_works: true, loads: self.loads };
        let stored = BootState::from_env(&self.env).ok();
        let selection = select(stored.as_ref(), &facts);
        let why = match (selection.boots, selection.reason) {
            (_, Reason::LoadFailed) => {
                let slot = selection.state.last.map(|slot| slot.to_string()).unwrap_or_default();
                format!("slot {slot} does not load; the board resets and spends its attempts")
            }
            (None, _) => "no slot loads; the board goes into recovery".to_owned(),
            (Some(_), Reason::ForeignDisk) => {
                "the environment belongs to another disk; the slots' states are forgotten"
                    .to_owned()
            }
            (Some(_), Reason::EnvLost) => {
                "the states of the slots were lost; what loads is tried".to_owned()
            }
            (Some(slot), reason) => {
                let described = describe_next(&self.believed());
                if described.slot == Some(slot) { described.why } else { reason.to_string() }
            }
        };
        (selection.boots, why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bootctl::{AttemptsLeft, BundleId, PauseStep, SlotRecord, SlotState};

    const DISK: &str = "11111111-2222-3333-4444-555555555555";

    fn full() -> BootState {
        let bundle = Some(BundleId::from_bytes([0xa5; 16]));
        let record = |state| SlotRecord { state, attempts: AttemptsLeft::new(3).unwrap(), bundle };
        BootState {
            order: vec![SlotId::B, SlotId::A],
            a: record(SlotState::Good),
            b: record(SlotState::Trying),
            failed: bundle.into_iter().collect(),
            last: Some(SlotId::A),
            pause: PauseStep::NONE.next(),
            disk: DISK.parse().ok(),
            reason: Some(Reason::Normal),
            returned: Some(SlotId::A),
        }
    }

    fn printed(name: &str, value: &str) -> Answer {
        let lines = format!("{name}={value}").split('\n').map(str::to_owned).collect();
        Answer { lines, status: 0 }
    }

    /// What a board with this environment answers.
    fn found(env: &Env, loads: PerSlot<bool>) -> Found {
        let mut found = Found::default();
        let absent = Answer { lines: vec!["## Error: not defined".to_owned()], status: 1 };
        let mut slot = None;
        for question in questions() {
            let answer = match question {
                Command::Print("atomix_readable") => printed("atomix_readable", "1"),
                Command::Print(DISK_NOW) => printed(DISK_NOW, DISK),
                Command::Print("atomix_ok") if slot.is_some_and(|slot| *loads.get(slot)) => {
                    printed("atomix_ok", "1")
                }
                Command::Print(name) => {
                    env.get(name).map_or_else(|| absent.clone(), |value| printed(name, value))
                }
                Command::DefaultAll
                | Command::Default(_)
                | Command::Set(..)
                | Command::Unset(_)
                | Command::Save
                | Command::Load
                | Command::Run(_) => Answer { lines: Vec::new(), status: 0 },
            };
            slot = loaded_slot(&question).or(slot);
            found.take(&question, &answer, slot);
        }
        found
    }

    #[test]
    fn every_variable_of_the_boot_state_is_asked_for() {
        let mut env = Env::new();
        full().write_to(&mut env).unwrap();
        let mut names: Vec<&str> = env.iter().map(|(name, _)| name).collect();
        let mut asked = STATE_VARIABLES.to_vec();
        names.sort_unstable();
        asked.sort_unstable();
        assert_eq!(names, asked);
        assert_eq!(found(&env, PerSlot { a: true, b: true }).state(), (full(), Vec::new()));
    }

    #[test]
    fn what_boots_next_is_what_the_selector_chooses_with_what_loads() {
        let mut env = Env::new();
        full().write_to(&mut env).unwrap();
        let next = |loads| found(&env, loads).next();
        assert_eq!(next(PerSlot { a: true, b: true }).0, Some(SlotId::B));
        let (slot, why) = next(PerSlot { a: true, b: false });
        assert!(slot.is_none() && why.contains("slot B does not load"), "{why}");
        env.set("atomix_disk", "99999999-2222-3333-4444-555555555555").unwrap();
        let (slot, why) = found(&env, PerSlot { a: true, b: true }).next();
        assert!(slot == Some(SlotId::A) && why.contains("another disk"), "{why}");
        let (slot, why) = found(&Env::new(), PerSlot { a: true, b: true }).next();
        assert!(slot == Some(SlotId::A) && why.contains("lost"), "{why}");
    }

    #[test]
    fn a_stored_value_with_line_ends_is_odd_and_does_not_become_another_variable() {
        let mut env = Env::new();
        full().write_to(&mut env).unwrap();
        env.set("atomix_state_A", "good\nBOOT_ORDER=A\n=> ").unwrap();
        let (state, warnings) = found(&env, PerSlot { a: true, b: true }).state();
        assert_eq!(state.order, [SlotId::B, SlotId::A]);
        assert_eq!(state.a.state, SlotState::Unknown);
        assert_eq!(warnings.len(), 1);
    }
}
