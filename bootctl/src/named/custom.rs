// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's `custom`: a script with five verbs, as in [`crate::CustomBackend`], but for bootnames of
//! any number and form.

use super::ask::{Asker, shown};
use super::{NamedBoot, NamedError, NamedHost, NamedMark, NamedSlot};
use std::path::{Path, PathBuf};

/// A boot loader behind a script.
pub(super) struct CustomNamed {
    asker: Asker,
    script: PathBuf,
}

impl CustomNamed {
    pub(super) fn new(host: Box<dyn NamedHost>, slots: Vec<NamedSlot>, script: &Path) -> Self {
        Self { asker: Asker::new("custom", host, slots), script: script.to_owned() }
    }

    fn ask(&mut self, arguments: &[&str]) -> Result<String, NamedError> {
        Ok(self.asker.get(&self.script, arguments)?.trim().to_owned())
    }
}

impl NamedBoot for CustomNamed {
    fn name(&self) -> &'static str {
        self.asker.backend()
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        let answer = self.asker.get(&self.script, &["get-current"])?;
        let name = answer.lines().next().unwrap_or_default();
        if name.is_empty() {
            let script = self.script.display();
            let what = format!("Failed to get custom backend bootname '{script}': no output");
            return Err(self.asker.odd(what));
        }
        Ok(Some(name.to_owned()))
    }

    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        match self.ask(&["get-state", bootname])?.as_str() {
            "good" => Ok(true),
            "bad" => Ok(false),
            other => Err(self.asker.odd(format!(
                "Obtained string does not match \"good\" or \"bad\": '{}'",
                shown(other)
            ))),
        }
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        let name = self.ask(&["get-primary"])?;
        if self.asker.slot(&name).is_some() {
            return Ok(Some(name));
        }
        let name = shown(&name);
        Err(self.asker.odd(format!("'{name}' does not match any configured bootname")))
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        self.asker.tell(&self.script, &["set-state", bootname, mark.as_str()])
    }

    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        self.asker.tell(&self.script, &["set-primary", bootname])
    }

    fn warnings(&mut self) -> Vec<String> {
        self.asker.take_warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Said, slots};
    use super::*;

    fn custom(answer: &'static str) -> (CustomNamed, Fake) {
        let fake = Fake::new(move |_, _| Said::out(answer.to_owned()));
        (CustomNamed::new(fake.host(), slots(&["A", "B"]), Path::new("/etc/boot.sh")), fake)
    }

    #[test]
    fn answers_are_read_as_the_contract_says() {
        assert_eq!(custom("system0\nmore\n").0.current().unwrap().as_deref(), Some("system0"));
        assert_eq!(custom(" B \n").0.primary().unwrap().as_deref(), Some("B"));
        assert!(custom("good\n").0.is_good("A").unwrap());
        assert!(!custom("bad\n").0.is_good("A").unwrap());
    }

    #[test]
    fn other_answers_are_refused_in_raucs_words() {
        let text = custom("").0.current().unwrap_err().to_string();
        let expected =
            "custom backend: Failed to get custom backend bootname '/etc/boot.sh': no output";
        assert_eq!(text, expected);
        let text = custom("X").0.primary().unwrap_err().to_string();
        assert_eq!(text, "custom backend: 'X' does not match any configured bootname");
        let text = custom("fine").0.is_good("A").unwrap_err().to_string();
        let expected = "custom backend: Obtained string does not match \"good\" or \"bad\": 'fine'";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_script_gets_verb_and_name() {
        let (mut boot, fake) = custom("good");
        boot.set_state("A", NamedMark::Bad).unwrap();
        boot.set_primary("B").unwrap();
        boot.is_good("A").unwrap();
        let calls = [
            "/etc/boot.sh set-state A bad",
            "/etc/boot.sh set-primary B",
            "/etc/boot.sh get-state A",
        ];
        assert_eq!(fake.calls(), calls);
    }
}
