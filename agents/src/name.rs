// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is a device called by its servers, and what are its lots drawn from? A name that no other
//! device has, and that stays the same: two devices of one name are one to hawkBit, and a fleet of one
//! name asks at one moment and takes a release of 5 % all together or not at all.
//!
//! What its owner says; else the address of `eth0`, which is the original contract's name; else that of
//! the first card by name; else what is made of the machine's id. The id itself is told to nobody, as
//! machine-id(5) asks.

use crate::original::device_id;
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

/// The original contract's card.
const CONTRACT_CARD: &str = "eth0";
/// What the machine's id is hashed with: ours alone. `systemd-id128 machine-id --app-specific` makes the
/// same of it.
const APP_ID: [u8; 16] = 0x6c9a_3f0e_2d1b_4a5f_8e7d_6c5b_4a39_2817_u128.to_be_bytes();
/// An address that the kernel threw dice for: another one after each start.
const RANDOM: &str = "1";

/// A network card, as the kernel shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Card {
    /// Its name.
    pub name: String,
    /// Its address, with colons.
    pub address: Option<String>,
    /// How it came by that (`addr_assign_type`), where that is known.
    pub assigned: Option<String>,
    /// Whether it is hardware: it has a device behind it.
    pub is_hardware: bool,
}

/// A device's name, and where it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceName {
    /// It; nothing where the device has none.
    pub name: Option<String>,
    /// Where it is from, in words.
    pub from: String,
    /// The name that the original contract sends: of `eth0`, or none.
    pub contract: Option<String>,
}

impl DeviceName {
    /// The name of a device with these cards, and with this content of `/etc/machine-id` where that
    /// outlives a start.
    #[must_use]
    pub fn of(owners: Option<&str>, cards: &[Card], machine_id: Option<&str>) -> Self {
        let address = |card: &Card| card.address.as_deref().and_then(named_by);
        let contract = cards.iter().find(|card| card.name == CONTRACT_CARD).and_then(address);
        let made = |name: String, from: String| Self {
            name: Some(name),
            from,
            contract: contract.clone(),
        };
        if let Some(name) = owners {
            return made(name.to_owned(), "as its owner calls it".to_owned());
        }
        if let Some(name) = contract.clone() {
            return made(name, format!("the address of {CONTRACT_CARD}"));
        }
        let lasting = |card: &&Card| card.is_hardware && card.assigned.as_deref() != Some(RANDOM);
        let cards = cards.iter().filter(lasting);
        let first = cards.filter_map(|card| Some((&card.name, address(card)?)));
        if let Some((card, name)) = first.min_by_key(|(card, _)| card.as_str()) {
            return made(name, format!("the address of {card}"));
        }
        if let Some(name) = machine_id.and_then(of_machine) {
            return made(name, "made of the machine's id".to_owned());
        }
        let from = "no card has an address that lasts, and there is no machine's id".to_owned();
        Self { name: None, from, contract }
    }

    /// In one line.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { name, from, .. } = self;
        name.as_ref().map_or_else(|| format!("no name: {from}"), |name| format!("{name}, {from}"))
    }
}

/// No card has the address of nobody, or of several.
fn named_by(address: &str) -> Option<String> {
    let first = u8::from_str_radix(address.trim_ascii().get(..2)?, 16).ok()?;
    let name = device_id(address)?;
    (first & 1 == 0 && name.bytes().any(|digit| digit != b'0')).then_some(name)
}

/// As sd_id128_get_machine_app_specific(3) makes it.
fn of_machine(text: &str) -> Option<String> {
    let text = text.trim_ascii();
    let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u128::from_str_radix(text, 16).ok().filter(|id| is_id && *id != 0)?;
    let mut made = hashed(&id.to_be_bytes()).ok()?;
    // A random UUID's marks.
    made[6] = made[6] & 0x0f | 0x40;
    made[8] = made[8] & 0x3f | 0x80;
    Some(format!("{:032x}", u128::from_be_bytes(made)))
}

fn hashed(id: &[u8]) -> Result<[u8; 16], ErrorStack> {
    let key = PKey::hmac(id)?;
    let hash = Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(&APP_ID)?;
    let mut first = [0; 16];
    first.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(name: &str, address: &str) -> Card {
        let (name, address) = (name.to_owned(), Some(address.to_owned()));
        Card { name, address, assigned: Some("0\n".trim().to_owned()), is_hardware: true }
    }

    const MACHINE: &str = "0123456789abcdef0123456789abcdef\n";

    fn of(cards: &[Card], machine: Option<&str>) -> (Option<String>, String) {
        let named = DeviceName::of(None, cards, machine);
        (named.name, named.from)
    }

    #[test]
    fn the_owner_eth0_the_first_card_and_the_machine_name_it_in_this_order() {
        let (wlan, end) = (card("wlan0", "02:00:00:00:00:77"), card("end0", "02:00:00:00:00:11"));
        let eth = Card { is_hardware: false, ..card("eth0", "02:00:00:00:00:22") };
        let all = [wlan.clone(), end.clone(), eth.clone()];
        let owners = DeviceName::of(Some("line-7"), &all, Some(MACHINE));
        assert_eq!(owners.words(), "line-7, as its owner calls it");
        assert_eq!(owners.contract.as_deref(), Some("020000000022"), "the contract has its own");
        assert_eq!(of(&all, None).0.as_deref(), Some("020000000022"));
        let (name, from) = of(&[wlan.clone(), end], Some(MACHINE));
        assert_eq!((name.as_deref(), &*from), (Some("020000000011"), "the address of end0"));
        assert_eq!(DeviceName::of(None, &[wlan], None).contract, None);
        let (name, from) = of(&[], Some(MACHINE));
        // As `systemd-id128 machine-id --app-specific=6c9a3f0e2d1b4a5f8e7d6c5b4a392817` says there.
        assert_eq!(name.as_deref(), Some("9b359035ade140a18fdc5c090faf4d89"));
        assert_eq!(from, "made of the machine's id");
        assert!(DeviceName::of(None, &[], None).words().starts_with("no name: "));
    }

    #[test]
    fn what_others_have_or_what_does_not_last_is_no_name() {
        let bridge = Card { is_hardware: false, ..card("br0", "02:00:00:00:00:11") };
        let dice = Card { assigned: Some("1".to_owned()), ..card("end0", "02:00:00:00:00:11") };
        let silent = Card { address: None, ..card("can0", "") };
        let others = ["00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "", "é", "0"];
        let cards = others.map(|address| card("end1", address));
        for odd in [bridge, dice, silent].iter().chain(&cards) {
            assert_eq!(of(std::slice::from_ref(odd), None).0, None, "{odd:?}");
        }
        for odd in ["", "uninitialized\n", "0123", &"0".repeat(32), &format!("+{}", "1".repeat(31))]
        {
            assert_eq!(of(&[], Some(odd)).0, None, "{odd:?}");
        }
    }
}
