// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's `grub`: `grub-editenv FILE list` and `… set`, several variables in one write.
//!
//! | variable | value |
//! |---|---|
//! | `ORDER` | bootnames, first tried first |
//! | `<bootname>_OK` | 1 where it may be booted |
//! | `<bootname>_TRY` | 1 once GRUB has tried it, until it is marked good |

use super::ask::{Asker, shown};
use super::numbers::{Base, leading};
use super::{NamedBoot, NamedError, NamedHost, NamedMark, NamedSlot};
use std::path::Path;

const EDITENV: &str = "grub-editenv";
const ORDER: &str = "ORDER";

/// GRUB with RAUC's variables.
pub(super) struct GrubNamed {
    asker: Asker,
    grubenv: String,
}

/// The variables in what `grub-editenv list` printed. Of one that is there twice the first counts.
#[must_use]
pub fn parse_list(listed: &str) -> Vec<(&str, &str)> {
    let pairs = listed.split('\n').filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key, value.trim_end())).collect()
}

fn names(order: &str) -> impl Iterator<Item = &str> {
    order.split(' ').filter(|name| !name.is_empty())
}

impl GrubNamed {
    pub(super) fn new(host: Box<dyn NamedHost>, slots: Vec<NamedSlot>, grubenv: &Path) -> Self {
        let asker = Asker::new("grub", host, slots);
        Self { asker, grubenv: grubenv.to_string_lossy().into_owned() }
    }

    fn list(&mut self) -> Result<String, NamedError> {
        self.asker.get(EDITENV, &[&self.grubenv, "list"])
    }

    fn value<'a>(&self, listed: &[(&str, &'a str)], key: &str) -> Result<&'a str, NamedError> {
        let found = listed.iter().find(|(known, _)| *known == key);
        found
            .map(|(_, value)| *value)
            .ok_or_else(|| self.asker.odd(format!("Variable {key} not set in grub environment")))
    }

    /// Whether the two variables of a name permit it.
    fn permits(&self, listed: &[(&str, &str)], bootname: &str) -> Result<bool, NamedError> {
        let ok = self.value(listed, &format!("{bootname}_OK"))?;
        let tried = self.value(listed, &format!("{bootname}_TRY"))?;
        let number = |text| leading(text, Base::AsWritten).unwrap_or(0);
        Ok(number(ok) == 1 && number(tried) == 0)
    }

    fn set(&mut self, pairs: &[String]) -> Result<(), NamedError> {
        let head = [self.grubenv.as_str(), "set"].into_iter();
        let arguments: Vec<&str> = head.chain(pairs.iter().map(String::as_str)).collect();
        self.asker.tell(EDITENV, &arguments)
    }
}

