// SPDX-License-Identifier: MIT OR Apache-2.0
//! What does `efibootmgr` say about the firmware's boot entries?
//!
//! ```text
//! BootNext: 0002
//! BootCurrent: 0001
//! BootOrder: 0001,0002
//! Boot0001* A⇥HD(1,GPT,…)/File(\EFI\A.EFI)
//! Boot0002  B
//! ```
//!
//! Behind the number is a star where the entry is active. Newer programs put the device path behind
//! a tab. Labels are the vendor's and may look like anything; lines of no such form say nothing.

use std::collections::BTreeMap;

/// A boot entry of the firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EfiEntry {
    /// Its number, four hexadecimal digits.
    pub number: String,
    /// Its label, which is RAUC's bootname.
    pub label: String,
}

/// The firmware's boot entries and what it does with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EfiEntries {
    /// All entries.
    pub all: Vec<EfiEntry>,
    /// Those in the boot order that exist, first tried first.
    pub order: Vec<EfiEntry>,
    /// The entry for the next boot only.
    pub next: Option<EfiEntry>,
    /// The entry that was booted.
    pub current: Option<EfiEntry>,
}

impl EfiEntries {
    /// Reads what `efibootmgr` printed.
    ///
    /// # Errors
    /// What is missing, in RAUC's words.
    pub fn parse(printed: &str) -> Result<Self, &'static str> {
        let all: Vec<EfiEntry> = printed.split('\n').filter_map(entry).collect();
        if all.is_empty() {
            return Err("Regex matching failed!");
        }
        // By number and not by looking through all: firmware that is broken may print thousands.
        let mut numbers: BTreeMap<u16, &EfiEntry> = BTreeMap::new();
        for entry in &all {
            if let Ok(number) = u16::from_str_radix(&entry.number, 16) {
                numbers.entry(number).or_insert(entry);
            }
        }
        let by_number = |number: &str| {
            let number = u16::from_str_radix(number, 16).ok().filter(|_| is_number(number))?;
            numbers.get(&number).copied().cloned()
        };
        let named = |key: &str| {
            let mut lines = printed.split('\n');
            let number = lines.find_map(|line| line.strip_prefix(key).filter(|it| is_number(it)));
            number.and_then(by_number)
        };
        let order = printed.split('\n').find_map(|line| {
            let order = line.strip_prefix("BootOrder: ")?;
            (!order.is_empty() && !order.contains(char::is_whitespace)).then_some(order)
        });
        let order = order.ok_or("unable to obtain boot order!")?;
        Ok(Self {
            order: order.split(',').filter_map(by_number).collect(),
            next: named("BootNext: "),
            current: named("BootCurrent: "),
            all,
        })
    }

    /// The first entry of that label.
    #[must_use]
    pub fn labelled(&self, label: &str) -> Option<&EfiEntry> {
        self.all.iter().find(|entry| entry.label == label)
    }
}

fn is_number(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn entry(line: &str) -> Option<EfiEntry> {
    let (number, rest) = line.strip_prefix("Boot")?.split_at_checked(4)?;
    let label = rest.strip_prefix("* ").or_else(|| rest.strip_prefix("  "))?;
    if label.is_empty() || !is_number(number) {
        return None;
    }
    let label = label.split_once('\t').map_or(label, |(label, _)| label);
    Some(EfiEntry { number: number.to_owned(), label: label.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(entries: &[EfiEntry]) -> Vec<&str> {
        entries.iter().map(|entry| entry.number.as_str()).collect()
    }

    #[test]
    fn entries_of_old_and_new_programs_are_read() {
        let printed = "BootNext: 000a\nBootCurrent: 0001\nTimeout: 2 seconds\n\
                       BootOrder: 0001,0002,0009\n\
                       Boot0001* A\tHD(1,GPT,11-22,0x800,0x1000)/File(\\EFI\\A.EFI)\n\
                       Boot0002  B\nBoot000A* UEFI: PXE IPv4 x\nBootFOO1* no\nBoot0003*x\n";
        let entries = EfiEntries::parse(printed).unwrap();
        assert_eq!(numbers(&entries.all), ["0001", "0002", "000A"]);
        assert_eq!(numbers(&entries.order), ["0001", "0002"], "0009 does not exist");
        assert_eq!(entries.next.as_ref().map(|it| it.label.as_str()), Some("UEFI: PXE IPv4 x"));
        assert_eq!(entries.current.as_ref(), entries.labelled("A"));
        assert_eq!(entries.labelled("B").map(|it| it.number.as_str()), Some("0002"));
    }

    #[test]
    fn what_is_missing_is_told_and_oddities_are_no_entries() {
        assert_eq!(EfiEntries::parse(""), Err("Regex matching failed!"));
        assert_eq!(EfiEntries::parse("Boot0001* A\n"), Err("unable to obtain boot order!"));
        let empty = EfiEntries::parse("BootOrder: \nBoot0001* A\n");
        assert_eq!(empty, Err("unable to obtain boot order!"));
        let entries =
            EfiEntries::parse("BootOrder: 0001\nBootNext: 00011\nBoot0001* \tx\n").unwrap();
        assert_eq!(entries.next, None);
        assert_eq!(entries.labelled("").map(|it| it.number.as_str()), Some("0001"));
        assert!(EfiEntries::parse("Boot\u{e9}\u{e9}* x\nBootOrder: 0001\n").is_err());
    }
}
