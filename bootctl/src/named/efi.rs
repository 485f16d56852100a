// SPDX-License-Identifier: MIT OR Apache-2.0
//! RAUC's `efi`: `efibootmgr` on the firmware's `BootOrder` and `BootNext`. An entry belongs to the
//! slot whose bootname is its label.
//!
//! A slot that is marked bad also leaves `BootNext`, other than in RAUC: an install marks its target
//! bad before it writes there, and a firmware that was told to boot it next would boot half of it.

use super::ask::Asker;
use super::{
    EfiActivation, EfiEntries, EfiEntry, NamedBoot, NamedError, NamedFailure, NamedHost, NamedMark,
    NamedSlot,
};

const PROGRAM: &str = "efibootmgr";

/// UEFI firmware.
pub(super) struct EfiNamed {
    asker: Asker,
    activation: EfiActivation,
}

impl EfiNamed {
    pub(super) fn new(
        host: Box<dyn NamedHost>,
        slots: Vec<NamedSlot>,
        activation: EfiActivation,
    ) -> Self {
        Self { asker: Asker::new("efi", host, slots), activation }
    }

    fn read(&mut self) -> Result<EfiEntries, NamedError> {
        let printed = self.asker.get(PROGRAM, &[])?;
        EfiEntries::parse(&printed).map_err(|what| self.asker.odd(what.to_owned()))
    }

    /// The entries, and among them that of `bootname`, made anew where it is missing and can be.
    fn read_with(&mut self, bootname: &str) -> Result<(EfiEntries, EfiEntry), NamedError> {
        let missing =
            |asker: &Asker| asker.failed(NamedFailure::NoEntry { bootname: bootname.to_owned() });
        let entries = self.read()?;
        if let Some(entry) = entries.labelled(bootname).cloned() {
            return Ok((entries, entry));
        }
        let slot = self.asker.slot(bootname).cloned().ok_or_else(|| missing(&self.asker))?;
        self.create(&slot)?;
        let entries = self.read()?;
        let entry = entries.labelled(bootname).cloned().ok_or_else(|| missing(&self.asker))?;
        Ok((entries, entry))
    }

    fn create(&mut self, slot: &NamedSlot) -> Result<(), NamedError> {
        let bootname = slot.bootname.as_str();
        let (Some(loader), Some(cmdline)) = (&slot.efi_loader, &slot.efi_cmdline) else {
            return Err(self.asker.failed(NamedFailure::NoEntry { bootname: bootname.to_owned() }));
        };
        let partition = self.asker.host.partition(&slot.device).map_err(|source| {
            let device = slot.device.display().to_string();
            self.asker.failed(NamedFailure::Device { device, source })
        })?;
        let (disk, part) = (partition.device.to_string_lossy(), partition.number.to_string());
        let arguments = [
            "--create-only",
            "--disk",
            &disk,
            "--part",
            &part,
            "--label",
            bootname,
            "--loader",
            loader,
            "--unicode",
            cmdline,
        ];
        self.asker.tell(PROGRAM, &arguments)
    }

    fn set_order<'a>(
        &mut self,
        order: impl Iterator<Item = &'a EfiEntry>,
    ) -> Result<(), NamedError> {
        let numbers: Vec<&str> = order.map(|entry| entry.number.as_str()).collect();
        let told = self.asker.tell(PROGRAM, &["--bootorder", &numbers.join(",")]);
        told.map_err(|cause| cause.within("Modifying bootorder failed"))
    }

    /// Puts the entry first, for good.
    fn put_first(&mut self, bootname: &str) -> Result<(), NamedError> {
        let (entries, entry) = self.read_with(bootname)?;
        let rest = entries.order.iter().filter(|other| other.number != entry.number);
        self.set_order(std::iter::once(&entry).chain(rest))
    }
}