impl NamedBoot for GrubNamed {
    fn name(&self) -> &'static str {
        self.asker.backend()
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        Ok(None)
    }

    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        let listed = self.list()?;
        let listed = parse_list(&listed);
        if names(self.value(&listed, ORDER)?).any(|name| name == bootname) {
            self.permits(&listed, bootname)
        } else {
            Ok(false)
        }
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        let listed = self.list()?;
        let listed = parse_list(&listed);
        let order = self.value(&listed, ORDER)?;
        if order.is_empty() {
            return Err(self.asker.odd(format!("Variable {ORDER} is empty")));
        }
        for name in names(order) {
            if self.asker.slot(name).is_some() && self.permits(&listed, name)? {
                return Ok(Some(name.to_owned()));
            }
        }
        Err(self.asker.odd(format!("No bootable slot found in {ORDER} '{}'", shown(order))))
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        let ok = match mark {
            NamedMark::Good => 1,
            NamedMark::Bad => 0,
        };
        self.set(&[format!("{bootname}_OK={ok}"), format!("{bootname}_TRY=0")])
    }

    /// RAUC writes the other names in the order of a hash table. Here they keep the order they
    /// have: with three slots it says which one is fallen back to.
    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        let listed = self.list().unwrap_or_else(|cause| {
            let why = shown(&cause.failure().to_string());
            self.asker.warn(format!("Unable to obtain {ORDER} ({why}), using defaults"));
            String::new()
        });
        let listed = parse_list(&listed);
        let before = self.value(&listed, ORDER).unwrap_or_default();
        let known = names(before).filter(|name| self.asker.slot(name).is_some());
        let all = self.asker.slots.iter().map(|slot| slot.bootname.as_str());
        let mut order = vec![bootname];
        for name in known.chain(all) {
            if !order.contains(&name) {
                order.push(name);
            }
        }
        let order = format!("{ORDER}={}", order.join(" "));
        self.set(&[format!("{bootname}_OK=1"), format!("{bootname}_TRY=0"), order])
    }

    fn warnings(&mut self) -> Vec<String> {
        self.asker.take_warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Said, slots};
    use super::super::host::RealHost;
    use super::*;

    fn grub(listed: &'static str) -> (GrubNamed, Fake) {
        let fake = Fake::new(move |_, arguments| match arguments {
            [_, "list"] => Said::out(listed.to_owned()),
            _ => Said::out(String::new()),
        });
        (GrubNamed::new(fake.host(), slots(&["A", "B", "R"]), Path::new("/boot/grubenv")), fake)
    }

    #[test]
    fn good_and_primary_need_the_order_ok_and_no_try() {
        let (mut boot, _) =
            grub("ORDER=B X A\nA_OK=1\nA_TRY=0\nB_OK=1\nB_TRY=1\nR_OK=1\nR_TRY=0\n");
        assert!(boot.is_good("A").unwrap());
        assert!(!boot.is_good("B").unwrap(), "tried");
        assert!(!boot.is_good("R").unwrap(), "not in the order");
        assert_eq!(boot.primary().unwrap().as_deref(), Some("A"));
    }

    #[test]
    fn what_is_missing_is_told_in_raucs_words() {
        for (listed, text) in [
            ("", "grub backend: Variable ORDER not set in grub environment"),
            ("ORDER=\n", "grub backend: Variable ORDER is empty"),
            ("ORDER=X\n", "grub backend: No bootable slot found in ORDER 'X'"),
            ("ORDER=A\nA_OK=1\n", "grub backend: Variable A_TRY not set in grub environment"),
        ] {
            let (mut boot, _) = grub(listed);
            assert_eq!(boot.primary().unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn primary_is_one_write_and_keeps_the_order_of_the_others() {
        let (mut boot, fake) = grub("ORDER=R X B\n");
        boot.set_primary("B").unwrap();
        assert_eq!(
            fake.calls(),
            [
                "grub-editenv /boot/grubenv list",
                "grub-editenv /boot/grubenv set B_OK=1 B_TRY=0 ORDER=B R A"
            ]
        );
    }

    /// Judged by the real program.
    #[test]
    fn grub_editenv_takes_and_gives_what_we_mean() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("grubenv");
        let mut host = RealHost;
        let path = file.to_string_lossy().into_owned();
        host.run(EDITENV.as_ref(), &[&path, "create"]).expect("grub-editenv is installed");
        let mut boot = GrubNamed::new(Box::new(RealHost), slots(&["A", "B"]), &file);
        boot.set_primary("A").unwrap();
        boot.set_state("B", NamedMark::Bad).unwrap();
        assert_eq!(boot.primary().unwrap().as_deref(), Some("A"));
        assert!(boot.is_good("A").unwrap());
        assert!(!boot.is_good("B").unwrap());
        boot.set_state("A", NamedMark::Bad).unwrap();
        boot.set_state("B", NamedMark::Good).unwrap();
        assert_eq!(boot.primary().unwrap().as_deref(), Some("B"));
        let listed = host.run(EDITENV.as_ref(), &[&path, "list"]).unwrap().stdout;
        assert!(String::from_utf8(listed).unwrap().contains("ORDER=A B\n"));
    }
}
