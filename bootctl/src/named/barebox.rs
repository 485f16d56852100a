// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's `barebox`: `barebox-state` on the variables of barebox's bootchooser.
//!
//! | variable | value |
//! |---|---|
//! | `bootstate.<bootname>.priority` | the highest is booted, zero never |
//! | `bootstate.<bootname>.remaining_attempts` | boots left |

use super::ask::{Asker, shown};
use super::numbers::{Base, leading};
use super::{NamedAttempts, NamedBoot, NamedError, NamedHost, NamedMark, NamedSlot};

const STATE: &str = "barebox-state";
const STANDARD_ATTEMPTS: u64 = 3;
const PRIORITY_PRIMARY: u32 = 20;
const PRIORITY_OTHER: u32 = 10;

/// What barebox knows of a bootname.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BareboxState {
    /// The highest is booted, zero never.
    pub priority: u64,
    /// Boots left.
    pub attempts: u64,
}

/// barebox with its bootchooser.
pub(super) struct BareboxNamed {
    asker: Asker,
    attempts: NamedAttempts,
    state_name: Option<String>,
    dtb_path: Option<String>,
    active: Option<String>,
}

/// The two numbers that `barebox-state -g … -g …` printed.
///
/// # Errors
/// What is wrong, in RAUC's words.
pub fn parse_state(printed: &str) -> Result<BareboxState, String> {
    let mut lines = printed.split('\n');
    let mut number = || {
        let line = lines.next().ok_or_else(|| "No content to read".to_owned())?;
        leading(line, Base::Decimal)
            .ok_or_else(|| format!("Failed to parse value: '{}'", shown(line)))
    };
    Ok(BareboxState { priority: number()?, attempts: number()? })
}

/// What barebox booted, by the kernel command line it wrote.
fn active(cmdline: &str) -> Option<String> {
    const KEYS: [&str; 2] = ["bootstate.active=", "bootchooser.active="];
    let found = KEYS.into_iter().filter_map(|key| Some((cmdline.find(key)?, key)));
    let values = found.filter_map(|(at, key)| {
        let value = cmdline.get(at + key.len()..)?;
        let value =
            value.split_whitespace().next().filter(|_| !value.starts_with(char::is_whitespace));
        Some((at, value?.to_owned()))
    });
    values.min().map(|(_, value)| value)
}

impl BareboxNamed {
    pub(super) fn new(
        host: Box<dyn NamedHost>,
        slots: Vec<NamedSlot>,
        attempts: NamedAttempts,
        (state_name, dtb_path): (Option<String>, Option<String>),
        cmdline: &str,
    ) -> Self {
        let asker = Asker::new("barebox", host, slots);
        Self { asker, attempts, state_name, dtb_path, active: active(cmdline) }
    }

    /// The arguments around `option VALUE` for each of the values.
    fn arguments(&self, option: &str, values: &[String]) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(name) = &self.state_name {
            arguments.extend(["-n".to_owned(), name.clone()]);
        }
        for value in values {
            arguments.extend([option.to_owned(), value.clone()]);
        }
        if let Some(path) = &self.dtb_path {
            arguments.extend(["-i".to_owned(), path.clone()]);
        }
        arguments
    }

    fn read(&mut self, bootname: &str) -> Result<BareboxState, NamedError> {
        let values = [
            format!("bootstate.{bootname}.priority"),
            format!("bootstate.{bootname}.remaining_attempts"),
        ];
        let arguments = self.arguments("-g", &values);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = self.asker.get(STATE, &arguments)?;
        parse_state(&printed).map_err(|what| self.asker.odd(what))
    }

    fn set(&mut self, values: &[String]) -> Result<(), NamedError> {
        let arguments = self.arguments("-s", values);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.asker.tell(STATE, &arguments)
    }

    fn bootnames(&self) -> Vec<String> {
        self.asker.slots.iter().map(|slot| slot.bootname.clone()).collect()
    }
}

const fn or_standard(attempts: u64) -> u64 {
    if attempts == 0 { STANDARD_ATTEMPTS } else { attempts }
}

