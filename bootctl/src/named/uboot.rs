// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's `uboot`: `fw_printenv` and `fw_setenv` on the variables of its boot script.
//!
//! | variable | value |
//! |---|---|
//! | `BOOT_ORDER` | bootnames, first tried first |
//! | `BOOT_<bootname>_LEFT` | boots left, hexadecimal |
//!
//! Two programs run for one change, and a cut between them must find something safe: *bad* takes the
//! name out of the order before its boots, *primary* gives it boots before it enters the order. A
//! board with our own protocol must not be handled from here; see [`super::choose_uboot`].

use super::ask::{Asker, shown};
use super::numbers::{Base, leading};
use super::{NamedAttempts, NamedBoot, NamedError, NamedHost, NamedMark, NamedSlot};

const PRINT: &str = "fw_printenv";
const SET: &str = "fw_setenv";
const ORDER: &str = "BOOT_ORDER";
const STANDARD_ATTEMPTS: u64 = 3;

/// U-Boot with RAUC's variables.
pub(super) struct UbootNamed {
    asker: Asker,
    attempts: NamedAttempts,
}

fn left(bootname: &str) -> String {
    format!("BOOT_{bootname}_LEFT")
}

/// The value in what `fw_printenv KEY` printed; `None` where it printed something else.
#[must_use]
pub fn parse_printed<'a>(key: &str, printed: &'a str) -> Option<&'a str> {
    Some(printed.strip_prefix(key)?.strip_prefix('=')?.trim_end())
}

fn names(order: &str) -> impl Iterator<Item = &str> {
    order.split(' ').filter(|name| !name.is_empty())
}

impl UbootNamed {
    pub(super) fn new(
        host: Box<dyn NamedHost>,
        slots: Vec<NamedSlot>,
        attempts: NamedAttempts,
    ) -> Self {
        Self { asker: Asker::new("uboot", host, slots), attempts }
    }

    fn read(&mut self, key: &str) -> Result<String, NamedError> {
        let printed = self.asker.get(PRINT, &[key])?;
        let value = parse_printed(key, &printed).map(str::to_owned);
        value.ok_or_else(|| {
            self.asker.odd(format!("Unexpected {PRINT} output for variable '{key}'"))
        })
    }

    fn has_boots_left(&mut self, bootname: &str) -> Result<bool, NamedError> {
        let value = self.read(&left(bootname))?;
        Ok(leading(&value, Base::Hexadecimal).unwrap_or(0) > 0)
    }

    fn set_left(&mut self, bootname: &str, boots: u64) -> Result<(), NamedError> {
        self.asker.tell(SET, &[&left(bootname), &format!("{boots:x}")])
    }
}

const fn or_standard(attempts: u64) -> u64 {
    if attempts == 0 { STANDARD_ATTEMPTS } else { attempts }
}