impl NamedBoot for EfiNamed {
    fn name(&self) -> &'static str {
        self.asker.backend()
    }

    fn current(&mut self) -> Result<Option<String>, NamedError> {
        let entries = self.read()?;
        let label = entries.current.map(|entry| entry.label);
        let known = label.filter(|label| self.asker.slot(label).is_some());
        known
            .map(Some)
            .ok_or_else(|| self.asker.odd("Current EFI bootentry not known to rauc!".to_owned()))
    }

    fn is_good(&mut self, bootname: &str) -> Result<bool, NamedError> {
        Ok(self.read()?.order.iter().any(|entry| entry.label == bootname))
    }

    fn primary(&mut self) -> Result<Option<String>, NamedError> {
        let entries = self.read()?;
        let mut tried = entries.next.iter().chain(&entries.order);
        let found = tried.find(|entry| self.asker.slot(&entry.label).is_some());
        let primary = found.map(|entry| Some(entry.label.clone()));
        primary.ok_or_else(|| self.asker.odd("Did not find primary boot entry!".to_owned()))
    }

    fn set_state(&mut self, bootname: &str, mark: NamedMark) -> Result<(), NamedError> {
        if mark == NamedMark::Good {
            return self.put_first(bootname);
        }
        let (entries, _) = self.read_with(bootname)?;
        if entries.next.is_some_and(|next| next.label == bootname) {
            self.asker.tell(PROGRAM, &["--delete-bootnext"])?;
        }
        // Two entries of one label boot the same slot.
        self.set_order(entries.order.iter().filter(|entry| entry.label != bootname))
    }

    fn set_primary(&mut self, bootname: &str) -> Result<(), NamedError> {
        match self.activation {
            EfiActivation::BootOrder => self.put_first(bootname),
            EfiActivation::BootNext => {
                let (_, entry) = self.read_with(bootname)?;
                let told = self.asker.tell(PROGRAM, &["--bootnext", &entry.number]);
                told.map_err(|cause| cause.within("Setting bootnext failed"))
            }
        }
    }

    fn warnings(&mut self) -> Vec<String> {
        self.asker.take_warnings()
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, Said, slots};
    use super::*;

    const TWO: &str = "BootCurrent: 0000\nBootOrder: 0005,0000,0001\nBoot0000* A\nBoot0001* B\n\
                       Boot0005* recovery\n";

    fn efi(printed: &'static str, activation: EfiActivation) -> (EfiNamed, Fake) {
        let fake = Fake::new(move |_, arguments| match arguments {
            [] => Said::out(printed.to_owned()),
            _ => Said::out(String::new()),
        });
        (EfiNamed::new(fake.host(), slots(&["A", "B"]), activation), fake)
    }

    fn told(fake: &Fake) -> Vec<String> {
        fake.calls().into_iter().filter(|call| call != "efibootmgr ").collect()
    }

    #[test]
    fn good_is_what_the_order_lists_and_primary_is_the_first_of_ours() {
        let (mut boot, _) = efi(TWO, EfiActivation::BootNext);
        assert!(boot.is_good("B").unwrap());
        assert_eq!(boot.primary().unwrap().as_deref(), Some("A"));
        assert_eq!(boot.current().unwrap().as_deref(), Some("A"));
        let (mut boot, _) = efi(
            "BootNext: 0001\nBootCurrent: 0005\nBootOrder: 0000\nBoot0000* A\nBoot0001* B\n\
             Boot0005* recovery\n",
            EfiActivation::BootNext,
        );
        assert!(!boot.is_good("B").unwrap());
        assert_eq!(boot.primary().unwrap().as_deref(), Some("B"), "for the next boot");
        let text = boot.current().unwrap_err().to_string();
        assert_eq!(text, "efi backend: Current EFI bootentry not known to rauc!");
    }

    #[test]
    fn good_puts_first_bad_takes_out_and_active_goes_by_the_setting() {
        let (mut boot, fake) = efi(TWO, EfiActivation::BootNext);
        boot.set_state("B", NamedMark::Good).unwrap();
        boot.set_state("A", NamedMark::Bad).unwrap();
        boot.set_primary("B").unwrap();
        assert_eq!(
            told(&fake),
            [
                "efibootmgr --bootorder 0001,0005,0000",
                "efibootmgr --bootorder 0005,0001",
                "efibootmgr --bootnext 0001"
            ]
        );
        let (mut boot, fake) = efi(TWO, EfiActivation::BootOrder);
        boot.set_primary("B").unwrap();
        assert_eq!(told(&fake), ["efibootmgr --bootorder 0001,0005,0000"]);
    }

    #[test]
    fn a_bad_slot_leaves_the_next_boot_too() {
        let next = "BootNext: 0001\nBootOrder: 0000,0001\nBoot0000* A\nBoot0001* B\n";
        let (mut boot, fake) = efi(next, EfiActivation::BootNext);
        boot.set_state("B", NamedMark::Bad).unwrap();
        assert_eq!(told(&fake), ["efibootmgr --delete-bootnext", "efibootmgr --bootorder 0000"]);
        let (mut boot, fake) = efi(next, EfiActivation::BootNext);
        boot.set_state("A", NamedMark::Bad).unwrap();
        assert_eq!(told(&fake), ["efibootmgr --bootorder 0001"], "B is still next");
    }

    #[test]
    fn a_missing_entry_without_what_makes_one_is_told_and_nothing_is_changed() {
        let (mut boot, fake) = efi("BootOrder: 0001\nBoot0001* B\n", EfiActivation::BootNext);
        let expected = "efi backend: Did not find efi entry for bootname 'A'!";
        for told in [
            boot.set_state("A", NamedMark::Good),
            boot.set_state("A", NamedMark::Bad),
            boot.set_primary("A"),
        ] {
            assert_eq!(told.unwrap_err().to_string(), expected);
        }
        assert_eq!(told(&fake), Vec::<String>::new());
    }

    #[test]
    fn a_missing_entry_is_made_from_the_slots_partition() {
        let mut made = false;
        let fake = Fake::new(move |_, arguments| {
            made |= arguments.contains(&"--create-only");
            let a = if made { "Boot0000* A\n" } else { "" };
            Said::out(format!("BootOrder: 0001\n{a}Boot0001* B\n"))
        });
        let mut slots = slots(&["A", "B"]);
        slots[0].efi_loader = Some("\\EFI\\A.EFI".to_owned());
        slots[0].efi_cmdline = Some("root=x".to_owned());
        let mut boot = EfiNamed::new(fake.host(), slots, EfiActivation::BootNext);
        boot.set_primary("A").unwrap();
        assert_eq!(
            told(&fake),
            [
                "efibootmgr --create-only --disk /dev/A --part 7 --label A --loader \\EFI\\A.EFI \
                 --unicode root=x",
                "efibootmgr --bootnext 0000"
            ]
        );
    }

    #[test]
    fn failures_say_what_was_being_done() {
        let fake = Fake::new(|_, arguments| match arguments {
            [] => Said::out(TWO.to_owned()),
            _ => Said::fails(1, "Could not set BootOrder: No space left on device".to_owned()),
        });
        let mut boot = EfiNamed::new(fake.host(), slots(&["A", "B"]), EfiActivation::BootNext);
        let text = boot.set_state("A", NamedMark::Bad).unwrap_err().to_string();
        let expected = "efi backend: Modifying bootorder failed: Failed to run efibootmgr: Child \
                        process exited with code 1 (Could not set BootOrder: No space left on device)";
        assert_eq!(text, expected);
        let text = boot.set_primary("A").unwrap_err().to_string();
        assert!(text.starts_with("efi backend: Setting bootnext failed: Failed to run efibootmgr"));
    }
}
