// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store of nonces on a clock of the test's.

use super::*;
use crate::auth::NonceRefused;
use std::net::{Ipv4Addr, Ipv6Addr};

fn client(number: u16) -> ClientKey {
    let [high, low] = number.to_be_bytes();
    ClientKey::of(IpAddr::V4(Ipv4Addr::new(10, 0, high, low)))
}

fn random(number: u32) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

#[test]
fn a_nonce_is_good_once_and_for_its_time_only() {
    let mut store = NonceStore::default();
    let first = store.issue(client(1), random(1), Uptime(0)).unwrap();
    assert!(store.knows(&first, Uptime(NONCE_TTL_SECS - 1)));
    assert!(!store.knows(&first, Uptime(NONCE_TTL_SECS)));
    assert!(store.take(&first, Uptime(1)));
    assert!(!store.take(&first, Uptime(1)));
    let second = store.issue(client(1), random(2), Uptime(0)).unwrap();
    assert!(!store.take(&second, Uptime(NONCE_TTL_SECS)));
}

#[test]
fn whoever_asks_too_often_keeps_nobody_else_out_and_drops_nothing() {
    let mut store = NonceStore::default();
    let admins = store.issue(client(1), random(0), Uptime(0)).unwrap();
    let mut granted = 0;
    for number in 1..10_001 {
        if store.issue(client(2), random(number), Uptime(0)).is_ok() {
            granted += 1;
        }
    }
    assert_eq!(granted, MAX_NONCES_PER_CLIENT);
    assert_eq!(store.issue(client(2), random(0), Uptime(0)), Err(NonceRefused::Client));
    assert!(store.take(&admins, Uptime(1)));
    assert!(store.issue(client(1), random(20_000), Uptime(1)).is_ok());
}

#[test]
fn all_together_are_bounded_and_time_frees_them() {
    let mut store = NonceStore::default();
    for number in 0..10_000_u32 {
        let asker = client(u16::try_from(number).unwrap());
        let answer = store.issue(asker, random(number), Uptime(0));
        assert_eq!(answer.is_ok(), (number as usize) < MAX_NONCES);
    }
    assert_eq!(store.len(), MAX_NONCES);
    assert!(store.issue(client(9), random(1), Uptime(NONCE_TTL_SECS)).is_ok());
    assert_eq!(store.len(), 1);
}

#[test]
fn a_network_of_ipv6_is_one_client_and_a_mapped_address_is_ipv4s() {
    let of = |text: &str| ClientKey::of(IpAddr::V6(text.parse::<Ipv6Addr>().unwrap()));
    assert_eq!(of("fd00:1:2:3::1"), of("fd00:1:2:3:ffff::2"));
    assert_ne!(of("fd00:1:2:3::1"), of("fd00:1:2:4::1"));
    assert_eq!(of("::ffff:10.0.0.1"), client(1));
}

#[test]
fn the_text_of_a_nonce_has_one_form() {
    let nonce = Nonce::new(random(7));
    assert_eq!(Nonce::parse(&nonce.to_string()), Some(nonce));
    assert_eq!(Nonce::parse(&nonce.to_string().replace('0', "A")), None);
    assert_eq!(Nonce::parse(""), None);
    assert_eq!(format!("{nonce:?}"), "Nonce(…)");
}

#[test]
fn the_helpers_store_drops_the_oldest_and_stays_small() {
    let mut store = NonceStore::default();
    let random = |number: u64| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    for number in 0..10_000 {
        store.issue_dropping_oldest(random(number), Uptime(number / 100));
    }
    assert_eq!(store.len(), MAX_HELD);
    let now = Uptime(100);
    assert!(store.knows(&Nonce::new(random(9_999)), now));
    assert!(!store.knows(&Nonce::new(random(0)), now));
    let late = Uptime(99 + NONCE_TTL_SECS + 60);
    assert!(store.take(&Nonce::new(random(9_999)), late), "its body was long under way");
}

#[test]
fn a_stranger_with_many_addresses_keeps_the_administrator_neither_out_nor_waiting() {
    let mut store = NonceStore::default();
    let mut number = 0;
    let mut flood = |store: &mut NonceStore| {
        for asker in 100..200 {
            for _ in 0..MAX_NONCES_PER_CLIENT {
                number += 1;
                let _ = store.issue(client(asker), random(number), Uptime(0));
            }
        }
    };
    flood(&mut store);
    assert_eq!(store.len(), MAX_NONCES);
    let admins = store.issue(client(1), random(900_000), Uptime(0)).unwrap();
    assert_eq!(store.len(), MAX_NONCES);
    flood(&mut store);
    assert!(store.take(&admins, Uptime(1)), "it has fewer than its share");
}