impl NamedBoot for UbootNamed {
    fn name(&self) -> &'static str {
        self.asker.backend()
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        Ok(None)
    }

    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        let order = self.read(ORDER)?;
        if names(&order).any(|name| name == bootname) {
            self.has_boots_left(bootname)
        } else {
            Ok(false)
        }
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        let order = self.read(ORDER)?;
        for name in names(&order) {
            if self.asker.slot(name).is_some() && self.has_boots_left(name)? {
                return Ok(Some(name.to_owned()));
            }
        }
        Err(self.asker.odd("Unable to find primary boot slot".to_owned()))
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        match mark {
            NamedMark::Good => self.set_left(bootname, or_standard(self.attempts.good)),
            NamedMark::Bad => {
                match self.read(ORDER) {
                    Ok(order) => {
                        let rest: Vec<&str> = names(&order).filter(|it| *it != bootname).collect();
                        self.asker.tell(SET, &[ORDER, &rest.join(" ")])?;
                    }
                    // No boots left keeps the slot from being booted, with an order or without.
                    Err(cause) => {
                        let why = shown(&cause.failure().to_string());
                        self.asker.warn(format!("Unable to obtain {ORDER}: {why}"));
                    }
                }
                self.set_left(bootname, 0)
            }
        }
    }

    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        let order = self.read(ORDER).unwrap_or_else(|cause| {
            let why = shown(&cause.failure().to_string());
            self.asker.warn(format!("Unable to obtain {ORDER} ({why}), using defaults"));
            let all: Vec<&str> = self.asker.slots.iter().map(|it| it.bootname.as_str()).collect();
            all.join(" ")
        });
        let rest = names(&order).filter(|name| *name != bootname);
        let order: Vec<&str> = std::iter::once(bootname).chain(rest).collect();
        self.set_left(bootname, or_standard(self.attempts.primary))?;
        self.asker.tell(SET, &[ORDER, &order.join(" ")])
    }

    fn warnings(&mut self) -> Vec<String> {
        self.asker.take_warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Said, slots};
    use super::*;

    /// An environment behind the two programs.
    fn uboot(variables: &[(&str, &str)]) -> (UbootNamed, Fake) {
        let mut env: Vec<(String, String)> =
            variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let fake = Fake::new(move |program, arguments| match (program, arguments) {
            ("fw_printenv", [key]) => match env.iter().find(|(known, _)| known == key) {
                Some((key, value)) => Said::out(format!("{key}={value}\n")),
                None => Said::fails(1, format!("## Error: \"{key}\" not defined")),
            },
            ("fw_setenv", [key, value]) => {
                env.retain(|(known, _)| known != key);
                env.push(((*key).to_owned(), (*value).to_owned()));
                Said::out(String::new())
            }
            other => unreachable!("{other:?}"),
        });
        let attempts = NamedAttempts { good: 0, primary: 12 };
        (UbootNamed::new(fake.host(), slots(&["A", "B", "R"]), attempts), fake)
    }

    #[test]
    fn good_and_primary_need_the_order_and_boots_left() {
        let env = [("BOOT_ORDER", "X B A"), ("BOOT_A_LEFT", "a"), ("BOOT_B_LEFT", "0")];
        let (mut boot, _) = uboot(&env);
        assert!(boot.is_good("A").unwrap());
        assert!(!boot.is_good("B").unwrap());
        assert!(!boot.is_good("R").unwrap(), "not in the order");
        assert_eq!(boot.primary().unwrap().as_deref(), Some("A"), "X is not ours, B is spent");
    }

    #[test]
    fn bad_takes_the_name_out_of_the_order_before_its_boots() {
        let (mut boot, fake) = uboot(&[("BOOT_ORDER", " B  A R ")]);
        boot.set_state("A", NamedMark::Bad).unwrap();
        let calls =
            ["fw_printenv BOOT_ORDER", "fw_setenv BOOT_ORDER B R", "fw_setenv BOOT_A_LEFT 0"];
        assert_eq!(fake.calls(), calls);
    }

    #[test]
    fn primary_gives_boots_before_the_name_enters_the_order() {
        let (mut boot, fake) = uboot(&[("BOOT_ORDER", "B")]);
        boot.set_primary("A").unwrap();
        let calls =
            ["fw_printenv BOOT_ORDER", "fw_setenv BOOT_A_LEFT c", "fw_setenv BOOT_ORDER A B"];
        assert_eq!(fake.calls(), calls);
    }

    #[test]
    fn good_leaves_the_order_alone() {
        let (mut boot, fake) = uboot(&[("BOOT_ORDER", "B")]);
        boot.set_state("A", NamedMark::Good).unwrap();
        assert_eq!(fake.calls(), ["fw_setenv BOOT_A_LEFT 3"]);
    }

    #[test]
    fn without_an_order_bad_sets_the_boots_and_primary_writes_all_names() {
        let (mut boot, fake) = uboot(&[]);
        boot.set_state("A", NamedMark::Bad).unwrap();
        boot.set_primary("B").unwrap();
        assert_eq!(fake.calls().get(1).map(String::as_str), Some("fw_setenv BOOT_A_LEFT 0"));
        assert_eq!(fake.calls().last().map(String::as_str), Some("fw_setenv BOOT_ORDER B A R"));
        let warnings = boot.warnings();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings.iter().all(|it| it.starts_with("Unable to obtain BOOT_ORDER")));
    }

    #[test]
    fn an_answer_about_another_variable_is_refused() {
        let fake = Fake::new(|_, _| Said::out("BOOT_ORDERS=A B\n".to_owned()));
        let attempts = NamedAttempts { good: 3, primary: 3 };
        let mut boot = UbootNamed::new(fake.host(), slots(&["A"]), attempts);
        let text = boot.is_good("A").unwrap_err().to_string();
        assert_eq!(text, "uboot backend: Unexpected fw_printenv output for variable 'BOOT_ORDER'");
    }

    #[test]
    fn failures_are_told_in_raucs_words_with_the_programs_own() {
        let (mut boot, _) = uboot(&[("BOOT_ORDER", "A")]);
        let text = boot.is_good("A").unwrap_err().to_string();
        let expected = "uboot backend: fw_printenv failed with exit code: 1 (## Error: \"BOOT_A_LEFT\" \
                        not defined)";
        assert_eq!(text, expected);
        let fake = Fake::new(|program, _| {
            if program == "fw_printenv" {
                return Said::out("BOOT_ORDER=A\n".to_owned());
            }
            Said::fails(255, "Cannot access MTD device".to_owned())
        });
        let attempts = NamedAttempts { good: 3, primary: 3 };
        let mut boot = UbootNamed::new(fake.host(), slots(&["A"]), attempts);
        let text = boot.set_state("A", NamedMark::Bad).unwrap_err().to_string();
        let expected = "uboot backend: Failed to run fw_setenv: Child process exited with code 255 \
                        (Cannot access MTD device)";
        assert_eq!(text, expected);
    }
}
