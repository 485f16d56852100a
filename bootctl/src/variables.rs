// SPDX-License-Identifier: MIT OR Apache-2.0
//! The boot state as environment variables.
//!
//! | variable | meaning |
//! |---|---|
//! | `BOOT_ORDER` | bootnames to try, separated by blanks (RAUC's) |
//! | `BOOT_A_LEFT`, `BOOT_B_LEFT` | attempts left, one digit (RAUC's) |
//! | `atomix_env` | `1`: this environment was written by us and not lost |
//! | `atomix_state_A`, `atomix_state_B` | slot state; absent or another word reads as unknown |
//! | `atomix_digest_A`, `atomix_digest_B` | bundle identity, 32 hexadecimal digits |
//! | `atomix_failed` | up to 8 bundle identities, newest first, separated by blanks |
//! | `atomix_last` | slot taken last, and the pause step after it when it was the last resort |
//! | `atomix_disk` | partition UUID of boot-b |
//! | `atomix_reason` | why that slot was taken |
//! | `atomix_returned` | slot that got its attempts back after a healthy fallback |
//! | `atomix_trail…` | the firmware's decisions; no part of the state (see `trail`) |
//! | `atomix_reset_data` | partition UUID of data, or `1`: make it anew at the next boot (see `data_reset`) |
//!
//! Reading never fails on a single odd value and never permits because of one: an odd value of
//! RAUC's variables counts as absent, which only restricts, and is reported as a warning. An odd
//! `atomix_disk` is another disk's, and an odd word of `atomix_last` the slowest step. What is a
//! word and what is odd is what the firmware makes of the same text: real U-Boot is asked.

use crate::state::{FAILED_MAX, NO_DISK, PauseStep};
use crate::{AttemptsLeft, BootState, BundleId, Reason, SlotId, SlotRecord, SlotState};
use std::fmt;
use std::str::FromStr;
use storage::PartUuid;
use uboot::{Env, EnvError};

/// Name of the variable that marks an environment as ours.
const ENV_MARK: &str = "atomix_env";
const ORDER: &str = "BOOT_ORDER";
const FAILED: &str = "atomix_failed";
const LAST: &str = "atomix_last";
const DISK: &str = "atomix_disk";
const REASON: &str = "atomix_reason";
const RETURNED: &str = "atomix_returned";

/// Why an environment holds no boot state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadStateError {
    /// `atomix_env` is not `1`: the defaults of a lost environment, or one that was never ours.
    #[error("the environment was lost or never held a boot state")]
    Lost,
}

/// An odd value that was read as its most restrictive meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateWarning {
    /// `BOOT_ORDER` names a slot that this board does not have; the name is skipped.
    UnknownSlot {
        /// The name found, shortened.
        name: String,
    },
    /// `BOOT_ORDER` names a slot twice; the second mention is skipped.
    RepeatedSlot {
        /// The slot.
        slot: SlotId,
    },
    /// A variable has a value outside its grammar; it is read as absent.
    OddValue {
        /// The variable.
        variable: String,
        /// The value found, shortened.
        value: String,
    },
}

impl fmt::Display for StateWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSlot { name } => {
                write!(
                    f,
                    "{ORDER} names \"{name}\", which is no slot of this board; it is skipped until \
                     the next change of the boot state writes the order anew"
                )
            }
            Self::RepeatedSlot { slot } => {
                write!(f, "{ORDER} names slot {slot} more than once")
            }
            Self::OddValue { variable, value } => {
                write!(
                    f,
                    "{variable} has the odd value \"{value}\" and counts as not set until the \
                     next change of the boot state"
                )
            }
        }
    }
}

fn left_name(slot: SlotId) -> &'static str {
    match slot {
        SlotId::A => "BOOT_A_LEFT",
        SlotId::B => "BOOT_B_LEFT",
    }
}

fn state_name(slot: SlotId) -> &'static str {
    match slot {
        SlotId::A => "atomix_state_A",
        SlotId::B => "atomix_state_B",
    }
}

fn digest_name(slot: SlotId) -> &'static str {
    match slot {
        SlotId::A => "atomix_digest_A",
        SlotId::B => "atomix_digest_B",
    }
}

/// Reads with a list of what was odd.
struct Reader<'a> {
    env: &'a Env,
    warnings: Vec<StateWarning>,
}