impl NamedBoot for BareboxNamed {
    fn name(&self) -> &'static str {
        self.asker.backend()
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        Ok(self.active.clone())
    }

    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        let state = self.read(bootname)?;
        Ok(state.priority > 0 && state.attempts > 0)
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        let mut found: Option<(u64, String)> = None;
        for name in self.bootnames() {
            let state = self.read(&name)?;
            let top = found.as_ref().map_or(0, |(priority, _)| *priority);
            if state.attempts > 0 && state.priority > top {
                found = Some((state.priority, name));
            }
        }
        let primary = found.map(|(_, name)| Some(name));
        primary.ok_or_else(|| self.asker.odd("Unable to obtain primary element".to_owned()))
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        let mut values = Vec::new();
        let attempts = match mark {
            NamedMark::Good => or_standard(self.attempts.good),
            NamedMark::Bad => {
                values.push(format!("bootstate.{bootname}.priority=0"));
                0
            }
        };
        values.push(format!("bootstate.{bootname}.remaining_attempts={attempts}"));
        self.set(&values)
    }

    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        let mut values = Vec::new();
        for name in self.bootnames() {
            let before = self.read(&name)?.priority;
            let priority = match before {
                _ if name == bootname => PRIORITY_PRIMARY,
                0 => 0,
                _ => PRIORITY_OTHER,
            };
            values.push(format!("bootstate.{name}.priority={priority}"));
        }
        let attempts = or_standard(self.attempts.primary);
        values.push(format!("bootstate.{bootname}.remaining_attempts={attempts}"));
        self.set(&values)
    }

    fn warnings(&mut self) -> Vec<String> {
        self.asker.take_warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Said, slots};
    use super::*;

    fn barebox(answers: &'static [(&str, &str)], names: &[&str]) -> (BareboxNamed, Fake) {
        let fake = Fake::new(move |_, arguments| {
            let asked = arguments.iter().find_map(|it| it.strip_suffix(".priority"));
            let found = answers.iter().find(|(name, _)| asked == Some(*name));
            Said::out(found.map(|(_, numbers)| (*numbers).to_owned()).unwrap_or_default())
        });
        let attempts = NamedAttempts { good: 5, primary: 0 };
        (BareboxNamed::new(fake.host(), slots(names), attempts, (None, None), ""), fake)
    }

    #[test]
    fn the_highest_priority_with_attempts_is_primary() {
        let answers =
            &[("bootstate.A", "20\n0\n"), ("bootstate.B", "10\n1\n"), ("bootstate.R", "10\n3\n")];
        let (mut boot, _) = barebox(answers, &["A", "B", "R"]);
        assert_eq!(boot.primary().unwrap().as_deref(), Some("B"));
        assert!(!boot.is_good("A").unwrap());
        assert!(boot.is_good("R").unwrap());
    }

    #[test]
    fn primary_is_one_call_and_leaves_given_up_names_at_zero() {
        let answers =
            &[("bootstate.A", "20\n0\n"), ("bootstate.B", "0\n0\n"), ("bootstate.R", "0\n3\n")];
        let (mut boot, fake) = barebox(answers, &["A", "B", "R"]);
        boot.set_primary("B").unwrap();
        assert_eq!(
            fake.calls().last().map(String::as_str),
            Some(
                "barebox-state -s bootstate.A.priority=10 -s bootstate.B.priority=20 \
                 -s bootstate.R.priority=0 -s bootstate.B.remaining_attempts=3"
            )
        );
    }

    #[test]
    fn marks_name_the_state_and_its_description() {
        let fake = Fake::new(|_, _| Said::out(String::new()));
        let place = (Some("state-2".to_owned()), Some("/boot/dtb".to_owned()));
        let attempts = NamedAttempts { good: 5, primary: 0 };
        let mut boot = BareboxNamed::new(fake.host(), slots(&["A"]), attempts, place, "");
        boot.set_state("A", NamedMark::Good).unwrap();
        boot.set_state("A", NamedMark::Bad).unwrap();
        assert_eq!(
            fake.calls(),
            [
                "barebox-state -n state-2 -s bootstate.A.remaining_attempts=5 -i /boot/dtb",
                "barebox-state -n state-2 -s bootstate.A.priority=0 \
                 -s bootstate.A.remaining_attempts=0 -i /boot/dtb"
            ]
        );
    }

    #[test]
    fn an_answer_without_two_numbers_is_refused() {
        assert_eq!(parse_state("7"), Err("No content to read".to_owned()));
        assert_eq!(parse_state("7\n"), Err("Failed to parse value: ''".to_owned()));
        assert_eq!(parse_state("x\n3\n"), Err("Failed to parse value: 'x'".to_owned()));
        let state = BareboxState { priority: 20, attempts: 3 };
        assert_eq!(parse_state("20\n3\n"), Ok(state));
    }

    #[test]
    fn what_runs_is_in_the_command_line() {
        for (cmdline, name) in [
            ("root=/dev/x bootstate.active=A quiet", Some("A")),
            ("bootchooser.active=B", Some("B")),
            ("x.bootchooser.active=B bootstate.active=A", Some("B")),
            ("bootstate.active= A", None),
            ("quiet", None),
        ] {
            assert_eq!(active(cmdline).as_deref(), name, "{cmdline}");
        }
    }
}
