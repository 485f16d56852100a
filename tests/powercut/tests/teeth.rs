// SPDX-License-Identifier: MIT OR Apache-2.0
//! The harness bites: each known mistake is found, by an invariant that it breaks, and what does no
//! harm is not called a brick.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use powercut::Harm;
use powercut::teeth::{bite, without_each_sync_of};
use std::collections::BTreeSet;
use std::path::Path;

const SEED: u64 = 0x4174_6f6d;

#[test]
fn every_harmful_mistake_is_found_and_no_other() {
    let bites = bite(SEED, 2).unwrap();
    for bite in &bites {
        assert!(bite.is_as_expected(), "{} in {}: {:?}", bite.what, bite.scenario, bite.bricks);
        assert!(bite.images > 80, "{}: only {} images", bite.what, bite.images);
    }
    let harmful = bites.iter().filter(|bite| bite.harm == Harm::Bricks);
    let invariants: BTreeSet<_> = harmful.flat_map(|bite| bite.bricks.keys()).collect();
    assert_eq!(invariants.len(), 8, "each invariant has found something: {invariants:?}");
}

/// The content of a file, its directory, the name of a generation, the name of a record: each sync
/// left out is found. A torn record does no harm where a link to a whole generation stands beside
/// it; where none does yet, it is found as well.
#[test]
fn a_sync_that_a_promotion_leaves_out_is_found() {
    let always = ["candidate/config.toml", "generations/candidate", "config/generations"];
    for (name, more) in
        [("config-promote", "of config"), ("config-migrate", "config/promotion.json.new")]
    {
        let wanted: Vec<&str> = always.into_iter().chain([more]).collect();
        let is_wanted =
            |path: &Path| wanted.iter().any(|end| format!("of {}", path.display()).ends_with(end));
        let left_out = without_each_sync_of(name, SEED, &is_wanted).unwrap();
        for sync in &wanted {
            let found = left_out.found.iter().any(|one| one.ends_with(sync));
            assert!(found, "{name}: {sync} is not found, only {:?}", left_out.found);
        }
    }
}