impl Reader<'_> {
    fn odd(&mut self, variable: &str, value: &str) {
        self.warnings.push(StateWarning::OddValue {
            variable: variable.to_owned(),
            value: value.chars().take(64).collect(),
        });
    }

    fn parse<T: FromStr>(&mut self, variable: &str) -> Option<T> {
        let value = self.env.get(variable).filter(|value| !value.is_empty())?;
        if let Ok(parsed) = value.parse() {
            return Some(parsed);
        }
        self.odd(variable, value);
        None
    }

    fn order(&mut self) -> Vec<SlotId> {
        let mut order = Vec::new();
        for name in words_of(self.env.get(ORDER)) {
            match name.parse::<SlotId>() {
                Ok(slot) if order.contains(&slot) => {
                    self.warnings.push(StateWarning::RepeatedSlot { slot });
                }
                Ok(slot) => order.push(slot),
                Err(unknown) => self.warnings.push(StateWarning::UnknownSlot {
                    name: unknown.name.chars().take(32).collect(),
                }),
            }
        }
        order
    }

    fn slot(&mut self, slot: SlotId) -> SlotRecord {
        SlotRecord {
            state: self.parse(state_name(slot)).unwrap_or(SlotState::Unknown),
            attempts: self.parse(left_name(slot)).unwrap_or(AttemptsLeft::ZERO),
            bundle: self.parse(digest_name(slot)),
        }
    }

    fn failed(&mut self) -> Vec<BundleId> {
        let mut failed = Vec::new();
        let text = self.env.get(FAILED).unwrap_or_default();
        for word in text.split_ascii_whitespace().take(FAILED_MAX) {
            match word.parse::<BundleId>() {
                Ok(bundle) => failed.push(bundle),
                Err(_) => self.odd(FAILED, word),
            }
        }
        failed
    }

    /// Word by word, as the selector does: the last slot named, and the last step. A word that is
    /// neither is the slowest step, so that nothing odd makes a last resort hurry.
    fn last(&mut self) -> (Option<SlotId>, PauseStep) {
        let text = self.env.get(LAST).unwrap_or_default();
        let (mut last, mut pause) = (None, PauseStep::NONE);
        for word in words_of(Some(text)) {
            match (word.parse::<SlotId>(), word.as_bytes()) {
                (Ok(slot), _) => last = Some(slot),
                (Err(_), [digit @ b'1'..=b'5']) => pause = PauseStep::new(digit - b'0'),
                // The selector ends its own list with this word.
                (Err(_), b"end") => {}
                (Err(_), _) => pause = PauseStep::SLOWEST,
            }
        }
        if last_text(last, pause) != text {
            self.odd(LAST, text);
        }
        (last, pause)
    }

    /// A name that is none is another disk's name: the selector compares texts.
    fn disk(&mut self) -> Option<PartUuid> {
        let text = self.env.get(DISK).filter(|text| !text.is_empty())?;
        match text.parse::<PartUuid>() {
            Ok(disk) if disk.to_string() == text => Some(disk),
            Ok(_) | Err(_) => {
                self.odd(DISK, text);
                Some(NO_DISK)
            }
        }
    }
}

impl BootState {
    /// Reads the state from an environment.
    ///
    /// # Errors
    /// [`ReadStateError::Lost`] when the environment is not one of ours.
    pub fn from_env(env: &Env) -> Result<Self, ReadStateError> {
        Self::from_env_warned(env).map(|(state, _)| state)
    }

    /// Reads the state and says what was odd about it, for people.
    ///
    /// # Errors
    /// [`ReadStateError::Lost`] when the environment is not one of ours.
    pub fn from_env_warned(env: &Env) -> Result<(Self, Vec<StateWarning>), ReadStateError> {
        if env.get(ENV_MARK) != Some("1") {
            return Err(ReadStateError::Lost);
        }
        let mut reader = Reader { env, warnings: Vec::new() };
        let (last, pause) = reader.last();
        let state = Self {
            order: reader.order(),
            a: reader.slot(SlotId::A),
            b: reader.slot(SlotId::B),
            failed: reader.failed(),
            last,
            pause,
            disk: reader.disk(),
            reason: reader.parse::<Reason>(REASON),
            returned: reader.parse::<SlotId>(RETURNED),
        };
        Ok((state, reader.warnings))
    }

    /// Writes the state over the same variables of `env`; all others stay.
    ///
    /// # Errors
    /// [`EnvError`] when the environment refuses a value.
    pub fn write_to(&self, env: &mut Env) -> Result<(), EnvError> {
        let mut put = |name: &str, value: String| {
            if value.is_empty() {
                env.unset(name);
                Ok(())
            } else {
                env.set(name, &value)
            }
        };
        put(ENV_MARK, "1".to_owned())?;
        put(ORDER, words(&self.order))?;
        for slot in SlotId::ALL {
            let record = self.slot(slot);
            put(left_name(slot), record.attempts.to_string())?;
            put(state_name(slot), record.state.to_string())?;
            put(digest_name(slot), text_of(record.bundle))?;
        }
        put(FAILED, words(self.failed.get(..FAILED_MAX).unwrap_or(&self.failed)))?;
        put(LAST, last_text(self.last, self.pause))?;
        put(DISK, text_of(self.disk))?;
        put(REASON, text_of(self.reason))?;
        put(RETURNED, text_of(self.returned))
    }
}

fn text_of(value: Option<impl fmt::Display>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn last_text(last: Option<SlotId>, pause: PauseStep) -> String {
    match (last, pause) {
        (None, PauseStep::NONE) => String::new(),
        (None, step) => step.get().to_string(),
        (Some(slot), PauseStep::NONE) => slot.to_string(),
        (Some(slot), step) => format!("{slot} {}", step.get()),
    }
}

/// The words of a value, between what U-Boot's shell takes for blanks: a tab is none.
fn words_of(value: Option<&str>) -> impl Iterator<Item = &str> {
    value.unwrap_or_default().split([' ', '\n']).filter(|word| !word.is_empty())
}

fn words<T: fmt::Display>(values: &[T]) -> String {
    values.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}
