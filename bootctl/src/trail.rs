// SPDX-License-Identifier: MIT OR Apache-2.0
//! What did the firmware decide since Linux came up last?
//!
//! A boot that dies before Linux is up can tell nobody but the firmware's own environment. So the
//! selector leaves each decision there as a word of the *trail*, in the save that it makes anyway:
//!
//! | variable | meaning |
//! |---|---|
//! | `atomix_trail` | decisions since the last digit of their number was 0, oldest first |
//! | `atomix_trail_before` | the ten before them |
//! | `atomix_trail_tens`, `atomix_trail_ones` | the digits of the newest one's number |
//!
//! A word is `07.B2.trying`: its number, the slot with its attempts left (none where they do not
//! count, in the last resort), and the reason; `.load-failed` behind it says that the slot did not
//! load. The number goes from 00 to 99 and begins anew.
//!
//! The firmware alone writes the trail and Linux alone reads it, so neither waits for the other and
//! no commit is spent on clearing it: what Linux has told already it knows from the recorder, by
//! number and content. [`Decision::append_to`] is the selector's rule, against which the script is
//! tested.

use crate::{AttemptsLeft, Reason, SlotId};
use std::fmt;
use std::str::FromStr;
use uboot::{Env, EnvError, TRAIL};

/// Decisions the trail has at most.
pub const TRAIL_MAX: usize = 20;

/// Numbers there are before they begin anew.
const NUMBERS: u16 = 100;

/// What the firmware decided and saved at one start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The slot taken.
    pub slot: SlotId,
    /// Its attempts left after this one; `None` in the last resort, which counts none.
    pub left: Option<AttemptsLeft>,
    /// Why.
    pub reason: Reason,
    /// Whether the slot's boot script was found and started a kernel.
    pub load: Load,
}

/// Whether a kernel was started. Stored numbers: do not reorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Load {
    /// As far as the firmware knows.
    Started = 0,
    /// The slot did not load.
    Failed = 1,
}

/// A decision with its number on the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Numbered {
    /// 0 to 99, one more than that of the decision before.
    pub number: u8,
    /// The decision.
    pub decision: Decision,
}

impl Numbered {
    /// How many decisions lie between `earlier` and this one, if there were less than a hundred.
    #[must_use]
    pub fn missing_since(&self, earlier: &Self) -> u16 {
        let ahead = u16::from(self.number) + 3 * NUMBERS - u16::from(earlier.number);
        (ahead - 1) % NUMBERS
    }
}

/// The decisions in an environment, oldest first. Words that are none are skipped: it is the text
/// of a variable that anybody may set, and it decides nothing.
#[must_use]
pub fn read_trail(env: &Env) -> Vec<Numbered> {
    let [current, before, _, _] = TRAIL;
    let words = [before, current].into_iter().filter_map(|name| env.get(name));
    let mut decisions: Vec<Numbered> =
        words.flat_map(str::split_ascii_whitespace).filter_map(|word| word.parse().ok()).collect();
    let skip = decisions.len().saturating_sub(TRAIL_MAX);
    decisions.drain(..skip);
    decisions
}

/// What of `trail` is not among the decisions `told` (both oldest first): those after the last one
/// told, if the decisions before that are the same ones. A trail that was begun anew has the same
/// numbers with other decisions.
pub(crate) fn untold<'a>(trail: &'a [Numbered], told: &[Numbered]) -> &'a [Numbered] {
    let Some(last) = told.last() else { return trail };
    let Some(at) = trail.iter().rposition(|one| one == last) else { return trail };
    let (known, new) = trail.split_at_checked(at + 1).unwrap_or((&[], trail));
    let same = known.iter().rev().zip(told.iter().rev()).all(|(one, other)| one == other);
    if same { new } else { trail }
}

/// Removes the trail, as the firmware does with an environment that is not of this board.
pub(crate) fn forget_trail(env: &mut Env) {
    for name in TRAIL {
        env.unset(name);
    }
}

impl Decision {
    /// Puts this decision at the end of the trail, as the selector does.
    ///
    /// # Errors
    /// [`EnvError`] when the environment refuses a value.
    pub fn append_to(&self, env: &mut Env) -> Result<(), EnvError> {
        let [current, before, tens, ones] = TRAIL;
        let one = digit_after(env.get(ones));
        env.set(ones, one)?;
        if one == "0" {
            let ten = digit_after(env.get(tens));
            env.set(tens, ten)?;
            let full = words(env, current);
            if full.is_empty() {
                env.unset(before);
            } else {
                env.set(before, &full.join(" "))?;
            }
            env.unset(current);
        }
        let ten = env.get(tens).unwrap_or_default();
        let word = format!("{ten}{one}.{self}");
        // Where somebody left more words than the U-Boot at hand takes in one command (16 to 64),
        // it keeps what is there; the next number that ends in 0 clears it away in any case.
        let mut all = words(env, current);
        all.push(word);
        env.set(current, &all.join(" "))
    }
}

fn words(env: &Env, name: &str) -> Vec<String> {
    env.get(name).unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect()
}

/// The digit after the one in `text`; 0 after 9 and after everything that is no digit.
fn digit_after(text: Option<&str>) -> &'static str {
    const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let position = DIGITS.iter().position(|digit| Some(*digit) == text);
    position.and_then(|position| DIGITS.get(position + 1)).copied().unwrap_or("0")
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.left.map(|left| left.to_string()).unwrap_or_default();
        write!(f, "{}{left}.{}", self.slot, self.reason)?;
        match self.load {
            Load::Started => Ok(()),
            Load::Failed => write!(f, ".{}", Reason::LoadFailed),
        }
    }
}

/// The text is no word of the trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decision of the firmware")]
pub struct ParseDecisionError;

impl FromStr for Numbered {
    type Err = ParseDecisionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(4, '.');
        let mut next = || parts.next().ok_or(ParseDecisionError);
        let (number, taken, reason) = (next()?, next()?, next()?);
        if number.len() != 2 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseDecisionError);
        }
        let (slot, left) = taken.split_at_checked(1).ok_or(ParseDecisionError)?;
        let left = match left {
            "" => None,
            digit => Some(digit.parse().map_err(|_| ParseDecisionError)?),
        };
        let load = match parts.next() {
            None => Load::Started,
            Some(word) if word == Reason::LoadFailed.as_str() => Load::Failed,
            Some(_) => return Err(ParseDecisionError),
        };
        let decision = Decision {
            slot: slot.parse().map_err(|_| ParseDecisionError)?,
            left,
            reason: reason.parse().map_err(|_| ParseDecisionError)?,
            load,
        };
        Ok(Self { number: number.parse().map_err(|_| ParseDecisionError)?, decision })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(left: u8) -> Decision {
        let left = Some(AttemptsLeft::new(left).unwrap());
        Decision { slot: SlotId::B, left, reason: Reason::Trying, load: Load::Started }
    }

    #[test]
    fn the_trail_has_the_last_ten_to_twenty_decisions_with_numbers_in_a_row() {
        let mut env = Env::new();
        for count in 1..=250_usize {
            let left = u8::try_from(count % 9).unwrap();
            decision(left).append_to(&mut env).unwrap();
            let found = read_trail(&env);
            assert_eq!(found.len(), if count <= 10 { count } else { (count - 1) % 10 + 11 });
            assert_eq!(found.last().unwrap().decision, decision(left));
            assert_eq!(usize::from(found.last().unwrap().number), (count - 1) % 100);
            for pair in found.windows(2) {
                assert_eq!(pair[1].missing_since(&pair[0]), 0, "{pair:?}");
            }
        }
    }

    #[test]
    fn every_word_is_read_as_it_was_written_and_nothing_else_is() {
        for reason in Reason::ALL {
            for load in [Load::Started, Load::Failed] {
                for left in [None, Some(AttemptsLeft::ONE)] {
                    let decision = Decision { slot: SlotId::A, left, reason, load };
                    let word = format!("42.{decision}");
                    assert_eq!(word.parse(), Ok(Numbered { number: 42, decision }));
                }
            }
        }
        for odd in ["", "1.A2.trying", "+1.A2.trying", "01.C2.trying", "01.A2.because", "01.A2"] {
            assert_eq!(odd.parse::<Numbered>(), Err(ParseDecisionError), "{odd}");
        }
        for odd in ["01.A10.trying", "01..trying", "01.A2.trying.", "01.ä.trying", "..."] {
            assert_eq!(odd.parse::<Numbered>(), Err(ParseDecisionError), "{odd}");
        }
    }

    #[test]
    fn what_was_told_is_not_told_again_and_what_was_not_is() {
        let mut env = Env::new();
        let mut told = Vec::new();
        for boots in [1, 1, 3, 9, 1, 10, 2, 7, 1, 1] {
            let before = read_trail(&env).last().copied();
            for left in 0..boots {
                decision(left % 3).append_to(&mut env).unwrap();
            }
            let trail = read_trail(&env);
            let new = untold(&trail, &told);
            assert_eq!(new.len(), usize::from(boots));
            assert!(before.is_none_or(|before| new[0].missing_since(&before) == 0));
            told.extend_from_slice(new);
        }
        let again = read_trail(&env);
        assert!(untold(&again, &told).is_empty());
        // The environment was lost: the numbers begin anew, and so does the telling.
        let mut lost = Env::new();
        let reason = Reason::EnvLost;
        Decision { reason, ..decision(2) }.append_to(&mut lost).unwrap();
        assert_eq!(untold(&read_trail(&lost), &told).len(), 1);
        // So it does where the number told last comes again with what was told of it.
        let mut other = read_trail(&env);
        other[0].decision.slot = SlotId::A;
        assert_eq!(untold(&other, &told).len(), other.len());
    }

    #[test]
    fn a_trail_that_somebody_filled_is_cleared_away_within_ten_decisions() {
        let mut env = Env::new();
        env.set("atomix_trail", &"x ".repeat(400)).unwrap();
        env.set("atomix_trail_ones", "because").unwrap();
        for _ in 0..21 {
            decision(2).append_to(&mut env).unwrap();
        }
        assert_eq!(read_trail(&env).len(), 11);
        assert!(env.used_bytes() < 500, "{}", env.used_bytes());
    }
}
